//! The memory of these tests does end where a buffer does: kernels that are made to look further end the process.

use crate::flush;
use dlc::ir::{Bindings, Builder, DType, OutputRole, Role, Size, Symbol, Tensor, Type};
use dlc::schedule::kernel::Expr;
use dlc::schedule::{self, Program, Work, schedule};
use std::process::Command;

const CHILD: &str = "DLC_TEST_OUTSIDE";

/// `y = x + x` for N elements, which reads one element too many at the end, or begins one before the front.
fn wrong(front: bool) -> Program {
    let mut b = Builder::new();
    let x = b.input("x", Role::Data, Type::new(DType::F32, vec![Size::symbol("N")]));
    let y = b.add(x, x);
    b.output("y", OutputRole::Report, y);
    let mut program = schedule(&b.finish(), &schedule::Options::new(Bindings::from([(Symbol::new("N"), 67)]))).unwrap();
    let Work::Kernel(kernel) = &mut program.steps[0].work else { panic!("an addition is a kernel") };
    let one = Size::constant(1);
    for value in &mut kernel.values {
        if let Expr::Load { index, .. } = &mut value.expr {
            index.offset = if front { &index.offset - &one } else { &index.offset + &one };
        }
    }
    program
}

fn look_outside(cpu: usize, front: bool) {
    let program = wrong(front);
    let bindings = Bindings::from([(Symbol::new("N"), 19)]);
    let x = Tensor::float(DType::F32, vec![19], vec![1.0; 19]);
    let compiled = flush::all(&program, &[flush::options(flush::cpus()[cpu], 1)]);
    let inputs = flush::Tensors::from([("x".to_string(), x)]);
    flush::Flush::new(&program, &bindings, &inputs, front).run(&compiled[0]);
}

#[test]
fn looking_outside_of_a_buffer_ends_the_process() {
    if let Ok(how) = std::env::var(CHILD) {
        let (cpu, side) = how.split_once(' ').unwrap();
        return look_outside(cpu.parse().unwrap(), side == "front");
    }
    for cpu in 0..flush::cpus().len() {
        for side in ["front", "end"] {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "outside::looking_outside_of_a_buffer_ends_the_process"]);
            let ended = child.env(CHILD, format!("{cpu} {side}")).output().unwrap();
            let said = String::from_utf8_lossy(&ended.stdout);
            assert_eq!(ended.status.code(), None, "{side} of {:?}: {said}", flush::cpus()[cpu]);
        }
    }
}
