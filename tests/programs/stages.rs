//! The stages from text to compiled code, as the tests of this folder use them, and the comparison of results.

use crate::generator::{RandomProgram, Values};
use crate::settings;
use dlc::check::typed::Counter;
use dlc::check::{self, ColumnKind, ColumnSchema, Schema, Schemas};
use dlc::codegen;
use dlc::elaborate::{self, Model, elaborate};
use dlc::ir::{Bindings, DType, Data, Graph, OutputRole, Tensor, interpret};
use dlc::optimize::{self, optimize};
use dlc::runtime::{Machine, Memory};
use dlc::scalar::random::Key;
use dlc::schedule::{self, schedule};
use dlc::source::{Diagnostic, FileId, Files, render};
use dlc::syntax::{TokenKind, ast, normalise, parse, tokenize};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

pub type Tensors = BTreeMap<String, Tensor>;

/// The graphs of a program, or what the front end says against it.
pub fn model(program: &RandomProgram, dtype: DType) -> Result<Model, String> {
    let told = |errors: &[Diagnostic]| {
        let mut files = Files::default();
        check::prelude(&mut files);
        files.add("random.dl", program.text.clone());
        render(&files, errors, false)
    };
    let library = library();
    let (tree, errors) = parse(library.next, &program.text);
    if !errors.is_empty() {
        return Err(told(&errors));
    }
    let needed = library.needed(&program.text);
    let columns = program.columns.iter().map(|c| ColumnSchema {
        name: c.name.to_string(),
        axes: c.axes.clone(),
        kind: match c.values {
            Values::Class(classes) => ColumnKind::Int { min: 0, max: classes - 1 },
            _ => ColumnKind::Float,
        },
    });
    let schema = Schema { rows: 3 * program.rows, columns: columns.collect() };
    let needed: Vec<&ast::File> = needed.iter().collect();
    let (typed, errors) = check::check(&needed, &tree, &Schemas::from([("d".into(), schema)]), &[]);
    if !errors.is_empty() {
        return Err(told(&errors));
    }
    elaborate(&typed, elaborate::Options { dtype }).map_err(|e| told(&[e]))
}

/// The standard library, parsed once, and what each item of it mentions.
struct Library {
    files: Vec<ast::File>,
    /// The file of a program that is read after it.
    next: FileId,
    /// For each name, the items that define it: file, item, and the words in it.
    items: BTreeMap<String, Vec<(usize, usize, BTreeSet<String>)>>,
}

fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut texts = Files::default();
        let files = check::prelude(&mut texts);
        let mut items: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (f, file) in files.iter().enumerate() {
            for (k, item) in file.items.iter().enumerate() {
                let name = match &item.kind {
                    ast::ItemKind::Definition(definition) => &definition.name.text,
                    ast::ItemKind::Constant(constant) => &constant.name.text,
                    other => panic!("the library holds definitions and constants, not {other:?}"),
                };
                let text = &texts.text(item.span.file)[item.span.start as usize..item.span.end as usize];
                items.entry(name.clone()).or_default().push((f, k, words(text)));
            }
        }
        Library { next: FileId(files.len() as u32), files, items }
    })
}

impl Library {
    /// The files with the items that a text may mean, and those that these may mean: to check all the others would take
    /// longer than everything else.
    fn needed(&self, text: &str) -> Vec<ast::File> {
        let mut waiting: Vec<String> = words(text).into_iter().collect();
        let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
        let mut taken = BTreeSet::new();
        while let Some(word) = waiting.pop() {
            for (file, item, mentioned) in self.items.get(&word).into_iter().flatten() {
                taken.insert((*file, *item));
                waiting.extend(mentioned.iter().filter(|word| seen.insert(word.to_string())).cloned());
            }
        }
        let part = |(f, file): (usize, &ast::File)| {
            let items = file.items.iter().enumerate().filter(|(k, _)| taken.contains(&(f, *k)));
            ast::File { items: items.map(|(_, item)| item.clone()).collect(), span: file.span }
        };
        self.files.iter().enumerate().map(part).collect()
    }
}

