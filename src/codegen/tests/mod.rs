//! Compiled kernels against plain Rust.
//!
//! Every buffer lies flush against pages that cannot be accessed, before or behind it, so that an access outside ends the
//! test.

mod elementwise;
#[path = "../../../tests/support/guarded.rs"]
mod guarded;
mod reductions;
mod rows;

use super::{Cpu, Options, compile};
use crate::ir::{Bindings, DType, Origin, Size, Symbol};
use crate::schedule::kernel::{AxisId, Expr, Index, Kernel, Loop, Stmt, Store, Value, ValueId};
use crate::schedule::program::{Buffer, BufferId, Place, Program, Step, Work, element_bytes};
pub(super) use guarded::Guarded;

/// Builds one kernel and the program around it.
pub(super) struct Fixture {
    pub kernel: Kernel,
    pub buffers: Vec<Buffer>,
    pub dtype: DType,
}

pub(super) fn size(n: u64) -> Size {
    Size::constant(n)
}

impl Fixture {
    pub fn new(dtype: DType) -> Fixture {
        Fixture { kernel: Kernel::default(), buffers: Vec::new(), dtype }
    }

    pub fn axis(&mut self, extent: Size) -> AxisId {
        self.kernel.axes.push(extent);
        AxisId(self.kernel.axes.len() as u32 - 1)
    }

    pub fn buffer(&mut self, elem: DType, dims: &[Size]) -> BufferId {
        let name = format!("b{}", self.buffers.len()).into();
        let place = Place::Output { name: std::sync::Arc::clone(&name) };
        self.buffers.push(Buffer { name, elem, dims: dims.to_vec(), place });
        BufferId(self.buffers.len() as u32 - 1)
    }

    pub fn value(&mut self, dtype: DType, varies: &[AxisId], expr: Expr) -> ValueId {
        self.kernel.values.push(Value { expr, dtype, varies: varies.to_vec() });
        ValueId(self.kernel.values.len() as u32 - 1)
    }

    pub fn load(&mut self, buffer: BufferId, index: Index, varies: &[AxisId]) -> ValueId {
        let dtype = self.buffers[buffer.index()].elem;
        self.value(dtype, varies, Expr::Load { buffer, index, guards: Vec::new() })
    }

    pub fn program(&self, capacity: &Bindings) -> Program {
        let step = Step {
            name: "kernel".into(),
            origin: Origin::default(),
            fused: Vec::new(),
            work: Work::Kernel(self.kernel.clone()),
        };
        let options = crate::schedule::Options::new(capacity.clone());
        let (steps, waves) = crate::schedule::waves::waves(vec![step], &self.buffers, &options);
        Program {
            dtype: self.dtype,
            symbols: capacity.keys().cloned().collect(),
            capacity: capacity.clone(),
            buffers: self.buffers.clone(),
            steps,
            waves,
            outputs: Vec::new(),
            arena: 0,
        }
    }
}

pub(super) fn rows(n: u64) -> Bindings {
    Bindings::from([(Symbol::new("N"), n)])
}

/// Whether two buffers of 32-bit elements hold the same, whatever the payloads of NaN.
fn same_words(a: &[u8], b: &[u8]) -> bool {
    let word = |w: &[u8; 4]| {
        let bits = u32::from_le_bytes(*w);
        if f32::from_bits(bits).is_nan() { f32::NAN.to_bits() } else { bits }
    };
    a.as_chunks::<4>().0.iter().map(word).eq(b.as_chunks::<4>().0.iter().map(word))
}

/// Runs a program on buffers given as 8-byte words of raw memory, with every width of vectors this CPU has; gives what they
/// hold afterwards.
pub(super) fn run(program: &Program, contents: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let portable = run_on(program, contents, Cpu::Portable, 1);
    let widths = [(Cpu::Avx2, 1), (Cpu::Avx512, 1), (Cpu::native(), 3)];
    for (cpu, threads) in widths.into_iter().filter(|(cpu, _)| cpu.is_available()) {
        let wide = run_on(program, contents, cpu, threads);
        // What lies in the arena may be a tile's own, elsewhere.
        let inside = |k: usize| matches!(program.buffers[k].place, Place::Arena { .. });
        for (k, (a, b)) in portable.iter().zip(&wide).enumerate().filter(|(k, _)| !inside(*k)) {
            assert!(same_words(a, b), "buffer {k} with {cpu:?} and {threads} threads: {b:?} for {a:?}");
        }
    }
    portable
}

