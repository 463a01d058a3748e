//! Random optimizers: those of the library, and own ones.

use super::Writer;
use super::functions::BACKWARDS_ONLY;

const LIBRARY: &[&str] = &[
    "sgd(lr: 0.05)",
    "sgd",
    "momentum(lr: 0.05, alpha: 0.8)",
    "nesterov(lr: 0.05)",
    "adagrad(lr: 0.05)",
    "rmsprop(lr: 0.01)",
    "adam(lr: 0.01)",
    "adam(lr: 0.01, rho1: 0.5, delta: 1e-3)",
    "sgd(lr: cosine(step, start: 0.1, tau: 5))",
    "momentum(lr: 0.05 * warm_up(step, tau: 3), alpha: linear(epoch, start: 0.5, end: 0.9, tau: 4))",
    "sgd(lr: own_schedule(step))",
    "adam(lr: own_schedule(step, low: 0.02))",
    "amsgrad(lr: 0.01, delta: 1e-3)",
    "nadam(lr: 0.01, delta: 1e-3)",
    "adadelta",
    "momentum_clip_norm(lr: 0.05, bound: 0.5)",
    "fista(lr: 0.05)",
];

/// What holds of parameters after an update.
const KEEPS: &[&str] = &[
    "box(low: -0.5, high: 0.5)",
    "ball(bound: 2)",
    "frobenius(bound: 0.8)",
    "W <= 0.4",
    "W >= -0.3",
    "norm(W) <= 0.7",
];

/// As `KEEPS`, where some parameter has two axes.
const MATRIX_KEEPS: &[&str] = &[
    "max_norm(bound: 0.6) for weights",
    "norm(W over fan_in) <= 0.5 for weights",
    "evened for weights",
    "unit_norm for weights",
];

impl Writer<'_> {
    /// What stands after `using`.
    pub fn rule(&mut self) -> String {
        match self.choices.below(3) {
            0 => {
                let rule = self.choices.pick(LIBRARY);
                if rule.contains("own_schedule") {
                    self.items.push("schedule own_schedule(k; low = 0.01) = low * (1.5 + sin(k))".into());
                }
                rule.into()
            }
            _ => {
                let text = self.own_rule();
                self.items.push(text);
                if self.choices.once_in(2) { "own_rule(lr: 0.03)".into() } else { "own_rule".into() }
            }
        }
    }

    /// Further clauses: constraints and an average. `over`: not all parameters are trained.
    pub fn clauses(&mut self, over: bool) -> Vec<String> {
        let mut clauses = Vec::new();
        if self.choices.once_in(4) {
            clauses.push(format!("keep     {}", self.choices.pick(KEEPS)));
        }
        if self.matrices && !over && self.choices.once_in(5) {
            let keep = self.choices.pick(MATRIX_KEEPS);
            if keep.contains("evened") {
                self.items.push("constraint evened(w: [I, O]) -> [I, O] = w - mean(w over I)".into());
            }
            clauses.push(format!("keep     {keep}"));
        }
        if self.choices.once_in(5) {
            let average = self.choices.pick(&["ema(rho: 0.8)", "polyak", "unbiased_ema(rho: 0.5)", "own_average"]);
            if average == "own_average" {
                let body = "    state a = θ\n    a' = a + (θ - a) / window\n    a'";
                self.items.push(format!("average own_average(θ; window = 3) {{\n{body}\n}}"));
            }
            clauses.push(format!("average  {average}"));
        }
        clauses
    }

    fn own_rule(&mut self) -> String {
        // Where a function says its own derivative, there is no second derivative along a direction.
        let along = !BACKWARDS_ONLY.iter().any(|name| self.used.contains(name));
        let mut states = String::new();
        let mut lines = String::new();
        let mut momentum = false;
        if self.choices.once_in(2) {
            momentum = true;
            states += "    state v = 0 * θ\n";
        }
        let mut point = "θ";
        if momentum && self.choices.once_in(3) {
            point = "ahead";
            lines += "    ahead = θ + 0.5 * v\n";
        }
        let mut g = "g0".to_string();
        lines += &match self.choices.below(6) {
            4 => format!("    now = J({point})\n    g0 = (1 + 0.1 * tanh(now)) * grad(J)({point})\n"),
            5 if along => {
                format!("    g0 = hvp(J)({point}, rademacher(like: θ)) + tanh(J({point})) * grad(J)({point})\n")
            }
            _ => format!("    g0 = grad(J)({point})\n"),
        };
        for k in 1..=self.choices.below(4) {
            let next = format!("g{k}");
            let value = match self.choices.below(11) {
                0 => format!("{g} + 0.01 * θ"),
                1 => format!("min(1, 1 / norm({g})) * {g}"),
                2 => format!("{g} / (sqrt({g} * {g}) + 0.01)"),
                3 => format!("max(-0.1, min({g}, 0.1))"),
                4 => format!("{g} * (1 + 0.1 * tanh(J({point})))"),
                5 => format!("0.5 * ({g} + grad(J)(θ - lr * {g}))"),
                6 if along => format!("hvp(J)({point}, {g}) * 0.1 + {g}"),
                7 if along => {
                    lines += &format!("    z{k} = rademacher(like: θ)\n");
                    lines += &format!("    curve{k} = z{k} * hvp(J)({point}, z{k})\n");
                    format!("{g} / (1 + abs(curve{k}))")
                }
                8 => {
                    states += &format!("    state r{k} = 0 * θ\n");
                    lines += &format!("    r{k}' = 0.9 * r{k} + 0.1 * {g} * {g}\n");
                    format!("{g} / (sqrt(r{k}') + 0.01)")
                }
                9 => {
                    states += &format!("    state t{k} = 0\n");
                    lines += &format!("    t{k}' = t{k} + 1\n");
                    format!("{g} / (1 + 0.1 * t{k}') + 0 * sum({g}) * θ")
                }
                _ => format!("{g} + 0.01 * normal(like: θ)"),
            };
            lines += &format!("    {next} = {value}\n");
            g = next;
        }
        let step = if momentum {
            lines += &format!("    v' = 0.8 * v - lr * {g}\n");
            "v'".to_string()
        } else {
            format!("-lr * {g}")
        };
        lines += &match self.choices.below(5) {
            3 => format!("    trial = θ + {step}\n    θ' = if J(trial) < J(θ) then trial else θ + 0.1 * ({step})"),
            4 => format!("    moved = θ + {step}\n    θ' = where(moved * θ >= 0, moved, 0.5 * moved)"),
            _ => format!("    θ' = θ + ({step})"),
        };
        format!("optimizer own_rule(J, θ; lr = 0.05) {{\n{states}{lines}\n}}")
    }
}
