//! Random nets: layers of the library and own ones, applied by pipes and by equations.

use super::Writer;
use super::expression::Axes;

/// Inits that fit a parameter of two axes.
const INITS: &[&str] =
    &["glorot_uniform", "he_normal", "lecun_uniform", "normal(std: 0.4)", "uniform(low: -1, high: 1)"];

impl Writer<'_> {
    /// Writes `net name(x: [N, from]) -> [N, to]`.
    pub fn net(&mut self, name: &str, from: usize, to: usize) {
        let mut lines = Vec::new();
        let (mut value, mut width) = ("x".to_string(), from);
        if self.choices.once_in(4) {
            lines.push("    param shift: [] = 0.1".to_string());
            value = "(x + shift)".to_string();
        }
        let steps = self.choices.below(4);
        for k in 0..steps {
            let (step, after) = self.step(width);
            let form = self.choices.below(9);
            let name = format!("h{k}");
            match form {
                0 | 1 => {
                    value = format!("{value} |> {step}");
                    if form == 1 {
                        lines.push(format!("    {name} = {value}"));
                        value = name;
                    } else {
                        value = format!("({value})");
                    }
                }
                2 if after == width => {
                    lines.push(format!("    {name} = {value}"));
                    value = format!("({name} + ({name} |> {step}))");
                }
                6 => {
                    // The step is left out: one instance stands in two places.
                    self.matrices = true;
                    let between = self.choices.pick(&["tanh", "sin", "gelu"]);
                    lines.push(format!("    shared d{k} = dense({width})"));
                    lines.push(format!("    {name} = {value} |> d{k} |> {between} |> d{k}"));
                    value = self.choices.pick(&["#", "(# @ D.W)"]).replace('#', &name).replace('D', &format!("d{k}"));
                    continue;
                }
                7 if after == width => {
                    let next = self.choices.pick(&["tanh(#)", "# + h / k", "# * 0.5 ^ k"]);
                    let next = next.replace('#', &format!("(h |> {step})"));
                    lines.push(format!("    {name} = for k in 1..2 (h = {value}) {{ h' = {next} }}"));
                    value = name;
                    continue;
                }
                8 => {
                    lines.push(format!(
                        "    {name} = for k in 1..3 (h = {value}) {{\n        param gain: [] = 0.5\n        h' = h + tanh(gain * h) / k\n    }}"
                    ));
                    value = name;
                    continue;
                }
                3 => {
                    lines.push(format!("    {name} = {value}"));
                    value = format!("concat({name}, {name} |> {step})");
                    width += after;
                    continue;
                }
                _ => {
                    lines.push(format!("    {name} = {value} |> {step}"));
                    value = name;
                }
            }
            width = after;
        }
        if width != to || !self.owns(&lines, &value) || self.choices.once_in(2) {
            let init = self.choices.pick(INITS);
            self.matrices = true;
            value = match self.choices.below(3) {
                0 => format!("{value} |> dense({to})"),
                1 => format!("dense({value}, {to}, init: {init})"),
                _ => format!("{value} |> dense({to}, bias: normal(std: 0.3), init: {init})"),
            };
        }
        lines.push(format!("    {value}"));
        self.items.push(format!("net {name}(x: [N, {from}]) -> [N, {to}] {{\n{}\n}}", lines.join("\n")));
    }

    /// Writes a net of rows of a parameter chosen by the column `words`: the input of the others, and the axes of the
    /// column after its rows.
    pub fn lookup(&mut self, width: usize) -> (&'static str, Vec<u64>) {
        let init = self.choices.pick(INITS);
        self.matrices = true;
        let (axes, ty, value) = match self.choices.below(4) {
            0 => (vec![], "index(5)[N]", "E[t]"),
            1 => (vec![], "index(5)[N]", "E[t] * tanh(E[t])"),
            2 => (vec![3], "index(5)[N, T: 3]", "mean(E[t] over T)"),
            _ => (vec![3], "index(5)[N, T: 3]", "sum(E[t] * softmax(E[t]) over T)"),
        };
        let body = format!("    param E: [V: 5, D: {width}] = {init}\n    {value}");
        self.items.push(format!("net lookup(t: {ty}) -> [N, {width}] {{\n{body}\n}}"));
        (self.choices.pick(&["x + lookup(words)", "x * lookup(words)", "lookup(words) + lookup(words)"]), axes)
    }

    /// Whether a net applies something with parameters.
    fn owns(&self, lines: &[String], value: &str) -> bool {
        let owner =
            |text: &str| ["dense", "layer_", "param", "prelu", "maxout", "_norm"].iter().any(|w| text.contains(w));
        lines.iter().any(|l| owner(l)) || owner(value)
    }

    /// What stands after a pipe, and the width of its value.
    fn step(&mut self, width: usize) -> (String, usize) {
        let smooth = self.smooth;
        match self.choices.below(if smooth { 9 } else { 14 }) {
            0 | 1 => {
                let to = self.size();
                self.matrices = true;
                (format!("dense({to})"), to)
            }
            2 => (
                self.choices.pick(&["tanh", "sigmoid", "gelu", "silu", "mish", "softmax", "log_softmax"]).into(),
                width,
            ),
            3..=5 => (self.layer(), width),
            6 => {
                let to = self.size();
                self.matrices = true;
                let name = self.product_layer();
                (format!("{name}({to})"), to)
            }
            7 if self.choices.once_in(3) => {
                let names = ["batch_norm(delta: 0.1)", "layer_norm(delta: 0.1)", "rms_norm(delta: 0.1)"];
                let name = self.choices.pick(&names);
                self.state |= name.starts_with("batch");
                (name.into(), width)
            }
            7 => (self.batch_norm(), width),
            8 => (self.function(), width),
            9 => (self.choices.pick(&["relu", "elu", "selu", "hard_tanh", "leaky_relu", "softsign"]).into(), width),
            10 => ("prelu".into(), width),
            11 => {
                let (to, pieces) = (self.size(), [2, 1, 7][self.choices.below(3)]);
                self.matrices = true;
                (format!("maxout({to}, {pieces})"), to)
            }
            12 => ("dropout(0.4)".into(), width),
            _ => ("gaussian_noise(std: 0.2)".into(), width),
        }
    }

    fn next_name(&mut self, stem: &str) -> String {
        self.layers += 1;
        format!("{stem}_{}", self.layers)
    }

    /// Equations over what is there, each adding a value.
    fn equations(&mut self, names: &mut Vec<(String, Axes)>, squares: &[String]) -> String {
        let mut lines = String::new();
        for k in 0..self.choices.below(3) {
            let axes = [Axes::Matrix, Axes::Columns, Axes::Rows, Axes::Scalar][self.choices.below(4)];
            let value = self.expression(names, squares, axes, 2);
            lines += &format!("    v{k} = {value}\n");
            names.push((format!("v{k}"), axes));
        }
        lines
    }

    /// A function of `[N, C]` of its own.
    fn function(&mut self) -> String {
        let name = self.next_name("function");
        let mut names = vec![("x".to_string(), Axes::Matrix), ("a".to_string(), Axes::Scalar)];
        let lines = self.equations(&mut names, &[]);
        let value = self.expression(&names, &[], Axes::Matrix, 3);
        self.items.push(format!("fn {name}(x: [N, C]; a = 0.7) -> [N, C] {{\n{lines}    {value}\n}}"));
        name
    }

    /// A layer from `[N, C]` to `[N, C]` with parameters.
    fn layer(&mut self) -> String {
        let name = self.next_name("layer");
        let mut names = vec![("x".to_string(), Axes::Matrix)];
        let mut squares = Vec::new();
        let mut lines = String::new();
        let init = self.choices.pick(&["1", "normal(std: 0.5)", "uniform(low: -1, high: 1)", "constant(0.3)", "0.1"]);
        lines += &format!("    param g: [C] = {init}\n");
        names.push(("g".to_string(), Axes::Columns));
        if self.choices.once_in(3) {
            lines += "    param s: [] = 0.5\n";
            names.push(("s".to_string(), Axes::Scalar));
        }
        if self.choices.once_in(3) {
            let init = self.choices.pick(INITS);
            lines += &format!("    param M: [C, P: C] = {init}\n");
            squares.push("M".to_string());
            self.matrices = true;
        }
        let option = self.choices.once_in(3);
        if option {
            names.push(("rate".to_string(), Axes::Scalar));
        }
        lines += &self.equations(&mut names, &squares);
        let value = self.expression(&names, &squares, Axes::Matrix, 3);
        let last = self.choices.pick(&["g * #", "# + g", "tanh(#) * g + x"]).replace('#', &value);
        let options = if option { "; rate = 0.5" } else { "" };
        self.items.push(format!("layer {name}(x: [N, C]{options}) -> [N, C] {{\n{lines}    {last}\n}}"));
        if option && self.choices.once_in(2) { format!("{name}(rate: 0.3)") } else { name }
    }

    /// A layer from `[N, C]` to `[N, O]`.
    fn product_layer(&mut self) -> String {
        let name = self.next_name("layer");
        let init = self.choices.pick(INITS);
        let body = self.choices.pick(&[
            "    param b: [O] = zeros\n    tanh(x @ W) + b",
            "    param b: [O] = zeros\n    y[n, o] = sum(i) x[n, i] * W[i, o]\n    y + b",
            "    param b: [O] = normal(std: 0.2)\n    y[n, o] = mean(i) sin(x[n, i] * W[i, o] + b[o])\n    y",
            "    param V: [C, O] = normal(std: 0.3)\n    (x @ W) * sigmoid(x @ V)",
            "    param b: [C] = 0.1\n    ((x + b) @ W) / sqrt(1 + mean(W^2))",
        ]);
        self.items.push(format!("layer {name}(x: [N, C], O) -> [N, O] {{\n    param W: [C, O] = {init}\n{body}\n}}"));
        name
    }

    /// A layer whose state is kept from step to step.
    fn batch_norm(&mut self) -> String {
        let name = self.next_name("layer");
        self.state = true;
        let update = self.choices.pick(&["0.9 * mean_run + 0.1 * mu", "mu", "mean_run + 0.1 * (mu - mean_run)"]);
        let value = self.choices.pick(&[
            "gain * (x - mu) / sqrt(v + 0.1)",
            "gain * (x - mu) / (1 + v)",
            "(x - mean_run) * gain",
        ]);
        self.items.push(format!(
            "layer {name}(x: [N, C]) -> [N, C] {{
    param gain: [C] = 1
    state mean_run: [C] = 0
    state seen = 0
    when training {{
        mu = mean(x over N)
        v = mean((x - mu)^2 over N)
        mean_run' = {update}
        seen' = seen + 1
        {value}
    }} else {{
        gain * (x - mean_run)
    }}
}}"
        ));
        name
    }
}