fn run_on(program: &Program, contents: &[Vec<u8>], cpu: Cpu, threads: usize) -> Vec<Vec<u8>> {
    let compiled =
        compile(program, &Options { verify: true, cpu, threads, wide_from: 0, fork_ns: 0, ..Options::default() })
            .unwrap();
    let mut out = Vec::new();
    for front in [false, true] {
        let memory: Vec<Guarded> = contents.iter().map(|c| Guarded::new(c.len(), front)).collect();
        let mut table = vec![0u64; compiled.layout().words()];
        for (symbol, value) in &program.capacity {
            table[compiled.layout().symbol(symbol).unwrap()] = *value;
        }
        for (k, (guarded, content)) in memory.iter().zip(contents).enumerate() {
            let buffer = &program.buffers[k];
            let bytes = buffer.elements().eval(&program.capacity).unwrap() * element_bytes(buffer.elem);
            assert_eq!(bytes, content.len() as u64, "the test gives a buffer of the wrong length");
            table[compiled.layout().buffer(BufferId(k as u32))] = guarded.start as u64;
            // SAFETY: the memory has the content's length.
            unsafe { std::ptr::copy_nonoverlapping(content.as_ptr(), guarded.start, content.len()) };
        }
        // SAFETY: the table holds the symbols' values and, for each buffer, memory of its length.
        unsafe { compiled.run(&table) };
        let after = memory.iter().zip(contents).map(|(guarded, content)| {
            // SAFETY: as above.
            unsafe { std::slice::from_raw_parts(guarded.start, content.len()).to_vec() }
        });
        let after: Vec<Vec<u8>> = after.collect();
        if front {
            assert_eq!(out, after, "the result depends on alignment");
        }
        out = after;
    }
    out
}

pub(super) fn bytes_f32(x: &[f32]) -> Vec<u8> {
    x.iter().flat_map(|x| x.to_le_bytes()).collect()
}

pub(super) fn bytes_f64(x: &[f64]) -> Vec<u8> {
    x.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Numbers as floats of a type, in f64 with all their digits.
pub(super) fn floats(dtype: DType, x: &[f32]) -> Vec<u8> {
    match dtype {
        DType::F64 => bytes_f64(&x.iter().map(|x| f64::from(*x) * (1.0 + 1e-9 / 3.0)).collect::<Vec<f64>>()),
        _ => bytes_f32(x),
    }
}

pub(super) fn bytes_i32(x: &[i32]) -> Vec<u8> {
    x.iter().flat_map(|x| x.to_le_bytes()).collect()
}

pub(super) fn bytes_i64(x: &[i64]) -> Vec<u8> {
    x.iter().flat_map(|x| x.to_le_bytes()).collect()
}

pub(super) fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|c| f32::from_le_bytes(*c)).collect()
}

pub(super) fn f64s(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks::<8>().0.iter().map(|c| f64::from_le_bytes(*c)).collect()
}

pub(super) fn i32s(bytes: &[u8]) -> Vec<i32> {
    bytes.as_chunks::<4>().0.iter().map(|c| i32::from_le_bytes(*c)).collect()
}

/// Numbers of both signs and several magnitudes.
pub(super) fn numbers(len: usize, seed: u32) -> Vec<f32> {
    let mut x = seed.wrapping_mul(2654435761).wrapping_add(12345);
    let next = || {
        x = x.wrapping_mul(1664525).wrapping_add(1013904223);
        let unit = (x >> 8) as f32 / (1 << 23) as f32 - 1.0;
        unit * 2f32.powi((x & 7) as i32 - 3)
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Bits, with every NaN the same.
pub(super) fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

/// A loop over all positions of an axis as lanes.
pub(super) fn vector_loop(axis: AxisId, body: Vec<Stmt>) -> Stmt {
    Stmt::Loop(Loop { axis, vector: true, ordered: false, body })
}

pub(super) fn scalar_loop(axis: AxisId, body: Vec<Stmt>) -> Stmt {
    Stmt::Loop(Loop { axis, vector: false, ordered: false, body })
}

pub(super) fn store(buffer: BufferId, index: Index, value: ValueId) -> Stmt {
    Stmt::Store(Store { buffer, index, value, accumulate: false })
}
