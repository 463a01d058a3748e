//! Rules one at a time. The golden cases in `tests/golden/fmt` show them together.

use super::{FormatError, Spelling};
use crate::source::FileId;

fn format(text: &str, spelling: Spelling) -> Result<String, FormatError> {
    super::format(FileId::default(), text, spelling)
}

#[track_caller]
fn becomes(text: &str, expected: &str) {
    let formatted = format(text, Spelling::Kept).unwrap();
    assert_eq!(formatted, expected);
    assert_eq!(format(&formatted, Spelling::Kept).unwrap(), formatted);
}

#[track_caller]
fn stays(text: &str) {
    becomes(text, text);
}

#[test]
fn blanks_between_tokens() {
    becomes("fn  f( x:[N,2*H] ;a=1 )->[N]=-x+a*( x/2 )^ -1\n", "fn f(x: [N, 2*H]; a = 1) -> [N] = -x + a*(x/2)^-1\n");
    becomes("fn f(x)=x |>g( y , k:2 over N,.. )|>h.k\n", "fn f(x) = x |> g(y, k: 2 over N, ..) |> h.k\n");
    becomes("fn f(x) = if a<=b and not(c) then{1}else  - 2\n", "fn f(x) = if a <= b and not (c) then { 1 } else -2\n");
    becomes("split d into a 70 %,b 30%\n", "split d into a 70%, b 30%\n");
    stays("fn f(x) = grad(J)(θ) * x[y].T^2 - (a - -b)\n");
    stays("fn f(x) = sum(i) (x[i] + x[i-1] * x[i + 1]) + e.* + 1\n");
}

#[test]
fn products_are_tight_or_loose_on_both_sides() {
    becomes("a = 2 *b\n", "a = 2 * b\n");
    becomes("a = 2* b\n", "a = 2 * b\n");
    stays("a = 2*b / c\n");
}

#[test]
fn indentation_follows_brackets_and_continuations() {
    becomes(
        "fn f(\nx: [N],\n      y\n) {\n  a = x +\n  y\n x\n |> g\n      |> h\n}\n",
        "fn f(\n    x: [N],\n    y\n) {\n    a = x +\n        y\n    x\n        |> g\n        |> h\n}\n",
    );
    becomes(
        "fn f(x) {\nwhen training {\na = 1\na\n} else {\nb\n}\n}\n",
        "fn f(x) {\n    when training {\n        a = 1\n        a\n    } else {\n        b\n    }\n}\n",
    );
    becomes("fn f(x,\n     y) = max(x,\n   y)\n", "fn f(x,\n    y) = max(x,\n    y)\n");
}

#[test]
fn clauses_have_their_bodies_in_one_column() {
    becomes(
        "train {\nminimize mse(x, y) +\nl2(w)\n  on d, batch 4\n\n using sgd\nphase a { epochs 1 }\n measure (x), -y\n}\n",
        "train {\n    minimize mse(x, y) +\n             l2(w)\n    on       d, batch 4\n\n    using    sgd\n    phase a { epochs 1 }\n    measure  (x), -y\n}\n",
    );
}

#[test]
fn equations_the_author_aligned_stay_aligned() {
    stays("fn f(x) {\n    g  = x\n    r' = x\n    state t = 0\n    x\n}\n");
    becomes("fn f(x) {\n    gg    = x\n    r     = x\n    x\n}\n", "fn f(x) {\n    gg = x\n    r  = x\n    x\n}\n");
    becomes("fn f(x) {\n    a =x\n    bcd=x\n    x\n}\n", "fn f(x) {\n    a = x\n    bcd = x\n    x\n}\n");
    stays("layer f(x) {\n    param gamma: [C]    = 1\n    param beta:  [C, D] = 0\n    x\n}\n");
}

#[test]
fn comments_stay() {
    becomes("#a\n\n\n# b  \nfn f(x) = x# c\n", "#a\n\n# b\nfn f(x) = x  # c\n");
    becomes("fn f(x) {\n# a\nx # b\n# c\n}\n# d", "fn f(x) {\n    # a\n    x  # b\n    # c\n}\n# d\n");
    becomes("a = 1 # a\nbc = 2    # b\n", "a = 1   # a\nbc = 2  # b\n");
    stays("a = 1       # a\nbc = 2      # b\n");
}

#[test]
fn blank_lines_are_single() {
    becomes("\n\na = 1\n\n\n\nb = 2\n\n\n", "a = 1\n\nb = 2\n");
    becomes("fn f(x) {\n\n    x\n\n}\n", "fn f(x) {\n    x\n}\n");
    becomes("a = 1\r\nb\t=\t2", "a = 1\nb = 2\n");
    becomes("", "");
}

#[test]
fn letters_are_spelled_as_asked() {
    becomes(
        "optimizer o(J, \\theta) { \\theta' = \\theta - \\nabla(J)(\\theta) }\n",
        "optimizer o(J, θ) { θ' = θ - ∇(J)(θ) }\n",
    );
    let ascii = |text| format(text, Spelling::Ascii).unwrap();
    assert_eq!(
        ascii("fn f(θ, Δw) = ∇(J)(θ)ᵀ · θ² ≤ λ²[i]\n"),
        "fn f(theta, Deltaw) = grad(J)(theta).T * theta^2 <= lambda²[i]\n"
    );
    assert_eq!(ascii("fn f(x) = x² (x)\n"), "fn f(x) = x² (x)\n");
    assert_eq!(ascii("fn f(x) = xᵀ (x)\n"), "fn f(x) = x.T (x)\n");
    assert_eq!(ascii("fn f(x) = x.T (x)\n"), "fn f(x) = x.T (x)\n");
}

#[test]
fn wrong_syntax_is_told() {
    assert!(matches!(format("fn f(", Spelling::Kept), Err(FormatError::Syntax(errors)) if errors.len() == 1));
}
