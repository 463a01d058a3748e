//! autodiff
pub fn differentiate(g: &crate::ir::Graph) -> crate::ir::Graph {
    g.clone()
}
