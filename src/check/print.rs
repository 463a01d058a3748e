//! The text form of a typed program: each definition with its sizes, the types of its inputs, locals and result, and
//! its equations with every decision written out.

mod train;

use super::shape::Names;
use super::typed::{
    Block, Call, Definition, Draw, Expr, ExprKind, FunctionValue, Initial, InputKind, Instance, LocalId, Program,
    ReduceOp, Repetition, Selection, SelectionItem, Statement, Type,
};
use std::fmt::{self, Write};

/// The definitions from `first` on (those before are the prelude's), the data and the train block.
pub fn print(program: &Program, first: usize) -> String {
    let mut out = String::new();
    let written = write_program(&mut out, program, first);
    debug_assert!(written.is_ok(), "writing to a string does not fail");
    out
}

fn write_program(out: &mut String, program: &Program, first: usize) -> fmt::Result {
    for c in &program.constants {
        writeln!(out, "{} = {}\n", c.name, c.value)?;
    }
    for d in program.definitions.iter().skip(first) {
        definition(out, program, d)?;
        writeln!(out)?;
    }
    for d in &program.data {
        write!(out, "data {} = {}", d.name, d.reader)?;
        for (k, part) in d.parts.iter().enumerate() {
            write!(out, "{} {} {}%", if k == 0 { " into" } else { "," }, part.name, part.percent)?;
        }
        if let Some((column, _)) = &d.stratified {
            write!(out, " stratified by {column}")?;
        }
        for s in &d.standardized {
            let column = s.column.as_ref().map_or(String::new(), |column| format!(".{column}"));
            write!(out, "\nstandardize {}{column} by {}", d.name, rows_name(program, &s.by))?;
        }
        writeln!(out, "\n")?;
    }
    if let Some(search) = &program.search {
        let names: Vec<&str> = search.ranges.iter().map(|r| r.name.as_str()).collect();
        let random = search.random.map(|n| format!(" {n} random")).unwrap_or_default();
        writeln!(out, "search{random} {} by {} {}\n", names.join(", "), search.part, search.metric)?;
    }
    match program.train.as_ref().and_then(|t| t.repetition) {
        Some(Repetition::Folds { count, .. }) => writeln!(out, "train folds {count}\n")?,
        Some(Repetition::Ensemble { count, resampled, .. }) => {
            writeln!(out, "train ensemble {count}{}\n", if resampled { " resampled" } else { "" })?;
        }
        None => {}
    }
    for t in program.train.iter().flat_map(|t| &t.phases) {
        train::train(out, program, t)?;
    }
    Ok(())
}

/// What the printer needs to know of the definition around an expression.
struct Printer<'a> {
    program: &'a Program,
    locals: &'a [super::typed::Local],
    packs: &'a [String],
}

fn definition(out: &mut String, program: &Program, d: &Definition) -> fmt::Result {
    let p = Printer { program, locals: &d.locals, packs: &d.pack_names };
    write!(out, "{} {}(", d.kind, d.name)?;
    for (k, input) in d.inputs.iter().enumerate() {
        write!(out, "{}{}", if k > 0 { ", " } else { "" }, input.name)?;
        match &input.kind {
            InputKind::Value(local) => write!(out, ": {}", p.ty(&d.local(*local).ty))?,
            InputKind::Size(_) => write!(out, ": size")?,
        }
    }
    for (k, option) in d.options.iter().enumerate() {
        write!(out, "{}{}: {}", if k > 0 { ", " } else { "; " }, option.name, p.ty(&d.local(option.local).ty))?;
        if let Some(default) = &option.default {
            write!(out, " = ")?;
            p.expression(out, default, 1)?;
        }
    }
    writeln!(out, ") -> {} {{", p.ty(&d.result))?;
    if !d.sizes.is_empty() {
        let names: Vec<&str> = d.sizes.iter().map(|s| &*s.0).collect();
        writeln!(out, "    sizes {}", names.join(", "))?;
    }
    for require in &d.requires {
        writeln!(out, "    requires {}", require.text)?;
    }
    p.block(out, &d.body, 1)?;
    if let Some(derivative) = &d.derivative {
        writeln!(out, "}} derivative({}) {{", p.local(derivative.cotangent))?;
        p.block(out, &derivative.body, 1)?;
    }
    writeln!(out, "}}")
}

