//! Runs a step stage by stage: tasks, and tiles of them, shared among threads.
//!
//! Input: the stages of a step, as planned. Output: what runs in place of all its functions one after the other. Invariants: a
//! tile is computed by one thread, function after function, in scratch of its own for what only the chain touches; tiles
//! depend on sizes and on the number of threads, results on neither.

use super::soon::Stretch;
use super::table::TableLayout;
use super::{Options, planner, team};
use crate::ir::{Atom, Size};
use crate::schedule::program::Program;
use std::fmt::Write;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The rows that a call computes, in positions of the function's own loop, and the columns, where the function may be cut
/// along them.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Span {
    pub start: u64,
    pub end: u64,
    pub first: u64,
    /// At most as many as there are; may be beyond.
    pub last: u64,
    /// What the functions after this one read: so many stretches.
    pub soon: *const Stretch,
    pub soons: usize,
    /// The number of the stage if there are other spans of rows of the function, which nothing that it reads as a whole changes
    /// between them, else 0.
    pub stage: u64,
}

impl Span {
    /// All columns of some rows, nothing known of what comes after.
    fn of_rows(start: u64, end: u64) -> Span {
        Span { start, end, first: 0, last: i64::MAX as u64, soon: std::ptr::null(), soons: 0, stage: 0 }
    }
}

/// A function of the table and a span.
#[cfg(target_arch = "x86_64")]
pub(super) type Part = unsafe extern "sysv64" fn(*const u64, *const Span);
#[cfg(not(target_arch = "x86_64"))]
pub(super) type Part = unsafe extern "C" fn(*const u64, *const Span);

/// A function of the table.
pub(super) type Whole = unsafe extern "C" fn(*const u64);

/// The functions of a step.
#[derive(Clone, Copy)]
pub(super) struct Functions {
    pub whole: Whole,
    pub part: Option<Part>,
}

/// The value of a size, from the symbols in the table.
#[derive(Clone, Debug)]
pub(super) struct Count(Vec<(i64, Vec<usize>)>);

impl Count {
    pub fn new(size: &Size, layout: &TableLayout) -> Option<Count> {
        let mut terms = Vec::new();
        for (coefficient, atoms) in size.terms() {
            let mut words = Vec::new();
            for (atom, power) in atoms {
                let Atom::Symbol(symbol) = atom else { return None };
                let word = layout.symbol(symbol)?;
                words.extend((0..*power).map(|_| word));
            }
            terms.push((i64::try_from(coefficient).ok()?, words));
        }
        Some(Count(terms))
    }

    fn eval(&self, table: &[u64]) -> u64 {
        let term = |(c, words): &(i64, Vec<usize>)| words.iter().fold(*c, |n, w| n.wrapping_mul(table[*w] as i64));
        self.0.iter().map(term).fold(0i64, i64::wrapping_add).max(0) as u64
    }
}

/// A buffer of which a tile has its rows.
pub(super) struct Rows {
    /// The word of the table that has its address.
    pub word: usize,
    /// Elements of a row.
    pub row: Count,
    /// Bytes of an element.
    pub bytes: u64,
}

impl Rows {
    /// Bytes of a row.
    fn pitch(&self, table: &[u64]) -> u64 {
        self.row.eval(table) * self.bytes
    }
}

/// A buffer that a tile has to itself.
pub(super) struct Private {
    pub rows: Rows,
    /// Where its rows begin in a thread's scratch.
    pub at: usize,
}

pub(super) enum Task {
    /// One after the other, over all rows, from the step of this number on.
    Whole(usize, Vec<Whole>),
    Tiles {
        first: usize,
        parts: Vec<(Part, u64)>,
        rows: Count,
        tile: u64,
        private: Vec<Private>,
        /// What the parts after the first read, if that is a product.
        soon: Vec<Rows>,
    },
    /// All rows of some columns.
    Columns {
        first: usize,
        /// Each with whether its own loop runs over the columns.
        parts: Vec<(Part, bool)>,
        rows: Count,
        columns: Count,
        tile: u64,
    },
}

impl Task {
    fn tiles(&self, table: &[u64]) -> u64 {
        match self {
            Task::Whole(..) => 1,
            Task::Tiles { rows: extent, tile, .. } | Task::Columns { columns: extent, tile, .. } => {
                extent.eval(table).div_ceil(*tile)
            }
        }
    }

