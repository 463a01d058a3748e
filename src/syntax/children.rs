//! What a tree consists of: the expressions directly below an expression, a block or an equation.

use super::ast::{Block, Expr, ExprKind, Statement, StatementKind};

impl Expr {
    /// Calls `visit` with each expression directly below this one, in the order of the text; through blocks,
    /// but not into the sizes of types.
    pub fn for_each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match &self.kind {
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::Str(_) => {}
            ExprKind::Name(_) | ExprKind::Next(_) | ExprKind::Shape(_) => {}
            ExprKind::For(repeat) => {
                visit(&repeat.from);
                visit(&repeat.to);
                repeat.carried.iter().for_each(|c| visit(&c.init));
                repeat.body.for_each_expr(visit);
            }
            ExprKind::Marked { value, .. } => visit(value),
            ExprKind::Unary { operand, .. } => visit(operand),
            ExprKind::Binary { left, right, .. } => {
                visit(left);
                visit(right);
            }
            ExprKind::Call { callee, args, .. } => {
                visit(callee);
                args.iter().for_each(|arg| visit(&arg.value));
            }
            ExprKind::IndexReduce { body, .. } => visit(body),
            ExprKind::Pipe { value, callee } => {
                visit(value);
                visit(callee);
            }
            ExprKind::Index { base, indices } => {
                visit(base);
                indices.iter().for_each(visit);
            }
            ExprKind::Field { base, .. } | ExprKind::Wildcard { base } | ExprKind::Transpose { base } => visit(base),
            ExprKind::Tuple(parts) => parts.iter().for_each(visit),
            ExprKind::If { condition, then, otherwise } => {
                visit(condition);
                then.for_each_expr(visit);
                otherwise.for_each_expr(visit);
            }
            ExprKind::When { then, otherwise, .. } => {
                then.for_each_expr(visit);
                otherwise.for_each_expr(visit);
            }
        }
    }
}

impl Block {
    /// Calls `visit` with the right side of each equation and the result.
    pub fn for_each_expr<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        self.statements.iter().for_each(|statement| visit(statement.value()));
        self.result.iter().for_each(|result| visit(result));
    }
}

impl Statement {
    /// The right side of the equation.
    pub fn value(&self) -> &Expr {
        match &self.kind {
            StatementKind::Let { value, .. }
            | StatementKind::LetTuple { value, .. }
            | StatementKind::LetIndexed { value, .. }
            | StatementKind::Next { value, .. }
            | StatementKind::Param { init: value, .. }
            | StatementKind::State { init: value, .. }
            | StatementKind::Shared { layer: value, .. } => value,
        }
    }
}
