//! Named tensors that outlive steps: parameters and state, shared by the machines of one model.
//!
//! Invariant: a tensor's block is never moved or freed while the memory lives, so machines may keep its address.

use super::RuntimeError;
use super::block::{Block, Element, View};
use crate::ir::{DType, Data, Tensor};
use crate::schedule::program::element_bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A tensor of one memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TensorId(usize);

struct Named {
    name: Arc<str>,
    dtype: DType,
    dims: Vec<usize>,
    block: Block,
}

/// Parameters and state by name.
pub struct Memory {
    identity: u64,
    tensors: Vec<Named>,
    by_name: BTreeMap<Arc<str>, TensorId>,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

impl Memory {
    pub fn new() -> Memory {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let identity = NEXT.fetch_add(1, Ordering::Relaxed);
        Memory { identity, tensors: Vec::new(), by_name: BTreeMap::new() }
    }

    /// What tells this memory from all others of the process.
    pub(super) fn identity(&self) -> u64 {
        self.identity
    }

    /// The tensor of this name, made of zeros if there is none yet.
    pub fn reserve(&mut self, name: &str, dtype: DType, dims: &[usize]) -> Result<TensorId, RuntimeError> {
        if let Some(id) = self.find(name) {
            let known = &self.tensors[id.0];
            if known.dtype != dtype || known.dims != dims {
                return Err(RuntimeError::Conflict(name.to_string()));
            }
            return Ok(id);
        }
        let elements = dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d as u64));
        let bytes = elements.and_then(|n| n.checked_mul(element_bytes(dtype)));
        let block = Block::new(bytes.ok_or(RuntimeError::OutOfMemory(u64::MAX))?)?;
        let name: Arc<str> = name.into();
        let id = TensorId(self.tensors.len());
        self.by_name.insert(Arc::clone(&name), id);
        self.tensors.push(Named { name, dtype, dims: dims.to_vec(), block });
        Ok(id)
    }

    pub fn find(&self, name: &str) -> Option<TensorId> {
        self.by_name.get(name).copied()
    }

    /// Every tensor, in the order in which programs asked for them.
    pub fn ids(&self) -> impl Iterator<Item = TensorId> + use<> {
        (0..self.tensors.len()).map(TensorId)
    }

    pub fn name(&self, id: TensorId) -> &str {
        &self.tensors[id.0].name
    }

    pub fn dtype(&self, id: TensorId) -> DType {
        self.tensors[id.0].dtype
    }

    pub fn dims(&self, id: TensorId) -> &[usize] {
        &self.tensors[id.0].dims
    }

    pub fn view(&self, id: TensorId) -> View<'_> {
        let tensor = &self.tensors[id.0];
        View::of(&tensor.block, tensor.dtype, tensor.dims.iter().product())
    }

    /// A copy of the tensor.
    pub fn read(&self, name: &str) -> Option<Tensor> {
        let id = self.find(name)?;
        Some(self.view(id).to_tensor(self.dims(id).to_vec()))
    }

    /// The elements for writing.
    pub fn elements_mut<T: Element>(&mut self, id: TensorId) -> Result<&mut [T], RuntimeError> {
        let tensor = &mut self.tensors[id.0];
        if tensor.dtype != T::DTYPE {
            let name = tensor.name.to_string();
            return Err(RuntimeError::Type { name, expected: tensor.dtype, got: T::DTYPE });
        }
        Ok(tensor.block.elements_mut(tensor.dims.iter().product()))
    }

    /// Replaces a tensor's elements.
    pub fn write(&mut self, name: &str, tensor: &Tensor) -> Result<(), RuntimeError> {
        fn put<T: Element>(to: Result<&mut [T], RuntimeError>, from: &[T], name: &str) -> Result<(), RuntimeError> {
            let to = to?;
            if to.len() != from.len() {
                let (expected, got) = (to.len(), from.len());
                return Err(RuntimeError::Length { name: name.to_string(), expected, got });
            }
            to.copy_from_slice(from);
            Ok(())
        }
        let id = self.find(name).ok_or_else(|| RuntimeError::Unknown(name.to_string()))?;
        match &tensor.data {
            Data::F32(x) => put(self.elements_mut(id), x, name),
            Data::F64(x) => put(self.elements_mut(id), x, name),
            Data::I32(x) => put(self.elements_mut(id), x, name),
            Data::I64(x) => put(self.elements_mut(id), x, name),
            Data::Bool(x) => {
                let numbers: Vec<i32> = x.iter().map(|b| i32::from(*b)).collect();
                put(self.elements_mut(id), &numbers, name)
            }
        }
    }

    /// Takes the elements of every tensor of another memory, whose tensors it has or gets.
    pub fn copy_from(&mut self, other: &Memory) -> Result<(), RuntimeError> {
        for from in &other.tensors {
            let id = self.reserve(&from.name, from.dtype, &from.dims)?;
            match View::of(&from.block, from.dtype, from.dims.iter().product()) {
                View::F32(x) => self.elements_mut(id)?.copy_from_slice(x),
                View::F64(x) => self.elements_mut(id)?.copy_from_slice(x),
                View::I32(x) => self.elements_mut(id)?.copy_from_slice(x),
                View::I64(x) => self.elements_mut(id)?.copy_from_slice(x),
            }
        }
        Ok(())
    }

    pub(super) fn address(&self, id: TensorId) -> u64 {
        self.tensors[id.0].block.address()
    }
}
