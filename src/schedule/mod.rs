//! Schedule: a graph becomes a program of fused kernels and library products over one memory plan.
//!
//! Input: a graph without derivative requests, and the greatest value of each symbol. Output: a [`Program`]. Invariant:
//! running its steps in order computes the graph's outputs as the interpreter does, reductions in the same order.
//!
//! `nodes` decides what is computed once and what wherever it is used, `reads` what follows from that, `groups` which nodes share
//! a loop nest, `plan` where values live and in which order steps run, `lower` (with `emit`, and `across` where rows are
//! short) the loops, `product` the library products, `waves` what runs at the same time and in tiles, `columns` which tiles are
//! of columns, `scattered` which inputs may lie in pieces, `memory` the arena. `display` and `cost` say what came out, the
//! time it takes on the machine that `hardware` describes; `execute` runs it slowly, as the oracle.

mod across;
mod collapse;
mod columns;
pub mod cost;
mod display;

mod emit;
pub mod execute;

mod groups;
pub mod hardware;
mod index_map;
pub mod kernel;
mod lower;
mod memory;
mod nodes;
mod plan;
mod product;
pub mod program;
mod reads;
pub mod scattered;
pub mod waves;

pub use crate::ir::ScalarOp;
pub use cost::{Cost, Time};
pub use kernel::Kernel;
pub use memory::ALIGNMENT;
pub use program::{Buffer, BufferId, Options, Place, Product, Program, Step, Work};

use crate::ir::{Graph, NodeId, Op, Origin, Size, SizeError, Symbol};
use kernel::{AxisId, Expr, Index, Loop, Stmt, Store, Value, ValueId};
use nodes::{Class, Nodes};
use plan::{Copy, Plan, Unit};
use program::Fused;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Why a graph has no schedule.
#[derive(Clone, PartialEq, Debug)]
pub enum ScheduleError {
    /// No kernel computes this primitive.
    Unsupported { primitive: &'static str, origin: Origin },
    /// A size has no value at capacity.
    Size { error: SizeError, origin: Origin },
    /// The buffers together need more bytes than allowed, or (`None`) than 64 bits count.
    TooLarge { bytes: Option<u64>, limit: u64 },
    /// An output is the next value of an input that does not exist, or has another type.
    NoSuchInput { name: Arc<str> },
    /// A bug in dlc.
    Internal { origin: Origin },
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScheduleError::Unsupported { primitive, .. } => write!(f, "no kernel computes `{primitive}` yet"),
            ScheduleError::Size { error, .. } => write!(f, "{error}"),
            ScheduleError::TooLarge { bytes: Some(bytes), limit } => {
                write!(f, "the program needs {bytes} bytes of memory, more than the limit of {limit}")
            }
            ScheduleError::TooLarge { bytes: None, .. } => {
                write!(f, "the program needs more memory than 64 bits address")
            }
            ScheduleError::NoSuchInput { name } => write!(f, "`{name}` has a next value, but is no input of that type"),
            ScheduleError::Internal { origin } => {
                write!(f, "this is a bug in dlc: no loop nest for `{}`; please report it with the source", origin.path)
            }
        }
    }
}

impl std::error::Error for ScheduleError {}

