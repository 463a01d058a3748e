//! Properties of parsing and printing: what is printed parses to the same tree, and spans mean what they cover.

use dlc::source::{FileId, Files, Span, render};
use dlc::syntax::ast::*;
use dlc::syntax::{dump, parse};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

const BINARY: [BinaryOp; 14] = [
    BinaryOp::Or,
    BinaryOp::And,
    BinaryOp::Lt,
    BinaryOp::Le,
    BinaryOp::Gt,
    BinaryOp::Ge,
    BinaryOp::Eq,
    BinaryOp::Ne,
    BinaryOp::Add,
    BinaryOp::Sub,
    BinaryOp::Mul,
    BinaryOp::Div,
    BinaryOp::MatMul,
    BinaryOp::Pow,
];

fn expr(kind: ExprKind) -> Expr {
    Expr { kind, span: Span::default() }
}

fn boxed(expr: Expr) -> Box<Expr> {
    Box::new(expr)
}

/// Short lists, so that equal and special names (`sum`, a label that is also a variable) come up often.
fn name() -> impl Strategy<Value = Name> {
    select(vec!["x", "W", "i", "theta", "sum", "max", "over_", "index", "train"])
        .prop_map(|text| Name { text: text.to_string(), span: Span::default() })
}

fn literal(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_))
}

fn leaf() -> impl Strategy<Value = Expr> {
    prop_oneof![
        (0..=i64::MAX).prop_map(ExprKind::Int),
        (0i64..20).prop_map(ExprKind::Int),
        any::<f64>().prop_map(|value| ExprKind::Float(if value.is_finite() { value.abs() } else { 0.5 })),
        select(vec![0.0, 1.0, 1e-8, 1e16, 2.5e300, f64::MIN_POSITIVE]).prop_map(ExprKind::Float),
        any::<bool>().prop_map(ExprKind::Bool),
        "[a-zé\"\\\\\n\t# ]*".prop_map(ExprKind::Str),
        name().prop_map(|name| ExprKind::Name(name.text)),
        name().prop_map(|name| ExprKind::Name(name.text)),
        name().prop_map(|name| ExprKind::Next(name.text)),
    ]
    .prop_map(expr)
}

fn over() -> impl Strategy<Value = Over> {
    let axis = prop_oneof![name().prop_map(OverAxis::Label), Just(OverAxis::Pack(Span::default()))];
    vec(axis, 1..3).prop_map(|axes| Over { per: false, axes, span: Span::default() })
}

fn block(inner: BoxedStrategy<Expr>) -> impl Strategy<Value = Block> {
    let statement = prop_oneof![
        (name(), inner.clone()).prop_map(|(name, value)| StatementKind::Let { name, value }),
        (name(), inner.clone()).prop_map(|(name, value)| StatementKind::Next { name, value }),
        (name(), inner.clone()).prop_map(|(name, init)| StatementKind::State { name, ty: None, init }),
        (vec(name(), 2..4), inner.clone()).prop_map(|(names, value)| StatementKind::LetTuple { names, value }),
        (name(), vec(name(), 1..3), inner.clone()).prop_map(|(name, indices, value)| StatementKind::LetIndexed {
            name,
            indices,
            value
        }),
    ]
    .prop_map(|kind| Statement { doc: Vec::new(), kind, span: Span::default() });
    let bare = inner.clone().prop_map(|value| (Vec::new(), Some(boxed(value)), false));
    let braced = (vec(statement, 0..3), option::of(inner))
        .prop_map(|(statements, result)| (statements, result.map(boxed), true));
    prop_oneof![bare, braced].prop_map(|(statements, result, braced)| Block {
        statements,
        result,
        braced,
        span: Span::default(),
    })
}

/// Every tree the parser can make, up to a few levels.
fn any_expr() -> impl Strategy<Value = Expr> {
    leaf().prop_recursive(5, 48, 4, |inner| {
        let inner = inner.boxed();
        let base = inner.clone().prop_filter("literals are neither called nor indexed", |base| !literal(base)).boxed();
        let arg =
            (option::of(name()), inner.clone()).prop_map(|(name, value)| Arg { name, value, span: Span::default() });
        let call = (base.clone(), vec(arg, 0..4), option::of(over()))
            .prop_map(|(callee, args, over)| ExprKind::Call { callee: boxed(callee), args, over })
            .boxed();
        let callee = prop_oneof![
            name().prop_map(|name| ExprKind::Name(name.text)),
            (inner.clone(), name()).prop_map(|(base, name)| ExprKind::Field { base: boxed(base), name }),
            call.clone(),
        ]
        .prop_map(expr);
        prop_oneof![
            (inner.clone(), any::<bool>()).prop_map(|(operand, neg)| ExprKind::Unary {
                op: if neg { UnaryOp::Neg } else { UnaryOp::Not },
                operand: boxed(operand)
            }),
            (select(&BINARY[..]), inner.clone(), inner.clone()).prop_map(|(op, left, right)| ExprKind::Binary {
                op,
                left: boxed(left),
                right: boxed(right)
            }),
            call,
            (select(vec!["sum", "mean", "max", "min"]), vec(name(), 1..3), inner.clone()).prop_map(
                |(reduction, indices, body)| ExprKind::IndexReduce {
                    reduction: Name { text: reduction.to_string(), span: Span::default() },
                    indices,
                    body: boxed(body)
                }
            ),
            (inner.clone(), callee)
                .prop_map(|(value, callee)| ExprKind::Pipe { value: boxed(value), callee: boxed(callee) }),
            (base, vec(inner.clone(), 1..3)).prop_map(|(base, indices)| ExprKind::Index { base: boxed(base), indices }),
            (inner.clone(), name()).prop_map(|(base, name)| ExprKind::Field { base: boxed(base), name }),
            inner.clone().prop_map(|base| ExprKind::Wildcard { base: boxed(base) }),
            inner.clone().prop_map(|base| ExprKind::Transpose { base: boxed(base) }),
            vec(inner.clone(), 2..4).prop_map(ExprKind::Tuple),
            (inner.clone(), block(inner.clone()), block(inner.clone())).prop_map(|(condition, then, otherwise)| {
                ExprKind::If { condition: boxed(condition), then, otherwise }
            }),
            (name(), block(inner.clone()), block(inner)).prop_map(|(mode, then, otherwise)| ExprKind::When {
                mode,
                then,
                otherwise
            }),
        ]
        .prop_map(expr)
    })
}

