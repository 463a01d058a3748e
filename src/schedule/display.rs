//! The text form of a program: its buffers, then its steps in order by waves and chains, kernels as loop nests; of each what it
//! costs, and the time that is predicted from this for one thread.
//!
//! Axes are `i0, i1, …`, values `v0, v1, …`, buffers `b0, b1, …`; `lanes` marks what runs over vector lanes.

use super::kernel::{AxisId, Combine, Expr, Guard, Index, Kernel, Loop, Order, Stmt, ValueId};
use super::program::{Buffer, BufferId, Operand, Place, Product, Program, ProgramOutput, Step, Work};
use super::waves::Chain;
use crate::ir::{OutputRole, ScalarOp, Size};
use std::fmt::{self, Display, Formatter};

impl Display for AxisId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "i{}", self.0)
    }
}

impl Display for ValueId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl Display for BufferId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.0)
    }
}

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "program {}", self.dtype)?;
        for (symbol, most) in &self.capacity {
            write!(f, ", {} <= {most}", symbol.0)?;
        }
        let (kernels, products) = (self.kernels().count(), self.products().count());
        let (peak, planned) = self.arena_use();
        writeln!(f, ", {kernels} kernels, {products} products, arena {peak} bytes (buffers {planned})")?;
        for (k, buffer) in self.buffers.iter().enumerate() {
            writeln!(f, "  {} {buffer}", BufferId(k as u32))?;
        }
        for output in &self.outputs {
            writeln!(f, "  {output}")?;
        }
        for (number, wave) in self.waves.iter().enumerate() {
            let spent: f64 = wave.steps().map(|s| self.nanoseconds(&self.steps[s])).sum();
            let several =
                if wave.chains.len() == 1 { "1 chain".into() } else { format!("{} chains", wave.chains.len()) };
            writeln!(f, "\nwave {number}: {several}, {}", Microseconds(spent))?;
            for chain in &wave.chains {
                self.chain(f, chain)?;
            }
        }
        Ok(())
    }
}

impl Program {
    fn chain(&self, f: &mut Formatter<'_>, chain: &Chain) -> fmt::Result {
        let spent: f64 = chain.steps().map(|s| self.nanoseconds(&self.steps[s])).sum();
        write!(f, "\nchain {chain}, {}", Microseconds(spent))?;
        if chain.rows.is_some() {
            let footprint = self.footprint(chain);
            write!(f, "; a row holds {} B, all tiles read {} B", footprint.row, footprint.shared)?;
        }
        writeln!(f)?;
        for step in &self.steps[chain.steps()] {
            let (cost, time) = (self.cost(step), self.time(step));
            write!(f, "{}: {} flops, reads {} B, writes {} B", step.name, cost.flops, cost.read, cost.written)?;
            if let Some(intensity) = cost.intensity() {
                write!(f, ", {intensity:.2} flops/B")?;
            }
            let bound = if time.arithmetic > time.memory { "arithmetic" } else { "memory" };
            writeln!(f, "; {}, most of it {bound}", Microseconds(time.total()))?;
            write!(f, "{step}")?;
        }
        Ok(())
    }
}

/// Nanoseconds as predicted microseconds.
struct Microseconds(f64);

impl Display for Microseconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} us predicted", self.0 / 1e3)
    }
}

impl Display for Chain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(rows) = &self.rows else { return write!(f, "in one piece") };
        write!(f, "by {rows} rows")?;
        for (k, (buffer, row)) in self.private.iter().enumerate() {
            write!(f, "{} {buffer}[{row}]", if k == 0 { ", of a tile alone:" } else { "," })?;
        }
        for (k, steps) in self.columns.iter().enumerate() {
            write!(f, "{} {}-{}", if k == 0 { ", by columns: steps" } else { "," }, steps.start, steps.end - 1)?;
        }
        if self.down > 0 {
            write!(f, "; {} over its columns", self.down)?;
        }
        Ok(())
    }
}

impl Display for Buffer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}[", self.name, self.elem)?;
        list(f, &self.dims)?;
        match &self.place {
            Place::Input { role, updated, .. } => {
                write!(f, "] input {}{}", format!("{role:?}").to_lowercase(), if *updated { ", updated" } else { "" })
            }
            Place::Output { .. } => write!(f, "] output"),
            Place::Arena { offset, bytes } => write!(f, "] arena {offset}..{}", offset + bytes),
        }
    }
}

impl Display for ProgramOutput {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let role = if self.role == OutputRole::Next { "next" } else { "report" };
        write!(f, "{role} {} = {}", self.name, self.buffer)
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.fused.is_empty() {
            write!(f, "  fuses")?;
            let mut path = None;
            for fused in &self.fused {
                if path != Some(&fused.origin.path) {
                    path = Some(&fused.origin.path);
                    write!(f, " {}:", if fused.origin.path.is_empty() { "-" } else { &fused.origin.path })?;
                }
                write!(f, " {}", fused.primitive)?;
            }
            writeln!(f)?;
        }
        match &self.work {
            Work::Kernel(kernel) => write!(f, "{kernel}"),
            Work::Product(product) => write!(f, "{product}"),
            Work::Order(o) => writeln!(f, "  order rows={} length={}: {} = {}", o.rows, o.length, o.to, o.from),
        }
    }
}

