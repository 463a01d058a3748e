//! Running a program in plain Rust, one element at a time: slow, obvious, and the oracle of the emitters.
//!
//! Input: a tensor per input, by name. Output: the program's outputs. Invariant: reductions are combined in the order
//! kernel IR promises, a library product as along a last axis, and every access is checked against the size of its buffer.

use super::kernel::{Combine, Expr, Guard, Index, Kernel, Order, Reduce, Stmt, ValueId};
use super::program::{BufferId, Place, Product, Program, Work, element_bytes};
use crate::ir::{Atom, Bindings, DType, ScalarOp, Size, SizeError, Tensor};
use crate::scalar::{self, random::Key};

/// Why a program did not run.
#[derive(Clone, PartialEq, Debug)]
pub enum ExecuteError {
    Size(SizeError),
    /// An input has no tensor, or one of another size.
    Input(String),
    /// An access outside of a buffer, or an operation on types it is not for: a bug in the schedule.
    Internal(String),
}

impl From<SizeError> for ExecuteError {
    fn from(error: SizeError) -> ExecuteError {
        ExecuteError::Size(error)
    }
}

/// A number of any element type: floats hold values of their width.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Number {
    Float(f64),
    Integer(i64),
}

impl Number {
    fn float(self) -> f64 {
        match self {
            Number::Float(x) => x,
            Number::Integer(k) => k as f64,
        }
    }

    fn integer(self) -> i64 {
        match self {
            Number::Float(x) => x as i64,
            Number::Integer(k) => k,
        }
    }
}

/// A size that may be negative: a stride or an offset.
pub(super) fn signed(size: &Size, sizes: &Bindings) -> Result<i64, SizeError> {
    let mut sum = 0i128;
    for (coefficient, atoms) in size.terms() {
        let mut product = coefficient;
        for (atom, power) in atoms {
            let value = match atom {
                Atom::Symbol(s) => i128::from(*sizes.get(s).ok_or_else(|| SizeError::Unbound(s.clone()))?),
                Atom::FloorDiv(a, b) => {
                    let (a, b) = (signed(a, sizes)?, signed(b, sizes)?);
                    if b == 0 {
                        return Err(SizeError::DivisionByZero);
                    }
                    i128::from(a.div_euclid(b))
                }
            };
            for _ in 0..*power {
                product = product.checked_mul(value).ok_or(SizeError::Overflow)?;
            }
        }
        sum = sum.checked_add(product).ok_or(SizeError::Overflow)?;
    }
    i64::try_from(sum).map_err(|_| SizeError::Overflow)
}

/// The bytes of every buffer: those in the arena share it, as the plan says.
struct Bytes {
    memories: Vec<Vec<u8>>,
    buffers: Vec<Region>,
}

/// Where a buffer is: which memory, from which byte on, with how many elements of which type.
struct Region {
    memory: usize,
    start: usize,
    count: usize,
    elem: DType,
}

impl Bytes {
    /// The arena is memory 0, and what nobody wrote is not a number.
    fn new(program: &Program, sizes: &Bindings) -> Result<Bytes, ExecuteError> {
        let mut bytes = Bytes { memories: vec![vec![0xff; program.arena as usize]], buffers: Vec::new() };
        for buffer in &program.buffers {
            let count = buffer.elements().eval(sizes)? as usize;
            let (memory, start) = match buffer.place {
                Place::Arena { offset, .. } => (0, offset as usize),
                _ => (bytes.memories.len(), 0),
            };
            if memory > 0 {
                bytes.memories.push(vec![0xff; count * element_bytes(buffer.elem) as usize]);
            }
            bytes.buffers.push(Region { memory, start, count, elem: buffer.elem });
        }
        Ok(bytes)
    }

    fn range(&self, buffer: BufferId, at: usize) -> (usize, std::ops::Range<usize>) {
        let region = &self.buffers[buffer.index()];
        let width = element_bytes(region.elem) as usize;
        (region.memory, region.start + at * width..region.start + (at + 1) * width)
    }

    fn get(&self, buffer: BufferId, at: usize) -> Number {
        let (memory, range) = self.range(buffer, at);
        let mut word = [0u8; 8];
        word[..range.len()].copy_from_slice(&self.memories[memory][range]);
        let word = u64::from_le_bytes(word);
        match self.buffers[buffer.index()].elem {
            DType::F32 => Number::Float(f64::from(f32::from_bits(word as u32))),
            DType::F64 => Number::Float(f64::from_bits(word)),
            DType::I32 => Number::Integer(i64::from(word as u32 as i32)),
            DType::I64 | DType::Bool => Number::Integer(word as i64),
        }
    }