/// The expression of `it = …`.
fn parse_expr(text: &str) -> Result<Expr, String> {
    let source = format!("it = {text}\n");
    let mut files = Files::default();
    let file = files.add("it.dl", source.as_str());
    let (tree, errors) = parse(file, &source);
    if !errors.is_empty() {
        return Err(render(&files, &errors, false));
    }
    match tree.items.into_iter().next().map(|item| item.kind) {
        Some(ItemKind::Constant(constant)) => Ok(constant.value),
        other => Err(format!("{source}: {other:?}")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_parses_to_the_same_tree(expr in any_expr()) {
        let printed = expr.to_string();
        let parsed = parse_expr(&printed).map_err(TestCaseError::fail)?;
        prop_assert_eq!(dump::expression(&parsed), dump::expression(&expr), "{}", printed);
        prop_assert_eq!(parsed.to_string(), printed);
    }
}

#[test]
fn parentheses_are_few() {
    for text in [
        "a + b * c ^ -d",
        "(a + b) * c",
        "a - (b - c)",
        "-x^2",
        "(-x)^2",
        "x^-1",
        "2^3^4",
        "(2^3)^4",
        "a * sum(i) x[i]",
        "sum(i) x[i] * y[i] + b",
        "if c then a else b |> f",
        "not a and not b == c",
        "(a |> f) + b",
        "x |> f(a, b: 1 over N, ..) |> g",
        "grad(J)(theta + alpha * v)",
        "when training { a = 1; v' = a; a } else x",
        "-log(softmax(z))[y]",
        "(x @ W).T.*",
    ] {
        let expected = text.replace(" ^ ", "^").replace("a * sum(i) x[i]", "a * (sum(i) x[i])");
        let printed = parse_expr(&expected).unwrap().to_string();
        assert_eq!(printed, expected);
    }
}

/// The text under each expression's span, parsed alone, is that expression.
#[test]
fn spans_cover_their_expressions() {
    fn check(files: &Files, expr: &Expr, count: &mut usize) {
        *count += 1;
        let text = files.slice(expr.span);
        if text.starts_with(['¹', '²', '³']) || text == ".." {
            return; // a raised exponent or the axes of a pack, which do not stand alone
        }
        let alone = parse_expr(&format!("({text}\n)")).unwrap_or_else(|error| panic!("{text}\n{error}"));
        assert_eq!(dump::expression(&alone), dump::expression(expr), "{text}");
        expr.for_each_child(&mut |child| check(files, child, count));
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/ast");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "dl") {
            continue;
        }
        let mut files = Files::default();
        let file = files.add(&path, std::fs::read_to_string(&path).unwrap());
        for item in &parse(file, files.text(file)).0.items {
            match &item.kind {
                ItemKind::Definition(definition) => {
                    definition.body.for_each_expr(&mut |expr| check(&files, expr, &mut count));
                }
                ItemKind::Constant(constant) => check(&files, &constant.value, &mut count),
                ItemKind::Data(data) => check(&files, &data.source, &mut count),
                ItemKind::Split(_)
                | ItemKind::Standardize(_)
                | ItemKind::Train(_)
                | ItemKind::Search(_)
                | ItemKind::Use(_) => {}
            }
        }
    }
    assert!(count > 300, "only {count} expressions were checked");
}

#[test]
fn both_spellings_give_one_tree() {
    let dump = |text: &str| {
        let mut files = Files::default();
        let file: FileId = files.add("a.dl", text);
        let (tree, errors) = parse(file, text);
        assert!(errors.is_empty(), "{}", render(&files, &errors, false));
        let ItemKind::Definition(definition) = &tree.items[0].kind else { panic!("not a definition") };
        format!("{} {}", definition.inputs[0].name, definition.body)
    };
    assert_eq!(dump("fn f(θ) = ∇(J)(θ)ᵀ · θ² ≤ λ"), dump("fn f(theta) = grad(J)(theta).T * theta^2 <= lambda"));
}

/// Every `.dl` file that comes with the compiler is free of syntax errors.
#[test]
fn shipped_files_parse() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<_> = ["examples", "benches", "lang"].iter().map(|folder| root.join(folder)).collect();
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "dl") {
                let mut files = Files::default();
                let file = files.add(&path, std::fs::read_to_string(&path).unwrap());
                let (_, errors) = parse(file, files.text(file));
                assert!(errors.is_empty(), "{}", render(&files, &errors, false));
                count += 1;
            }
        }
    }
    assert!(count > 0, "no files were found");
}
