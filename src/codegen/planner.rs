//! Which tasks a step is made of: stages, the threads each is worth, and tiles of rows or of columns.
//!
//! Input: a program with its waves, and the functions there are of its steps. Output: a [`Plan`] for the crew. Invariant: what
//! is cut, and where, depends on sizes and on the number of threads, and changes no bit.

use super::Options;
use super::crew::{Count, Functions, Private, Rows, Stage, Task};
use super::product::rows_at_once;
use super::table::TableLayout;
use crate::ir::Size;
use crate::schedule::hardware::{BYTES_A_NS, LANES, PASSED_A_NS};
use crate::schedule::program::{BufferId, Product, Program, Work, element_bytes};
use crate::schedule::waves::{Chain, Wave, shared_loop};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a tile that stay in a second-level cache beside what the tiles share.
const TILE_BYTES: u64 = 512 << 10;
/// A step is shared if that saves the time of so many forks, at least: the first of them finds other caches cold.
const FEWEST_FORKS: f64 = 7.0;
/// How many times longer a tile takes than reading what all tiles read, at least.
const MOST_REREAD: f64 = 4.0;
/// Tiles that each thread has of what is most of a stage: enough to share evenly.
const TILES_A_THREAD: u64 = 4;

/// What a crew runs.
pub(super) struct Plan {
    pub stages: Vec<Stage>,
    /// Bytes of scratch that a thread needs.
    pub room: usize,
}

/// The kernels that are cut along their columns too.
pub(super) fn by_columns(program: &Program) -> BTreeSet<usize> {
    let chains = program.waves.iter().flat_map(|wave| &wave.chains);
    let of =
        |chain: &Chain| chain.columns.iter().cloned().flatten().filter(|s| chain.row_steps().contains(s)).collect();
    chains.flat_map::<Vec<usize>, _>(of).collect()
}

/// Of each step, whether it is worth a function of spans.
pub(super) fn worth_parts(program: &Program, fork_ns: u64) -> Vec<bool> {
    let mut worth = vec![false; program.steps.len()];
    for wave in &program.waves {
        let spent: f64 = program.steps[wave.steps()].iter().map(|step| program.nanoseconds(step)).sum();
        worth[wave.steps()].fill(spent > fork_ns as f64);
    }
    worth
}

/// Nanoseconds saved by sharing a wave among the threads, about.
fn gain(program: &Program, wave: &Wave, times: &[f64], options: &Options) -> f64 {
    let spent: f64 = times[wave.steps()].iter().sum();
    // What threads write others read afterwards, from caches that are not theirs.
    let written: u64 = wave.steps().map(|s| program.cost(&program.steps[s]).written).sum();
    let others = 1.0 - 1.0 / options.threads.max(1) as f64;
    others * (spent - written as f64 / PASSED_A_NS) - 2.0 * options.fork_ns as f64
}

/// `None` if the functions may as well run one after the other.
pub(super) fn plan(
    program: &Program,
    layout: &TableLayout,
    functions: &[Functions],
    options: &Options,
) -> Option<Plan> {
    let fork = options.fork_ns as f64;
    let (mut stages, mut room, mut worth) = (Vec::new(), 0usize, false);
    let times: Vec<f64> = program.steps.iter().map(|step| program.nanoseconds(step)).collect();
    let gains: Vec<f64> = program.waves.iter().map(|wave| gain(program, wave, &times, options)).collect();
    let gained: f64 = gains.iter().filter(|gain| **gain > 0.0).sum();
    let threads = if gained > FEWEST_FORKS * fork { options.threads.max(1) } else { 1 };
    for (wave, gain) in program.waves.iter().zip(gains) {
        let spent: f64 = times[wave.steps()].iter().sum();
        let saves = threads > 1 && gain > 0.0;
        let threads = if saves { threads } else { 1 };
        let times = times.as_slice();
        let block = rows_at_once(options.cpu);
        let mut planner = Planner { program, layout, functions, times, threads, block, fork, spent, apart: false };
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
                tasks.push((planner.spent(piece), task));
            }
            room = room.max(needed);
            // The longest first.
            tasks.sort_by(|a, b| b.0.total_cmp(&a.0));
            stages.push(Stage { tasks: tasks.into_iter().map(|(_, t)| t).collect(), threads: planner.threads });
        }
        worth |= saves && wave.chains.len() > 1;
    }
    worth.then_some(Plan { stages, room })
}

