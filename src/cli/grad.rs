//! `dlc grad FILE`: the derivative of the objective with respect to each parameter, as mathematics.

use super::failure::Failure;
use super::load::load;
use super::options::Grad;
use super::{print, stages};
use crate::data::FloatType;
use crate::ir::DType;
use crate::ir::formula::formula;
use crate::optimize;

pub fn execute(options: &Grad) -> Result<(), Failure> {
    let (model, _) = stages::model(load(&options.source, FloatType::F64)?, DType::F64)?;
    if let Some(of) = &options.of
        && !model.trained.iter().any(|k| model.parameters[*k].path.starts_with(of.as_str()))
    {
        let names: Vec<&str> = model.trained.iter().map(|k| &*model.parameters[*k].path).collect();
        return Err(Failure::message(format!("no parameter begins with `{of}`; there are {}", names.join(", "))));
    }
    let graph = optimize::optimize(&model.gradient, &optimize::Options::default(), &mut |_, _| {});
    print(&formula(&graph.map_err(Failure::message)?, options.of.as_deref()))
}
