//! Blocks of zeroed memory, aligned to cache lines, that never move. What of a block is never touched takes no memory.

use super::RuntimeError;
use super::memory::{LARGE_PAGE, use_large_pages};
use crate::ir::Data;
use crate::ir::{DType, Tensor};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Every block starts on a cache line.
const ALIGNMENT: usize = 64;
/// The greatest alignment for which the system gives fresh memory, zeroed when it is first touched; beyond it, a standard
/// allocation is filled with zeros by hand.
const SYSTEM_ALIGNMENT: usize = 16;
/// Blocks of so many bytes lie together, since large pages would not fit in one alone; smaller ones are worth none.
const TOGETHER: std::ops::Range<usize> = 256 << 10..2 * LARGE_PAGE;
/// Bytes of a region for several blocks.
const REGION: usize = 16 << 20;

/// Zeroed memory from the system, freed on drop.
struct Region {
    /// The first byte that is a multiple of the alignment asked for.
    start: NonNull<u8>,
    bytes: usize,
    allocated: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a region is memory and its place; access to it is given by the blocks that lie in it, apart from each other.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    fn new(bytes: usize, alignment: usize) -> Option<Region> {
        let layout = Layout::from_size_align(bytes.checked_add(alignment)?, SYSTEM_ALIGNMENT).ok()?;
        // SAFETY: the layout's size is not zero, for the alignment is not.
        let allocated = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        let before = allocated.addr().get().wrapping_neg() % alignment;
        // SAFETY: fewer bytes than the alignment, by which the allocation is longer.
        let start = unsafe { allocated.add(before) };
        use_large_pages(start.as_ptr(), bytes);
        Some(Region { start, bytes, allocated, layout })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `new`.
        unsafe { dealloc(self.allocated.as_ptr(), self.layout) }
    }
}

/// The region that blocks are put in together, while one of them lives, and how many of its bytes are taken.
static SHARED: Mutex<(Weak<Region>, usize)> = Mutex::new((Weak::new(), 0));

/// Bytes of a region that no block has had, and where they begin in it.
fn together(bytes: usize) -> Option<(Arc<Region>, usize)> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let (region, taken) = &mut *shared;
    let present = region.upgrade().filter(|region| region.bytes - *taken >= bytes);
    let present = match present {
        Some(present) => present,
        None => {
            let fresh = Arc::new(Region::new(REGION, LARGE_PAGE)?);
            (*region, *taken) = (Arc::downgrade(&fresh), 0);
            fresh
        }
    };
    let at = *taken;
    *taken = (at + bytes).next_multiple_of(ALIGNMENT);
    Some((present, at))
}

/// Memory of a fixed length and address, freed on drop.
pub(super) struct Block {
    start: NonNull<u8>,
    bytes: usize,
    /// What it lies in.
    _region: Arc<Region>,
}

// SAFETY: a block owns its memory and hands out access only through borrows of itself.
unsafe impl Send for Block {}
// SAFETY: as above: shared borrows only read.
unsafe impl Sync for Block {}

impl Block {
    pub fn new(bytes: u64) -> Result<Block, RuntimeError> {
        let refused = || RuntimeError::OutOfMemory(bytes);
        let bytes = usize::try_from(bytes.max(1)).map_err(|_| refused())?;
        let (region, at) = if TOGETHER.contains(&bytes) {
            together(bytes).ok_or_else(refused)?
        } else {
            let alignment = if bytes >= TOGETHER.end { LARGE_PAGE } else { ALIGNMENT };
            (Arc::new(Region::new(bytes, alignment).ok_or_else(refused)?), 0)
        };
        // SAFETY: the block ends within the region.
        let start = unsafe { region.start.add(at) };
        Ok(Block { start, bytes, _region: region })
    }