struct Planner<'a> {
    program: &'a Program,
    layout: &'a TableLayout,
    functions: &'a [Functions],
    /// Nanoseconds of each step, about, at capacity.
    times: &'a [f64],
    threads: usize,
    /// Rows of a product that are computed at once.
    block: u64,
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
        // A buffer that several pieces touch is no tile's own.
        let mut users: BTreeMap<BufferId, BTreeSet<usize>> = BTreeMap::new();
        for (k, piece) in pieces.iter().enumerate() {
            for b in self.program.steps[piece.steps()].iter().flat_map(|step| self.program.touches(step)) {
                users.entry(b).or_default().insert(k);
            }
        }
        for (buffer, row) in &chain.private {
            let alone = users.get(buffer).filter(|of| of.len() == 1).and_then(|of| of.first());
            if let Some(piece) = alone.map(|k| &mut pieces[*k]).filter(|piece| piece.rows.is_some()) {
                piece.private.push((*buffer, row.clone()));
            }
        }
        pieces
    }

    fn spent(&self, chain: &Chain) -> f64 {
        self.times[chain.steps()].iter().sum()
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
        // Tiles begin at full vectors, or at whole blocks of rows of the product they begin with.
        let unit = match in_lanes {
            true => LANES,
            false if product(chain.first) => self.block,
            false => 1,
        };
        let tile = if tile >= 4 * unit { tile.next_multiple_of(unit) } else { tile };
        let (mut private, mut room) = (Vec::new(), 0usize);
        for (buffer, row) in &chain.private {
            let bytes = element_bytes(self.program.buffer(*buffer).elem);
            let needed = match row.as_constant() {
                Some(0) => self.program.buffer(*buffer).elements().eval(capacity).ok()?,
                _ => row.eval(capacity).ok()?.checked_mul(tile)?,
            };
            let needed = usize::try_from(needed.checked_mul(bytes)?).ok()?.next_multiple_of(64);
            let word = self.layout.buffer(*buffer);
            private.push(Private { rows: Rows { word, row: Count::new(row, self.layout)?, bytes }, at: room });
            room += needed;
        }
        let parts = chain.steps().zip(&chain.scales).map(|(s, k)| Some((self.functions[s].part?, *k)));
        let parts = parts.collect::<Option<Vec<_>>>()?;
        let soon = self.read_soon(chain).unwrap_or_default();
        Some((Task::Tiles { first: chain.first, parts, rows, tile, private, soon }, room))
    }

    /// What the steps after the first read row by row, if that is a product over the rows of both its operands, as those of
    /// gradients are, and they are none.
    fn read_soon(&self, chain: &Chain) -> Option<Vec<Rows>> {
        let (first, after) = self.program.steps[chain.row_steps()].split_first()?;
        let one = Size::constant(1);
        let asks = |p: &Product| p.lhs.row_stride == one && p.rhs.column_stride == one && p.m != one && p.n != one;
        if !matches!(&first.work, Work::Product(p) if asks(p))
            || after.iter().any(|step| matches!(step.work, Work::Product(_)))
        {
            return None;
        }
        let mut rows: BTreeMap<BufferId, Size> = BTreeMap::new();
        for (step, scale) in after.iter().zip(&chain.scales[1..]) {
            for (buffer, row) in self.program.rows_read(step) {
                rows.insert(buffer, &row * &Size::constant(*scale));
            }
        }
        // What the product writes is near.
        let near = self.program.touches(first);
        rows.retain(|buffer, _| !near.contains(buffer));
        let of = |(buffer, row): (&BufferId, &Size)| {
            let bytes = element_bytes(self.program.buffer(*buffer).elem);
            Some(Rows { word: self.layout.buffer(*buffer), row: Count::new(row, self.layout)?, bytes })
        };
        rows.iter().map(of).collect()
    }
}
