//! How tightly operators bind: the one table that the parser reads and the printer prints by.

use super::ast::BinaryOp;

/// Greater binds tighter.
pub type Precedence = u8;

pub const PIPE: Precedence = 1;
/// `if … else …` and `when … else …`.
pub const CHOICE: Precedence = 2;
pub const OR: Precedence = 3;
pub const AND: Precedence = 4;
pub const NOT: Precedence = 5;
pub const COMPARISON: Precedence = 6;
pub const SUM: Precedence = 7;
/// `sum(i) body`: stands bare beside `+` and `-`, its body takes the products to its right.
pub const INDEX_REDUCTION: Precedence = 8;
pub const PRODUCT: Precedence = 9;
pub const NEGATION: Precedence = 10;
pub const POWER: Precedence = 11;
/// Calls, indices and marks after an operand, and the operands themselves.
pub const POSTFIX: Precedence = 12;

pub fn of_binary(op: BinaryOp) -> Precedence {
    match op {
        BinaryOp::Or => OR,
        BinaryOp::And => AND,
        BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge | BinaryOp::Eq | BinaryOp::Ne => COMPARISON,
        BinaryOp::Add | BinaryOp::Sub => SUM,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::MatMul => PRODUCT,
        BinaryOp::Pow => POWER,
    }
}

/// What the left operand must at least bind like to stand there without parentheses.
pub fn left_of(op: BinaryOp) -> Precedence {
    match op {
        BinaryOp::Pow => POWER + 1,
        _ if of_binary(op) == COMPARISON => COMPARISON + 1,
        _ => of_binary(op),
    }
}

/// What the right operand must at least bind like; a power's may be a negation, `x^-1`.
pub fn right_of(op: BinaryOp) -> Precedence {
    match op {
        BinaryOp::Pow => POWER,
        _ => of_binary(op) + 1,
    }
}
