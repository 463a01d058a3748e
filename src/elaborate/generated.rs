//! The graph of a definition applied to nothing: data that a program makes.

use super::apply::Place;
use super::frame::{Value, mix, site_of_path};
use super::instance::Instances;
use super::{Elaborator, Options, Purpose};
use crate::check::typed::{Duration, Program, Train};
use crate::ir::{Graph, OutputRole};
use crate::source::{Diagnostic, Span, codes, on_deep_stack};
use std::collections::BTreeMap;

/// The values of a definition without inputs, reported as `0`, `1`, … for a tuple of them. Inputs: seed and step.
pub fn generated(program: &Program, name: &str, options: Options) -> Result<Graph, Diagnostic> {
    on_deep_stack(|| graph(program, name, options)).unwrap_or_else(|error| {
        let message = format!("there is no stack to expand the program's definitions on: {error}");
        Err(Diagnostic::new(codes::TOO_MUCH_MEMORY, message))
    })
}

fn graph(program: &Program, name: &str, options: Options) -> Result<Graph, Diagnostic> {
    let definition = program
        .find(name)
        .map(|id| program.definition(id))
        .ok_or_else(|| Diagnostic::new(codes::UNKNOWN_NAME, format!("nothing is called `{name}`")))?;
    let nothing = no_training(definition.span);
    let mut elaborator = Elaborator::new(program, &nothing, options, Purpose::Evaluate, Instances::default());
    let place = Place { path: name.into(), chain: mix(site_of_path(name), 0) };
    let packs = vec![Vec::new(); definition.packs as usize];
    let value = elaborator.apply(definition, BTreeMap::new(), packs, Vec::new(), &[], None, place, definition.span)?;
    let values = match value {
        Value::Tuple(values) => values,
        one => vec![one],
    };
    for (k, value) in values.into_iter().enumerate() {
        let Value::Tensor(node) = value else {
            return Err(Diagnostic::new(codes::WRONG_TYPE, "a column is a tensor")
                .at(definition.span, "this gives something else"));
        };
        elaborator.builder.output(k.to_string(), OutputRole::Report, node);
    }
    Ok(elaborator.finish().0)
}

/// A phase in which nothing happens.
pub(super) fn no_training(span: Span) -> Train {
    Train {
        name: None,
        span,
        locals: Vec::new(),
        columns: Vec::new(),
        requirements: Vec::new(),
        counters: Vec::new(),
        augments: Vec::new(),
        players: Vec::new(),
        on: None,
        batch: None,
        in_order: true,
        beside: None,
        using: Vec::new(),
        keeps: Vec::new(),
        average: None,
        measures: Vec::new(),
        duration: Duration::Steps(0),
        evaluate_every: None,
        watches: Vec::new(),
        stop: None,
    }
}
