//! Runs repeat to the bit: the same seed twice, and on any number of threads. Other seeds give other runs.

use crate::cases;
use crate::generator::{Column, RandomProgram, Values, random_program};
use crate::settings;
use dlc::check;
use dlc::data::{self, FloatType};
use dlc::ir::{DType, Tensor};
use dlc::scalar::random::Key;
use dlc::source::{Files, render};
use dlc::syntax::ast::{self, ItemKind};
use dlc::syntax::parse;
use dlc::train::{RunError, Session, Settings};
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use std::collections::BTreeMap;
use std::path::Path;

/// Writes the data of a program: `rows` rows.
fn write_data(program: &RandomProgram, rows: u64, folder: &Path) {
    let columns = program.columns.iter().zip(0..).map(|(column, number)| {
        let key = Key::derive(5, number, 0);
        let dims: Vec<usize> = [rows].iter().chain(&column.axes).map(|d| *d as usize).collect();
        let uniform = (0..dims.iter().product::<usize>() as u64).map(|i| key.uniform_f64(i));
        let floats = |f: fn(f64) -> f64| uniform.clone().flat_map(|u| (f(u) as f32).to_le_bytes()).collect();
        let (dtype, bytes): (_, Vec<u8>) = match column.values {
            Values::Class(classes) => {
                (Dtype::I64, uniform.flat_map(|u| ((u * classes as f64) as i64).to_le_bytes()).collect())
            }
            Values::Any => (Dtype::F32, floats(|u| 3.0 * u - 1.5)),
            Values::Share => (Dtype::F32, floats(|u| u)),
            Values::Sign => (Dtype::F32, floats(|u| if u < 0.5 { -1.0 } else { 1.0 })),
        };
        (column.name, dtype, dims, bytes)
    });
    let columns: Vec<_> = columns.collect();
    let views =
        columns.iter().map(|(name, dtype, dims, bytes)| (*name, TensorView::new(*dtype, dims.clone(), bytes).unwrap()));
    serialize_to_file(views, None, &folder.join("d.safetensors")).unwrap();
}

/// The loss of every finite step, and the tensors after the last if all are.
#[derive(PartialEq, Debug)]
struct Run {
    losses: Vec<u64>,
    tensors: Vec<(String, Tensor)>,
}

/// Trains for some steps, from the file to the last step.
fn run(program: &RandomProgram, folder: &Path, steps: usize, threads: usize, seed: u64) -> Run {
    let mut files = Files::default();
    let file = files.add("program.dl", program.text.clone());
    let (tree, errors) = parse(file, &program.text);
    assert!(errors.is_empty(), "{}", render(&files, &errors, false));
    let mut tables = BTreeMap::new();
    for item in &tree.items {
        if let ItemKind::Data(declaration) = &item.kind {
            let source = data::source(declaration, folder).unwrap();
            tables.insert(declaration.name.text.clone(), source.read(FloatType::of(DType::F32)).unwrap());
        }
    }
    let schemas = tables.iter().map(|(name, table)| (name.clone(), table.schema())).collect();
    let prelude = check::prelude(&mut files);
    let prelude: Vec<&ast::File> = prelude.iter().collect();
    let (typed, errors) = check::check(&prelude, &tree, &schemas, &[]);
    assert!(errors.is_empty(), "{}", render(&files, &errors, false));
    let settings = Settings { dtype: DType::F32, threads, cpu: settings::cpu(), seed, off: settings::off() };
    let mut session = Session::new(&typed, &tables, &settings, &[]).unwrap();
    let mut losses = Vec::new();
    for _ in 0..steps {
        match session.step() {
            Ok((loss, _)) => losses.push(loss.to_bits()),
            // Some random rules diverge; then their steps before do the comparing.
            Err(RunError::Diverged(_)) => return Run { losses, tensors: Vec::new() },
            Err(error) => panic!("{error}\n{}", program.text),
        }
    }
    let memory = &session.engine.memory;
    let names = memory.ids().map(|id| memory.name(id).to_string());
    let tensors = names.map(|name| (name.clone(), memory.read(&name).unwrap())).collect();
    Run { losses, tensors }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24 * cases() / 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn runs_repeat(words in prop::collection::vec(any::<u32>(), 1..120)) {
        let program = random_program(&words);
        let folder = tempfile::TempDir::new().unwrap();
        write_data(&program, 3 * program.rows + 2, folder.path());
        let first = run(&program, folder.path(), 9, 1, 3);
        prop_assert_eq!(&run(&program, folder.path(), 9, 1, 3), &first, "{}", program.text);
        prop_assert_eq!(&run(&program, folder.path(), 9, 3, 3), &first, "{}", program.text);
    }
}

/// A program with products large enough to be shared among threads, of all three kinds: forward, by the input and by the
/// weights; with draws, state and shuffled rows.
fn large() -> RandomProgram {
    let text = "data d = safetensors(\"d.safetensors\")
        net model(x: [N, 192]) -> [N, 10] = x |> dense(256) |> relu |> dropout(0.3) |> dense(256) |> tanh |> dense(10)
        train {
            minimize cross_entropy(model(x), label) + 1e-4 * l2(weights)
            on       d, batch 128
            using    adam(lr: 1e-3)
            steps    20
        }";
    let x = Column { name: "x", axes: vec![192], values: Values::Any };
    let label = Column { name: "label", axes: Vec::new(), values: Values::Class(10) };
    RandomProgram { text: text.into(), otherwise: text.into(), columns: vec![x, label], rows: 128 }
}

#[test]
fn threads_change_no_bit_of_large_products() {
    let (program, folder) = (large(), tempfile::TempDir::new().unwrap());
    write_data(&program, 300, folder.path());
    let expected = run(&program, folder.path(), 8, 1, 0);
    for threads in [2, 3, 4, 8] {
        let got = run(&program, folder.path(), 8, threads, 0);
        assert!(got == expected, "{threads} threads: losses {:?} for {:?}", got.losses, expected.losses);
    }
    let other = run(&program, folder.path(), 8, 1, 1);
    assert_ne!(other.losses, expected.losses, "another seed gives another run");
}
