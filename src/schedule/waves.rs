//! Waves: which steps may run at the same time, and which may run tile by tile over rows.
//!
//! Before: `x·W; relu; ·V; loss; …; xᵀ·δ; adam`, one step after the other, each over all rows.
//! After: a wave of one chain `x·W; relu; ·V; loss; …` over the rows of the batch, then a wave of the chains `xᵀ·δ; adam`, one a
//! weight, each over the rows of its weight: a tile of activations, or of a gradient, is read while it is in cache. What
//! goes through columns, as the mean of a batch does, follows the product that made them (`columns`).
//!
//! Input: steps in an order that computes the graph. Output: the same steps, ordered by waves. Invariants: steps of different
//! chains of a wave touch nothing that one of them writes; a chain's steps, run for some rows, need of the steps before them
//! what these computed for the same rows; no sum is cut, so tiles, threads and the order of chains change no bit.

use super::kernel::{AxisId, Expr, Index, Kernel, Loop, ScalarOp, Stmt, ValueId};
use super::memory::{accesses, buffer_bytes};
use super::program::{Buffer, BufferId, Operand, Options, Place, Product, Program, Step, Work};
use crate::ir::Size;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Chains that are independent of each other. All of a wave is done before the next begins.
#[derive(Clone, PartialEq, Debug)]
pub struct Wave {
    pub chains: Vec<Chain>,
}

impl Wave {
    /// The numbers of all steps.
    pub fn steps(&self) -> Range<usize> {
        match (self.chains.first(), self.chains.last()) {
            (Some(first), Some(last)) => first.first..last.steps().end,
            _ => 0..0,
        }
    }
}

/// Consecutive steps.
#[derive(Clone, PartialEq, Debug)]
pub struct Chain {
    /// The number of the first step.
    pub first: usize,
    /// For each step, how many positions of its outermost loop, or rows of its product, make a row of the chain.
    pub scales: Vec<u64>,
    /// The rows, if the steps may be run for some rows after others.
    pub rows: Option<Size>,
    /// Buffers of the arena that nothing else touches, with the elements of a row; none if every row overwrites them.
    pub private: Vec<(BufferId, Size)>,
    /// Steps better cut by columns than by rows, by number: products of matrices too large to be read again for every tile of
    /// rows, each with the kernels that follow it column by column.
    pub columns: Vec<Range<usize>>,
    /// How many of the last steps are kernels that run over the columns of the chain's last product, each over all rows: sums
    /// of a batch. They are cut by columns with it, or by themselves.
    pub down: usize,
}

impl Chain {
    pub fn steps(&self) -> Range<usize> {
        self.first..self.first + self.scales.len()
    }

    /// The steps whose rows are the chain's.
    pub fn row_steps(&self) -> Range<usize> {
        self.first..self.first + self.scales.len() - self.down
    }
}

/// The bytes a chain works on, at capacity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Footprint {
    /// Those of a row that more than one step touches.
    pub row: u64,
    /// Those that every tile reads: weights.
    pub shared: u64,
}

impl Program {
    /// What a chain works on, row by row.
    pub fn footprint(&self, chain: &Chain) -> Footprint {
        let mut found = Footprint::default();
        let rows = chain.rows.as_ref().and_then(|r| r.eval(&self.capacity).ok()).unwrap_or(1).max(1);
        let steps = &self.steps[chain.row_steps()];
        let mut users: BTreeMap<BufferId, Vec<&Step>> = BTreeMap::new();
        for step in steps {
            self.touches(step).into_iter().for_each(|b| users.entry(b).or_default().push(step));
        }
        for (b, users) in users {
            let bytes = buffer_bytes(self.buffer(b), &self.capacity).unwrap_or(u64::MAX);
            // A product's left operand that lies the other way round is read by rows all the same.
            let turned = |step: &Step| matches!(&step.work, Work::Product(p) if p.lhs.buffer == b && p.rhs.buffer != b);
            if !users.iter().all(|step| turned(step) || pitch(step, b).is_some()) {
                found.shared = found.shared.saturating_add(bytes);
            } else if users.len() > 1 {
                found.row = found.row.saturating_add(bytes / rows);
            }
        }
        found
    }

