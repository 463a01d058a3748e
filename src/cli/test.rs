//! `dlc test FILE`: every gradient of a file against differences in f64.

use super::failure::Failure;
use super::load::{Loaded, load_trainable};
use super::options::{Compile, Precision, Test, Threads};
use super::run::{failure, settings};
use super::{print, stages};
use crate::data::FloatType;
use crate::ir::DType;
use crate::train::check_gradients;
use crate::train::gradient_check::Options;
use serde_json::json;

pub fn execute(options: &Test) -> Result<(), Failure> {
    let loaded = load_trainable(&options.source, FloatType::F64)?;
    let (model, loaded) = stages::model(loaded, DType::F64)?;
    let Loaded { files, program, tables, .. } = loaded;
    let compile = Compile::new(Precision::F64, Threads { threads: Some(1) });
    let settings = settings(&compile, options.seed)?;
    let how = Options { seed: options.seed, tolerance: options.tolerance, ..Options::default() };
    let mut passed = true;
    for (k, heading) in stages::phases(&model, &options.phases)? {
        let report = match check_gradients(&program, &tables, &model, k, &settings, &how) {
            Ok(report) => report,
            Err(error) => return Err(failure(error, files)),
        };
        passed &= report.passed();
        if options.json {
            let mut object = json!(report);
            object["passed"] = json!(report.passed());
            if let Some(name) = &model.phases[k].name {
                object["phase"] = json!(name);
            }
            print(&format!("{object}\n"))?;
        } else {
            print(&format!("{heading}{report}\n"))?;
        }
    }
    if passed { Ok(()) } else { Err(Failure::Told) }
}