    /// The address, for compiled code.
    pub fn address(&self) -> u64 {
        self.start.as_ptr() as u64
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first elements.
    pub fn elements<T: Element>(&self, len: usize) -> &[T] {
        assert!(len * size_of::<T>() <= self.bytes());
        // SAFETY: the memory is initialized (zeroed, then only written as numbers), aligned to 64 bytes, long enough, and
        // every bit pattern is a number; it is borrowed with `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), len) }
    }

    pub fn elements_mut<T: Element>(&mut self, len: usize) -> &mut [T] {
        assert!(len * size_of::<T>() <= self.bytes());
        // SAFETY: as in `elements`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), len) }
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for i32 {}
    impl Sealed for i64 {}
}

/// A number as it lies in memory: every bit pattern is one.
pub trait Element: sealed::Sealed + Copy + 'static {
    const DTYPE: DType;
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
}

impl Element for f64 {
    const DTYPE: DType = DType::F64;
}

impl Element for i32 {
    const DTYPE: DType = DType::I32;
}

impl Element for i64 {
    const DTYPE: DType = DType::I64;
}

/// Elements in memory, by type.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum View<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    I32(&'a [i32]),
    I64(&'a [i64]),
}

impl View<'_> {
    pub(super) fn of(block: &Block, dtype: DType, len: usize) -> View<'_> {
        match dtype {
            DType::F32 => View::F32(block.elements(len)),
            DType::F64 => View::F64(block.elements(len)),
            DType::I64 => View::I64(block.elements(len)),
            DType::I32 | DType::Bool => View::I32(block.elements(len)),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            View::F32(x) => x.len(),
            View::F64(x) => x.len(),
            View::I32(x) => x.len(),
            View::I64(x) => x.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn dtype(&self) -> DType {
        match self {
            View::F32(_) => DType::F32,
            View::F64(_) => DType::F64,
            View::I32(_) => DType::I32,
            View::I64(_) => DType::I64,
        }
    }

    /// The address of the first element, for compiled code.
    pub(super) fn address(&self) -> u64 {
        match self {
            View::F32(x) => x.as_ptr() as u64,
            View::F64(x) => x.as_ptr() as u64,
            View::I32(x) => x.as_ptr() as u64,
            View::I64(x) => x.as_ptr() as u64,
        }
    }

    /// An element as f64.
    pub fn get(&self, k: usize) -> Option<f64> {
        match self {
            View::F32(x) => x.get(k).map(|v| f64::from(*v)),
            View::F64(x) => x.get(k).copied(),
            View::I32(x) => x.get(k).map(|v| f64::from(*v)),
            View::I64(x) => x.get(k).map(|v| *v as f64),
        }
    }

    /// A copy with the given dims.
    pub fn to_tensor(&self, dims: Vec<usize>) -> Tensor {
        let data = match self {
            View::F32(x) => Data::F32(x.to_vec()),
            View::F64(x) => Data::F64(x.to_vec()),
            View::I32(x) => Data::I32(x.to_vec()),
            View::I64(x) => Data::I64(x.to_vec()),
        };
        Tensor { dims, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_zeroed_and_of_their_length() {
        for bytes in [0, 1, 63, 64, 4097, 3 << 20, (5 << 20) + 1] {
            let mut block = Block::new(bytes).unwrap();
            assert!(block.address().is_multiple_of(ALIGNMENT as u64));
            assert_eq!(block.bytes() as u64, bytes.max(1));
            let elements = block.elements_mut::<f32>(bytes as usize / 4);
            assert!(elements.iter().all(|x| x.to_bits() == 0));
            elements.fill(1.0);
        }
    }

    #[test]
    fn blocks_that_lie_together_are_apart() {
        let sizes = [300 << 10, 1 << 20, (2 << 20) + 4, (3 << 20) + 12, 300 << 10, 4 << 20, 3 << 20, 3 << 20, 3 << 20];
        let mut blocks: Vec<Block> = sizes.iter().map(|bytes| Block::new(*bytes).unwrap()).collect();
        for (k, block) in blocks.iter_mut().enumerate() {
            let elements = block.elements_mut::<i32>(sizes[k] as usize / 4);
            assert!(elements.iter().all(|x| *x == 0), "block {k} is fresh");
            elements.fill(k as i32);
        }
        for (k, block) in blocks.iter().enumerate() {
            assert!(block.elements::<i32>(sizes[k] as usize / 4).iter().all(|x| *x == k as i32), "block {k}");
        }
        // Memory that was freed is not given out again without being zeroed.
        blocks.truncate(1);
        let again = Block::new(1 << 20).unwrap();
        assert!(again.elements::<i32>(1 << 18).iter().all(|x| *x == 0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_not_touched_takes_no_memory() {
        let resident = || {
            let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
            pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
        };
        let before = resident();
        let mut block = Block::new(1 << 30).unwrap();
        block.elements_mut::<f32>(1)[0] = 1.0;
        // Other tests run beside this one.
        assert!(resident() < before + (256 << 20), "{before} became {}", resident());
        assert_eq!(block.elements::<f32>(1), [1.0]);
    }
}
