//! Runs a step wave by wave: chains of functions over tiles of rows, shared among threads.
//!
//! Input: a program's waves, and for each of its steps a function of all rows and, where there is one, of a span of rows.
//! Output: what runs in place of all functions one after the other. Invariants: a tile's rows are computed by one thread,
//! function after function, in scratch of its own for what only the chain touches; tiles depend on sizes and on the number
//! of threads, results on neither.

use super::table::TableLayout;
use super::{Options, team};
use crate::ir::{Atom, Size};
use crate::schedule::cost::BYTES_A_NS;
use crate::schedule::program::{Program, Work, element_bytes};
use crate::schedule::waves::{Chain, shared_loop};
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

/// Bytes of a tile that stay in a second-level cache beside what the tiles share.
const TILE_BYTES: u64 = 512 << 10;
/// Bytes a nanosecond that a thread reads of what another has just written, about.
const PASSED_A_NS: f64 = 10.0;
/// How many times longer a tile takes than reading what all tiles read, at least.
const MOST_REREAD: f64 = 4.0;
/// Tiles that each thread has of what is most of a stage: enough to share evenly.
const TILES_A_THREAD: u64 = 4;
/// Tiles of rows that are lanes begin at multiples of this: the lanes of the widest vector.
const LANES: u64 = 16;

/// The value of a size, from the symbols in the table.
#[derive(Clone, Debug)]
struct Count(Vec<(i64, Vec<usize>)>);

