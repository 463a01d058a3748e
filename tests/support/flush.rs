//! Runs of compiled programs whose every buffer lies flush against pages that cannot be accessed.
//!
//! Each buffer has memory of its own, those of the arena too, of the bytes it has at the sizes of the run, not at capacity.
//! What is only read may begin anywhere and ends (or begins) exactly at the page. What is written begins at a multiple of 64
//! bytes, which kernels may rely on, so that up to 60 bytes may be left before the page; they must not change. All that is not
//! given is NaN before a run: nothing may be read that was not written.

use super::guarded::Guarded;
use dlc::codegen::{self, Compiled, Cpu, compile};
use dlc::ir::{Bindings, DType, Data, Tensor};
use dlc::schedule::program::{BufferId, Place, Program, element_bytes};
use std::collections::BTreeMap;

pub type Tensors = BTreeMap<String, Tensor>;

/// What no buffer holds by accident; NaN as a float.
const UNWRITTEN: u8 = 0xff;
const ALIGNMENT: usize = 64;

/// A way to compile that shares the smallest steps among its threads.
pub fn options(cpu: Cpu, threads: usize) -> codegen::Options {
    codegen::Options { cpu, threads, wide_from: 0, fork_ns: 0, verify: false, ..codegen::Options::default() }
}

/// The vectors this CPU has.
pub fn cpus() -> Vec<Cpu> {
    [Cpu::Portable, Cpu::Avx2, Cpu::Avx512].into_iter().filter(|cpu| cpu.is_available()).collect()
}

struct Block {
    memory: Guarded,
    bytes: usize,
    /// Bytes before the page that are the buffer's only by alignment.
    slack: usize,
    given: Option<Vec<u8>>,
}

/// The memory of one program at some sizes.
pub struct Flush<'p> {
    program: &'p Program,
    bindings: &'p Bindings,
    blocks: Vec<Block>,
}

fn bytes_of(tensor: &Tensor, elem: DType) -> Vec<u8> {
    match (&tensor.data, elem) {
        (Data::F32(x), DType::F32) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
        (Data::F64(x), DType::F64) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
        (Data::I32(x), DType::I32) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
        (Data::I64(x), DType::I64) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
        (Data::Bool(x), DType::I32) => x.iter().flat_map(|x| i32::from(*x).to_le_bytes()).collect(),
        (Data::Bool(x), DType::I64) => x.iter().flat_map(|x| i64::from(*x).to_le_bytes()).collect(),
        (data, elem) => panic!("{data:?} is given for elements of {elem}"),
    }
}