    fn text(&self, table: &[u64]) -> String {
        let steps = self.steps();
        let steps = match steps.len() {
            1 => format!("step {}", steps.start),
            _ => format!("steps {}-{}", steps.start, steps.end - 1),
        };
        let tiles = |tile: &u64, what: &str| format!("{steps} in {} tiles of {tile} {what}", self.tiles(table));
        match self {
            Task::Whole(..) => steps,
            Task::Tiles { tile, soon, .. } => match soon.len() {
                0 => tiles(tile, "rows"),
                buffers => format!("{}, {buffers} buffers asked for ahead", tiles(tile, "rows")),
            },
            Task::Columns { tile, .. } => tiles(tile, "columns"),
        }
    }

    /// The numbers of its steps.
    fn steps(&self) -> Range<usize> {
        match self {
            Task::Whole(first, functions) => *first..first + functions.len(),
            Task::Tiles { first, parts, .. } => *first..first + parts.len(),
            Task::Columns { first, parts, .. } => *first..first + parts.len(),
        }
    }
}

/// What becomes of the time that functions take: nothing is noted unless a step is profiled, at no cost then.
trait Watch: Sync {
    type Moment: Copy;
    fn now(&self) -> Self::Moment;
    /// Counts the time since a moment to a step; gives the present.
    fn count(&self, step: usize, since: Self::Moment) -> Self::Moment;
}

struct Unwatched;

impl Watch for Unwatched {
    type Moment = ();
    fn now(&self) {}
    fn count(&self, _: usize, (): ()) {}
}

/// Adds up the ticks of every step over all threads.
struct Ticks {
    now: fn() -> u64,
    spent: Vec<AtomicU64>,
}

impl Watch for Ticks {
    type Moment = u64;

    fn now(&self) -> u64 {
        (self.now)()
    }

    fn count(&self, step: usize, since: u64) -> u64 {
        let now = (self.now)();
        self.spent[step].fetch_add(now.saturating_sub(since), Ordering::Relaxed);
        now
    }
}

/// Tasks between two meetings of all threads.
pub(super) struct Stage {
    pub tasks: Vec<Task>,
    pub threads: usize,
}

/// What a thread has of its own.
struct Slot {
    table: Vec<u64>,
    scratch: Vec<Line>,
    soon: Vec<Stretch>,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

pub(super) struct Crew {
    stages: Vec<Stage>,
    slots: Mutex<Vec<Slot>>,
}

impl Crew {
    /// `None` if the functions may as well run one after the other.
    pub fn new(program: &Program, layout: &TableLayout, functions: &[Functions], options: &Options) -> Option<Crew> {
        let plan = planner::plan(program, layout, functions, options)?;
        let lines = plan.room.div_ceil(size_of::<Line>());
        let slot = || Slot { table: vec![0; layout.words()], scratch: vec![Line([0; 64]); lines], soon: Vec::new() };
        let slots = (0..options.threads.max(1)).map(|_| slot()).collect();
        Some(Crew { stages: plan.stages, slots: Mutex::new(slots) })
    }

    /// What runs at the same time and in which tiles, as text; the table has the values of the symbols.
    pub fn plan(&self, table: &[u64]) -> String {
        let mut text = String::new();
        for (k, stage) in self.stages.iter().enumerate() {
            let plural = if stage.threads == 1 { "" } else { "s" };
            let _ = write!(text, "stage {k} on {} thread{plural}:", stage.threads);
            for (k, task) in stage.tasks.iter().enumerate() {
                let _ = write!(text, "{} {}", if k == 0 { "" } else { ";" }, task.text(table));
            }
            text.push('\n');
        }
        text
    }

    /// Runs the whole step.
    ///
    /// # Safety
    /// As for the functions: the table must be laid out for them, and nothing else may touch its memory meanwhile.
    pub unsafe fn run(&self, table: &[u64]) {
        // SAFETY: passed on from the caller.
        unsafe { self.run_watched(table, &Unwatched) }
    }

    /// As [`Crew::run`]; adds to `spent` the ticks of each step, those of a shared one divided by the threads that share it.
    ///
    /// # Safety
    /// As for [`Crew::run`].
    pub unsafe fn profile(&self, table: &[u64], now: fn() -> u64, spent: &mut [u64]) {
        let watch = Ticks { now, spent: spent.iter().map(|_| AtomicU64::new(0)).collect() };
        // SAFETY: passed on from the caller.
        unsafe { self.run_watched(table, &watch) }
        for stage in &self.stages {
            for step in stage.tasks.iter().flat_map(Task::steps) {
                spent[step] += watch.spent[step].load(Ordering::Relaxed) / stage.threads as u64;
            }
        }
    }

