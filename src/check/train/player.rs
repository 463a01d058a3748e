//! Who minimizes and maximizes what, by which rules.

use super::super::expression::article;
use super::super::globals::Global;
use super::super::scope::Checker;
use super::super::shape::Substitution;
use super::super::typed::{DefId, Expr, Kind, Player, Rule, RuleCall};
use crate::source::{Diagnostic, Span, closest, codes};
use crate::syntax::ast;

impl Checker<'_> {
    pub(super) fn players(&mut self, written: &[(&ast::Player, Span)]) -> Option<Vec<Player>> {
        let mut players: Vec<Player> = Vec::new();
        let mut failed = false;
        for (k, (player, span)) in written.iter().enumerate() {
            let what = if player.maximize { "what is maximized" } else { "what is minimized" };
            let objective = self.scalar(&player.objective, what);
            let over = if player.over.is_empty() { Some(None) } else { self.selection(&player.over).map(Some) };
            let using = match &player.using {
                None => Some(None),
                Some(e) => self.rule_call(e, e.span, Kind::Optimizer).map(Some),
            };
            let name = match &player.name {
                _ if k == 0 => "loss".to_string(),
                Some(name) => name.text.clone(),
                None => format!("loss_{}", k + 1),
            };
            if let Some(written) = player.name.as_ref().filter(|_| players.iter().any(|p| p.name == name)) {
                let error = Diagnostic::new(codes::DUPLICATE_NAME, format!("`{name}` is reported already"))
                    .at(written.span, "a second time here");
                self.report(error);
            }
            match (over, using) {
                (Some(over), Some(using)) => {
                    players.push(Player { span: *span, name, maximize: player.maximize, objective, over, using });
                }
                _ => failed = true,
            }
        }
        (!failed && !players.is_empty()).then_some(players)
    }

    /// The rules of the players that have none of their own.
    pub(super) fn rules(&mut self, written: &[(&ast::Expr, &[ast::Expr], Span)]) -> Option<Vec<Rule>> {
        let mut rules = Vec::new();
        for (e, sets, span) in written {
            let call = self.rule_call(e, *span, Kind::Optimizer);
            let of = if sets.is_empty() { Some(None) } else { self.selection(sets).map(Some) };
            rules.push(call.zip(of).map(|(call, of)| Rule { call, of }));
        }
        rules.into_iter().collect()
    }

    /// `average ema(rho: 0.999)`
    pub(super) fn average(&mut self, e: &ast::Expr, span: Span) -> Option<RuleCall> {
        self.rule_call(e, span, Kind::Average)
    }

    /// A definition of this kind by name, with options or without.
    pub(super) fn rule_call(&mut self, e: &ast::Expr, span: Span, kind: Kind) -> Option<RuleCall> {
        let (callee, args): (&ast::Expr, &[ast::Arg]) = match &e.kind {
            ast::ExprKind::Name(_) | ast::ExprKind::Field { .. } => (e, &[]),
            ast::ExprKind::Call { callee, args, over: None } => (callee, args),
            _ => return self.no_rule(kind, e.span, "an expression"),
        };
        let place = callee.span;
        let (found, name) = match &callee.kind {
            ast::ExprKind::Name(name) => (self.global(name), name.as_str()),
            // `b.rule`, b being the name under which a file is used.
            ast::ExprKind::Field { name, .. } => match self.qualified(callee) {
                Some(found) => (Some(found), name.text.as_str()),
                None => return self.no_rule(kind, place, "an expression"),
            },
            _ => return self.no_rule(kind, place, "an expression"),
        };
        let def: DefId = match found {
            Some(Global::Definition(def)) if self.globals.kind(def) == kind => def,
            Some(Global::Definition(def)) => {
                let other = self.globals.kind(def);
                return self.no_rule(kind, place, &format!("{} {other}", article(other)));
            }
            Some(Global::Error) => return None,
            Some(_) => return self.no_rule(kind, place, "a constant"),
            None => {
                let known: Vec<&str> =
                    self.definitions.iter().filter(|d| d.kind == kind).map(|d| d.name.as_str()).collect();
                let mut error = Diagnostic::new(codes::UNKNOWN_NAME, format!("no {kind} is called `{name}`"))
                    .at(place, "not defined here or in the standard library");
                error = match closest(name, known.iter().copied()) {
                    Some(near) => error.help(format!("did you mean `{near}`?")),
                    None => error.note(format!("the {kind}s are {}", known.join(", "))),
                };
                self.report(error);
                return None;
            }
        };
        if self.definitions[def.0 as usize].result.is_error() {
            return None;
        }
        let skip = if kind == Kind::Optimizer { 2 } else { 1 };
        let given: Vec<_> = args.iter().map(|a| (a.name.as_ref(), &a.value)).collect();
        let (inputs, options) = self.arrange(def, &given, place, span, skip)?;
        if !inputs.is_empty() {
            let error = Diagnostic::new(codes::WRONG_ARGUMENTS, format!("`{name}` takes options only"))
                .at(span, "more is given");
            self.report(error);
            return None;
        }
        let options = self.option_values(def, options);
        if options.iter().flatten().any(|o| o.ty.is_error()) {
            return None;
        }
        let callee = &self.definitions[def.0 as usize];
        if self.breaks(callee, &Substitution::default(), &options, place) {
            return None;
        }
        Some(RuleCall { def, options, span })
    }

    fn no_rule(&mut self, kind: Kind, span: Span, what: &str) -> Option<RuleCall> {
        let (clause, example) = match kind {
            Kind::Optimizer => ("using", "using adam(lr: 1e-3)"),
            Kind::Average => ("average", "average ema(rho: 0.999)"),
            _ => ("keep", "keep max_norm(bound: 3) for weights"),
        };
        let error = Diagnostic::new(codes::WRONG_KIND, format!("`{clause}` wants {} {kind}", article(kind)))
            .at(span, format!("this is {what}"))
            .help(format!("write `{example}`"));
        self.report(error);
        None
    }

    /// A float scalar.
    pub(super) fn scalar(&mut self, e: &ast::Expr, what: &str) -> Expr {
        let value = self.expression(e);
        let value = self.numeric(value, &format!("{what} is made of"));
        let value = self.float(value);
        if value.ty.is_error() || (value.axes().is_empty() && value.ty.tensor().is_some()) {
            return value;
        }
        let error = Diagnostic::new(codes::NOT_A_SCALAR, format!("{what} is a single number"))
            .at(value.span, format!("this is {}", self.show(&value.ty)))
            .help("reduce it: `mean(...)`");
        self.fail(e.span, error)
    }

    pub fn positive(&mut self, e: &ast::Expr, what: &str) -> Option<u64> {
        let n = self.globals.whole_number(e, what, self.errors)?;
        if n == 0 {
            let error = Diagnostic::new(codes::NOT_A_CONSTANT, format!("{what} is at least 1")).at(e.span, "this is 0");
            self.report(error);
            return None;
        }
        Some(n)
    }
}
