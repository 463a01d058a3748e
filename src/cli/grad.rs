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
    let phases = stages::phases(&model, &options.phases)?;
    if let Some(of) = &options.of {
        let names: Vec<&str> = phases.iter().flat_map(|(k, _)| model.trained(*k)).map(|p| &*p.path).collect();
        if !names.iter().any(|path| path.starts_with(of.as_str())) {
            return Err(Failure::message(format!("no parameter begins with `{of}`; there are {}", names.join(", "))));
        }
    }
    // A quotient reads better than a product with a reciprocal.
    let passes = optimize::Options {
        off: ["reciprocals".to_owned(), "row-sums".to_owned()].into(),
        ..optimize::Options::default()
    };
    for (k, heading) in phases {
        let graph = optimize::optimize(&model.phases[k].gradient, &passes, &mut |_, _| {});
        match graph {
            Ok(graph) => print(&format!("{heading}{}", formula(&graph, options.of.as_deref())))?,
            Err(error) => return Err(failure(BuildError::from(error).into(), loaded.files)),
        }
    }
    Ok(())
}