    fn set(&mut self, buffer: BufferId, at: usize, value: Number) {
        let word = match self.buffers[buffer.index()].elem {
            DType::F32 => u64::from((value.float() as f32).to_bits()),
            DType::F64 => value.float().to_bits(),
            _ => value.integer() as u64,
        };
        let (memory, range) = self.range(buffer, at);
        let width = range.len();
        self.memories[memory][range].copy_from_slice(&word.to_le_bytes()[..width]);
    }
}

struct Machine<'a> {
    program: &'a Program,
    sizes: &'a Bindings,
    bytes: Bytes,
}

/// Runs the program once on copies of the inputs; gives the outputs in order.
pub fn execute(
    program: &Program,
    inputs: &dyn Fn(&str) -> Option<Tensor>,
    sizes: &Bindings,
) -> Result<Vec<Tensor>, ExecuteError> {
    program.admits(sizes)?;
    let mut machine = Machine { program, sizes, bytes: Bytes::new(program, sizes)? };
    for (k, buffer) in program.buffers.iter().enumerate() {
        let Place::Input { name, .. } = &buffer.place else { continue };
        let id = BufferId(k as u32);
        let tensor = inputs(name).filter(|t| t.len() == machine.bytes.buffers[k].count);
        let tensor = tensor.ok_or_else(|| ExecuteError::Input(name.to_string()))?;
        let content: Vec<Number> = match buffer.elem.is_float() {
            true => tensor.to_f64().into_iter().map(Number::Float).collect(),
            false => tensor.to_i64().into_iter().map(Number::Integer).collect(),
        };
        content.into_iter().enumerate().for_each(|(at, x)| machine.bytes.set(id, at, x));
    }
    for step in &program.steps {
        match &step.work {
            Work::Kernel(kernel) => machine.kernel(kernel)?,
            Work::Product(product) => machine.product(product)?,
            Work::Order(order) => machine.order(order)?,
        }
    }
    let tensor = |id: BufferId| {
        let buffer = program.buffer(id);
        let dims = buffer.dims.iter().map(|d| Ok(d.eval(sizes)? as usize)).collect::<Result<Vec<_>, SizeError>>()?;
        let content: Vec<Number> =
            (0..machine.bytes.buffers[id.index()].count).map(|at| machine.bytes.get(id, at)).collect();
        Ok(match buffer.elem.is_float() {
            true => Tensor::from_f64(buffer.elem, dims, content.iter().map(|x| x.float()).collect()),
            false => Tensor::from_i64(buffer.elem, dims, content.iter().map(|x| x.integer()).collect()),
        })
    };
    program.outputs.iter().map(|o| tensor(o.buffer)).collect()
}

fn number(float: f64, integer: i64, dtype: DType) -> Number {
    if dtype.is_float() { Number::Float(float) } else { Number::Integer(integer) }
}

fn rounded(x: f64, dtype: DType) -> f64 {
    if dtype == DType::F32 { f64::from(x as f32) } else { x }
}

