//! Values and frames: what the names of one application mean.

use super::Elaborator;
use crate::check::typed::{Axis, DefId, Definition, Element, LocalId, TensorType};
use crate::ir::{DType, NodeId, Origin, Role, Size, Symbol, Type};
use crate::source::{Diagnostic, Span};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;

/// What an expression elaborates to.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Tensor(NodeId),
    /// One tensor for each parameter of a selection.
    Set(Vec<NodeId>),
    Tuple(Vec<Value>),
    Function(Rc<Closure>),
    Init(Rc<InitClosure>),
    Objective,
}

/// A definition passed as a value, closed over the place where it was written.
#[derive(Debug)]
pub(super) struct Closure {
    pub def: DefId,
    pub sizes: BTreeMap<Symbol, Size>,
    pub packs: Vec<Vec<Size>>,
    pub options: Vec<Option<Value>>,
    pub path: Arc<str>,
}

/// An init with some of its options.
#[derive(Debug)]
pub(super) struct InitClosure {
    pub def: DefId,
    pub options: Vec<Option<Value>>,
}

/// One application of a definition, or the `train` block.
pub(super) struct Frame<'p> {
    /// `None` for the `train` block.
    pub definition: Option<&'p Definition>,
    pub locals: Vec<Option<Value>>,
    pub sizes: BTreeMap<Symbol, Size>,
    /// The dims that each pack stands for.
    pub packs: Vec<Vec<Size>>,
    /// The path below which parameters and state are named.
    pub path: Arc<str>,
    /// Stands for the chain of sites from the program down to here.
    pub chain: u64,
}

impl<'p> Frame<'p> {
    /// For the body of a definition, of which nothing is bound yet.
    pub fn new(
        definition: &'p Definition,
        sizes: BTreeMap<Symbol, Size>,
        packs: Vec<Vec<Size>>,
        path: Arc<str>,
        chain: u64,
    ) -> Frame<'p> {
        Frame { definition: Some(definition), locals: vec![None; definition.locals.len()], sizes, packs, path, chain }
    }
}

impl Frame<'_> {
    pub fn size(&self, size: &Size) -> Size {
        size.substitute(&|s| self.sizes.get(s).cloned())
    }

    /// The dims of one axis position.
    pub fn axis(&self, axis: &Axis) -> Vec<Size> {
        match axis {
            Axis::Pack(p) => self.packs[p.0 as usize].clone(),
            Axis::Sized { size, .. } => vec![self.size(size)],
        }
    }

    pub fn dims(&self, axes: &[Axis]) -> Vec<Size> {
        axes.iter().flat_map(|a| self.axis(a)).collect()
    }

    /// For each axis position, the actual axes it stands for.
    pub fn spread(&self, axes: &[Axis]) -> Vec<Vec<usize>> {
        let mut at = 0;
        let range = axes.iter().map(|a| {
            let n = self.axis(a).len();
            at += n;
            (at - n..at).collect()
        });
        range.collect()
    }

    pub fn bind(&mut self, local: LocalId, value: Value) {
        self.locals[local.0 as usize] = Some(value);
    }

    pub fn path_of(&self, name: &str) -> Arc<str> {
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path).into() }
    }

    /// The path of a member that stands in repetitions, numbered by their indices: `block_3`.
    pub fn member(&self, name: &str, loops: &[Symbol]) -> Arc<str> {
        let mut name = name.to_string();
        for index in loops {
            let _ = write!(name, "_{}", self.size(&Size::symbol(&index.0)));
        }
        self.path_of(&name)
    }

    /// Below this frame's chain of sites.
    pub fn site(&self, site: u32) -> u64 {
        mix(self.chain, u64::from(site) + 1)
    }
}

/// A well-mixed combination of two words (splitmix64's finalizer), so that sites do not collide.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.rotate_left(23) ^ b.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The site of draws that belong to a path rather than to a place: the starting value of a parameter.
pub(super) fn site_of_path(path: &str) -> u64 {
    path.bytes().fold(0x5117_0000_0000_0001, |hash, byte| mix(hash, u64::from(byte)))
}

impl Value {
    /// # Panics
    /// If it is no tensor: the checker has typed it as one.
    #[track_caller]
    pub fn into_tensor(self) -> NodeId {
        match self {
            Value::Tensor(node) => node,
            other => panic!("this is a bug in dlc: {other:?} where a tensor was checked for"),
        }
    }

    /// # Panics
    /// If it is no set: the checker has typed it as one.
    #[track_caller]
    pub fn into_set(self) -> Vec<NodeId> {
        match self {
            Value::Set(nodes) => nodes,
            other => panic!("this is a bug in dlc: {other:?} where a parameter set was checked for"),
        }
    }
}

impl<'p> Elaborator<'p> {
    pub(super) fn element(&self, element: &Element) -> DType {
        match element {
            Element::Float => self.dtype,
            Element::Int | Element::Index(_) => self.dtype.int(),
            Element::Bool => DType::Bool,
        }
    }

    /// The actual type of a definition-level one.
    pub(super) fn ty(&self, frame: &Frame, ty: &TensorType) -> Type {
        Type::new(self.element(&ty.element), frame.dims(&ty.axes))
    }

    /// Gives nodes pushed from here on their place.
    pub(super) fn at(&mut self, frame: &Frame, span: Span) {
        self.builder.set_origin(Origin { span: Some(span), path: frame.path.clone() });
    }

    /// The frame of the phase, its columns bound to the batch as training or evaluation sees it.
    pub(super) fn train_frame(&mut self) -> Result<Frame<'p>, Diagnostic> {
        let train = self.train;
        let mut frame = Frame {
            definition: None,
            locals: vec![None; train.locals.len()],
            sizes: BTreeMap::new(),
            packs: Vec::new(),
            path: "".into(),
            chain: 0,
        };
        for column in &train.columns {
            let local = train.local(column.local);
            if let Some(ty) = local.ty.tensor() {
                self.at(&frame, local.span);
                let ty = self.ty(&frame, ty);
                let node = self.builder.input(&column.input, Role::Data, ty);
                self.bind(&mut frame, column.local, Value::Tensor(node));
            }
        }
        for (local, counter) in &train.counters {
            self.at(&frame, train.local(*local).span);
            let node = self.builder.input(&counter.input(), Role::Setting, Type::scalar(DType::I64));
            let node = self.builder.convert(node, self.dtype.int());
            self.bind(&mut frame, *local, Value::Tensor(node));
        }
        for augment in &train.augments {
            // Evaluation sees the columns as they are.
            if self.evaluating && augment.targets.iter().all(|t| t.column) {
                continue;
            }
            let parts = match self.expression(&mut frame, &augment.value)? {
                Value::Tuple(parts) => parts,
                one => vec![one],
            };
            for (target, part) in augment.targets.iter().zip(parts) {
                if !(self.evaluating && target.column) {
                    self.bind(&mut frame, target.local, part);
                }
            }
        }
        Ok(frame)
    }

    /// Binds a local, as a node of its own where a derivative is taken with respect to it.
    pub(super) fn bind(&mut self, frame: &mut Frame<'p>, local: LocalId, value: Value) {
        let declared = match frame.definition {
            Some(definition) => definition.local(local),
            None => self.train.local(local),
        };
        let value = if declared.target { self.tagged(value) } else { value };
        frame.bind(local, value);
    }

    fn tagged(&mut self, value: Value) -> Value {
        match value {
            Value::Tensor(node) => Value::Tensor(self.builder.tag(node)),
            Value::Set(nodes) => Value::Set(nodes.into_iter().map(|n| self.builder.tag(n)).collect()),
            other => other,
        }
    }
}
