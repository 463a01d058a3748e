//! `dlc predict RUN --data FILE`: applies a trained net to new rows.
//!
//! A row is what a net gives, or what a measure looks at: with `vote = accuracy(p, y)`, p. Where the target is a class, a row
//! is the class and the probability of each: what the net gives, if that is probabilities already, else its softmax. Otherwise a
//! row holds the values the net gives. Of an ensemble, it is the mean over members: of the probabilities, or of the values.

use super::failure::Failure;
use super::keep::{self, Trained};
use super::options::Predict;
use super::print;
use super::run::failure;
use crate::check::typed::{DataId, Program, Train};
use crate::data::{self, Array, Encoding, FloatType, npy};
use crate::elaborate::{self, Prediction};
use crate::ir::{Data, Tensor};
use crate::source::{Diagnostic, closest, codes};
use crate::train::{self, RunKind, Trained as Model, record::cell};
use std::io::Write;
use std::path::Path;

pub fn execute(options: &Predict) -> Result<(), Failure> {
    let Trained { loaded, settings, models, data, folder, .. } = keep::trained(&options.run, options.threads)?;
    let program = &loaded.program;
    if let [Model { part: Some(part), .. }, _, ..] = &models[..]
        && part.kind() == RunKind::Fold
    {
        let message = format!("the run {} is of folds, each with a model of its own", folder.path().display());
        let error = Diagnostic::new(codes::CANNOT_PREDICT, message);
        return Err(error.help(format!("name one of them, such as {}", folder.part(*part).display())).into());
    }
    let last = models.iter().map(|model| model.progress.phase).max().unwrap_or(0);
    let all = elaborate::predictions(program, last, elaborate::Options { dtype: settings.dtype })
        .map_err(|e| Failure::Diagnostics(Box::default(), vec![e]))?;
    let prediction = match &options.measure {
        Some(measure) => looked_at(&all.measures, measure)?,
        None => chosen(&all.nets, options.net.as_deref())?,
    };
    let phase = program.train.as_ref().and_then(|t| t.phases.get(prediction.phase));
    let Some(phase) = phase else { return Err(Failure::message("the run's program has no `train` block")) };
    let Some(on) = phase.on else { return Err(no_rows("the phase has no data")) };
    let name = &program.data_set(on.data).name;
    let Some(encoded) = data.get(name) else {
        return Err(Failure::message(format!("the checkpoint does not know the data set `{name}`")));
    };
    let encoding = &encoded.encoding;
    let table = encoding.read(&options.data, FloatType::of(settings.dtype)).map_err(|e| Failure::data(&e))?;
    keep::fits(program, name, &table)?;
    let made: Result<Vec<Tensor>, _> =
        models.iter().map(|model| train::predict(program, prediction, &model.weights, &table, &settings)).collect();
    let made = made.map_err(|e| failure(e, loaded.files))?;
    let classes = classes(program, phase, on.data, encoding, prediction);
    let made = together(made, classes.is_some());
    let width = width(&made);
    let extension = options.out.as_deref().and_then(Path::extension).and_then(|e| e.to_str());
    let rows = Rows { name: &prediction.name, values: made.to_f64(), width, classes };
    match (&options.out, extension) {
        (None, _) => print(&rows.csv()),
        (Some(path), Some("npy")) => {
            let tensor = if rows.classes.is_some() { probabilities(&made) } else { made };
            npy::write(path, &Array::from(tensor)).map_err(|e| Failure::data(&e))
        }
        (Some(path), Some("csv")) => {
            data::replace(path, |w: &mut dyn Write| w.write_all(rows.csv().as_bytes())).map_err(|e| Failure::data(&e))
        }
        (Some(path), _) => Err(Failure::message(format!(
            "{}: predictions are written as .csv or .npy, by the name's ending",
            path.display()
        ))),
    }
}

/// The error for a program that predicts nothing.
fn no_rows(message: &str) -> Failure {
    let error = Diagnostic::new(codes::CANNOT_PREDICT, message);
    error.help("what it has trained is in the run's `best.safetensors`, and `dlc eval` tells what it comes to").into()
}

/// What all members predict: the mean of the probabilities of classes, or of the values.
fn together(mut made: Vec<Tensor>, classes: bool) -> Tensor {
    let (Some(first), members) = (made.pop(), made.len() + 1) else {
        return Tensor { dims: vec![0], data: Data::F64(Vec::new()) };
    };
    if made.is_empty() {
        return first;
    }
    let mut sums = vec![0.0; first.len()];
    for member in made.iter().chain([&first]) {
        let shown = if classes { probabilities(member) } else { member.clone() };
        sums.iter_mut().zip(shown.to_f64()).for_each(|(sum, value)| *sum += value);
    }
    let means = sums.into_iter().map(|sum| sum / members as f64).collect();
    Tensor::float(first.dtype(), first.dims, means)
}

