//! `dlc check FILE`: every error, or nothing.

use super::failure::Failure;
use super::load::load;
use super::options::Check;
use super::print;
use crate::data::FloatType;
use crate::ir::DType;
use crate::source::to_json;
use crate::train;

pub fn execute(options: &Check) -> Result<(), Failure> {
    let result = load(&options.source, FloatType::F32).and_then(|loaded| {
        if loaded.program.train.is_some()
            && let Err(error) = train::model(&loaded.program, DType::F32)
        {
            return Err(Failure::Diagnostics(Box::new(loaded.files), vec![error]));
        }
        Ok(())
    });
    match result {
        Err(Failure::Diagnostics(files, errors)) if options.json => {
            let list: Vec<_> = errors.iter().map(|e| to_json(&files, e)).collect();
            print(&format!("{}\n", serde_json::Value::from(list)))?;
            Err(Failure::Told)
        }
        Ok(()) if options.json => print("[]\n"),
        other => other,
    }
}