impl Machine<'_> {
    fn size(&self, size: &Size) -> Result<i64, ExecuteError> {
        Ok(signed(size, self.sizes)?)
    }

    fn at(&self, buffer: BufferId, index: i64) -> Result<usize, ExecuteError> {
        let len = self.bytes.buffers[buffer.index()].count;
        let inside = usize::try_from(index).ok().filter(|k| *k < len);
        inside.ok_or_else(|| {
            let name = &self.program.buffer(buffer).name;
            ExecuteError::Internal(format!("element {index} of {name}, which has {len}"))
        })
    }

    fn read(&self, buffer: BufferId, index: i64) -> Result<Number, ExecuteError> {
        Ok(self.bytes.get(buffer, self.at(buffer, index)?))
    }

    fn order(&mut self, o: &super::program::Order) -> Result<(), ExecuteError> {
        let (rows, length) = (self.size(&o.rows)?, self.size(&o.length)?);
        for row in 0..rows {
            let values: Result<Vec<Number>, ExecuteError> =
                (0..length).map(|k| self.read(o.from, row * length + k)).collect();
            let values = values?;
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_by(|a, b| match (values[*a], values[*b]) {
                (Number::Integer(a), Number::Integer(b)) => a.cmp(&b),
                (a, b) => crate::ir::primitive::ascending(a.float(), b.float()),
            });
            for (k, place) in order.into_iter().enumerate() {
                let at = self.at(o.to, row * length + k as i64)?;
                self.bytes.set(o.to, at, Number::Integer(place as i64));
            }
        }
        Ok(())
    }

    fn product(&mut self, p: &Product) -> Result<(), ExecuteError> {
        let extents = p.batch.iter().map(|b| self.size(&b.extent)).collect::<Result<Vec<_>, _>>()?;
        let (m, n, k) = (self.size(&p.m)?, self.size(&p.n)?, self.size(&p.k)?);
        let dtype = self.program.dtype;
        for batch in crate::ir::positions(&extents.iter().map(|e| *e as usize).collect::<Vec<_>>()) {
            let (mut l, mut r, mut o) =
                (self.size(&p.lhs.offset)?, self.size(&p.rhs.offset)?, self.size(&p.out.offset)?);
            for (axis, position) in p.batch.iter().zip(&batch) {
                let position = *position as i64;
                l += position * self.size(&axis.lhs)?;
                r += position * self.size(&axis.rhs)?;
                o += position * self.size(&axis.out)?;
            }
            let strides = |x: &super::program::Operand| Ok((self.size(&x.row_stride)?, self.size(&x.column_stride)?));
            let ((lr, lc), (rr, rc)): (_, (i64, i64)) = (strides(&p.lhs)?, strides(&p.rhs)?);
            let (or, oc): (i64, i64) = strides(&p.out).map_err(|e: ExecuteError| e)?;
            for i in 0..m {
                for j in 0..n {
                    let at = self.at(p.out.buffer, o + i * or + j * oc)?;
                    let mut products = Vec::new();
                    for c in 0..k {
                        let a = self.read(p.lhs.buffer, l + i * lr + c * lc)?.float();
                        let b = self.read(p.rhs.buffer, r + c * rr + j * rc)?.float();
                        products.push(Number::Float(rounded(a * b, dtype)));
                    }
                    let mut sum = combined(&products, Combine::Sum, Order::Lanes, k as usize, dtype).float();
                    if p.accumulate {
                        sum += self.bytes.get(p.out.buffer, at).float();
                    }
                    self.bytes.set(p.out.buffer, at, Number::Float(rounded(sum, dtype)));
                }
            }
        }
        Ok(())
    }

    fn kernel(&mut self, kernel: &Kernel) -> Result<(), ExecuteError> {
        let mut frame =
            Frame { kernel, positions: vec![0; kernel.axes.len()], values: vec![None; kernel.values.len()] };
        self.block(&mut frame, &kernel.body)
    }

    fn block(&mut self, frame: &mut Frame, body: &[Stmt]) -> Result<(), ExecuteError> {
        for stmt in body {
            match stmt {
                Stmt::Let(id) => frame.values[id.index()] = Some(self.expr(frame, *id)?),
                Stmt::Loop(l) => {
                    for position in 0..self.size(frame.kernel.extent(l.axis))? {
                        frame.positions[l.axis.index()] = position;
                        self.block(frame, &l.body)?;
                    }
                }
                Stmt::Reduce(reduce) => self.reduce(frame, reduce)?,
                Stmt::Store(store) => {
                    let at = self.at(store.buffer, self.index(frame, &store.index)?)?;
                    let dtype = self.program.buffer(store.buffer).elem;
                    if frame.kernel.value(store.value).dtype != dtype {
                        return Err(ExecuteError::Internal("a store of another type".into()));
                    }
                    let mut value = frame.get(store.value)?;
                    if store.accumulate {
                        value = arithmetic(ScalarOp::Add, &[self.bytes.get(store.buffer, at), value], dtype)?;
                    }
                    self.bytes.set(store.buffer, at, value);
                }
            }
        }
        Ok(())
    }

    fn reduce(&mut self, frame: &mut Frame, reduce: &Reduce) -> Result<(), ExecuteError> {
        let extents = reduce.axes.iter().map(|a| self.size(frame.kernel.extent(*a))).collect::<Result<Vec<_>, _>>()?;
        let mut seen: Vec<Vec<Number>> = vec![Vec::new(); reduce.results.len()];
        for at in crate::ir::positions(&extents.iter().map(|e| *e as usize).collect::<Vec<_>>()) {
            reduce.axes.iter().zip(&at).for_each(|(axis, p)| frame.positions[axis.index()] = *p as i64);
            self.block(frame, &reduce.body)?;
            for (seen, result) in seen.iter_mut().zip(&reduce.results) {
                seen.push(frame.get(result.operand)?);
            }
        }
        let row = *extents.last().unwrap_or(&1) as usize;
        for (seen, result) in seen.into_iter().zip(&reduce.results) {
            let dtype = frame.kernel.value(result.operand).dtype;
            let value = combined(&seen, result.combine, reduce.order, row, dtype);
            frame.values[result.result.index()] = Some(value);
        }
        Ok(())
    }

    fn index(&self, frame: &Frame, index: &Index) -> Result<i64, ExecuteError> {
        let mut at = self.size(&index.offset)?;
        for (axis, stride) in &index.terms {
            at += frame.positions[axis.index()] * self.size(stride)?;
        }
        for (value, stride) in &index.values {
            at += frame.get(*value)?.integer() * self.size(stride)?;
        }
        Ok(at)
    }

    fn within(&self, frame: &Frame, guards: &[Guard]) -> Result<bool, ExecuteError> {
        for guard in guards {
            let at = self.index(frame, &guard.index)?;
            if at < self.size(&guard.lower)? || at >= self.size(&guard.upper)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn expr(&self, frame: &Frame, id: ValueId) -> Result<Number, ExecuteError> {
        let value = frame.kernel.value(id);
        let dtype = value.dtype;
        Ok(match &value.expr {
            Expr::Constant(x) => number(*x, *x as i64, dtype),
            Expr::Size(size) => {
                let size = self.size(size)?;
                let single = dtype == DType::F32;
                number(if single { f64::from(size as f32) } else { size as f64 }, size, dtype)
            }
            Expr::Position(index) => Number::Integer(self.index(frame, index)?),
            Expr::Load { buffer, index, guards } => match self.within(frame, guards)? {
                true => self.read(*buffer, self.index(frame, index)?)?,
                false => number(0.0, 0, dtype),
            },
            Expr::Within(guards) => Number::Integer(i64::from(self.within(frame, guards)?)),
            Expr::Scalar { op, args } => {
                let x = args.iter().map(|a| frame.get(*a)).collect::<Result<Vec<_>, _>>()?;
                if *op == ScalarOp::Convert {
                    return Ok(convert(x[0], dtype));
                }
                // A comparison is of its operands' type; a selection of its result's.
                let over = if *op == ScalarOp::Select { dtype } else { frame.kernel.value(args[0]).dtype };
                arithmetic(*op, &x, over)?
            }
            Expr::Random { site, seed, step, element } => {
                let key = Key::derive(frame.get(*seed)?.integer() as u64, *site, frame.get(*step)?.integer() as u64);
                let k = self.index(frame, element)? as u64;
                Number::Float(if dtype == DType::F32 { f64::from(key.uniform_f32(k)) } else { key.uniform_f64(k) })
            }
            Expr::Reduced => return Err(ExecuteError::Internal("a reduced value computed in place".into())),
        })
    }
}

struct Frame<'a> {
    kernel: &'a Kernel,
    positions: Vec<i64>,
    values: Vec<Option<Number>>,
}