fn rows_name(program: &Program, rows: &super::typed::Rows) -> String {
    let data = program.data_set(rows.data);
    match rows.part.and_then(|k| data.parts.get(k)) {
        Some(part) => format!("{}.{}", data.name, part.name),
        None => data.name.clone(),
    }
}

impl Printer<'_> {
    fn ty(&self, ty: &Type) -> String {
        Names(self.packs).ty(ty)
    }

    fn local(&self, id: LocalId) -> &str {
        self.locals.get(id.0 as usize).map_or("?", |l| l.name.as_str())
    }

    fn local_type(&self, id: LocalId) -> String {
        self.locals.get(id.0 as usize).map_or_else(|| "?".into(), |l| self.ty(&l.ty))
    }

    fn block(&self, out: &mut String, b: &Block, depth: usize) -> fmt::Result {
        let indent = "    ".repeat(depth);
        for s in &b.statements {
            write!(out, "{indent}")?;
            match s {
                Statement::Let { local, value } => {
                    write!(out, "{}: {} = ", self.local(*local), self.local_type(*local))?;
                    self.expression(out, value, depth)?;
                }
                Statement::LetTuple { locals, value } => {
                    let names: Vec<&str> = locals.iter().map(|l| self.local(*l)).collect();
                    write!(out, "({}) = ", names.join(", "))?;
                    self.expression(out, value, depth)?;
                }
                Statement::Param(param) => {
                    write!(out, "param {}: {} = ", param.name, self.local_type(param.local))?;
                    match &param.init {
                        Initial::Value(e) | Initial::Apply(e) => self.expression(out, e, depth)?,
                    }
                }
                Statement::State(state) => {
                    write!(out, "state {}: {} = ", state.name, self.local_type(state.local))?;
                    self.expression(out, &state.init, depth)?;
                }
                Statement::Next { next, value, .. } => {
                    write!(out, "{} = ", self.local(*next))?;
                    self.expression(out, value, depth)?;
                }
            }
            writeln!(out)?;
        }
        if let Some(result) = &b.result {
            write!(out, "{indent}")?;
            self.expression(out, result, depth)?;
            writeln!(out)?;
        }
        Ok(())
    }

    fn braced(&self, out: &mut String, b: &Block, depth: usize) -> fmt::Result {
        if let ([], Some(result)) = (b.statements.as_slice(), &b.result) {
            write!(out, "{{ ")?;
            self.expression(out, result, depth)?;
            return write!(out, " }}");
        }
        writeln!(out, "{{")?;
        self.block(out, b, depth + 1)?;
        write!(out, "{}}}", "    ".repeat(depth))
    }

    fn list(&self, out: &mut String, items: &[Expr], depth: usize) -> fmt::Result {
        for (k, e) in items.iter().enumerate() {
            write!(out, "{}", if k > 0 { ", " } else { "" })?;
            self.expression(out, e, depth)?;
        }
        Ok(())
    }

    fn options(
        &self,
        out: &mut String,
        def: super::typed::DefId,
        options: &[Option<Expr>],
        open: &str,
        close: &str,
    ) -> fmt::Result {
        let mut first = true;
        for (option, value) in self.program.definition(def).options.iter().zip(options) {
            if let Some(value) = value {
                write!(out, "{}{}: ", if first { open } else { ", " }, option.name)?;
                self.expression(out, value, 1)?;
                first = false;
            }
        }
        if first { Ok(()) } else { write!(out, "{close}") }
    }

    fn expression(&self, out: &mut String, e: &Expr, depth: usize) -> fmt::Result {
        let unary = |out: &mut String, name: &str, value: &Expr| {
            write!(out, "{name}(")?;
            self.expression(out, value, depth)?;
            write!(out, ")")
        };
        match &e.kind {
            ExprKind::Error => write!(out, "?"),
            ExprKind::Number(n) => write!(out, "{n}"),
            ExprKind::SizeValue(size) => write!(out, "size({size})"),
            ExprKind::Count(axes) => write!(out, "count{}", Names(self.packs).axes(axes)),
            ExprKind::Local(id) => write!(out, "{}", self.local(*id)),
            ExprKind::Tuple(parts) => {
                write!(out, "(")?;
                self.list(out, parts, depth)?;
                write!(out, ")")
            }
            ExprKind::Block(b) => self.braced(out, b, depth),
            ExprKind::Elementwise { op, operands } => {
                write!(out, "{}(", op.primitive().name())?;
                self.list(out, operands, depth)?;
                write!(out, ")")
            }
            ExprKind::Convert(value) => {
                write!(out, "convert(")?;
                self.expression(out, value, depth)?;
                write!(out, ")")
            }
            ExprKind::ToIndex(value) => {
                write!(out, "index(")?;
                self.expression(out, value, depth)?;
                write!(out, ")")
            }
            ExprKind::Broadcast { value, axes } => {
                write!(out, "broadcast(")?;
                self.expression(out, value, depth)?;
                write!(out, " to {} at {axes:?})", self.ty(&e.ty))
            }
            ExprKind::Permute { value, order } => {
                write!(out, "permute(")?;
                self.expression(out, value, depth)?;
                write!(out, " by {order:?})")
            }
            ExprKind::Reduce { op, value, axes } => {
                write!(out, "{}(", reduction(*op))?;
                self.expression(out, value, depth)?;
                write!(out, " over {axes:?})")
            }
            ExprKind::ArgMax { value, axis } => {
                write!(out, "argmax(")?;
                self.expression(out, value, depth)?;
                write!(out, " over [{axis}])")
            }
            ExprKind::Contract { left, right, contract, batch } => {
                write!(out, "contract(")?;
                self.expression(out, left, depth)?;
                write!(out, ", ")?;
                self.expression(out, right, depth)?;
                write!(out, " over {contract:?}")?;
                if !batch.is_empty() {
                    write!(out, " batch {batch:?}")?;
                }
                write!(out, ")")
            }
            ExprKind::Gather { value, index, axis, batch } => {
                write!(out, "gather(")?;
                self.expression(out, value, depth)?;
                write!(out, " at ")?;
                self.expression(out, index, depth)?;
                write!(out, " along {axis} batch {batch:?})")
            }
            ExprKind::Order { value, axis } => {
                write!(out, "order(")?;
                self.expression(out, value, depth)?;
                write!(out, " along {axis})")
            }
            ExprKind::OneHot(value) => unary(out, "one_hot", value),
            ExprKind::Concat { values, axis } => {
                write!(out, "concat(")?;
                self.list(out, values, depth)?;
                write!(out, " along {axis})")
            }
            ExprKind::Random { site, draw, like } => {
                let name = match draw {
                    Draw::Uniform => "uniform",
                    Draw::Normal => "normal",
                };
                match like {
                    Some(like) => {
                        write!(out, "{name}#{}(like: ", site.0)?;
                        self.expression(out, like, depth)?;
                        write!(out, ")")
                    }
                    None => write!(out, "{name}#{}({})", site.0, self.ty(&e.ty)),
                }
            }
            ExprKind::If { condition, then, otherwise } => {
                write!(out, "if ")?;
                self.expression(out, condition, depth)?;
                write!(out, " ")?;
                self.braced(out, then, depth)?;
                write!(out, " else ")?;
                self.braced(out, otherwise, depth)
            }
            ExprKind::When { training, otherwise } => {
                write!(out, "when training ")?;
                self.braced(out, training, depth)?;
                write!(out, " else ")?;
                self.braced(out, otherwise, depth)
            }
            ExprKind::Evaluating(value) => {
                write!(out, "evaluating(")?;
                self.expression(out, value, depth)?;
                write!(out, ")")
            }
            ExprKind::Members { value, .. } => {
                write!(out, "members(")?;
                self.expression(out, value, depth)?;
                write!(out, ")")
            }
            ExprKind::Draws { value, count } => {
                write!(out, "draws(")?;
                self.expression(out, value, depth)?;
                write!(out, ", {count})")
            }
            ExprKind::Call(call) => self.call(out, call, depth),
            ExprKind::Member { call, local } => {
                self.call(out, call, depth)?;
                write!(out, ".{}", self.program.definition(call.def).local(*local).name)
            }
            ExprKind::CallLocal { function, args, .. } => {
                write!(out, "{}(", self.local(*function))?;
                self.list(out, args, depth)?;
                write!(out, ")")
            }
            ExprKind::Function(f) => self.function(out, f),
            ExprKind::Init(init) => {
                write!(out, "{}", self.program.definition(init.def).name)?;
                self.options(out, init.def, &init.options, "(", ")")
            }
            ExprKind::Grad { of, wrt } => {
                write!(out, "grad(")?;
                self.expression(out, of, depth)?;
                write!(out, ", {})", self.local(*wrt))
            }
            ExprKind::Tangent { of, wrt, along } => {
                write!(out, "tangent(")?;
                self.expression(out, of, depth)?;
                write!(out, ", {} along ", self.local(*wrt))?;
                self.expression(out, along, depth)?;
                write!(out, ")")
            }
            ExprKind::Jacobian { of, wrt, rows } => {
                write!(out, "jacobian(")?;
                self.expression(out, of, depth)?;
                write!(out, ", {}", self.local(*wrt))?;
                if let Some(rows) = rows {
                    write!(out, " per {rows:?}")?;
                }
                write!(out, ")")
            }
            ExprKind::Peek(value) => unary(out, "peek", value),
            ExprKind::Commit(value) => unary(out, "commit", value),
            ExprKind::Positions => write!(out, "positions {}", self.ty(&e.ty)),
            ExprKind::Reshape(value) => {
                write!(out, "reshape(")?;
                self.expression(out, value, depth)?;
                write!(out, " to {})", self.ty(&e.ty))
            }
            ExprKind::Slice { value, axis, start, .. } => {
                write!(out, "slice(")?;
                self.expression(out, value, depth)?;
                write!(out, " along {axis} from {start} to {})", self.ty(&e.ty))
            }
            ExprKind::Evaluate { objective, at } => unary(out, self.local(*objective), at),
            ExprKind::EvaluateGrad { objective, at } => unary(out, &format!("grad({})", self.local(*objective)), at),
            ExprKind::EvaluateHvp { objective, at, along } => {
                write!(out, "hvp({})(", self.local(*objective))?;
                self.expression(out, at, depth)?;
                write!(out, ", ")?;
                self.expression(out, along, depth)?;
                write!(out, ")")
            }
            ExprKind::SetOf(value) => unary(out, "set", value),
            ExprKind::FillSet { value, like } => {
                write!(out, "fill(")?;
                self.expression(out, value, depth)?;
                write!(out, " like ")?;
                self.expression(out, like, depth)?;
                write!(out, ")")
            }
            ExprKind::ReduceSet { op, value } => {
                write!(out, "{}(", reduction(*op))?;
                self.expression(out, value, depth)?;
                write!(out, " over all)")
            }
            ExprKind::Selection(s) => write!(out, "{}", selection(s)),
            ExprKind::Map(map) => {
                write!(out, "{} of each of ", self.program.definition(map.def).name)?;
                self.expression(out, &map.set, depth)?;
                self.options(out, map.def, &map.options, "(", ")")?;
                write!(out, "{}", if map.total { ", summed" } else { "" })
            }
            ExprKind::Computed(def) => write!(out, "{}", self.program.definition(*def).name),
            ExprKind::Start(value) => unary(out, "start", value),
            ExprKind::Parameter(path) => {
                let instance = path.instance.iter().map(|(segment, _)| segment.as_str());
                let parts: Vec<&str> = instance.chain(path.rest.iter().map(String::as_str)).collect();
                write!(out, "parameter {}", parts.join("."))
            }
            ExprKind::For(repeat) => {
                write!(out, "for {} in {}..{} (", repeat.index.0, repeat.from, repeat.to)?;
                for (k, c) in repeat.carried.iter().enumerate() {
                    let comma = if k > 0 { ", " } else { "" };
                    write!(out, "{comma}{}: {} = ", self.local(c.local), self.local_type(c.local))?;
                    self.expression(out, &c.init, depth)?;
                }
                writeln!(out, ") {{")?;
                self.block(out, &repeat.body, depth + 1)?;
                write!(out, "{}}}", "    ".repeat(depth))
            }
        }
    }

    fn call(&self, out: &mut String, call: &Call, depth: usize) -> fmt::Result {
        let d = self.program.definition(call.def);
        write!(out, "{}", d.name)?;
        if let Instance::New { segment, .. } = &call.instance {
            write!(out, "@{segment}")?;
        }
        self.bindings(out, d, &call.sizes, &call.packs)?;
        write!(out, "(")?;
        let values: Vec<&Expr> = d
            .inputs
            .iter()
            .zip(&call.args)
            .filter(|(i, _)| matches!(i.kind, InputKind::Value(_)))
            .map(|(_, a)| a)
            .collect();
        for (k, e) in values.iter().enumerate() {
            write!(out, "{}", if k > 0 { ", " } else { "" })?;
            self.expression(out, e, depth)?;
        }
        self.options(out, call.def, &call.options, "; ", "")?;
        write!(out, ")")
    }

    fn function(&self, out: &mut String, f: &FunctionValue) -> fmt::Result {
        let d = self.program.definition(f.def);
        write!(out, "{}", d.name)?;
        self.bindings(out, d, &f.sizes, &f.packs)
    }

    /// `{I = 64, .. = [N]}`
    fn bindings(
        &self,
        out: &mut String,
        d: &Definition,
        sizes: &std::collections::BTreeMap<crate::ir::Symbol, crate::ir::Size>,
        packs: &[Vec<super::typed::Axis>],
    ) -> fmt::Result {
        let mut parts: Vec<String> =
            d.sizes.iter().filter_map(|s| sizes.get(s).map(|v| format!("{} = {v}", s.0))).collect();
        for (name, axes) in d.pack_names.iter().zip(packs) {
            if !axes.is_empty() {
                parts.push(format!("{name} = {}", Names(self.packs).axes(axes)));
            }
        }
        if parts.is_empty() { Ok(()) } else { write!(out, "{{{}}}", parts.join(", ")) }
    }
}

fn reduction(op: ReduceOp) -> &'static str {
    match op {
        ReduceOp::Sum => "sum",
        ReduceOp::Mean => "mean",
        ReduceOp::Max => "max",
        ReduceOp::Min => "min",
    }
}

fn selection(s: &Selection) -> String {
    let items: Vec<String> = s
        .items
        .iter()
        .map(|item| match item {
            SelectionItem::Weights => "weights".into(),
            SelectionItem::Biases => "biases".into(),
            SelectionItem::All => "all".into(),
            SelectionItem::Path(path) => path.join("."),
            SelectionItem::Wildcard(path) => format!("{}.*", path.join(".")),
        })
        .collect();
    items.join(", ")
}