    /// The buffers that a step reads of which every position has elements of its own, and how many.
    pub fn rows_read(&self, step: &Step) -> Vec<(BufferId, Size)> {
        accesses(step).0.into_iter().filter_map(|b| Some((b, pitch(step, b)?))).collect()
    }

    /// The buffers that a step reads or writes.
    pub fn touches(&self, step: &Step) -> BTreeSet<BufferId> {
        let (reads, writes) = accesses(step);
        reads.union(&writes).copied().collect()
    }
}

/// The only loop of a kernel, if its other statements define values: its positions may be shared.
pub fn shared_loop(kernel: &Kernel) -> Option<&Loop> {
    match kernel.body.split_last()? {
        (Stmt::Loop(l), rest) if rest.iter().all(|s| matches!(s, Stmt::Let(_))) && !l.ordered => Some(l),
        _ => None,
    }
}

/// The loop over columns of a kernel that may be cut along them: the only statement besides values in its shared loop.
pub fn column_loop(kernel: &Kernel) -> Option<&Loop> {
    let mut loops = shared_loop(kernel)?.body.iter().filter(|s| !matches!(s, Stmt::Let(_)));
    match (loops.next(), loops.next()) {
        (Some(Stmt::Loop(l)), None)
            if l.vector && l.body.iter().all(|s| matches!(s, Stmt::Let(_) | Stmt::Store(_))) =>
        {
            Some(l)
        }
        _ => None,
    }
}

/// What a step touches, and how it may be cut.
struct Facts {
    reads: BTreeSet<BufferId>,
    writes: BTreeSet<BufferId>,
    /// Positions that may be computed one after the other or at the same time.
    extent: Option<Size>,
    /// Buffers that every position overwrites, for itself alone.
    scratch: BTreeSet<BufferId>,
}

/// By buffer, the step that wrote it last and those that have read it since.
struct Uses {
    writer: Vec<Option<usize>>,
    readers: Vec<Vec<usize>>,
}

impl Uses {
    /// The steps that must be done before a step; takes note of what it touches.
    fn before(&mut self, s: usize, facts: &Facts) -> BTreeSet<usize> {
        let mut before = BTreeSet::new();
        for b in facts.reads.iter().chain(&facts.writes) {
            before.extend(self.writer[b.index()]);
        }
        for b in &facts.writes {
            before.append(&mut std::mem::take(&mut self.readers[b.index()]).into_iter().collect());
            self.writer[b.index()] = Some(s);
        }
        for b in facts.reads.difference(&facts.writes) {
            self.readers[b.index()].push(s);
        }
        before
    }
}

/// A chain in the making: steps with their scales.
struct Draft {
    steps: Vec<(usize, u64)>,
    /// By buffer, which of the steps touch it.
    users: BTreeMap<BufferId, Vec<usize>>,
    rows: Option<Size>,
    down: usize,
}

impl Draft {
    fn push(&mut self, s: usize, scale: u64, facts: &Facts) {
        for b in facts.reads.union(&facts.writes) {
            self.users.entry(*b).or_default().push(self.steps.len());
        }
        self.steps.push((s, scale));
    }

    /// The steps that touch a buffer, with their scales.
    fn users(&self, buffer: &BufferId) -> impl Iterator<Item = (usize, u64)> {
        self.users.get(buffer).into_iter().flatten().map(|k| self.steps[*k])
    }
}