impl Frame<'_> {
    fn get(&self, id: ValueId) -> Result<Number, ExecuteError> {
        self.values[id.index()].ok_or_else(|| ExecuteError::Internal(format!("v{} is used before it is known", id.0)))
    }
}

fn convert(x: Number, to: DType) -> Number {
    match (x, to) {
        (Number::Float(x), DType::F32 | DType::F64) => Number::Float(rounded(x, to)),
        (Number::Integer(k), DType::F32) => Number::Float(f64::from(k as f32)),
        (Number::Integer(k), DType::F64) => Number::Float(k as f64),
        (Number::Float(x), DType::I32) => Number::Integer(i64::from(x as i32)),
        (Number::Float(x), DType::I64) => Number::Integer(x as i64),
        (Number::Float(x), DType::Bool) => Number::Integer(i64::from(x != 0.0)),
        (Number::Integer(k), DType::I32) => Number::Integer(i64::from(k as i32)),
        (Number::Integer(k), DType::I64) => Number::Integer(k),
        (Number::Integer(k), DType::Bool) => Number::Integer(i64::from(k != 0)),
    }
}

/// A scalar operation over operands of a type.
fn arithmetic(op: ScalarOp, x: &[Number], dtype: DType) -> Result<Number, ExecuteError> {
    if op == ScalarOp::Select {
        return Ok(if x[0].integer() != 0 { x[1] } else { x[2] });
    }
    if !dtype.is_float() {
        let result = op.integer(&x.iter().map(|k| k.integer()).collect::<Vec<_>>());
        let result = result.ok_or_else(|| ExecuteError::Internal(format!("{op:?} of integers")))?;
        return Ok(convert(Number::Integer(result), if dtype == DType::I32 { DType::I32 } else { DType::I64 }));
    }
    let f: Vec<f64> = x.iter().map(|k| k.float()).collect();
    let larger = |a: f64, b: f64| if a < b || b.is_nan() { b } else { a };
    let smaller = |a: f64, b: f64| if b < a || b.is_nan() { b } else { a };
    let value = match op {
        ScalarOp::Less => return Ok(Number::Integer(i64::from(f[0] < f[1]))),
        ScalarOp::LessEqual => return Ok(Number::Integer(i64::from(f[0] <= f[1]))),
        ScalarOp::Equal => return Ok(Number::Integer(i64::from(f[0] == f[1]))),
        ScalarOp::Identity => f[0],
        ScalarOp::Neg => -f[0],
        ScalarOp::Abs => f[0].abs(),
        ScalarOp::Add => f[0] + f[1],
        ScalarOp::Sub => f[0] - f[1],
        ScalarOp::Mul => f[0] * f[1],
        ScalarOp::Div => f[0] / f[1],
        ScalarOp::Maximum => larger(f[0], f[1]),
        ScalarOp::Minimum => smaller(f[0], f[1]),
        ScalarOp::Function(g) if dtype == DType::F32 => f64::from(g.apply_f32(f[0] as f32)),
        ScalarOp::Function(g) => g.apply_f64(f[0]),
        ScalarOp::Pow if dtype == DType::F32 => f64::from(scalar::pow_f32(f[0] as f32, f[1] as f32)),
        ScalarOp::Pow => scalar::pow_f64(f[0], f[1]),
        other => return Err(ExecuteError::Internal(format!("{other:?} of floats"))),
    };
    Ok(Number::Float(rounded(value, dtype)))
}

