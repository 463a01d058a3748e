//! graph -> graph: the passes, in the order of one table, each run once.
//!
//! Input: an elaborated graph, with its requests for derivatives. Output: the graph that is scheduled, without requests.
//! Invariant: a pass keeps inputs, outputs, types and meaning; an *exact* pass keeps the bits of every output, a
//! *reordering* one keeps them within the error of adding and multiplying in another order. Passes never see source text.

mod canonicalize;
mod contract;
mod dead;
mod differentiate;
mod fold;
mod reciprocals;
mod rewrite;
mod row_sums;
mod simplify;
mod stabilize;

use crate::autodiff::NotDifferentiable;
use crate::ir::{Graph, Stage, verify};
use std::collections::BTreeSet;
use std::fmt;

/// A graph transformation with a name of its own.
pub struct Pass {
    /// The name in `dlc dump --after NAME` and `--off NAME`.
    pub name: &'static str,
    /// One line for the user.
    pub about: &'static str,
    /// Whether it keeps the bits of every output. Without it a reordering pass may still order another sum.
    pub exact: bool,
    /// Whether it defines the meaning of a program, so that it cannot be left out.
    pub mandatory: bool,
    /// Fails only where a derivative is asked of something that has none.
    pub run: fn(&Graph) -> Result<Graph, NotDifferentiable>,
}

/// The passes, in the order in which they run.
pub fn passes() -> &'static [Pass] {
    &[
        Pass {
            name: "stabilize",
            about: "replaces formulas that overflow or cancel by ones that do not",
            exact: false,
            mandatory: true,
            run: stabilize::run,
        },
        Pass {
            name: "differentiate",
            about: "expands every request for a derivative into ordinary graph",
            exact: true,
            mandatory: true,
            run: differentiate::run,
        },
        Pass {
            name: "stabilize-derivatives",
            about: "stabilizes what differentiation built",
            exact: false,
            mandatory: true,
            run: stabilize::run,
        },
        Pass {
            name: "canonicalize",
            about: "orders the operands of commutative primitives, so that equal expressions merge",
            exact: true,
            mandatory: false,
            run: canonicalize::run,
        },
        Pass {
            name: "fold",
            about: "computes what depends on constants alone",
            exact: true,
            mandatory: false,
            run: fold::run,
        },
        Pass {
            name: "simplify",
            about: "applies identities that hold for all inputs, and works on scalars before stretching them",
            exact: true,
            mandatory: false,
            run: simplify::run,
        },
        Pass {
            name: "contract",
            about: "turns sums of products into contractions, and transposes into their axes",
            exact: false,
            mandatory: false,
            run: contract::run,
        },
        Pass {
            name: "reciprocals",
            about: "divides once by a value that repeats, and multiplies by its reciprocal",
            exact: false,
            mandatory: false,
            run: reciprocals::run,
        },
        Pass {
            name: "row-sums",
            about: "adds up the rows of a large array first, and then their sums",
            exact: false,
            mandatory: false,
            run: row_sums::run,
        },
        Pass { name: "dead", about: "drops what no output depends on", exact: true, mandatory: false, run: dead::run },
    ]
}

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names of passes left out.
    pub off: BTreeSet<String>,
    /// Whether the graph is verified after every pass; always done in debug builds.
    pub verify: bool,
}

/// Why there is no optimized graph.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OptimizeError {
    /// No pass has this name.
    Unknown(String),
    /// This pass cannot be left out.
    Mandatory(&'static str),
    /// The program asks for a derivative that does not exist.
    NotDifferentiable(NotDifferentiable),
    /// A pass left an invalid graph: a bug in the compiler, not in the program.
    Broken { pass: &'static str, why: String },
}

impl fmt::Display for OptimizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptimizeError::Unknown(name) => {
                let optional: Vec<&str> = passes().iter().filter(|p| !p.mandatory).map(|p| p.name).collect();
                write!(f, "there is no pass `{name}`; those that can be switched off are {}", optional.join(", "))
            }
            OptimizeError::NotDifferentiable(why) => why.fmt(f),
            OptimizeError::Mandatory(name) => write!(f, "the pass `{name}` cannot be switched off"),
            OptimizeError::Broken { pass, why } => {
                write!(f, "this is a bug in dlc: the pass `{pass}` left an invalid graph: {why}")
            }
        }
    }
}

impl std::error::Error for OptimizeError {}

/// Runs the table; `observer` sees the graph after every pass that ran, with the pass's name.
pub fn optimize(
    graph: &Graph,
    options: &Options,
    observer: &mut dyn FnMut(&str, &Graph),
) -> Result<Graph, OptimizeError> {
    for name in &options.off {
        match passes().iter().find(|p| p.name == name) {
            None => return Err(OptimizeError::Unknown(name.clone())),
            Some(pass) if pass.mandatory => return Err(OptimizeError::Mandatory(pass.name)),
            Some(_) => {}
        }
    }
    let mut graph = graph.clone();
    let mut stage = Stage::Elaborated;
    for pass in passes().iter().filter(|p| !options.off.contains(p.name)) {
        let broken = |why| OptimizeError::Broken { pass: pass.name, why };
        graph = (pass.run)(&graph).map_err(OptimizeError::NotDifferentiable)?;
        if pass.name == "differentiate" {
            stage = Stage::Differentiated;
        }
        if options.verify || cfg!(debug_assertions) {
            verify(&graph, stage).map_err(broken)?;
        }
        observer(pass.name, &graph);
    }
    Ok(graph)
}
