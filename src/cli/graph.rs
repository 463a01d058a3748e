//! `dlc graph FILE`: the graph of each phase's step as DOT and SVG.

use super::dump::graphs_after;
use super::failure::Failure;
use super::options::{Compile, Graph, Precision, Threads};
use super::print;
use crate::data;
use crate::ir::draw;
use std::io::Write;
use std::path::Path;

pub fn execute(options: &Graph) -> Result<(), Failure> {
    let compile = Compile::new(Precision::F32, Threads::default());
    let graphs = graphs_after(&options.source, &options.phases, &compile, &options.after)?;
    let file = &options.source.file;
    let directory = options.output.as_deref().unwrap_or(Path::new(""));
    let several = graphs.len() > 1;
    let drawn = graphs.iter().flat_map(|(phase, graph)| {
        let phase = phase.as_deref().filter(|_| several).map_or(String::new(), |phase| format!("{phase}."));
        [(format!("{phase}dot"), draw::dot(graph)), (format!("{phase}svg"), draw::svg(graph))]
    });
    for (extension, text) in drawn {
        let path = directory.join(file.file_name().unwrap_or_default()).with_extension(extension);
        data::replace(&path, |w: &mut dyn Write| w.write_all(text.as_bytes())).map_err(|e| Failure::data(&e))?;
        print(&format!("{}\n", path.display()))?;
    }
    Ok(())
}