/// Combines all operands of a reduction, `row` of them along the last axis, in the promised order.
fn combined(seen: &[Number], combine: Combine, order: Order, row: usize, dtype: DType) -> Number {
    let float = dtype.is_float();
    let lanes = if dtype == DType::F64 || dtype == DType::I64 { 8 } else { 16 };
    let add = |a: f64, b: f64| rounded(a + b, dtype);
    let larger = |a: f64, b: f64| if a < b || b.is_nan() { b } else { a };
    match combine {
        Combine::ArgMax => {
            let mut best = 0;
            for (k, x) in seen.iter().enumerate() {
                let more = match (seen[best], x) {
                    (Number::Integer(a), Number::Integer(b)) => a < *b,
                    (a, b) => a.float() < b.float() || b.float().is_nan() && !a.float().is_nan(),
                };
                best = if more { k } else { best };
            }
            Number::Integer(best as i64)
        }
        Combine::Max if !float => {
            let least = if dtype == DType::I32 { i64::from(i32::MIN) } else { i64::MIN };
            Number::Integer(seen.iter().fold(least, |m, x| m.max(x.integer())))
        }
        Combine::Sum if !float => {
            let sum = seen.iter().fold(0i64, |s, x| s.wrapping_add(x.integer()));
            convert(Number::Integer(sum), dtype)
        }
        Combine::Max => {
            // Of zeros with different signs, and of several NaNs, the order decides which one stays.
            let lanes = if order == Order::Sequential { 1 } else { lanes };
            let mut greatest = vec![f64::NEG_INFINITY; lanes];
            for row in seen.chunks(row.max(1)) {
                row.iter().enumerate().for_each(|(j, x)| greatest[j % lanes] = larger(greatest[j % lanes], x.float()));
            }
            Number::Float(tree(greatest, larger))
        }
        Combine::Sum => {
            let kahan = |(s, c): (f64, f64), x: f64| {
                let y = rounded(x - c, dtype);
                let t = add(s, y);
                (t, rounded(rounded(t - s, dtype) - y, dtype))
            };
            if order == Order::Sequential {
                let chunk = |chunk: &[Number]| chunk.iter().fold(0.0, |s, x| add(s, x.float()));
                return Number::Float(seen.chunks(256).map(chunk).fold((0.0, 0.0), kahan).0);
            }
            let mut totals = vec![(0.0, 0.0); lanes];
            for chunk in seen.chunks(row.max(1)).flat_map(|row| row.chunks(256 * lanes)) {
                let mut partial = vec![0.0; lanes];
                chunk.iter().enumerate().for_each(|(j, x)| partial[j % lanes] = add(partial[j % lanes], x.float()));
                totals.iter_mut().zip(partial).for_each(|(total, x)| *total = kahan(*total, x));
            }
            Number::Float(tree(totals.into_iter().map(|t| t.0).collect(), add))
        }
    }
}

/// Halves the lanes until one is left.
fn tree(mut lanes: Vec<f64>, combine: impl Fn(f64, f64) -> f64) -> f64 {
    let mut half = lanes.len() / 2;
    while half > 0 {
        (0..half).for_each(|i| lanes[i] = combine(lanes[i], lanes[i + half]));
        half /= 2;
    }
    lanes[0]
}
