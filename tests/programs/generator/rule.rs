//! Random optimizers: those of the library, and own ones.

use super::Writer;

const LIBRARY: &[&str] = &[
    "sgd(lr: 0.05)",
    "sgd",
    "momentum(lr: 0.05, alpha: 0.8)",
    "nesterov(lr: 0.05)",
    "adagrad(lr: 0.05)",
    "rmsprop(lr: 0.01)",
    "adam(lr: 0.01)",
    "adam(lr: 0.01, rho1: 0.5, delta: 1e-3)",
];

impl Writer<'_> {
    /// What stands after `using`.
    pub fn rule(&mut self) -> String {
        match self.choices.below(3) {
            0 => self.choices.pick(LIBRARY).into(),
            _ => {
                let text = self.own_rule();
                self.items.push(text);
                if self.choices.once_in(2) { "own_rule(lr: 0.03)".into() } else { "own_rule".into() }
            }
        }
    }

    fn own_rule(&mut self) -> String {
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
            5 => format!("    g0 = hvp(J)({point}, rademacher(like: θ)) + tanh(J({point})) * grad(J)({point})\n"),
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
                6 => format!("hvp(J)({point}, {g}) * 0.1 + {g}"),
                7 => {
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
