//! A compiled program with the memory it runs on.
//!
//! Input: a [`Compiled`] and the [`Memory`] of its parameters and state. Output: runs. Invariant: the table holds, for
//! every buffer, the address of a live block as long as the buffer is at capacity.

use super::RuntimeError;
use super::block::{Block, Element, View};
use super::clock;
use super::subnormals::{Guard, Subnormals};
use super::tensors::Memory;
use crate::codegen::Compiled;
use crate::ir::{Bindings, DType, OutputRole, Role, Tensor};
use crate::schedule::program::{Buffer, BufferId, Place, element_bytes};

/// An input of one machine that is neither a parameter nor state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InputId(usize);

/// A reported output of one machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputId(usize);

/// Elements that an input is for one run.
#[derive(Clone, Copy, Debug)]
pub struct Lent<'a> {
    pub input: InputId,
    pub from: View<'a>,
    /// Whether the input's rows are those of [`Machine::set_rows`]; else the first ones.
    pub scattered: bool,
}

/// A buffer of the program that the machine owns: an input of a run, or an output.
struct Owned {
    name: String,
    buffer: BufferId,
    block: Block,
    /// The numbers of the rows of what is lent, and the greatest of them.
    rows: Vec<u32>,
    last: usize,
}

/// A program ready to run.
pub struct Machine {
    compiled: Compiled,
    memory: u64,
    subnormals: Subnormals,
    table: Vec<u64>,
    bindings: Bindings,
    /// The values of the symbols in order, once a run with them was found to fit.
    values: Vec<u64>,
    admitted: bool,
    /// Bytes there are for each buffer.
    room: Vec<u64>,
    inputs: Vec<Owned>,
    outputs: Vec<Owned>,
    /// Kept for the addresses in the table.
    arena: Block,
}

/// The number of elements, without building the polynomial of their number.
fn elements(buffer: &Buffer, bindings: &Bindings) -> Result<u64, RuntimeError> {
    let mut elements = 1u64;
    for dim in &buffer.dims {
        let dim = dim.eval(bindings).map_err(RuntimeError::Undefined)?;
        elements = elements.checked_mul(dim).ok_or(RuntimeError::OutOfMemory(u64::MAX))?;
    }
    Ok(elements)
}

fn bytes(buffer: &Buffer, bindings: &Bindings) -> Result<u64, RuntimeError> {
    elements(buffer, bindings)?.checked_mul(element_bytes(buffer.elem)).ok_or(RuntimeError::OutOfMemory(u64::MAX))
}

fn dims(buffer: &Buffer, bindings: &Bindings) -> Result<Vec<usize>, RuntimeError> {
    buffer.dims.iter().map(|d| Ok(d.eval(bindings).map_err(RuntimeError::Undefined)? as usize)).collect()
}

impl Machine {
    /// Allocates everything runs will need; parameters and state are found or made in `memory`.
    pub fn new(compiled: Compiled, memory: &mut Memory) -> Result<Machine, RuntimeError> {
        let interface = compiled.interface();
        let capacity = interface.capacity.clone();
        let arena = Block::new(interface.arena)?;
        let mut table = vec![0; compiled.layout().words()];
        let (mut inputs, mut outputs, mut room) = (Vec::new(), Vec::new(), Vec::new());
        for (k, buffer) in interface.buffers.iter().enumerate() {
            let id = BufferId(k as u32);
            let needed = bytes(buffer, &capacity)?;
            let own = |name: &str, list: &mut Vec<Owned>| -> Result<(u64, u64), RuntimeError> {
                let block = Block::new(needed)?;
                let address = block.address();
                list.push(Owned { name: name.to_string(), buffer: id, block, rows: Vec::new(), last: 0 });
                Ok((address, needed))
            };
            let (address, there) = match &buffer.place {
                Place::Input { name, role: Role::Parameter | Role::State, .. } => {
                    let tensor = memory.reserve(name, buffer.elem, &dims(buffer, &capacity)?)?;
                    (memory.address(tensor), needed)
                }
                Place::Input { name, .. } => own(name, &mut inputs)?,
                Place::Output { name } => own(name, &mut outputs)?,
                Place::Arena { offset, bytes } => {
                    if offset.checked_add(*bytes).is_none_or(|end| end > arena.bytes() as u64) || needed > *bytes {
                        return Err(RuntimeError::OutOfMemory(*bytes));
                    }
                    (arena.address() + offset, *bytes)
                }
            };
            table[compiled.layout().buffer(id)] = address;
            room.push(there);
        }
        let bindings = capacity;
        let memory = memory.identity();
        let (subnormals, admitted) = (Subnormals::Keep, false);
        let values = Vec::with_capacity(compiled.interface().symbols.len());
        Ok(Machine { compiled, memory, subnormals, table, bindings, values, admitted, room, inputs, outputs, arena })
    }

