//! Data sets: readers to a [`Table`], the division of its rows into parts, and batches of a part's rows.
//!
//! Input: files named by a `data` declaration. Output: dense columns in memory and row numbers. Nothing here knows the
//! `.dl` source; errors carry places in data files and get their span by [`DataError::at`].

pub mod batch;
pub mod csv;
mod declaration;
mod error;
mod file;
mod header;
pub mod npy;
pub mod safetensors;
mod schema;
mod shuffle;
mod source;
mod split;
mod table;

pub use batch::{Batches, Order, Position};
pub use declaration::source;
pub use error::{DataError, Place, Problem};
pub use file::{describe, read, replace};
pub use source::Source;
pub use split::{Part, Share, split};
pub use table::{Array, Column, Feature, FloatType, Lines, MATRIX, Origin, Table, Values};