/// Cuts steps into waves; gives them in the order of their waves and chains.
pub(crate) fn waves(steps: Vec<Step>, buffers: &[Buffer], options: &Options) -> (Vec<Step>, Vec<Wave>) {
    let facts = facts(&steps, buffers);
    // What runs over columns follows a product when all that runs over its rows does.
    let rows = drafts(0..steps.len(), &steps, &facts, None);
    let order: Vec<usize> = rows.iter().flatten().flat_map(|draft| draft.steps.iter().map(|(s, _)| *s)).collect();
    let drafts = drafts(order, &steps, &facts, Some(options.fewest_columns / 2));
    let mut touching = vec![0; buffers.len()];
    for facts in &facts {
        facts.reads.union(&facts.writes).for_each(|b| touching[b.index()] += 1);
    }
    let mut order: Vec<usize> = Vec::new();
    let mut waves = Vec::new();
    for wave in &drafts {
        let mut chains = Vec::new();
        for draft in wave {
            let first = order.len();
            order.extend(draft.steps.iter().map(|(s, _)| *s));
            let scales = draft.steps.iter().map(|(_, scale)| *scale).collect();
            let private = private(draft, &steps, &facts, buffers, &touching);
            let (rows, columns, down) = (draft.rows.clone(), Vec::new(), draft.down);
            chains.push(Chain { first, scales, rows, private, columns, down });
        }
        waves.push(Wave { chains });
    }
    let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    (order.into_iter().filter_map(|s| steps[s].take()).collect(), waves)
}

/// The chains of each wave, from steps in an order that computes the graph; what runs over columns joins a product of so many
/// columns, at least.
fn drafts(
    order: impl IntoIterator<Item = usize>,
    steps: &[Step],
    facts: &[Facts],
    fewest: Option<u64>,
) -> Vec<Vec<Draft>> {
    let buffers = facts.iter().flat_map(|f| f.reads.union(&f.writes)).map(|b| b.index() + 1).max().unwrap_or(0);
    let mut drafts: Vec<Vec<Draft>> = Vec::new();
    let mut place: Vec<(usize, usize)> = vec![(0, 0); steps.len()];
    let mut uses = Uses { writer: vec![None; buffers], readers: vec![Vec::new(); buffers] };
    for s in order {
        let before: Vec<(usize, usize)> = uses.before(s, &facts[s]).into_iter().map(|t| place[t]).collect();
        let wave = before.iter().map(|(wave, _)| *wave).max();
        let chains: BTreeSet<usize> = before.iter().filter(|(w, _)| Some(*w) == wave).map(|(_, c)| *c).collect();
        let at = match (wave, chains.first()) {
            (Some(wave), Some(chain)) if chains.len() == 1 => {
                let draft = &mut drafts[wave][*chain];
                if join(draft, s, steps, facts) || fewest.is_some_and(|n| join_down(draft, s, steps, facts, n)) {
                    place[s] = (wave, *chain);
                    continue;
                }
                wave + 1
            }
            (Some(wave), _) => wave + 1,
            (None, _) => 0,
        };
        if drafts.len() <= at {
            drafts.push(Vec::new());
        }
        let (steps, users) = (Vec::new(), BTreeMap::new());
        let mut draft = Draft { steps, users, rows: facts[s].extent.clone(), down: 0 };
        draft.push(s, 1, &facts[s]);
        drafts[at].push(draft);
        place[s] = (at, drafts[at].len() - 1);
    }
    drafts
}

fn facts(steps: &[Step], buffers: &[Buffer]) -> Vec<Facts> {
    let touched: Vec<_> = steps.iter().map(accesses).collect();
    let mut users = vec![0usize; buffers.len()];
    for (reads, writes) in &touched {
        reads.union(writes).for_each(|b| users[b.index()] += 1);
    }
    let own = |b: BufferId| users[b.index()] == 1 && matches!(buffers[b.index()].place, Place::Arena { .. });
    let mut all = Vec::new();
    for (step, (reads, writes)) in steps.iter().zip(touched) {
        let (mut extent, mut scratch) = (None, BTreeSet::new());
        match &step.work {
            Work::Product(p) if p.batch.is_empty() => extent = Some(p.m.clone()),
            Work::Product(_) | Work::Order(_) => {}
            Work::Kernel(kernel) => {
                if let Some(l) = shared_loop(kernel) {
                    let mut apart = true;
                    kernel.walk(&mut |stmt| {
                        let Stmt::Store(store) = stmt else { return };
                        let moves = store.index.stride(l.axis) != Size::default();
                        if !moves && own(store.buffer) && !store.accumulate {
                            scratch.insert(store.buffer);
                        } else {
                            apart &= moves && store.index.values.is_empty();
                        }
                    });
                    extent = apart.then(|| kernel.extent(l.axis).clone());
                }
            }
        }
        all.push(Facts { reads, writes, extent, scratch });
    }
    all
}

