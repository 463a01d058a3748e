//! Programs with data of their own, run by the command line.

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Shape and elements of a tensor of numbers.
pub type Array = (Vec<usize>, Vec<f64>);

/// The figures of one script.
pub fn figures(name: &str) -> Value {
    let text = fs::read_to_string(at_tests(&format!("figures/{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub fn at_tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/library").join(path)
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The tensors of an object of figures: each has `dims` and `values`.
pub fn arrays(value: &Value) -> BTreeMap<String, Array> {
    let array = |v: &Value| (numbers(&v["dims"]).iter().map(|d| *d as usize).collect(), numbers(&v["values"]));
    value.as_object().unwrap().iter().map(|(name, v)| (name.clone(), array(v))).collect()
}

/// The parameters that figures describe, by path.
pub fn starting(figure: &Value) -> BTreeMap<String, Array> {
    figure.as_object().unwrap().iter().map(|(path, f)| (path.clone(), parameter(f))).collect()
}

/// The tensor that the figures describe by its shape, scale, phase and shift.
fn parameter(figure: &Value) -> Array {
    let dims: Vec<usize> = numbers(&figure["dims"]).iter().map(|d| *d as usize).collect();
    let number = |name: &str| figure[name].as_f64().unwrap();
    let value = |k: usize| {
        let at = k as f64 * 0.618_033_988_749_894_9 + number("phase");
        number("scale") * (2.0 * (at - at.floor()) - 1.0) + number("shift")
    };
    let count: usize = dims.iter().product();
    (dims, (1..=count).map(value).collect())
}

/// A folder with `data.safetensors`, `start.safetensors` and `program.dl`.
pub struct Folder(TempDir);

impl Folder {
    pub fn new(columns: &BTreeMap<String, Array>) -> Folder {
        let folder = Folder(TempDir::new().unwrap());
        folder.write("data.safetensors", columns, &BTreeMap::new());
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes tensors of numbers and of labels into one file.
    pub fn write(&self, name: &str, arrays: &BTreeMap<String, Array>, labels: &BTreeMap<String, Vec<i64>>) {
        let floats = arrays.iter().map(|(name, (dims, values))| {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            (name.clone(), Dtype::F64, dims.clone(), bytes)
        });
        let integers = labels.iter().map(|(name, values)| {
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            (name.clone(), Dtype::I64, vec![values.len()], bytes)
        });
        let tensors: Vec<_> = floats.chain(integers).collect();
        let views = tensors
            .iter()
            .map(|(name, dtype, dims, bytes)| (name, TensorView::new(*dtype, dims.clone(), bytes).unwrap()));
        serialize_to_file(views, None, &self.path(name)).unwrap();
    }

    /// Starts from these parameters.
    pub fn start(&self, parameters: &BTreeMap<String, Array>) {
        self.write("start.safetensors", parameters, &BTreeMap::new());
    }

    /// Runs a program on the folder's data to its end.
    pub fn run(&self, program: &str, dtype: &str) -> Run {
        let path = self.path("program.dl");
        fs::write(&path, format!("data d = safetensors(\"data.safetensors\")\n{program}")).unwrap();
        let runs = self.path("runs");
        let mut arguments = vec!["run", "--json", "--dtype", dtype, "--name", "run", "--overwrite"];
        arguments.extend(["--runs", runs.to_str().unwrap()]);
        let start = self.path("start.safetensors");
        if start.exists() {
            arguments.extend(["--init", start.to_str().unwrap()]);
        }
        let events = dlc(&arguments, &path);
        let losses = events.iter().filter_map(|e| e["train"]["loss"].as_f64()).collect();
        let saved = fs::read(runs.join("run/last.safetensors")).unwrap();
        Run { losses, measures: events.last().unwrap()["metrics"]["train"].clone(), saved }
    }
}

/// What a run told.
pub struct Run {
    /// The mean loss of each epoch's steps.
    pub losses: Vec<f64>,
    /// The loss and every measure at the end.
    measures: Value,
    /// The last checkpoint.
    saved: Vec<u8>,
}

impl Run {
    pub fn measure(&self, name: &str) -> f64 {
        self.measures[name].as_f64().unwrap_or_else(|| panic!("no number called {name} in {}", self.measures))
    }

    /// A parameter at the end.
    pub fn parameter(&self, path: &str) -> Vec<f64> {
        let tensors = SafeTensors::deserialize(&self.saved).unwrap();
        let tensor = tensors.tensor(path).unwrap();
        let f32s = |b: &[u8]| b.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b).into()).collect();
        let f64s = |b: &[u8]| b.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        if tensor.dtype() == Dtype::F32 { f32s(tensor.data()) } else { f64s(tensor.data()) }
    }
}

/// The events that `dlc` writes for a program.
pub fn dlc(arguments: &[&str], program: &Path) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
    command.args(arguments).arg(program).current_dir(program.parent().unwrap());
    let output = command.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}\n{stdout}", String::from_utf8_lossy(&output.stderr));
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Adds a line to `failures` unless a number is the expected one, relative to the larger of it and 1.
pub fn compare(failures: &mut String, what: &str, found: f64, expected: f64, tolerance: f64) {
    let close = (found - expected).abs() <= tolerance * expected.abs().max(1.0);
    if !close {
        *failures += &format!("{what}: {found} instead of {expected}\n");
    }
}
