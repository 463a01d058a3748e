//! Kernels shared among threads: the outermost loop of one is cut into spans of positions.
//!
//! Input: a function of the table and a [`Span`], the extent of its loop. Output: the function has run for every position.
//! Invariant: the positions of a shared loop are independent, so spans change time and nothing else.

use super::team;
use crate::schedule::kernel::{Kernel, Loop, Stmt};

/// The positions of the outermost loop that a call computes; all of a kernel that has not just one such loop.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Span {
    pub start: u64,
    pub end: u64,
}

/// A kernel's function of the table and a span, as the wide emitter makes it.
#[cfg(target_arch = "x86_64")]
type Part = unsafe extern "sysv64" fn(*const u64, *const Span);
#[cfg(not(target_arch = "x86_64"))]
type Part = unsafe extern "C" fn(*const u64, *const Span);

/// Spans start at multiples of this: the lanes of the widest vector.
const LANES: u64 = 16;

/// The only loop of a kernel, if its other statements define values: its positions may be shared.
pub(super) fn shared_loop(kernel: &Kernel) -> Option<&Loop> {
    match kernel.body.split_last()? {
        (Stmt::Loop(l), rest) if rest.iter().all(|s| matches!(s, Stmt::Let(_))) && !l.ordered => Some(l),
        _ => None,
    }
}

/// Whether positions of the loop write nothing in common: a row that every position keeps its intermediate values in is.
pub(super) fn is_independent(kernel: &Kernel, shared: &Loop) -> bool {
    let mut apart = true;
    kernel.walk(&mut |stmt| {
        if let Stmt::Store(store) = stmt {
            apart &= store.index.stride(shared.axis).as_constant() != Some(0) && store.index.values.is_empty();
        }
    });
    apart
}

/// Runs a kernel's function over `extent` positions on at most `threads` threads.
///
/// # Safety
/// The function must be one of this type, which computes any span of positions below the extent with this table.
pub(super) unsafe extern "C" fn share(function: *const u8, table: *const u64, extent: u64, threads: u64) {
    // SAFETY: the caller vouches for the type.
    let function = unsafe { std::mem::transmute::<*const u8, Part>(function) };
    let table = table as usize;
    // Loops over lanes are cut between vectors; others, which may be short, anywhere.
    let unit = if extent >= LANES * threads { LANES } else { 1 };
    let units = extent.div_ceil(unit);
    let parts = units.min(threads);
    team::run(threads as usize, parts as usize, &|part| {
        let cut = |k: u64| (units * k / parts * unit).min(extent);
        let span = Span { start: cut(part as u64), end: cut(part as u64 + 1) };
        // SAFETY: the span is within the extent, and spans are apart.
        unsafe { function(table as *const u64, &span) }
    });
}