    /// # Safety
    /// As for [`Crew::run`].
    unsafe fn run_watched<W: Watch>(&self, table: &[u64], watch: &W) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in slots.iter_mut() {
            slot.table.copy_from_slice(table);
        }
        let slots = Slots(slots.as_mut_ptr());
        for stage in &self.stages {
            let number = STAGES.fetch_add(1, Ordering::Relaxed);
            let run = |part: usize, worker: usize| {
                // SAFETY: there are as many slots as threads, and a worker's number is its own during a run.
                let slot = unsafe { &mut *slots.get(worker) };
                // SAFETY: passed on from the caller.
                unsafe { stage.run(number, part as u64, table, slot, watch) }
            };
            let parts = stage.tasks.iter().map(|t| t.tiles(table)).sum::<u64>() as usize;
            if stage.threads > 1 {
                team::run_numbered(stage.threads, parts, &run);
            } else {
                (0..parts).for_each(|part| run(part, 0));
            }
        }
    }
}

/// The number of the next stage that runs, of whichever crew.
static STAGES: AtomicU64 = AtomicU64::new(1);

struct Slots(*mut Slot);

impl Slots {
    fn get(&self, k: usize) -> *mut Slot {
        self.0.wrapping_add(k)
    }
}

// SAFETY: every thread takes only the slot of its own number.
unsafe impl Sync for Slots {}

impl Stage {
    /// Runs one part: a tile, or a task that is not cut, of the stage of this number.
    ///
    /// # Safety
    /// As for [`Crew::run`].
    unsafe fn run<W: Watch>(&self, number: u64, mut part: u64, table: &[u64], slot: &mut Slot, watch: &W) {
        for task in &self.tasks {
            let tiles = task.tiles(table);
            if part >= tiles {
                part -= tiles;
                continue;
            }
            match task {
                Task::Whole(first, functions) => {
                    let mut since = watch.now();
                    for (step, function) in (*first..).zip(functions) {
                        // SAFETY: passed on from the caller.
                        unsafe { function(table.as_ptr()) }
                        since = watch.count(step, since);
                    }
                }
                Task::Tiles { first, parts, rows, tile, private, soon } => {
                    let (start, end) = (part * tile, rows.eval(table).min((part + 1) * tile));
                    for p in private {
                        // Rows before the tile's lie, in number, before the scratch; no function touches them.
                        let base = slot.scratch.as_ptr() as u64 + p.at as u64;
                        slot.table[p.rows.word] = base.wrapping_sub(start * p.rows.pitch(table));
                    }
                    slot.soon.clear();
                    slot.soon.extend(soon.iter().map(|b| {
                        let pitch = b.pitch(table);
                        Stretch { start: table[b.word].wrapping_add(start * pitch), bytes: (end - start) * pitch }
                    }));
                    let mut since = watch.now();
                    for (step, (function, scale)) in (*first..).zip(parts) {
                        let mut span = Span::of_rows(start * scale, end * scale);
                        if step == *first {
                            (span.soon, span.soons) = (slot.soon.as_ptr(), slot.soon.len());
                            span.stage = if tiles > self.threads as u64 { number } else { 0 };
                        }
                        // SAFETY: the span is within the function's positions; tiles are apart, and what is private to
                        // a tile is in this thread's scratch, which has room for as many rows.
                        unsafe { function(slot.table.as_ptr(), &span) }
                        since = watch.count(step, since);
                    }
                }
                Task::Columns { first, parts, rows, columns, tile } => {
                    let last = columns.eval(table).min((part + 1) * tile);
                    let across = Span { first: part * tile, last, ..Span::of_rows(0, rows.eval(table)) };
                    let down = Span::of_rows(part * tile, last);
                    let mut since = watch.now();
                    for (step, (function, is_down)) in (*first..).zip(parts) {
                        let span = if *is_down { down } else { across };
                        // SAFETY: the span is within the function's rows and columns, and tiles are apart.
                        unsafe { function(table.as_ptr(), &span) }
                        since = watch.count(step, since);
                    }
                }
            }
            return;
        }
    }
}
