//! `dlc test FILE`: every gradient of a file against differences in f64.

use super::failure::Failure;
use super::load::{Loaded, load_trainable};
use super::options::Test;
use super::run::failure;
use super::{print, stages};
use crate::codegen::Cpu;
use crate::data::FloatType;
use crate::ir::DType;
use crate::train::gradient_check::Options;
use crate::train::{Settings, check_gradients};
use serde_json::json;
use std::collections::BTreeSet;

pub fn execute(options: &Test) -> Result<(), Failure> {
    let loaded = load_trainable(&options.source, FloatType::F64)?;
    let (model, loaded) = stages::model(loaded, DType::F64)?;
    let Loaded { files, program, tables, .. } = loaded;
    let settings =
        Settings { dtype: DType::F64, threads: 1, cpu: Cpu::native(), seed: options.seed, off: BTreeSet::new() };
    let how = Options { seed: options.seed, tolerance: options.tolerance, ..Options::default() };
    let report = check_gradients(&program, &tables, &model, &settings, &how).map_err(|e| failure(e, files))?;
    if options.json {
        let mut object = json!(report);
        object["passed"] = json!(report.passed());
        print(&format!("{object}\n"))?;
    } else {
        print(&report.to_string())?;
    }
    if report.passed() { Ok(()) } else { Err(Failure::Told) }
}