/// Every name in a text.
fn words(text: &str) -> BTreeSet<String> {
    let (tokens, _) = tokenize(FileId::default(), text);
    let names = tokens.iter().filter(|token| token.kind == TokenKind::Ident);
    names.map(|token| normalise(&text[token.span.start as usize..token.span.end as usize])).collect()
}

pub fn bindings(rows: u64) -> Bindings {
    Bindings::from([(check::typed::Train::batch_symbol(), rows)])
}

/// A batch of a program's data, with the seed and the step.
pub fn batch(program: &RandomProgram, dtype: DType, rows: u64, step: i64) -> Tensors {
    let mut tensors = Tensors::new();
    for (k, column) in program.columns.iter().enumerate() {
        let key = Key::derive(41, step as u64, k as u64);
        let dims: Vec<usize> = [rows].iter().chain(&column.axes).map(|d| *d as usize).collect();
        let uniform = (0..dims.iter().product::<usize>()).map(|i| key.uniform_f64(i as u64));
        let tensor = match column.values {
            Values::Class(classes) => {
                let wide = if dtype == DType::F32 { DType::I32 } else { DType::I64 };
                Tensor::from_i64(wide, dims, uniform.map(|u| (u * classes as f64) as i64).collect())
            }
            // Few bits, so that both precisions read the same numbers.
            Values::Any => Tensor::from_f64(dtype, dims, uniform.map(|u| (u * 768.0).floor() / 256.0 - 1.5).collect()),
            Values::Share => Tensor::from_f64(dtype, dims, uniform.map(|u| (u * 256.0).floor() / 256.0).collect()),
            Values::Sign => Tensor::from_f64(dtype, dims, uniform.map(|u| if u < 0.5 { -1.0 } else { 1.0 }).collect()),
        };
        tensors.insert(column.name.to_string(), tensor);
    }
    let integer = |value| Tensor::from_i64(DType::I64, Vec::new(), vec![value]);
    tensors.insert("seed".into(), integer(7));
    tensors.insert("step".into(), integer(step));
    tensors.insert(Counter::Step.input(), integer(step));
    tensors.insert(Counter::Epoch.input(), integer(step / 2));
    tensors
}

pub fn optimized(graph: &Graph, off: &[&str]) -> Graph {
    let off = off.iter().map(|s| s.to_string()).chain(settings::off()).collect();
    let options = optimize::Options { off, verify: true };
    optimize(graph, &options, &mut |_, _| {}).unwrap_or_else(|e| panic!("{e}\n{graph}"))
}

/// How a graph is compiled.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Products {
    /// Loops in the order that is promised.
    Loops,
    /// The library, whatever the size.
    Library,
}

pub struct Compiled<'g> {
    pub graph: &'g Graph,
    machine: Machine,
}