/// `a / b`, if it is a whole number for all sizes.
fn ratio(a: &Size, b: &Size) -> Option<u64> {
    let (x, y) = (a.terms().next()?.0, b.terms().next()?.0);
    let n = u64::try_from(x.checked_div(y)?).ok()?;
    (b * &Size::constant(n) == *a).then_some(n)
}

/// Adds a step to a chain that it depends on, if it needs of each of the chain's rows only that row; else changes nothing.
fn join(draft: &mut Draft, s: usize, steps: &[Step], facts: &[Facts]) -> bool {
    if draft.down > 0 {
        return false;
    }
    let (Some(rows), Some(extent)) = (&draft.rows, &facts[s].extent) else {
        // What cannot be cut follows what cannot be cut.
        let whole = draft.rows.is_none() && facts[s].extent.is_none();
        if whole {
            draft.push(s, 1, &facts[s]);
        }
        return whole;
    };
    let (rows, by, scale) = match (ratio(extent, rows), ratio(rows, extent)) {
        (Some(scale), _) => (rows.clone(), 1, scale),
        (None, Some(by)) => (extent.clone(), by, 1),
        (None, None) => return false,
    };
    let pitch = |t: usize, scale: u64, b: BufferId| pitch(&steps[t], b).map(|p| &p * &Size::constant(scale));
    for b in facts[s].reads.union(&facts[s].writes) {
        let mut shared = draft.users(b).peekable();
        let written = facts[s].writes.contains(b) || draft.users(b).any(|(t, _)| facts[t].writes.contains(b));
        if !written || shared.peek().is_none() {
            continue;
        }
        let Some(own) = pitch(s, scale, *b) else { return false };
        if shared.any(|(t, k)| pitch(t, k * by, *b).as_ref() != Some(&own)) {
            return false;
        }
    }
    draft.steps.iter_mut().for_each(|(_, k)| *k *= by);
    draft.rows = Some(rows);
    draft.push(s, scale, &facts[s]);
    true
}

/// Adds a step to a chain if it runs over the columns of the chain's last product; else changes nothing.
fn join_down(draft: &mut Draft, s: usize, steps: &[Step], facts: &[Facts], fewest: u64) -> bool {
    let before: Vec<&Step> = draft.steps.iter().map(|(t, _)| &steps[*t]).collect();
    let fits = draft.rows.is_some()
        && facts[s].extent.is_some()
        && facts[s].scratch.is_empty()
        && super::columns::goes_down(&before, draft.down, &steps[s], fewest);
    if fits {
        draft.push(s, 1, &facts[s]);
        draft.down += 1;
    }
    fits
}

/// The elements of a buffer that belong to one position of a step, if the step touches none outside its position's.
fn pitch(step: &Step, buffer: BufferId) -> Option<Size> {
    match &step.work {
        Work::Kernel(kernel) => kernel_pitch(kernel, buffer),
        Work::Product(product) => product_pitch(product, buffer),
        Work::Order(_) => None,
    }
}

fn kernel_pitch(kernel: &Kernel, buffer: BufferId) -> Option<Size> {
    let axis = shared_loop(kernel)?.axis;
    let mut stride: Option<Size> = None;
    let mut local = true;
    let mut touch = |index: &Index| {
        let own = index.stride(axis);
        local &= stays_within(kernel, axis, index) && stride.as_ref().is_none_or(|s| *s == own);
        stride = Some(own);
    };
    for value in &kernel.values {
        match &value.expr {
            Expr::Load { buffer: b, index, guards } if *b == buffer => {
                if !guards.is_empty() {
                    return None;
                }
                touch(index);
            }
            _ => {}
        }
    }
    kernel.walk(&mut |stmt| {
        if let Stmt::Store(store) = stmt
            && store.buffer == buffer
        {
            touch(&store.index);
        }
    });
    stride.filter(|_| local)
}

