//! Inputs that a step reads where they lie: the same bits as from the machine's own buffers, at any address and under every
//! emitter, and errors where they do not fit.

use dlc::codegen::{self, Cpu, compile};
use dlc::ir::primitive::Contraction;
use dlc::ir::{Bindings, Builder, DType, Graph, OutputRole, Role, Size, Symbol, Type};
use dlc::runtime::{InputId, Lent, Machine, Memory, RuntimeError, View};
use dlc::schedule::{self, schedule};
use std::fs;
use std::process::Command;

const ROWS: u64 = 37;
const COLUMNS: u64 = 67;

/// A product of the rows with a parameter, an elementwise function of them, sums over both axes, and a counter.
fn graph() -> Graph {
    let mut b = Builder::new();
    let f = DType::F32;
    let x = b.input("x", Role::Data, Type::new(f, vec![Size::symbol("N"), COLUMNS.into()]));
    let w = b.input("w", Role::Parameter, Type::new(f, vec![COLUMNS.into(), 19.into()]));
    let counter = b.input("counter", Role::Data, Type::scalar(f));
    let product = b.push(Contraction { batch: vec![], contract: vec![(1, 0)] }, &[x, w]);
    let bent = b.tanh(x);
    for (name, node) in [("product", product), ("bent", bent)] {
        b.output(name, OutputRole::Report, node);
    }
    let rows = b.sum(bent, &[1]);
    let columns = b.sum(bent, &[0]);
    b.output("rows", OutputRole::Report, rows);
    b.output("columns", OutputRole::Report, columns);
    let more = b.add(counter, counter);
    b.output("counter", OutputRole::Next, more);
    b.finish()
}

fn bits(machine: &Machine) -> Vec<Vec<u64>> {
    let of = |name: &&str| {
        let view = machine.view(machine.output(name).unwrap());
        (0..view.len()).map(|k| view.get(k).unwrap().to_bits()).collect()
    };
    ["product", "bent", "rows", "columns"].iter().map(of).collect()
}

fn lent(input: InputId, from: View) -> Lent {
    Lent { input, from, scattered: false }
}

#[test]
fn what_is_lent_is_read_as_what_is_copied() {
    let capacity = Bindings::from([(Symbol::new("N"), ROWS)]);
    let program = schedule(&graph(), &schedule::Options::new(capacity)).unwrap();
    let values: Vec<f32> = (0..ROWS * COLUMNS + 16).map(|k| (k as f32 * 0.37).sin()).collect();
    for cpu in [Cpu::Portable, Cpu::Avx2, Cpu::Avx512].into_iter().filter(|cpu| cpu.is_available()) {
        let mut memory = Memory::new();
        let options = codegen::Options { cpu, wide_from: 0, ..codegen::Options::default() };
        let mut machine = Machine::new(compile(&program, &options).unwrap(), &mut memory).unwrap();
        let w = memory.find("w").unwrap();
        let weights = memory.elements_mut::<f32>(w).unwrap();
        weights.iter_mut().enumerate().for_each(|(k, w)| *w = (k as f32 * 0.11).cos());
        let x = machine.input("x").unwrap();
        for rows in [ROWS, 1, 16] {
            let count = (rows * COLUMNS) as usize;
            for offset in 0..16 {
                let own = &values[offset..offset + count];
                machine.input_mut::<f32>(x).unwrap()[..count].copy_from_slice(own);
                machine.run(&mut memory, &[rows]).unwrap();
                let copied = bits(&machine);
                // The machine's own buffer is not what is read.
                machine.input_mut::<f32>(x).unwrap().fill(f32::NAN);
                machine.run_on(&mut memory, &[rows], &[lent(x, View::F32(own))]).unwrap();
                assert_eq!(bits(&machine), copied, "{cpu:?}, {rows} rows from {offset}");
                // And it is read again afterwards.
                machine.input_mut::<f32>(x).unwrap()[..count].copy_from_slice(own);
                machine.run(&mut memory, &[rows]).unwrap();
                assert_eq!(bits(&machine), copied);
            }
        }
        let counter = machine.input("counter").unwrap();
        let short = &values[..(ROWS * COLUMNS - 1) as usize];
        let refused = [
            machine.run_on(&mut memory, &[ROWS], &[lent(x, View::F32(short))]),
            machine.run_on(&mut memory, &[ROWS], &[lent(x, View::F64(&[0.0; 4000]))]),
            machine.run_on(&mut memory, &[ROWS], &[lent(counter, View::F32(&values))]),
        ];
        assert!(matches!(&refused[0], Err(RuntimeError::Length { .. })), "{:?}", refused[0]);
        assert!(matches!(&refused[1], Err(RuntimeError::Type { .. })), "{:?}", refused[1]);
        assert!(matches!(&refused[2], Err(RuntimeError::Conflict(_))), "{:?}", refused[2]);
    }
}

