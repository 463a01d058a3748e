//! Arguments as written, arranged to the inputs and options of what is applied.

use super::application::Given;
use super::familiar::familiar_option;
use super::globals::Global;
use super::scope::Checker;
use super::typed::{DefId, Definition, Element, Expr, ExprKind, Kind, Type};
use crate::source::{Diagnostic, Span, closest, codes};
use crate::syntax::ast;

impl Checker<'_> {
    /// Arguments by input and by option of a definition; the first `skip` inputs are not among them.
    #[allow(clippy::type_complexity)]
    pub fn arrange<'a>(
        &mut self,
        def: DefId,
        given: &[Given<'a>],
        callee: Span,
        span: Span,
        skip: usize,
    ) -> Option<(Vec<&'a ast::Expr>, Vec<Option<&'a ast::Expr>>)> {
        let d: &Definition = &self.definitions[def.0 as usize];
        let names: Vec<&str> = d
            .inputs
            .iter()
            .skip(skip)
            .map(|i| i.name.as_str())
            .chain(d.options.iter().map(|o| o.name.as_str()))
            .collect();
        let count = d.inputs.len().saturating_sub(skip);
        let mut slots: Vec<Option<&'a ast::Expr>> = vec![None; names.len()];
        let mut errors = Vec::new();
        let mut position = 0;
        for (name, value) in given {
            let slot = match name {
                None => {
                    position += 1;
                    position - 1
                }
                Some(name) => match names.iter().position(|n| *n == name.text) {
                    Some(k) => k,
                    None => {
                        let mut error = Diagnostic::new(
                            codes::WRONG_ARGUMENTS,
                            format!("`{}` has no option `{}`", d.name, name.text),
                        )
                        .at(name.span, "unknown here")
                        .at(d.span, format!("`{}` is defined here", d.name));
                        let meant = familiar_option(&name.text, &names);
                        error = match meant.or_else(|| closest(&name.text, names.iter().copied())) {
                            Some(near) => error.help(format!("did you mean `{near}`?")),
                            None if d.options.is_empty() => error.note("it has no options"),
                            None => error.note(format!("its options are {}", list(&names[count..]))),
                        };
                        errors.push(error);
                        continue;
                    }
                },
            };
            match slots.get_mut(slot) {
                None => {
                    let error = Diagnostic::new(codes::WRONG_ARGUMENTS, format!("too many arguments for `{}`", d.name))
                        .at(value.span, "one too many")
                        .at(d.span, format!("`{}` takes {}", d.name, counted(count, "input")))
                        .help(format!("write `{}`", usage(d, skip)));
                    errors.push(error);
                    break;
                }
                Some(Some(first)) => {
                    let error = Diagnostic::new(
                        codes::WRONG_ARGUMENTS,
                        format!("`{}` is given twice", names.get(slot).copied().unwrap_or_default()),
                    )
                    .at(value.span, "a second time here")
                    .at(first.span, "the first time here");
                    errors.push(error);
                }
                Some(free) => *free = Some(*value),
            }
        }
        let failed = !errors.is_empty();
        if !failed {
            let missing: Vec<&str> = (0..slots.len())
                .filter(|k| slots[*k].is_none() && (*k < count || d.options[*k - count].default.is_none()))
                .map(|k| names[k])
                .collect();
            if !missing.is_empty() {
                errors.push(
                    Diagnostic::new(codes::WRONG_ARGUMENTS, format!("`{}` also needs {}", d.name, list(&missing)))
                        .at(if given.is_empty() { span } else { callee }, "an argument is missing here")
                        .at(d.span, format!("`{}` is defined here", d.name))
                        .help(format!("write `{}`", usage(d, skip))),
                );
            }
        }
        if !errors.is_empty() {
            self.errors.append(&mut errors);
            return None;
        }
        let options = slots.split_off(count);
        Some((slots.into_iter().flatten().collect(), options))
    }

    /// Values for the options of a definition.
    pub fn option_values(&mut self, def: DefId, given: Vec<Option<&ast::Expr>>) -> Vec<Option<Expr>> {
        let d = &self.definitions[def.0 as usize];
        let mut out = Vec::with_capacity(given.len());
        for (option, value) in d.options.iter().zip(given) {
            let wanted = &d.local(option.local).ty;
            out.push(value.map(|e| self.option_value(&d.name, &option.name, option.span, wanted, e)));
        }
        out
    }

    fn option_value(&mut self, def: &str, name: &str, place: Span, wanted: &Type, e: &ast::Expr) -> Expr {
        if *wanted == Type::Init {
            if let Some(value) = self.init_value(e) {
                return value;
            }
            if e.as_name().is_none_or(|name| self.is_value(name)) {
                return self.start_value(e, name, def);
            }
            let mut error = Diagnostic::new(codes::WRONG_KIND, format!("`{name}` of `{def}` wants an init"))
                .at(e.span, "this is none")
                .at(place, "the option is declared here");
            let inits: Vec<&str> =
                self.definitions.iter().filter(|d| d.kind == Kind::Init).map(|d| d.name.as_str()).collect();
            error = match e.as_name().and_then(|n| closest(n, inits.iter().copied())) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.help(format!("write `{name}: zeros` or `{name}: constant(value: 0.5)`")),
            };
            return self.fail(e.span, error);
        }
        let value = self.expression(e);
        let boolean = matches!(wanted, Type::Tensor(t) if t.element == Element::Bool);
        let what = format!("`{name}` of `{def}` is");
        let value = if boolean {
            self.boolean(value, &what)
        } else {
            let value = self.numeric(value, &what);
            self.float(value)
        };
        if value.ty.is_error() || (value.axes().is_empty() && matches!(value.ty, Type::Tensor(_))) {
            return value;
        }
        let error = Diagnostic::new(codes::NOT_A_SCALAR, format!("`{name}` of `{def}` is a single number"))
            .at(value.span, format!("this is {}", self.show(&value.ty)))
            .at(place, "the option is declared here");
        self.fail(e.span, error)
    }
}

impl Checker<'_> {
    /// Whether a name stands for a value here.
    fn is_value(&self, name: &str) -> bool {
        self.lookup(name).is_some() || matches!(self.global(name), Some(Global::Constant(_) | Global::Computed(_)))
    }

    /// A tensor where an init is wanted: what the parameter starts with.
    fn start_value(&mut self, e: &ast::Expr, name: &str, def: &str) -> Expr {
        let value = self.expression(e);
        let value = self.numeric(value, &format!("`{name}` of `{def}` is an init, or"));
        let value = self.float(value);
        if value.ty.is_error() {
            return value;
        }
        if value.ty.tensor().is_none() {
            let error = Diagnostic::new(codes::WRONG_KIND, format!("`{name}` of `{def}` wants an init or a tensor"))
                .at(value.span, format!("this is {}", self.describe(&value.ty)));
            return self.fail(e.span, error);
        }
        let span = value.span;
        Expr { kind: ExprKind::Start(Box::new(value)), ty: Type::Init, span }
    }
}

pub fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => "none".into(),
    }
}

pub fn counted(n: usize, what: &str) -> String {
    match n {
        1 => format!("one {what}"),
        _ => format!("{n} {what}s"),
    }
}

/// How a definition is applied: `dense(x, O, init: ...)`.
fn usage(d: &Definition, skip: usize) -> String {
    let mut parts: Vec<String> = d.inputs.iter().skip(skip).map(|i| i.name.clone()).collect();
    parts.extend(d.options.iter().map(|o| format!("{}: ...", o.name)));
    format!("{}({})", d.name, parts.join(", "))
}