/// The numbers of a row.
fn width(made: &Tensor) -> usize {
    made.dims.iter().skip(1).product()
}

/// The probability of every class, in the type of what the net gives.
fn probabilities(made: &Tensor) -> Tensor {
    let (values, width) = (made.to_f64(), width(made));
    if probable(&values, width) {
        return made.clone();
    }
    let values = values.chunks(width.max(1)).flat_map(softmax).collect();
    Tensor::float(made.dtype(), made.dims.clone(), values)
}

/// Whether every row is a distribution already.
fn probable(values: &[f64], width: usize) -> bool {
    const ROUNDING: f64 = 1e-3;
    let distribution = |row: &[f64]| {
        row.iter().all(|p| (0.0..=1.0 + ROUNDING).contains(p)) && (row.iter().sum::<f64>() - 1.0).abs() < ROUNDING
    };
    values.chunks(width.max(1)).all(distribution)
}

/// The net to apply.
fn chosen<'p>(all: &'p [Prediction], wanted: Option<&str>) -> Result<&'p Prediction, Failure> {
    let names: Vec<&str> = all.iter().map(|p| p.name.as_str()).collect();
    let error = |message: String| Diagnostic::new(codes::CANNOT_PREDICT, message);
    match (wanted, all) {
        (None, [only]) => Ok(only),
        (None, []) => Err(no_rows("the program applies no net to rows of data")),
        (None, _) => {
            let message = format!("the program has several nets: {}", names.join(", "));
            Err(error(message).help("say which by `--net NAME`").into())
        }
        (Some(wanted), _) => all.iter().find(|p| p.name == wanted).ok_or_else(|| {
            let there =
                if names.is_empty() { "there is none".into() } else { format!("there are {}", names.join(", ")) };
            let error = error(format!("no net `{wanted}` is applied to the rows of the data; {there}"));
            match closest(wanted, names) {
                Some(near) => error.help(format!("did you mean `{near}`?")).into(),
                None => error.into(),
            }
        }),
    }
}

/// What the measure of this name looks at.
fn looked_at<'p>(all: &'p [Prediction], wanted: &str) -> Result<&'p Prediction, Failure> {
    all.iter().find(|p| p.name == wanted).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|p| p.name.as_str()).collect();
        let there = if names.is_empty() { "no measure does".into() } else { format!("these do: {}", names.join(", ")) };
        let message = format!("no measure `{wanted}` is applied to a value for every row; {there}");
        let error = Diagnostic::new(codes::CANNOT_PREDICT, message);
        match closest(wanted, names) {
            Some(near) => error.help(format!("did you mean `{near}`?")).into(),
            None => error.into(),
        }
    })
}

/// The names of the classes, if what is predicted is one: a target of as many classes as the net gives numbers.
fn classes(
    program: &Program,
    phase: &Train,
    data: DataId,
    encoding: &Encoding,
    prediction: &Prediction,
) -> Option<Vec<String>> {
    let [dim] = prediction.row.dims.as_slice() else { return None };
    let size = dim.as_constant()?;
    let phases = program.train.iter().flat_map(|t| &t.phases);
    let mut requirements = phase.requirements.iter().chain(phases.flat_map(|p| &p.requirements));
    let column = requirements.find(|r| r.data == data && r.size == size)?.column.clone();
    let names = encoding.classes(&column).filter(|names| names.len() as u64 == size);
    Some(names.unwrap_or_else(|| (0..size).map(|k| k.to_string()).collect()))
}

/// Predictions as they are written.
struct Rows<'r> {
    /// Of the net or of the measure.
    name: &'r str,
    /// Row-major.
    values: Vec<f64>,
    width: usize,
    classes: Option<Vec<String>>,
}

impl Rows<'_> {
    fn csv(&self) -> String {
        let mut text = String::new();
        match &self.classes {
            Some(names) => {
                let columns = names.iter().map(|name| quoted(&format!("p({name})")));
                text += &format!("class,{}\n", columns.collect::<Vec<_>>().join(","));
            }
            None if self.width == 1 => text += &format!("{}\n", self.name),
            None => {
                let columns = (0..self.width).map(|k| format!("{}[{k}]", self.name));
                text += &format!("{}\n", columns.collect::<Vec<_>>().join(","));
            }
        }
        let certain = probable(&self.values, self.width);
        for row in self.values.chunks(self.width.max(1)) {
            let cells = |values: &[f64]| values.iter().map(|value| cell(*value)).collect::<Vec<_>>().join(",");
            match &self.classes {
                Some(names) => {
                    let class = (0..row.len()).fold(0, |best, k| if row[k] > row[best] { k } else { best });
                    let shown = if certain { row.to_vec() } else { softmax(row) };
                    text += &format!("{},{}\n", quoted(&names[class]), cells(&shown));
                }
                None => text += &format!("{}\n", cells(row)),
            }
        }
        text
    }
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|x| (x - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}