/// What a linear model with few outputs does with its batch: a product by its rows, and one over them.
fn linear() -> Graph {
    let mut b = Builder::new();
    let f = DType::F32;
    let x = b.input("x", Role::Data, Type::new(f, vec![Size::symbol("N"), COLUMNS.into()]));
    let w = b.input("w", Role::Parameter, Type::new(f, vec![COLUMNS.into(), 19.into()]));
    let z = b.push(Contraction { batch: vec![], contract: vec![(1, 0)] }, &[x, w]);
    let gradient = b.push(Contraction { batch: vec![], contract: vec![(0, 0)] }, &[x, z]);
    b.output("z", OutputRole::Report, z);
    b.output("gradient", OutputRole::Report, gradient);
    b.finish()
}

#[test]
fn rows_that_lie_apart_are_read_as_what_is_copied() {
    let capacity = Bindings::from([(Symbol::new("N"), ROWS)]);
    let mut limits = schedule::Options::new(capacity);
    limits.small_product = 0;
    let program = schedule(&linear(), &limits).unwrap();
    let values: Vec<f32> = (0..3 * ROWS * COLUMNS).map(|k| (k as f32 * 0.37).sin()).collect();
    for cpu in [Cpu::Avx2, Cpu::Avx512].into_iter().filter(|cpu| cpu.is_available()) {
        for threads in [1, 3] {
            let mut memory = Memory::new();
            let options = codegen::Options { cpu, threads, fork_ns: 0, ..codegen::Options::default() };
            let mut machine = Machine::new(compile(&program, &options).unwrap(), &mut memory).unwrap();
            let w = memory.find("w").unwrap();
            let weights = memory.elements_mut::<f32>(w).unwrap();
            weights.iter_mut().enumerate().for_each(|(k, w)| *w = (k as f32 * 0.11).cos());
            let x = machine.input("x").unwrap();
            assert!(machine.takes_rows(x), "{program}");
            let results = |machine: &Machine| ["z", "gradient"].map(|name| machine.read(name).unwrap());
            for count in [ROWS, 1, 16] {
                let rows: Vec<usize> = (0..count as usize).map(|k| (k * 29 + 7) % (3 * ROWS as usize)).collect();
                let width = COLUMNS as usize;
                let own = machine.input_mut::<f32>(x).unwrap();
                for (k, row) in rows.iter().enumerate() {
                    own[k * width..][..width].copy_from_slice(&values[row * width..][..width]);
                }
                machine.run(&mut memory, &[count]).unwrap();
                let copied = results(&machine);
                machine.input_mut::<f32>(x).unwrap().fill(f32::NAN);
                machine.set_rows(x, &rows);
                let scattered = Lent { input: x, from: View::F32(&values), scattered: true };
                machine.run_on(&mut memory, &[count], &[scattered]).unwrap();
                let same = results(&machine).iter().zip(&copied).all(|(a, b)| a.same_bits(b));
                assert!(same, "{cpu:?}, {count} rows on {threads} threads");
                // The machine's own rows are read again afterwards.
                let own = machine.input_mut::<f32>(x).unwrap();
                for (k, row) in rows.iter().enumerate() {
                    own[k * width..][..width].copy_from_slice(&values[row * width..][..width]);
                }
                machine.run(&mut memory, &[count]).unwrap();
                assert!(results(&machine).iter().zip(&copied).all(|(a, b)| a.same_bits(b)));
            }
            machine.set_rows(x, &[3 * ROWS as usize; ROWS as usize]);
            let beyond = Lent { input: x, from: View::F32(&values), scattered: true };
            let refused = machine.run_on(&mut memory, &[ROWS], &[beyond]);
            assert!(matches!(refused, Err(RuntimeError::Length { .. })), "{refused:?}");
        }
    }
    // Where something else reads the batch, its rows must lie one after the other.
    let capacity = Bindings::from([(Symbol::new("N"), ROWS)]);
    let other = schedule(&graph(), &schedule::Options::new(capacity)).unwrap();
    let mut memory = Memory::new();
    let machine = Machine::new(compile(&other, &codegen::Options::default()).unwrap(), &mut memory).unwrap();
    assert!(!machine.takes_rows(machine.input("x").unwrap()));
}

#[test]
fn a_number_that_is_not_finite_is_explained_from_rows_that_were_lent() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..128).map(|k| format!("{}\n", vec![(k % 7).to_string(); 9].join(","))).collect();
    fs::write(folder.path().join("d.csv"), format!("a,b,c,d,e,f,g,h,y\n{rows}")).unwrap();
    let program = "data d = csv(\"d.csv\", target: y)\nnet line(x: [N, 8]) -> [N] = affine(x)\n\
                   train {\n    minimize mse(line(x), y)\n    on d, batch 64 in order\n    using sgd(lr: 1e12)\n    steps 50\n}\n";
    fs::write(folder.path().join("m.dl"), program).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_dlc"))
        .args(["run", "m.dl", "--no-save"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("training diverged at step") && told.contains("the first value that is not finite arises here"),
        "{told}"
    );
}
