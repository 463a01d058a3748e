//! The compiler's stages by the names that `dump` and `graph` take.

use super::failure::Failure;
use super::load::Loaded;
use super::options::Phases;
use crate::elaborate::Model;
use crate::ir::{DType, Graph};
use crate::optimize;
use crate::source::closest;
use crate::train::{self, BuildError, RunError};
use std::collections::BTreeSet;

const BEFORE: [&str; 3] = ["tokens", "ast", "check"];
const AFTER: [&str; 3] = ["schedule", "clif", "asm"];

/// The stages that leave a graph: `graph` as elaborated, `gradient` as differentiated, and every pass.
pub fn graphs() -> impl Iterator<Item = &'static str> {
    ["graph", "gradient"].into_iter().chain(optimize::passes().iter().map(|p| p.name))
}

/// The graphs of a program.
pub fn model(loaded: Loaded, dtype: DType) -> Result<(Model, Loaded), Failure> {
    match train::model(&loaded.program, dtype) {
        Ok(model) => Ok((model, loaded)),
        Err(error) => Err(Failure::Diagnostics(Box::new(loaded.files), vec![error])),
    }
}

/// The phases that are asked for, with a heading where there are several.
pub fn phases(model: &Model, asked: &Phases) -> Result<Vec<(usize, String)>, Failure> {
    if let Some(name) = &asked.phase {
        return Ok(vec![(phase(model, name)?, String::new())]);
    }
    let heading = |name: &Option<String>| match name {
        Some(name) if model.phases.len() > 1 => format!("# phase {name}\n"),
        _ => String::new(),
    };
    Ok(model.phases.iter().map(|p| heading(&p.name)).enumerate().collect())
}

/// The phase of this name.
pub fn phase(model: &Model, name: &str) -> Result<usize, Failure> {
    let found = model.phases.iter().position(|p| p.name.as_deref() == Some(name));
    found.ok_or_else(|| {
        let names: Vec<&str> = model.phases.iter().filter_map(|p| p.name.as_deref()).collect();
        let there = if names.is_empty() { "it has none".into() } else { format!("there are {}", names.join(", ")) };
        let near = closest(name, names).map_or(String::new(), |n| format!("\nhelp: did you mean `{n}`?"));
        Failure::message(format!("the program has no phase `{name}`; {there}{near}"))
    })
}

/// The graph as a stage leaves it. A pass that is switched off leaves what came to it.
pub fn after(graph: &Graph, off: &BTreeSet<String>, stage: &str) -> Result<Graph, RunError> {
    if stage == "graph" {
        return Ok(graph.clone());
    }
    let last = if stage == "gradient" { "differentiate" } else { stage };
    let mut seen = graph.clone();
    let mut reached = false;
    let options = optimize::Options { off: off.clone(), ..optimize::Options::default() };
    let order: Vec<&str> = optimize::passes().iter().map(|p| p.name).collect();
    let position = |name: &str| order.iter().position(|n| *n == name);
    optimize::optimize(graph, &options, &mut |name, g| {
        reached |= position(name) > position(last);
        if !reached {
            seen = g.clone();
        }
    })
    .map_err(BuildError::from)?;
    Ok(seen)
}

/// Fails, with what is wrong, unless a pass has this name and can be left out.
pub fn optional_pass(name: &str) -> Result<(), String> {
    let optional: Vec<&str> = optimize::passes().iter().filter(|p| !p.mandatory).map(|p| p.name).collect();
    if optional.contains(&name) {
        return Ok(());
    }
    let mandatory = optimize::passes().iter().any(|p| p.name == name);
    let why = if mandatory { "cannot be switched off" } else { "does not exist" };
    let near = closest(name, optional.iter().copied()).filter(|_| !mandatory);
    let help = near.map_or(String::new(), |n| format!("\nhelp: did you mean `{n}`?"));
    let all = optional.join(", ");
    Err(format!("the pass `{name}` {why}; those that can be switched off are {all}{help}"))
}

/// The error for a stage that does not exist.
pub fn unknown(stage: &str) -> Failure {
    let all: Vec<&str> = BEFORE.into_iter().chain(graphs()).chain(AFTER).collect();
    let near = closest(stage, all.iter().copied()).map_or(String::new(), |n| format!("\nhelp: did you mean `{n}`?"));
    Failure::message(format!("there is no stage `{stage}`; the stages are {}{near}", all.join(", ")))
}