/// Whether, apart from the axis, an index stays below the axis's stride.
fn stays_within(kernel: &Kernel, axis: AxisId, index: &Index) -> bool {
    let mut rest = index.offset.clone();
    for (other, stride) in index.terms.iter().filter(|(a, _)| *a != axis) {
        rest = &rest + &(&(kernel.extent(*other) - &Size::constant(1)) * stride);
    }
    for (value, stride) in &index.values {
        match clamped(kernel, *value) {
            Some(most) => rest = &rest + &(&most * stride),
            None => return false,
        }
    }
    index.offset.as_constant().is_some() && below(&rest, &index.stride(axis))
}

/// The greatest value of an integer that is made to lie between zero and a size.
fn clamped(kernel: &Kernel, value: ValueId) -> Option<Size> {
    let scalar = |v: ValueId, wanted: ScalarOp| match &kernel.value(v).expr {
        Expr::Scalar { op, args } if *op == wanted => <[ValueId; 2]>::try_from(args.as_slice()).ok(),
        _ => None,
    };
    let is_zero = |v: &ValueId| kernel.value(*v).expr == Expr::Constant(0.0);
    let [x, zero] = scalar(value, ScalarOp::Maximum)?;
    let [_, most] = scalar(x, ScalarOp::Minimum)?;
    match &kernel.value(most).expr {
        Expr::Size(size) if is_zero(&zero) => Some(size.clone()),
        _ => None,
    }
}

/// Whether `a < b` at all sizes.
fn below(a: &Size, b: &Size) -> bool {
    (b - a).as_constant().is_some_and(|n| n > 0)
}

fn product_pitch(product: &Product, buffer: BufferId) -> Option<Size> {
    let local = |operand: &Operand, columns: &Size| {
        let rest = &(columns - &Size::constant(1)) * &operand.column_stride;
        let within = operand.offset == Size::default() && below(&rest, &operand.row_stride);
        within.then(|| operand.row_stride.clone())
    };
    let mut pitches = Vec::new();
    if product.out.buffer == buffer {
        pitches.push(local(&product.out, &product.n));
    }
    if product.lhs.buffer == buffer {
        pitches.push(local(&product.lhs, &product.k));
    }
    if product.rhs.buffer == buffer {
        pitches.push(None);
    }
    let first = pitches.first()?.clone();
    first.filter(|p| pitches.iter().all(|q| q.as_ref() == Some(p)))
}

/// What only the steps of a chain touch, row by row; `touching` counts the steps that touch each buffer.
fn private(
    draft: &Draft,
    steps: &[Step],
    facts: &[Facts],
    buffers: &[Buffer],
    touching: &[usize],
) -> Vec<(BufferId, Size)> {
    let mut found = Vec::new();
    let by_rows = draft.steps.len() - draft.down;
    for (b, users) in draft.users.iter().filter(|_| draft.rows.is_some()) {
        let users = || users.iter().map(|k| draft.steps[*k]);
        let apart = !matches!(buffers[b.index()].place, Place::Arena { .. })
            || users().count() < touching[b.index()]
            || draft.users[b].iter().any(|k| *k >= by_rows)
            || !users().any(|(s, _)| facts[s].writes.contains(b));
        if apart {
            continue;
        }
        if users().any(|(s, _)| facts[s].scratch.contains(b)) {
            found.push((*b, Size::default()));
            continue;
        }
        let mut pitches = users().map(|(s, k)| pitch(&steps[s], *b).map(|p| &p * &Size::constant(k)));
        let first = pitches.next().flatten();
        if let Some(pitch) = first.filter(|p| pitches.all(|q| q.as_ref() == Some(p))) {
            found.push((*b, pitch));
        }
    }
    found
}