impl<'p> Flush<'p> {
    /// Memory for a run at these sizes with these inputs, against a page at the front or at the end of every buffer.
    pub fn new(program: &'p Program, bindings: &'p Bindings, inputs: &Tensors, front: bool) -> Flush<'p> {
        let block = |buffer: &dlc::schedule::Buffer| {
            let elements = buffer.dims.iter().map(|d| d.eval(bindings).unwrap()).product::<u64>();
            let bytes = (elements * element_bytes(buffer.elem)) as usize;
            let given = match &buffer.place {
                Place::Input { name, .. } => Some(bytes_of(&inputs[&**name], buffer.elem)),
                Place::Output { .. } | Place::Arena { .. } => None,
            };
            let read_only = matches!(buffer.place, Place::Input { updated: false, .. });
            let mapped = if read_only { bytes } else { bytes.next_multiple_of(ALIGNMENT) };
            assert!(given.as_ref().is_none_or(|given| given.len() == bytes), "{} has another length", buffer.name);
            Block { memory: Guarded::new(mapped, front), bytes, slack: mapped - bytes, given }
        };
        Flush { program, bindings, blocks: program.buffers.iter().map(block).collect() }
    }

    /// Runs the program; the outputs in their order.
    pub fn run(&mut self, compiled: &Compiled) -> Vec<Tensor> {
        let mut table = vec![0u64; compiled.layout().words()];
        for symbol in &self.program.symbols {
            table[compiled.layout().symbol(symbol).unwrap()] = self.bindings[symbol];
        }
        for (k, block) in self.blocks.iter().enumerate() {
            table[compiled.layout().buffer(BufferId(k as u32))] = block.memory.start as u64;
            // SAFETY: the memory has the bytes of the buffer and its slack, and what is given has the buffer's.
            unsafe {
                std::ptr::write_bytes(block.memory.start, UNWRITTEN, block.bytes + block.slack);
                if let Some(given) = &block.given {
                    std::ptr::copy_nonoverlapping(given.as_ptr(), block.memory.start, given.len());
                }
            }
        }
        // SAFETY: the table holds the symbols' values and, for each buffer, memory of its length at these that is its own.
        unsafe { compiled.run(&table) };
        for (block, buffer) in self.blocks.iter().zip(&self.program.buffers) {
            let all = block.all();
            assert!(all[block.bytes..].iter().all(|b| *b == UNWRITTEN), "{} is written beyond its end", buffer.name);
            if let (Some(given), Place::Input { updated: false, .. }) = (&block.given, &buffer.place) {
                assert!(all[..block.bytes] == given[..], "{} is an input that is written", buffer.name);
            }
        }
        self.program.outputs.iter().map(|o| self.tensor(o.buffer)).collect()
    }

    fn tensor(&self, id: BufferId) -> Tensor {
        let (block, buffer) = (&self.blocks[id.index()], self.program.buffer(id));
        let bytes = &block.all()[..block.bytes];
        let dims = buffer.dims.iter().map(|d| d.eval(self.bindings).unwrap() as usize).collect();
        let (words, wide) = (bytes.as_chunks::<4>().0, bytes.as_chunks::<8>().0);
        let data = match buffer.elem {
            DType::F32 => Data::F32(words.iter().map(|b| f32::from_le_bytes(*b)).collect()),
            DType::F64 => Data::F64(wide.iter().map(|b| f64::from_le_bytes(*b)).collect()),
            DType::I64 => Data::I64(wide.iter().map(|b| i64::from_le_bytes(*b)).collect()),
            DType::I32 | DType::Bool => Data::I32(words.iter().map(|b| i32::from_le_bytes(*b)).collect()),
        };
        Tensor { dims, data }
    }
}

impl Block {
    fn all(&self) -> &[u8] {
        // SAFETY: the mapping has these bytes, and nothing writes while they are borrowed.
        unsafe { std::slice::from_raw_parts(self.memory.start, self.bytes + self.slack) }
    }
}

/// The outputs of a program under some options, at the end and at the front of memory; they must be the same.
pub fn outputs(program: &Program, bindings: &Bindings, inputs: &Tensors, compiled: &[Compiled]) -> Vec<Vec<Tensor>> {
    let mut found: Vec<Vec<Tensor>> = Vec::new();
    for front in [false, true] {
        let mut memory = Flush::new(program, bindings, inputs, front);
        for (k, compiled) in compiled.iter().enumerate() {
            let outputs = memory.run(compiled);
            if !front {
                found.push(outputs);
            } else if let Some(place) = difference(&found[k], &outputs) {
                panic!("the place in memory changes the results: {place}\n{program}");
            }
        }
    }
    found
}

/// Where two lists of tensors differ in their bits; all NaNs are one.
pub fn difference(expected: &[Tensor], got: &[Tensor]) -> Option<String> {
    assert_eq!(expected.len(), got.len());
    let pairs = expected.iter().zip(got).enumerate();
    pairs.filter(|(_, (e, g))| numbers_differ(e, g)).map(|(k, (e, g))| format!("output {k}: {g:?} for {e:?}")).next()
}

/// Booleans are held as integers 0 and 1.
fn numbers_differ(a: &Tensor, b: &Tensor) -> bool {
    let (x, y) = (a.to_f64(), b.to_f64());
    a.dims != b.dims || x.iter().zip(&y).any(|(x, y)| x.to_bits() != y.to_bits() && !(x.is_nan() && y.is_nan()))
}

/// Compiles under every option.
pub fn all(program: &Program, options: &[codegen::Options]) -> Vec<Compiled> {
    options.iter().map(|o| compile(program, o).unwrap_or_else(|e| panic!("{e}\n{program}"))).collect()
}
