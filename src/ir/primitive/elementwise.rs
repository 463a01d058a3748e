//! What elementwise primitives have in common: equal dims in, the same dims out, a diagonal Jacobian.
//!
//! A file that implements [`Elementwise`] states meaning, derivative, scalar operation, identities and samples; the
//! rest of [`Primitive`] follows from them. Stretching is [`super::Broadcast`]'s.

use super::{Applied, Contributions, Lowering, Primitive, arity, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, NodeId, Op, ScalarOp, Tensor, Type};

/// What operands an elementwise primitive takes and what elements it gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// So many floats, giving floats.
    Floats(usize),
    /// So many numbers of one type, giving numbers.
    Numbers(usize),
    /// Two numbers of one type, giving a boolean.
    Comparison,
    /// So many booleans, giving a boolean.
    Booleans(usize),
    /// A boolean and two of any one type.
    Choice,
    /// One operand of any type.
    Any,
}

impl Rule {
    fn arity(self) -> usize {
        match self {
            Rule::Floats(n) | Rule::Numbers(n) | Rule::Booleans(n) => n,
            Rule::Comparison => 2,
            Rule::Choice => 3,
            Rule::Any => 1,
        }
    }

    fn infer(self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, self.arity())?;
        let values = if self == Rule::Choice { &operands[1..] } else { operands };
        require(values.windows(2).all(|w| w[0] == w[1]), || "operands differ in type".into())?;
        let ty = values[0];
        let dtype = ty.dtype;
        match self {
            Rule::Floats(_) => require(dtype.is_float(), || format!("expects floats, got {dtype}"))?,
            Rule::Numbers(_) | Rule::Comparison => {
                require(dtype != DType::Bool, || "expects numbers, got booleans".into())?;
            }
            Rule::Booleans(_) => require(dtype == DType::Bool, || format!("expects booleans, got {dtype}"))?,
            Rule::Choice => {
                require(operands[0].dtype == DType::Bool, || {
                    format!("expects a condition, got {}", operands[0].dtype)
                })?;
                require(operands[0].dims == ty.dims, || "the condition differs in shape".into())?;
            }
            Rule::Any => {}
        }
        Ok(if self == Rule::Comparison { ty.with_dtype(DType::Bool) } else { ty.clone() })
    }

    /// The types of operands whose values are of type `ty`.
    fn operands(self, ty: &Type) -> Vec<Type> {
        match self {
            Rule::Booleans(n) => vec![ty.with_dtype(DType::Bool); n],
            Rule::Choice => vec![ty.with_dtype(DType::Bool), ty.clone(), ty.clone()],
            _ => vec![ty.clone(); self.arity()],
        }
    }
}

/// An elementwise primitive without attributes.
pub trait Elementwise: Default + Clone + Into<Op> {
    const NAME: &'static str;
    const RULE: Rule;

    /// The operation on one element of each operand, for kernels.
    fn scalar(&self) -> ScalarOp;

    /// The value at one element of each operand, in f64; booleans are 0 and 1.
    fn meaning(&self, x: &[f64]) -> f64;

    /// The derivative by operand `k` times `seed`: a cotangent of the result or a tangent of the operand. `None` is zero.
    fn chain(&self, b: &mut Builder, at: Applied<'_>, k: usize, seed: NodeId) -> Option<NodeId>;

    /// See [`Primitive::simplify`].
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId>;

    /// Ways to draw operands where the derivative exists.
    fn draws() -> Vec<Vec<Draw>>;
}

impl<E: Elementwise> Primitive for E {
    fn keyword() -> &'static str {
        E::NAME
    }

    fn name(&self) -> &'static str {
        E::NAME
    }

    fn attributes(&self) -> Attributes {
        Attributes::none()
    }

    fn parse(_: &Attributes) -> Result<E, String> {
        Ok(E::default())
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        E::RULE.infer(operands)
    }

    fn eval(&self, operands: &[&Tensor], out: &Type, _: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        Ok(vec![map(self.scalar(), operands, out.dtype, |x| self.meaning(x))])
    }

    fn vjp(&self, b: &mut Builder, at: Applied<'_>, cotangent: NodeId) -> Contributions {
        Ok((0..at.operands.len()).map(|k| if at.wanted[k] { self.chain(b, at, k, cotangent) } else { None }).collect())
    }

    fn jvp(&self, b: &mut Builder, at: Applied<'_>, tangents: &[Option<NodeId>]) -> Result<Option<NodeId>, String> {
        let mut total = None;
        for (k, tangent) in tangents.iter().enumerate() {
            if let Some(term) = tangent.and_then(|v| self.chain(b, at, k, v)) {
                total = Some(total.map_or(term, |sum| b.add(sum, term)));
            }
        }
        Ok(total)
    }

    fn simplify(&self, b: &mut Builder, operands: &[NodeId]) -> Option<NodeId> {
        Elementwise::simplify(self, b, operands)
    }

    fn lowering(&self) -> Lowering {
        Lowering::Elementwise(self.scalar())
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let mut out = Vec::new();
        for draws in E::draws() {
            for ty in Op::elementwise_types(dtype) {
                let operands = E::RULE.operands(&ty).into_iter().zip(draws.iter().cloned());
                out.push(Sample::new(E::default(), operands.collect()));
            }
        }
        if matches!(E::RULE, Rule::Numbers(_) | Rule::Comparison | Rule::Choice | Rule::Any) {
            let ty = Type::new(dtype.int(), vec![crate::ir::Size::symbol("N")]);
            let operands = E::RULE.operands(&ty).into_iter();
            let draw = |ty: Type| {
                let draw = if ty.dtype == DType::Bool { Draw::Bool } else { Draw::Uniform(-3.0, 3.0) };
                (ty, draw)
            };
            out.push(Sample::new(E::default(), operands.map(draw).collect()));
        }
        out
    }
}

/// Applies a scalar operation to every element: over integers if any operand has integers, else in f64 by `meaning`, or in
/// f32 with the bits of compiled code.
fn map(op: ScalarOp, operands: &[&Tensor], out: DType, meaning: impl Fn(&[f64]) -> f64) -> Tensor {
    let (dims, count) = (operands[0].dims.clone(), operands[0].len());
    if operands.iter().any(|o| o.dtype().is_int()) {
        let values: Vec<Vec<i64>> = operands.iter().map(|o| o.to_i64()).collect();
        let mut x = vec![0; operands.len()];
        let value = |k: usize| {
            x.iter_mut().zip(&values).for_each(|(x, v)| *x = v[k]);
            op.integer(&x).unwrap_or_default()
        };
        return Tensor::from_i64(out, dims, (0..count).map(value).collect());
    }
    let values: Vec<Vec<f64>> = operands.iter().map(|o| o.to_f64()).collect();
    let (mut x, mut narrow) = (vec![0.0; operands.len()], vec![0.0; operands.len()]);
    let value = |k: usize| {
        x.iter_mut().zip(&values).for_each(|(x, v)| *x = v[k]);
        if out != DType::F32 {
            return meaning(&x);
        }
        narrow.iter_mut().zip(&x).for_each(|(n, x)| *n = *x as f32);
        f64::from(op.single(&narrow, || meaning(&x)))
    };
    Tensor::from_f64(out, dims, (0..count).map(value).collect())
}
