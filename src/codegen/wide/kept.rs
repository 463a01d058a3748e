//! Where panels of a right operand are packed: in a thread's workspace one after the other, or all of them side by side, kept by
//! the thread from one tile of rows to the next.
//!
//! Input: what the operand is, and in which stage. Output: room for a panel, and whether it is there. Invariant: what is there
//! was packed by this thread in the same stage of the same step, in which nothing writes operands.

use super::element::Element;
use super::pack::Matrix;
use crate::codegen::team;
use std::cell::RefCell;
use std::ops::Range;

/// Bytes of the largest operand that is kept: it stays in a second-level cache beside a tile.
const MOST: usize = 512 << 10;
/// Floats of a cache line.
const LINE: usize = 16;

/// An operand and how it is packed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kept {
    /// The number of the stage, which no other has had.
    stage: u64,
    start: usize,
    /// From row to row and from column to column, in elements.
    strides: [isize; 2],
    rows: usize,
    columns: usize,
    /// Columns of a panel.
    width: usize,
    /// Bytes of an element.
    bytes: usize,
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
    fn place(self) -> Option<(*mut u8, bool)> {
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
}

/// The packed panels of some columns of a right operand, this thread's until it packs others.
pub struct Panels<T> {
    /// The number of the first column.
    first: usize,
    /// Rows of the operand, and columns of a panel.
    rows: usize,
    width: usize,
    /// The operand if all of it is kept, its place, and whether it is there.
    kept: Option<(Kept, *mut T, bool)>,
}

impl<T: Element> Panels<T> {
    /// Panels of so many columns each, of an operand of so many rows, given from the first of these columns on; kept in a stage if
    /// one is given.
    pub fn new(right: Matrix<T>, rows: usize, columns: &Range<usize>, width: usize, stage: Option<u64>) -> Panels<T> {
        let kept = stage.and_then(|stage| {
            let (start, strides) = (right.start.addr(), [right.row, right.column]);
            let kept = Kept { stage, start, strides, rows, columns: columns.len(), width, bytes: T::BYTES };
            let (place, is_there) = kept.place()?;
            Some((kept, place.cast(), is_there))
        });
        Panels { first: columns.start, rows, width, kept }
    }

    /// The place of the panel of this first column from a row on, and whether it is there.
    pub fn place(&self, row: usize, column: usize) -> (*mut T, bool) {
        match self.kept {
            // One panel after the other, each with all of its rows.
            Some((_, place, is_there)) => {
                (place.wrapping_add((column - self.first) * self.rows + row * self.width), is_there)
            }
            None => (team::workspace().cast(), false),
        }
    }

    /// A panel from a row on, if it is there.
    pub fn there(&self, row: usize, column: usize) -> Option<Matrix<T>> {
        let (place, is_there) = self.place(row, column);
        is_there.then(|| Matrix { start: place.cast_const(), row: self.width as isize, column: 1 })
    }

    /// All of them are packed now.
    pub fn are_packed(self) {
        if let Some((kept, _, false)) = self.kept {
            ROOM.with_borrow_mut(|room| room.is = Some(kept));
        }
    }
}
