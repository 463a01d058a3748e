//! `dlc grad FILE`: the derivative of the objective with respect to each parameter, as mathematics.

use super::failure::Failure;
use super::load::load_trainable;
use super::options::Grad;
use super::run::failure;
use super::{print, stages};
use crate::data::FloatType;
use crate::ir::DType;
use crate::ir::formula::formula;
use crate::optimize;
use crate::train::BuildError;

pub fn execute(options: &Grad) -> Result<(), Failure> {
    let (model, loaded) = stages::model(load_trainable(&options.source, FloatType::F64)?, DType::F64)?;
    if let Some(of) = &options.of
        && !model.trained.iter().any(|k| model.parameters[*k].path.starts_with(of.as_str()))
    {
        let names: Vec<&str> = model.trained.iter().map(|k| &*model.parameters[*k].path).collect();
        return Err(Failure::message(format!("no parameter begins with `{of}`; there are {}", names.join(", "))));
    }
    let graph = optimize::optimize(&model.gradient, &optimize::Options::default(), &mut |_, _| {});
    let graph = graph.map_err(|e| failure(BuildError::from(e).into(), loaded.files))?;
    print(&formula(&graph, options.of.as_deref()))
}