    /// Makes room in `memory` for the parameters and the state among these buffers, in their order.
    pub fn reserve(buffers: &[Buffer], capacity: &Bindings, memory: &mut Memory) -> Result<(), RuntimeError> {
        for buffer in buffers {
            if let Place::Input { name, role: Role::Parameter | Role::State, .. } = &buffer.place {
                memory.reserve(name, buffer.elem, &dims(buffer, capacity)?)?;
            }
        }
        Ok(())
    }

    /// The same machine, treating subnormal numbers in this way while it runs; they keep their value unless told otherwise.
    pub fn with_subnormals(mut self, subnormals: Subnormals) -> Machine {
        self.subnormals = subnormals;
        self
    }

    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// Bytes of intermediate results.
    pub fn arena_bytes(&self) -> usize {
        self.arena.bytes()
    }

    /// Runs the step once; `values` are those of the program's symbols, in their order (the rows of the batch).
    ///
    /// # Errors
    /// If a value is beyond the capacity, or the machine was built on another memory. Nothing has run then.
    pub fn run(&mut self, memory: &mut Memory, values: &[u64]) -> Result<(), RuntimeError> {
        self.run_on(memory, values, &[])
    }

    /// As [`Machine::run`], reading some inputs from where they are instead of from the machine's own buffers.
    ///
    /// # Errors
    /// Besides, if what is lent has another type than the input, or fewer elements than this run reads.
    pub fn run_on(&mut self, memory: &mut Memory, values: &[u64], lent: &[Lent]) -> Result<(), RuntimeError> {
        self.admit(memory, values)?;
        self.lend(lent)?;
        {
            let _mode = Guard::new(self.subnormals);
            // SAFETY: every address in the table is that of a live block: the machine's own, or one of `memory`, which is the
            // memory the machine was built on and is borrowed exclusively here, or of elements that are borrowed here and only
            // read. `admit` and `lend` found every buffer to fit its room at these symbols. Blocks are apart, and buffers
            // within the arena overlap only as planned.
            unsafe { self.compiled.run(&self.table) }
        }
        self.take_back(lent);
        Ok(())
    }

    /// As [`Machine::run_on`]; adds the ticks that each part took to `spent`, which gets one entry per part.
    pub fn profile(
        &mut self,
        memory: &mut Memory,
        values: &[u64],
        lent: &[Lent],
        spent: &mut Vec<u64>,
    ) -> Result<(), RuntimeError> {
        self.admit(memory, values)?;
        self.lend(lent)?;
        spent.resize(self.compiled.interface().parts.len(), 0);
        {
            let _mode = Guard::new(self.subnormals);
            // SAFETY: as in `run_on`.
            unsafe { self.compiled.profile(&self.table, clock::now, spent) }
        }
        self.take_back(lent);
        Ok(())
    }

    /// Puts the addresses of what is lent into the table, all or none.
    fn lend(&mut self, lent: &[Lent]) -> Result<(), RuntimeError> {
        for Lent { input, from: view, scattered } in lent {
            let owned = &self.inputs[input.0];
            let buffer = &self.compiled.interface().buffers[owned.buffer.index()];
            let name = || owned.name.clone();
            if buffer.elem != view.dtype() {
                return Err(RuntimeError::Type { name: name(), expected: buffer.elem, got: view.dtype() });
            }
            if matches!(buffer.place, Place::Input { updated: true, .. }) {
                return Err(RuntimeError::Conflict(name()));
            }
            let expected = elements(buffer, &self.bindings)? as usize;
            let rows = buffer.dims.first().map_or(Ok(1), |rows| rows.eval(&self.bindings));
            let rows = rows.map_err(RuntimeError::Undefined)? as usize;
            let (expected, got) = match scattered {
                true if owned.rows.len() != rows || self.compiled.layout().rows(owned.buffer).is_none() => {
                    return Err(RuntimeError::Length { name: name(), expected: rows, got: owned.rows.len() });
                }
                true if rows > 0 => ((owned.last + 1) * (expected / rows), view.len()),
                _ => (expected, view.len()),
            };
            if got < expected {
                return Err(RuntimeError::Length { name: name(), expected, got });
            }
        }
        for Lent { input, from, scattered } in lent {
            let (owned, layout) = (&self.inputs[input.0], self.compiled.layout());
            self.table[layout.buffer(owned.buffer)] = from.address();
            if let Some(word) = layout.rows(owned.buffer) {
                self.table[word] = if *scattered { owned.rows.as_ptr() as u64 } else { 0 };
            }
        }
        Ok(())
    }

    /// Puts back the addresses of the machine's own buffers.
    fn take_back(&mut self, lent: &[Lent]) {
        for Lent { input, .. } in lent {
            let (owned, layout) = (&self.inputs[input.0], self.compiled.layout());
            self.table[layout.buffer(owned.buffer)] = owned.block.address();
            if let Some(word) = layout.rows(owned.buffer) {
                self.table[word] = 0;
            }
        }
    }

