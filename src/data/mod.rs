//! Data sets: readers to a [`Table`], the division of its rows into parts, and batches of a part's rows.
//!
//! Input: files named by a `data` declaration. Output: dense columns in memory and row numbers. Nothing here knows the
//! `.dl` source; errors carry places in data files and get their span by [`DataError::at`].

mod arrays;
pub mod batch;
pub mod csv;
mod declaration;
mod element;
mod encoding;
mod error;
mod file;
mod gather;
mod header;
pub mod idx;
pub mod npy;
pub mod npz;
mod rows;
pub mod safetensors;
mod shuffle;
mod source;
mod split;
mod standardize;
mod stream;
mod table;
mod vocabulary;

pub use arrays::Choice;
pub use batch::{Batches, Order, Position};
pub use declaration::source;
pub use encoding::{ArrayForm, Encoding, Form};
pub use error::{DataError, Place, Problem};
pub use file::{Disk, Machine, describe, read, replace, replace_on};
pub use gather::{Element, Selected};
pub use rows::Rows;
pub use source::Source;
pub use split::{Part, Share, split, stratified};
pub use standardize::Standard;
pub use table::{Array, Column, FloatType, Lines, MATRIX, Origin, Table, Values};
pub use vocabulary::Vocabulary;
