//! A step allocates nothing: every allocation of this process is counted, those of the threads that share a step too. The
//! portable emitter's products are left out, since the library packs its operands into memory of its own.

use dlc::codegen::{self, Cpu, compile};
use dlc::ir::primitive::Contraction;
use dlc::ir::{Bindings, Builder, DType, Graph, OutputRole, Role, Size, Symbol, Type};
use dlc::runtime::{Machine, Memory};
use dlc::schedule::{self, schedule};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_step_allocates_nothing() {
    let n = Size::symbol("N");
    let mut b = Builder::new();
    let x = b.input("x", Role::Data, Type::new(DType::F32, vec![n.clone(), 10.into()]));
    let w = b.input("w", Role::Parameter, Type::new(DType::F32, vec![10.into()]));
    let dims = b.dims(x);
    let spread = b.broadcast(w, &[1], &dims);
    let y = b.mul(x, spread);
    let y = b.tanh(y);
    let next = b.sum(y, &[0]);
    let loss = b.sum(next, &[0]);
    b.output("w", OutputRole::Next, next);
    b.output("loss", OutputRole::Report, loss);
    runs_without_allocating(&b.finish(), &codegen::Options::default());
    if Cpu::native() != Cpu::Portable {
        runs_without_allocating(&products(), &codegen::Options { threads: 2, fork_ns: 0, ..Default::default() });
    }
}

/// A weight, its product with the batch, one with its transpose, and its gradient.
fn products() -> Graph {
    let mut b = Builder::new();
    let x = b.input("x", Role::Data, Type::new(DType::F32, vec![Size::symbol("N"), 40.into()]));
    let w = b.input("w", Role::Parameter, Type::new(DType::F32, vec![40.into(), 50.into()]));
    let mut product = |x, y, pair| b.push(Contraction { batch: vec![], contract: vec![pair] }, &[x, y]);
    let y = product(x, w, (1, 0));
    let z = product(y, w, (1, 1));
    let gradient = product(z, y, (0, 0));
    let loss = b.sum(z, &[0, 1]);
    let next = b.sub(w, gradient);
    b.output("w", OutputRole::Next, next);
    b.output("loss", OutputRole::Report, loss);
    b.finish()
}

fn runs_without_allocating(graph: &Graph, options: &codegen::Options) {
    let capacity = Bindings::from([(Symbol::new("N"), 32)]);
    let program = schedule(graph, &schedule::Options::new(capacity)).unwrap();
    let mut memory = Memory::new();
    let compiled = compile(&program, options).unwrap();
    let mut machine = Machine::new(compiled, &mut memory).unwrap();
    let (x, loss) = (machine.input("x").unwrap(), machine.output("loss").unwrap());
    machine.input_mut::<f32>(x).unwrap().fill(0.001);
    // What products multiply with is made when it is first needed.
    for rows in [32, 7] {
        machine.run(&mut memory, &[rows]).unwrap();
    }
    let mut total = 0.0;
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for rows in [32, 7, 32] {
        machine.input_mut::<f32>(x).unwrap()[0] += 0.001;
        machine.run(&mut memory, &[rows]).unwrap();
        machine.run(&mut memory, &[rows]).unwrap();
        total += machine.report(loss);
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0);
    assert!(!total.is_nan());
}