/// Turns a graph into kernels, products and a memory plan.
pub fn schedule(graph: &Graph, options: &Options) -> Result<Program, ScheduleError> {
    let nodes = Nodes::new(graph, options)?;
    let edges = reads::edges(&nodes);
    let groups = groups::Groups::new(&nodes, &edges);
    let mut plan = plan::plan(&nodes, &edges, &groups)?;
    let mut steps: Vec<Step> = Vec::new();
    for unit in &plan.order {
        let (first, fused, work) = match unit {
            Unit::Copy(k) => {
                let copy = &plan.copies[*k];
                (copy.from, BTreeSet::new(), Work::Kernel(copy_kernel(&nodes, &plan, copy)))
            }
            Unit::Group(k) => {
                let group = groups.group(*k);
                let last = group.members[group.members.len() - 1];
                let internal = || ScheduleError::Internal { origin: graph.node(last).origin.clone() };
                if nodes.class(last) == Class::Product {
                    let home = |id: NodeId| plan.memory.homes[id.index()].first().copied();
                    let out = home(last).ok_or_else(internal)?;
                    let product = product::product(&nodes, last, out, home).ok_or_else(internal)?;
                    (last, BTreeSet::from([last]), Work::Product(product))
                } else if nodes.class(last) == Class::Order {
                    let home = |id: NodeId| plan.memory.homes[id.index()].first().copied().ok_or_else(internal);
                    let dims = &graph.ty(last).dims;
                    let (rows, length) = dims.split_at(dims.len().saturating_sub(1));
                    let count = |dims: &[Size]| dims.iter().fold(Size::constant(1), |n, d| &n * d);
                    let (rows, length) = (count(rows), count(length));
                    let from = home(nodes.same_value(nodes.operands(last)[0]))?;
                    let order = program::Order { rows, length, from, to: home(last)? };
                    (last, BTreeSet::from([last]), Work::Order(order))
                } else {
                    let lowered = lower::lower(&nodes, group, &mut plan.memory).ok_or_else(internal)?;
                    if lower::is_empty(&lowered.kernel) {
                        continue;
                    }
                    (last, lowered.nodes, Work::Kernel(lowered.kernel))
                }
            }
        };
        steps.push(step(graph, first, &fused, work));
    }
    let mut buffers = plan.memory.buffers;
    let (mut steps, waves) = waves::waves(steps, &buffers, options);
    for (number, step) in steps.iter_mut().enumerate() {
        step.name = format!("{number}:{}", step.name);
    }
    let arena = memory::place(&mut buffers, &steps, &waves, &options.capacity, options.memory_limit)?;
    let capacity = options.capacity.clone();
    let symbols = symbols(graph);
    let mut program =
        Program { dtype: nodes.float, symbols, capacity, buffers, steps, waves, outputs: plan.outputs, arena };
    let columns = |chain: &waves::Chain| program.columns(chain, options);
    let cut: Vec<_> = program.waves.iter().flat_map(|wave| wave.chains.iter().map(columns)).collect();
    let chains = program.waves.iter_mut().flat_map(|wave| wave.chains.iter_mut());
    chains.zip(cut).for_each(|(chain, columns)| chain.columns = columns);
    Ok(program)
}

/// A step named after where its last node comes from.
fn step(graph: &Graph, last: NodeId, fused: &BTreeSet<NodeId>, work: Work) -> Step {
    let node = graph.node(last);
    let dot = if node.origin.path.is_empty() { "" } else { "." };
    let leaf = |id: &NodeId| matches!(graph.op(*id), Op::Input(_) | Op::Constant(_) | Op::SizeOf(_));
    let fused = fused.iter().filter(|id| !leaf(id)).map(|id| {
        let node = graph.node(*id);
        Fused { primitive: node.op.primitive().name(), origin: node.origin.clone() }
    });
    Step {
        name: format!("{}{dot}{}", node.origin.path, node.op.primitive().name()),
        origin: node.origin.clone(),
        fused: fused.collect(),
        work,
    }
}

fn copy_kernel(nodes: &Nodes, plan: &Plan, copy: &Copy) -> Kernel {
    let ty = nodes.graph.ty(copy.from);
    let (axis, value) = (AxisId(0), ValueId(0));
    let index = Index::axis(axis);
    let home = plan.memory.homes[copy.from.index()].first().copied();
    let from = copy.staged.map(|k| plan.copies[k].to).or(home).unwrap_or(copy.to);
    let load = Expr::Load { buffer: from, index: index.clone(), guards: Vec::new() };
    let store = Store { buffer: copy.to, index, value, accumulate: false };
    let body = vec![Stmt::Let(value), Stmt::Store(store)];
    Kernel {
        axes: vec![ty.elements()],
        values: vec![Value { expr: load, dtype: lower::stored_type(ty.dtype, nodes.float), varies: vec![axis] }],
        body: vec![Stmt::Loop(Loop { axis, vector: true, ordered: false, body })],
    }
}

fn symbols(graph: &Graph) -> Vec<Symbol> {
    let sizes = |id: NodeId| -> Vec<Size> {
        let mut all = graph.ty(id).dims.clone();
        if let Op::SizeOf(s) = graph.op(id) {
            all.push(s.size.clone());
        }
        all
    };
    let all: BTreeSet<Symbol> = graph.ids().flat_map(sizes).flat_map(|s| s.symbols()).collect();
    all.into_iter().collect()
}

#[cfg(test)]
mod tests;
