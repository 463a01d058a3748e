//! `dlc graph FILE`: the step's graph as DOT and SVG.

use super::dump::graph_after;
use super::failure::Failure;
use super::options::{Compile, Graph, Precision};
use super::print;
use crate::data;
use crate::ir::draw;
use std::io::Write;
use std::path::Path;

pub fn execute(options: &Graph) -> Result<(), Failure> {
    let compile = Compile { dtype: Precision::F32, threads: None, cpu: None, off: Vec::new() };
    let graph = graph_after(&options.source, &compile, &options.after)?;
    let file = &options.source.file;
    let directory = options.output.as_deref().unwrap_or(Path::new(""));
    for (extension, text) in [("dot", draw::dot(&graph)), ("svg", draw::svg(&graph))] {
        let path = directory.join(file.file_name().unwrap_or_default()).with_extension(extension);
        data::replace(&path, |w: &mut dyn Write| w.write_all(text.as_bytes())).map_err(|e| Failure::data(&e))?;
        print(&format!("{}\n", path.display()))?;
    }
    Ok(())
}
