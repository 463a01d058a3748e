//! The right operand of a product packed as a whole, kept by a thread from one tile of rows to the next.
//!
//! Input: what the operand is, and in which stage. Output: room for it, and whether it is there. Invariant: what is there was
//! packed by this thread in the same stage of the same step, in which nothing writes operands.

use std::cell::RefCell;

/// Bytes of the largest operand that is kept: it stays in a second-level cache beside a tile.
const MOST: usize = 512 << 10;
/// Floats of a cache line.
const LINE: usize = 16;

/// An operand and how it is packed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The number of the stage, which no other has had.
    pub stage: u64,
    pub start: usize,
    /// From row to row and from column to column, in elements.
    pub strides: [isize; 2],
    pub rows: usize,
    pub columns: usize,
    /// Columns of a panel.
    pub width: usize,
    /// Bytes of an element.
    pub bytes: usize,
}

struct Room {
    floats: Vec<f32>,
    is: Option<Kept>,
}

thread_local! {
    static ROOM: RefCell<Room> = const { RefCell::new(Room { floats: Vec::new(), is: None }) };
}

impl Kept {
    /// The operand's place on this thread, at the start of a cache line, and whether it is there; `None` if it is too large.
    /// It is no one else's until the next call.
    pub fn place(self) -> Option<(*mut u8, bool)> {
        let panels = self.columns.div_ceil(self.width);
        let bytes = panels.checked_mul(self.width)?.checked_mul(self.rows)?.checked_mul(self.bytes)?;
        if bytes > MOST {
            return None;
        }
        ROOM.with_borrow_mut(|room| {
            if room.floats.is_empty() {
                room.floats = vec![0.0; MOST / size_of::<f32>() + LINE];
            }
            let is_there = room.is == Some(self);
            if !is_there {
                room.is = None;
            }
            let start = room.floats.as_mut_ptr();
            let start = start.wrapping_add(start.align_offset(LINE * size_of::<f32>()).min(LINE));
            Some((start.cast(), is_there))
        })
    }

    /// All of it is there now.
    pub fn is_packed(self) {
        ROOM.with_borrow_mut(|room| room.is = Some(self));
    }
}