impl Display for Product {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "  product m={} n={} k={}", self.m, self.n, self.k)?;
        for b in &self.batch {
            write!(f, " batch={} (strides {}, {}, {})", b.extent, b.lhs, b.rhs, b.out)?;
        }
        let sign = if self.accumulate { "+=" } else { "=" };
        writeln!(f, ": {} {sign} {} · {}", self.out, self.lhs, self.rhs)
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.buffer)?;
        if self.offset.as_constant() != Some(0) {
            write!(f, "{} + ", self.offset)?;
        }
        write!(f, "row*{} + column*{}]", factor(&self.row_stride), factor(&self.column_stride))
    }
}

impl Display for Kernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        block(f, self, &self.body, 1)
    }
}

fn list<T: Display>(f: &mut Formatter<'_>, items: &[T]) -> fmt::Result {
    for (k, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if k > 0 { ", " } else { "" })?;
    }
    Ok(())
}

/// A size as a factor: in parentheses if it is a sum.
fn factor(size: &Size) -> String {
    let text = size.to_string();
    if text.contains(' ') { format!("({text})") } else { text }
}

fn block(f: &mut Formatter<'_>, kernel: &Kernel, body: &[Stmt], depth: usize) -> fmt::Result {
    for stmt in body {
        let pad = "  ".repeat(depth);
        match stmt {
            Stmt::Let(id) => {
                write!(f, "{pad}{id} = ")?;
                expression(f, kernel, *id)?;
                writeln!(f)?;
            }
            Stmt::Store(s) => {
                let sign = if s.accumulate { "+=" } else { "=" };
                writeln!(f, "{pad}{}[{}] {sign} {}", s.buffer, s.index, s.value)?;
            }
            Stmt::Loop(Loop { axis, vector, ordered, body }) => {
                let kind = if *vector { " lanes" } else { "" };
                let order = if *ordered { " ordered" } else { "" };
                writeln!(f, "{pad}for {axis} < {}{kind}{order} {{", kernel.extent(*axis))?;
                block(f, kernel, body, depth + 1)?;
                writeln!(f, "{pad}}}")?;
            }
            Stmt::Reduce(r) => {
                write!(f, "{pad}")?;
                for (k, result) in r.results.iter().enumerate() {
                    let combine = match result.combine {
                        Combine::Sum => "sum",
                        Combine::Max => "max",
                        Combine::ArgMax => "argmax",
                    };
                    let comma = if k > 0 { ", " } else { "" };
                    write!(f, "{comma}{} = {combine} {}", result.result, result.operand)?;
                }
                write!(f, " over")?;
                for axis in &r.axes {
                    write!(f, " {axis} < {}", kernel.extent(*axis))?;
                }
                writeln!(f, "{} {{", if r.order == Order::Lanes { " lanes" } else { "" })?;
                block(f, kernel, &r.body, depth + 1)?;
                writeln!(f, "{pad}}}")?;
            }
        }
    }
    Ok(())
}

fn expression(f: &mut Formatter<'_>, kernel: &Kernel, id: ValueId) -> fmt::Result {
    let value = kernel.value(id);
    match &value.expr {
        Expr::Constant(x) => write!(f, "{x} : {}", value.dtype),
        Expr::Size(size) => write!(f, "size {size} : {}", value.dtype),
        Expr::Position(index) => write!(f, "position {index}"),
        Expr::Load { buffer, index, guards } => {
            write!(f, "{buffer}[{index}]")?;
            if !guards.is_empty() {
                write!(f, " where ")?;
                list(f, guards)?;
            }
            Ok(())
        }
        Expr::Within(guards) => list(f, guards),
        Expr::Scalar { op, args } => {
            match op {
                ScalarOp::Function(function) => write!(f, "{} ", function.name())?,
                ScalarOp::Convert => write!(f, "{} ", value.dtype)?,
                other => write!(f, "{} ", format!("{other:?}").to_lowercase())?,
            }
            list(f, args)
        }
        Expr::Random { site, seed, step, element } => write!(f, "random site {site} ({seed}, {step}) at {element}"),
        Expr::Reduced => write!(f, "reduced"),
    }
}

impl Display for Guard {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} <= {} < {}", self.lower, self.index, self.upper)
    }
}

impl Display for Index {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let term = |name: String, stride: &Size| match stride.as_constant() {
            Some(1) => name,
            _ => format!("{}*{name}", factor(stride)),
        };
        let axes = self.terms.iter().map(|(a, s)| term(a.to_string(), s));
        let values = self.values.iter().map(|(v, s)| term(v.to_string(), s));
        let mut parts: Vec<String> = axes.chain(values).collect();
        if self.offset.as_constant() != Some(0) || parts.is_empty() {
            parts.push(factor(&self.offset));
        }
        write!(f, "{}", parts.join(" + "))
    }
}