    /// Puts the values of the symbols in place and checks what they ask for.
    fn admit(&mut self, memory: &Memory, values: &[u64]) -> Result<(), RuntimeError> {
        if memory.identity() != self.memory {
            return Err(RuntimeError::OtherMemory);
        }
        if self.admitted && self.values == values {
            return Ok(());
        }
        let interface = self.compiled.interface();
        if values.len() != interface.symbols.len() {
            let (expected, got) = (interface.symbols.len(), values.len());
            return Err(RuntimeError::Length { name: "the sizes of a run".into(), expected, got });
        }
        for (symbol, value) in interface.symbols.iter().zip(values) {
            let most = interface.capacity.get(symbol).copied().unwrap_or(0);
            if *value > most {
                return Err(RuntimeError::Size { symbol: symbol.0.to_string(), value: *value, most });
            }
            if let Some(present) = self.bindings.get_mut(symbol) {
                *present = *value;
            }
        }
        self.admitted = false;
        for (buffer, room) in interface.buffers.iter().zip(&self.room) {
            let needed = bytes(buffer, &self.bindings)?;
            if needed > *room {
                return Err(RuntimeError::OutOfMemory(needed));
            }
        }
        for (symbol, value) in interface.symbols.iter().zip(values) {
            if let Some(word) = self.compiled.layout().symbol(symbol) {
                self.table[word] = *value;
            }
        }
        self.values.clear();
        self.values.extend(values);
        self.admitted = true;
        Ok(())
    }

    /// The input of this name: a column of the batch, the seed, the step or a setting.
    pub fn input(&self, name: &str) -> Option<InputId> {
        self.inputs.iter().position(|o| o.name == name).map(InputId)
    }

    /// The elements of an input, as many as there are at capacity; a run reads the first ones, row-major at its sizes.
    pub fn input_mut<T: Element>(&mut self, id: InputId) -> Result<&mut [T], RuntimeError> {
        let owned = &mut self.inputs[id.0];
        let buffer = &self.compiled.interface().buffers[owned.buffer.index()];
        if buffer.elem != T::DTYPE {
            let name = owned.name.clone();
            return Err(RuntimeError::Type { name, expected: buffer.elem, got: T::DTYPE });
        }
        let len = (self.room[owned.buffer.index()] / element_bytes(buffer.elem)) as usize;
        Ok(owned.block.elements_mut(len))
    }

    /// Whether what is lent to an input may be rows that do not lie one after the other.
    pub fn takes_rows(&self, id: InputId) -> bool {
        self.compiled.layout().rows(self.inputs[id.0].buffer).is_some()
    }

    /// Sets which rows of what is lent an input is.
    pub fn set_rows(&mut self, id: InputId, rows: &[usize]) {
        let owned = &mut self.inputs[id.0];
        owned.rows.clear();
        owned.rows.extend(rows.iter().map(|row| *row as u32));
        owned.last = rows.iter().copied().max().unwrap_or(0);
    }

    /// The element type of an input.
    pub fn input_dtype(&self, id: InputId) -> DType {
        self.compiled.interface().buffers[self.inputs[id.0].buffer.index()].elem
    }

    /// Sets every element of an input, rounded to its type: for scalars.
    pub fn set(&mut self, id: InputId, value: f64) {
        let owned = &mut self.inputs[id.0];
        let elem = self.compiled.interface().buffers[owned.buffer.index()].elem;
        let len = (self.room[owned.buffer.index()] / element_bytes(elem)) as usize;
        match elem {
            DType::F32 => owned.block.elements_mut(len).fill(value as f32),
            DType::F64 => owned.block.elements_mut(len).fill(value),
            DType::I64 => owned.block.elements_mut(len).fill(value as i64),
            DType::I32 | DType::Bool => owned.block.elements_mut(len).fill(value as i32),
        }
    }

    /// Sets an integer scalar such as the seed or the step.
    pub fn set_integer(&mut self, id: InputId, value: i64) -> Result<(), RuntimeError> {
        self.input_mut::<i64>(id)?.fill(value);
        Ok(())
    }

    /// The reported output of this name.
    pub fn output(&self, name: &str) -> Option<OutputId> {
        let outputs = &self.compiled.interface().outputs;
        let found = outputs.iter().find(|o| o.role == OutputRole::Report && *o.name == *name)?;
        self.outputs.iter().position(|o| o.buffer == found.buffer).map(OutputId)
    }

    /// What the last run left in an output, with its dims at the sizes of that run.
    pub fn view(&self, id: OutputId) -> View<'_> {
        let owned = &self.outputs[id.0];
        let buffer = &self.compiled.interface().buffers[owned.buffer.index()];
        let len = elements(buffer, &self.bindings).unwrap_or(0);
        View::of(&owned.block, buffer.elem, len as usize)
    }

    /// A copy of an output of the last run.
    pub fn read(&self, name: &str) -> Option<Tensor> {
        let id = self.output(name)?;
        let buffer = &self.compiled.interface().buffers[self.outputs[id.0].buffer.index()];
        Some(self.view(id).to_tensor(dims(buffer, &self.bindings).ok()?))
    }

    /// A scalar output of the last run.
    pub fn report(&self, id: OutputId) -> f64 {
        self.view(id).get(0).unwrap_or(f64::NAN)
    }
}