impl Count {
    fn new(size: &Size, layout: &TableLayout) -> Option<Count> {
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

/// A buffer of which a tile has rows of its own.
struct Private {
    word: usize,
    /// Where its rows begin in a thread's scratch.
    at: usize,
    row: Count,
    bytes: u64,
}

enum Task {
    /// One after the other, over all rows, from the step of this number on.
    Whole(usize, Vec<Whole>),
    Tiles {
        first: usize,
        parts: Vec<(Part, u64)>,
        rows: Count,
        tile: u64,
        private: Vec<Private>,
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
            Task::Tiles { tile, .. } => tiles(tile, "rows"),
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
struct Stage {
    tasks: Vec<Task>,
    threads: usize,
}

/// What a thread has of its own.
struct Slot {
    table: Vec<u64>,
    scratch: Vec<Line>,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

pub(super) struct Crew {
    stages: Vec<Stage>,
    slots: Mutex<Vec<Slot>>,
}

/// Nanoseconds that a step takes, about, at capacity.
fn time(program: &Program, step: usize) -> f64 {
    program.nanoseconds(&program.steps[step])
}

/// Whether a kernel is cut along its columns too.
pub(super) fn is_by_columns(program: &Program, step: usize) -> bool {
    let mut chains = program.waves.iter().flat_map(|wave| &wave.chains).filter(|c| c.row_steps().contains(&step));
    chains.any(|chain| chain.columns.iter().any(|range| range.contains(&step)))
}

/// Whether a step is worth a function of spans.
pub(super) fn is_worth_parts(program: &Program, step: usize, fork_ns: u64) -> bool {
    let wave = program.waves.iter().find(|w| w.steps().contains(&step));
    wave.is_some_and(|w| w.steps().map(|s| time(program, s)).sum::<f64>() > fork_ns as f64)
}

impl Crew {
    /// `None` if the functions may as well run one after the other.
    pub fn new(program: &Program, layout: &TableLayout, functions: &[Functions], options: &Options) -> Option<Crew> {
        let (threads, fork) = (options.threads.max(1), options.fork_ns as f64);
        let (mut stages, mut room, mut worth) = (Vec::new(), 0usize, false);
        for wave in &program.waves {
            let spent: f64 = wave.steps().map(|s| time(program, s)).sum();
            // What threads write others read afterwards, from caches that are not theirs.
            let written: u64 = wave.steps().map(|s| program.cost(&program.steps[s]).written).sum();
            let others = 1.0 - 1.0 / threads as f64;
            let saves = threads > 1 && others * (spent - written as f64 / PASSED_A_NS) > 2.0 * fork;
            let threads = if saves { threads } else { 1 };
            let mut planner = Planner { program, layout, functions, threads, fork, spent, apart: false };
            // A step without a function of spans cuts its chain: each piece has a stage.
            let mut chains: Vec<Vec<Chain>> = wave.chains.iter().map(|c| planner.pieces(c)).collect();
            if saves && chains.iter().flatten().any(|piece| planner.is_bound(piece)) {
                planner.apart = true;
                chains = wave.chains.iter().map(|c| planner.pieces(c)).collect();
            }
            for k in 0..chains.iter().map(Vec::len).max().unwrap_or(0) {
                let mut tasks: Vec<(f64, Task)> = Vec::new();
                let mut needed = 0;
                let stage: Vec<&Chain> = chains.iter().filter_map(|pieces| pieces.get(k)).collect();
                planner.spent = stage.iter().map(|piece| planner.spent(piece)).sum();
                for piece in stage {
                    let (task, bytes) = planner.task(piece);
                    needed = needed.max(bytes);
                    let tiled = !matches!(&task, Task::Whole(..));
                    worth |= tiled;
                    tasks.push((piece.steps().map(|s| time(program, s)).sum(), task));
                }
                room = room.max(needed);
                // The longest first.
                tasks.sort_by(|a, b| b.0.total_cmp(&a.0));
                stages.push(Stage { tasks: tasks.into_iter().map(|(_, t)| t).collect(), threads: planner.threads });
            }
            worth |= saves && wave.chains.len() > 1;
        }
        if !worth {
            return None;
        }
        let lines = room.div_ceil(size_of::<Line>());
        let slot = || Slot { table: vec![0; layout.words()], scratch: vec![Line([0; 64]); lines] };
        Some(Crew { stages, slots: Mutex::new((0..threads).map(|_| slot()).collect()) })
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
            let run = |part: usize, worker: usize| {
                // SAFETY: there are as many slots as threads, and a worker's number is its own during a run.
                let slot = unsafe { &mut *slots.get(worker) };
                // SAFETY: passed on from the caller.
                unsafe { stage.run(part as u64, table, slot, watch) }
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

struct Slots(*mut Slot);

impl Slots {
    fn get(&self, k: usize) -> *mut Slot {
        self.0.wrapping_add(k)
    }
}

// SAFETY: every thread takes only the slot of its own number.
unsafe impl Sync for Slots {}

impl Stage {
    /// Runs one part: a tile, or a task that is not cut.
    ///
    /// # Safety
    /// As for [`Crew::run`].
    unsafe fn run<W: Watch>(&self, mut part: u64, table: &[u64], slot: &mut Slot, watch: &W) {
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
                Task::Tiles { first, parts, rows, tile, private } => {
                    let (start, end) = (part * tile, rows.eval(table).min((part + 1) * tile));
                    for p in private {
                        // Rows before the tile's lie, in number, before the scratch; no function touches them.
                        let base = slot.scratch.as_ptr() as u64 + p.at as u64;
                        slot.table[p.word] = base.wrapping_sub(start * p.row.eval(table) * p.bytes);
                    }
                    let mut since = watch.now();
                    for (step, (function, scale)) in (*first..).zip(parts) {
                        let span = Span { start: start * scale, end: end * scale, first: 0, last: i64::MAX as u64 };
                        // SAFETY: the span is within the function's positions; tiles are apart, and what is private to
                        // a tile is in this thread's scratch, which has room for as many rows.
                        unsafe { function(slot.table.as_ptr(), &span) }
                        since = watch.count(step, since);
                    }
                }
                Task::Columns { first, parts, rows, columns, tile } => {
                    let last = columns.eval(table).min((part + 1) * tile);
                    let across = Span { start: 0, end: rows.eval(table), first: part * tile, last };
                    let down = Span { start: part * tile, end: last, first: 0, last: i64::MAX as u64 };
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

struct Planner<'a> {
    program: &'a Program,
    layout: &'a TableLayout,
    functions: &'a [Functions],
    threads: usize,
    /// Nanoseconds of a fork and a join of the team.
    fork: f64,
    /// Nanoseconds of the wave; of the stage, once its pieces are known.
    spent: f64,
    /// Whether every step is shared by itself, since tiles of a chain would read the same weights too often.
    apart: bool,
}

impl Planner<'_> {
    /// A chain cut where a step has only a function of all rows, and where tiles change from rows to columns.
    fn pieces(&self, chain: &Chain) -> Vec<Chain> {
        let whole = |s: usize| chain.rows.is_none() || self.functions[s].part.is_none();
        let by_columns =
            |s: usize| chain.columns.iter().find(|range| range.contains(&s) && (*range).clone().all(|s| !whole(s)));
        let mut pieces: Vec<Chain> = Vec::new();
        for (s, scale) in chain.steps().zip(&chain.scales) {
            let is_down = !chain.row_steps().contains(&s);
            let mut columns: Vec<_> = by_columns(s).cloned().into_iter().collect();
            if is_down && (columns.is_empty() || self.apart) {
                // Its rows are the columns.
                let rows = match &self.program.steps[s].work {
                    Work::Kernel(kernel) if !whole(s) => shared_loop(kernel).map(|l| kernel.extent(l.axis).clone()),
                    _ => None,
                };
                columns.clear();
                pieces.push(Chain { first: s, scales: vec![1], rows, private: Vec::new(), columns, down: 0 });
                continue;
            }
            let (rows, down) = (chain.rows.clone().filter(|_| !whole(s)), usize::from(is_down));
            match pieces.last_mut() {
                Some(piece) if piece.rows == rows && piece.columns == columns && !self.apart => {
                    piece.scales.push(*scale);
                    piece.down += down;
                }
                _ => pieces.push(Chain { first: s, scales: vec![*scale], rows, private: Vec::new(), columns, down }),
            }
        }
        for piece in pieces.iter_mut().filter(|p| p.rows.is_some()) {
            let outside = chain.steps().filter(|s| !piece.steps().contains(s));
            let touched: Vec<_> = outside.flat_map(|s| self.program.touches(&self.program.steps[s])).collect();
            let own: Vec<_> = piece.steps().flat_map(|s| self.program.touches(&self.program.steps[s])).collect();
            let kept = chain.private.iter().filter(|(b, _)| own.contains(b) && !touched.contains(b));
            piece.private = kept.cloned().collect();
        }
        pieces
    }

    fn spent(&self, chain: &Chain) -> f64 {
        chain.steps().map(|s| time(self.program, s)).sum()
    }

    /// Whether a piece of a chain is most of its wave and is not worth a tile for every thread.
    fn is_bound(&self, chain: &Chain) -> bool {
        let shared = self.program.footprint(chain).shared;
        chain.rows.is_some()
            && chain.columns.is_empty()
            && self.spent(chain) > 0.5 * self.spent
            && self.wanted(chain, shared) < self.threads as u64
    }

    /// Into how many tiles a piece of a chain is cut for the threads: enough to share evenly, each worth more than its
    /// start and than reading what all tiles read.
    fn wanted(&self, chain: &Chain, shared: u64) -> u64 {
        let spent = self.spent(chain);
        let fewest = (self.fork / 2.0).max(MOST_REREAD * shared as f64 / BYTES_A_NS).max(1.0);
        // Beside others, smaller ones, which fill up what those leave.
        let alone = spent > 0.75 * self.spent;
        let each = if alone { TILES_A_THREAD } else { 2 * TILES_A_THREAD };
        let even = (spent / self.spent * (each * self.threads as u64) as f64).ceil();
        let wanted = even.min(spent / fewest).max(1.0) as u64;
        let threads = self.threads as u64;
        // With little else to fill up with, as many for each thread.
        if wanted > threads && alone { wanted / threads * threads } else { wanted }
    }

    /// The task of a piece of a chain, and the bytes of scratch it needs.
    fn task(&self, chain: &Chain) -> (Task, usize) {
        let tiles = || self.tiles(chain).filter(|_| chain.down == 0);
        self.columns(chain).or_else(tiles).unwrap_or_else(|| {
            let functions = chain.steps().map(|s| self.functions[s].whole).collect();
            (Task::Whole(chain.first, functions), 0)
        })
    }

    /// Tiles of columns, if a piece is cut by them.
    fn columns(&self, chain: &Chain) -> Option<(Task, usize)> {
        chain.columns.first()?;
        if self.threads == 1 && self.program.footprint(chain).shared < TILE_BYTES {
            return None;
        }
        let Work::Product(product) = &self.program.steps[chain.first].work else { return None };
        let most = product.n.eval(&self.program.capacity).ok()?.max(1);
        let (rows, columns) = (Count::new(&product.m, self.layout)?, Count::new(&product.n, self.layout)?);
        let is_down = |s: usize| !chain.row_steps().contains(&s);
        let parts = chain.steps().map(|s| Some((self.functions[s].part?, is_down(s)))).collect::<Option<Vec<_>>>()?;
        let tile = most.div_ceil(TILES_A_THREAD * self.threads as u64).next_multiple_of(2 * LANES);
        Some((Task::Columns { first: chain.first, parts, rows, columns, tile }, 0))
    }

    fn tiles(&self, chain: &Chain) -> Option<(Task, usize)> {
        let product = |s: usize| matches!(self.program.steps[s].work, Work::Product(_));
        if self.apart && chain.steps().any(product) {
            // It calls the team itself.
            return None;
        }
        let capacity = &self.program.capacity;
        let most = chain.rows.as_ref()?.eval(capacity).ok()?.max(1);
        let rows = Count::new(chain.rows.as_ref()?, self.layout)?;
        // A tile is as large as the caches allow, and larger where it reads many weights.
        let footprint = self.program.footprint(chain);
        let fits = TILE_BYTES.max(footprint.shared) / footprint.row.max(1);
        let cached = if chain.scales.len() > 1 { most.div_ceil(fits.max(1)) } else { 1 };
        let wanted = if self.threads > 1 { self.wanted(chain, footprint.shared) } else { 1 };
        let parts = cached.max(wanted).min(most);
        if parts == 1 {
            return None;
        }
        let tile = most.div_ceil(parts);
        let lanes = |(s, scale): (usize, &u64)| match &self.program.steps[s].work {
            Work::Kernel(kernel) => *scale == 1 && shared_loop(kernel).is_some_and(|l| l.vector),
            Work::Product(_) | Work::Order(_) => false,
        };
        let in_lanes = chain.steps().zip(&chain.scales).any(lanes);
        let tile = if in_lanes && tile >= 4 * LANES { tile.next_multiple_of(LANES) } else { tile };
        let (mut private, mut room) = (Vec::new(), 0usize);
        for (buffer, row) in &chain.private {
            let bytes = element_bytes(self.program.buffer(*buffer).elem);
            let needed = match row.as_constant() {
                Some(0) => self.program.buffer(*buffer).elements().eval(capacity).ok()?,
                _ => row.eval(capacity).ok()?.checked_mul(tile)?,
            };
            let needed = usize::try_from(needed.checked_mul(bytes)?).ok()?.next_multiple_of(64);
            let word = self.layout.buffer(*buffer);
            private.push(Private { word, at: room, row: Count::new(row, self.layout)?, bytes });
            room += needed;
        }
        let parts = chain.steps().zip(&chain.scales).map(|(s, k)| Some((self.functions[s].part?, *k)));
        let parts = parts.collect::<Option<Vec<_>>>()?;
        Some((Task::Tiles { first: chain.first, parts, rows, tile, private }, room))
    }
}