impl<'g> Compiled<'g> {
    pub fn new(graph: &'g Graph, rows: u64, products: Products, memory: &mut Memory) -> Compiled<'g> {
        let mut options = schedule::Options::new(bindings(rows));
        options.small_product = if products == Products::Loops { u64::MAX } else { 0 };
        let program = schedule(graph, &options).unwrap_or_else(|e| panic!("{e}\n{graph}"));
        let options = codegen::Options { cpu: settings::cpu(), verify: true, ..codegen::Options::default() };
        let compiled = codegen::compile(&program, &options).unwrap_or_else(|e| panic!("{e}\n{program}"));
        Compiled { graph, machine: Machine::new(compiled, memory).unwrap() }
    }

    /// The outputs in the graph's order.
    pub fn run(&mut self, memory: &mut Memory, inputs: &Tensors, rows: u64) -> Vec<Tensor> {
        for (name, tensor) in inputs {
            let Some(id) = self.machine.input(name) else { continue };
            match &tensor.data {
                Data::F32(v) => self.machine.input_mut::<f32>(id).unwrap()[..v.len()].copy_from_slice(v),
                Data::F64(v) => self.machine.input_mut::<f64>(id).unwrap()[..v.len()].copy_from_slice(v),
                Data::I32(v) => self.machine.input_mut::<i32>(id).unwrap()[..v.len()].copy_from_slice(v),
                Data::I64(v) => self.machine.input_mut::<i64>(id).unwrap()[..v.len()].copy_from_slice(v),
                Data::Bool(_) => unreachable!("no input is boolean"),
            }
        }
        let symbols = self.machine.compiled().interface().symbols.len();
        self.machine.run(memory, &[rows][..symbols]).unwrap();
        let outputs = self.graph.outputs().iter().map(|o| match o.role {
            OutputRole::Report => self.machine.read(&o.name).unwrap(),
            OutputRole::Next => memory.read(&o.name).unwrap(),
        });
        outputs.collect()
    }
}

pub fn interpreted(graph: &Graph, kept: &Tensors, inputs: &Tensors, rows: u64) -> Vec<Tensor> {
    let value = |name: &str| kept.get(name).or_else(|| inputs.get(name)).cloned();
    interpret(graph, &value, &bindings(rows)).unwrap_or_else(|e| panic!("{e}\n{graph}"))
}

/// Puts next values in the place of those before.
pub fn keep(graph: &Graph, outputs: &[Tensor], kept: &mut Tensors) {
    for (output, tensor) in graph.outputs().iter().zip(outputs) {
        if output.role == OutputRole::Next {
            kept.insert(output.name.to_string(), tensor.clone());
        }
    }
}

/// How near results must be to those expected.
pub enum Bound<'a> {
    Bits,
    /// Within this part of a tensor's largest element, and a thousand times what rounding the inputs changes: where a rule
    /// divides a gradient that is zero but for rounding by its size, nothing closer can be asked. The function gives the
    /// outputs for inputs that are so changed, by a seed.
    Within(f64, &'a dyn Fn(u64) -> Vec<Tensor>),
}

/// Floats changed by about a rounding.
pub fn jostled(tensors: &Tensors, seed: u64) -> Tensors {
    let changed = tensors.iter().zip(0..).map(|((name, tensor), number)| {
        let key = Key::derive(seed, number, 77);
        let change = |(k, x): (usize, &f64)| x + (x.abs() + 0.01) * 1e-14 * (2.0 * key.uniform_f64(k as u64) - 1.0);
        let tensor = match &tensor.data {
            Data::F64(v) => {
                Tensor { dims: tensor.dims.clone(), data: Data::F64(v.iter().enumerate().map(change).collect()) }
            }
            _ => tensor.clone(),
        };
        (name.clone(), tensor)
    });
    changed.collect()
}

/// Fails unless the outputs are as near as asked.
pub fn same(
    graph: &Graph,
    got: &[Tensor],
    expected: &[Tensor],
    bound: &Bound,
    what: &str,
) -> Result<(), TestCaseError> {
    for (number, ((output, got), expected)) in graph.outputs().iter().zip(got).zip(expected).enumerate() {
        prop_assert_eq!(&got.dims, &expected.dims, "{} {}", what, output.name);
        let (g, e) = (got.to_f64(), expected.to_f64());
        let scale = e.iter().filter(|x| x.is_finite()).fold(1e-3f64, |a, b| a.max(b.abs()));
        let beyond = |bits: bool, most: f64| {
            g.iter().zip(&e).position(|(g, e)| match bits {
                _ if g.is_nan() && e.is_nan() => false,
                true => g.to_bits() != e.to_bits(),
                false => !(g == e || (g - e).abs() <= most),
            })
        };
        let wrong = match bound {
            Bound::Bits => beyond(true, 0.0),
            Bound::Within(part, changed) => beyond(false, part * scale).and_then(|_| {
                let change = |seed| {
                    let other = changed(seed)[number].to_f64();
                    other.iter().zip(&e).fold(0f64, |most, (a, b)| most.max((a - b).abs()))
                };
                beyond(false, part * scale + 1e3 * change(1).max(change(2)))
            }),
        };
        if let Some(k) = wrong {
            let place = format!("{what}: {} element {k}: {:?} for {:?}", output.name, g[k], e[k]);
            return Err(TestCaseError::fail(format!("{place}\n{graph}")));
        }
    }
    Ok(())
}
