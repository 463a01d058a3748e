//! Keeps the branch that `select` does not take away from singularities.
//!
//! ```text
//! before   select c (log x) y
//! after    select c (log (select c x 1)) y
//! ```
//! The cotangent of the branch not taken is zero, and zero times the infinite derivative of `log` at 0, or of an
//! overflowing `exp`, is NaN. With the operand replaced by a harmless one where the branch is not taken, the values
//! taken are the same bits and the derivative of any order stays finite.
//!
//! Input: a graph that still has its requests. Invariant: exact. Limits: nodes that no derivative passes are left
//! alone; a branch is followed through elementwise primitives, and through others where the condition is one scalar.

use super::super::rewrite::Regions;
use crate::ir::{Builder, Graph, NodeId, Op};
use std::collections::HashMap;

/// How many nodes of one branch are followed.
const REACH: u32 = 256;

pub(super) fn run(graph: &Graph) -> Graph {
    let derived = derived(graph);
    if derived.iter().any(|d| *d) { guard(graph, &derived) } else { graph.clone() }
}

/// The nodes that a requested derivative may pass.
fn derived(graph: &Graph) -> Vec<bool> {
    let mut derived = vec![false; graph.len()];
    for id in graph.ids().rev() {
        let operands = graph.operands(id);
        match graph.op(id) {
            Op::Gradient(_) | Op::Tangent(_) => derived[operands[0].index()] = true,
            _ if derived[id.index()] => operands.iter().for_each(|o| derived[o.index()] = true),
            _ => {}
        }
    }
    derived
}

fn guard(graph: &Graph, derived: &[bool]) -> Graph {
    let mut regions = Regions::default();
    graph.rebuild(|b, id, operands| {
        let op = graph.op(id);
        if !derived[id.index()] {
            return b.push(op.clone(), operands);
        }
        match (op, operands) {
            (Op::Select(_), [condition, p, q]) => {
                let p = Branch::new(b, *condition, true).safe(b, *p);
                let q = Branch::new(b, *condition, false).safe(b, *q);
                b.select(*condition, p, q)
            }
            _ => {
                let op = regions.map(op, &mut |body| guard(body, &vec![true; body.len()]));
                b.push(op, operands)
            }
        }
    })
}

/// One branch of a select.
struct Branch {
    condition: NodeId,
    /// The condition before it was stretched, where it is one for all elements.
    scalar: Option<NodeId>,
    /// The value of the condition where this branch is taken.
    taken: bool,
    reach: u32,
    known: HashMap<NodeId, NodeId>,
}

impl Branch {
    fn new(b: &Builder, condition: NodeId, taken: bool) -> Branch {
        let mut scalar = condition;
        while let Op::Broadcast(_) = b.graph().op(scalar) {
            scalar = b.graph().operands(scalar)[0];
        }
        let scalar = (b.ty(scalar).rank() == 0).then_some(scalar);
        Branch { condition, scalar, taken, reach: REACH, known: HashMap::new() }
    }

    /// `x` where the branch is taken, `value` elsewhere.
    fn only(&self, b: &mut Builder, x: NodeId, value: f64) -> NodeId {
        let dims = b.dims(x);
        let condition = match self.scalar {
            Some(scalar) => b.fill(scalar, &dims),
            None if b.ty(self.condition).dims == dims => self.condition,
            None => return x,
        };
        let harmless = b.full_like(x, value);
        if self.taken { b.select(condition, x, harmless) } else { b.select(condition, harmless, x) }
    }

    /// `x` with the operands of its singular primitives made harmless where the branch is not taken.
    fn safe(&mut self, b: &mut Builder, x: NodeId) -> NodeId {
        if let Some(known) = self.known.get(&x) {
            return *known;
        }
        let Some(rest) = self.reach.checked_sub(1) else { return x };
        self.reach = rest;
        let op = b.graph().op(x).clone();
        let old = b.graph().operands(x);
        if old.is_empty() || !(elementwise(&op) || self.scalar.is_some() && through(&op)) {
            return x;
        }
        let mut operands: Vec<NodeId> = old.iter().map(|o| self.safe(b, *o)).collect();
        match op {
            Op::Log(_) | Op::Sqrt(_) => operands[0] = self.only(b, operands[0], 1.0),
            Op::Exp(_) | Op::Expm1(_) | Op::Log1p(_) | Op::Sin(_) | Op::Cos(_) => {
                operands[0] = self.only(b, operands[0], 0.0);
            }
            Op::Div(_) => operands[1] = self.only(b, operands[1], 1.0),
            Op::Pow(_) => {
                operands[0] = self.only(b, operands[0], 1.0);
                operands[1] = self.only(b, operands[1], 1.0);
            }
            // A product of products overflows as an exponential does, only later.
            Op::Mul(_) => {
                for (new, old) in operands.iter_mut().zip(&old) {
                    if matches!(b.graph().op(*old), Op::Mul(_) | Op::Div(_) | Op::Pow(_)) {
                        *new = self.only(b, *new, 1.0);
                    }
                }
            }
            _ => {}
        }
        let new = if operands == old { x } else { b.push(op, &operands) };
        self.known.insert(x, new);
        new
    }
}

/// Elementwise primitives that pass a derivative.
fn elementwise(op: &Op) -> bool {
    matches!(
        op,
        Op::Neg(_)
            | Op::Abs(_)
            | Op::Sqrt(_)
            | Op::Exp(_)
            | Op::Log(_)
            | Op::Log1p(_)
            | Op::Expm1(_)
            | Op::Tanh(_)
            | Op::Sigmoid(_)
            | Op::Softplus(_)
            | Op::Erf(_)
            | Op::Sin(_)
            | Op::Cos(_)
            | Op::Add(_)
            | Op::Sub(_)
            | Op::Mul(_)
            | Op::Div(_)
            | Op::Pow(_)
            | Op::Maximum(_)
            | Op::Minimum(_)
    )
}

/// What a condition that is one scalar passes besides.
fn through(op: &Op) -> bool {
    matches!(op, Op::Broadcast(_) | Op::Permute(_) | Op::Reshape(_) | Op::ReduceSum(_) | Op::Contraction(_))
}
