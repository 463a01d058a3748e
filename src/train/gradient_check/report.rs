//! What a check of gradients found: per parameter how much was checked and the worst of it, as a table or as JSON.

use std::fmt::{self, Display};

/// A derivative and what differences say it is.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Checked {
    /// The element's position; none for a derivative along a random direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<Vec<usize>>,
    pub analytic: f64,
    pub numeric: f64,
    /// Infinite, and `null` in JSON, if the loss or the gradient is not finite.
    pub relative_error: f64,
}

#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct ParameterReport {
    pub name: String,
    pub dims: Vec<usize>,
    pub elements: usize,
    /// Elements compared.
    pub checked: usize,
    /// Random directions compared.
    pub directions: usize,
    /// Elements and directions left out, because the loss has a corner there.
    pub near_kink: usize,
    /// The worst element or direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<Checked>,
}

impl ParameterReport {
    pub(super) fn new(name: &str, dims: &[usize], elements: usize) -> ParameterReport {
        ParameterReport {
            name: name.to_owned(),
            dims: dims.to_vec(),
            elements,
            checked: 0,
            directions: 0,
            near_kink: 0,
            worst: None,
        }
    }

    /// Counts a comparison, or one that was not possible.
    pub(super) fn count(&mut self, checked: Option<Checked>) {
        let Some(checked) = checked else {
            self.near_kink += 1;
            return;
        };
        match checked.index {
            Some(_) => self.checked += 1,
            None => self.directions += 1,
        }
        if self.worst.as_ref().is_none_or(|w| checked.relative_error > w.relative_error) {
            self.worst = Some(checked);
        }
    }
}

/// What a check found.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Report {
    /// At the point where the gradient was checked.
    pub loss: f64,
    pub seed: u64,
    pub tolerance: f64,
    pub parameters: Vec<ParameterReport>,
}

impl Report {
    /// Takes what another check of the same program found, whose loss is another.
    pub fn merge(&mut self, other: Report) {
        self.parameters.extend(other.parameters);
    }

    /// The parameter with the worst relative error, and where.
    pub fn worst(&self) -> Option<(&ParameterReport, &Checked)> {
        let all = self.parameters.iter().filter_map(|p| Some((p, p.worst.as_ref()?)));
        all.reduce(|a, b| if b.1.relative_error > a.1.relative_error { b } else { a })
    }

    /// Parameters with elements of which none could be compared.
    pub fn unchecked(&self) -> impl Iterator<Item = &ParameterReport> {
        self.parameters.iter().filter(|p| p.elements > 0 && p.worst.is_none())
    }

    /// Whether something was compared for every parameter, and nothing disagrees.
    pub fn passed(&self) -> bool {
        let agrees = |p: &ParameterReport| p.worst.as_ref().is_none_or(|w| w.relative_error <= self.tolerance);
        self.parameters.iter().all(agrees) && self.unchecked().next().is_none()
    }
}

fn place(index: Option<&[usize]>) -> String {
    match index {
        Some(index) => format!("{index:?}"),
        None => "a direction".to_owned(),
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = ["parameter", "elements", "checked", "near a kink", "worst error", "at", "gradient", "differences"];
        let mut rows = vec![heads.map(str::to_owned)];
        for p in &self.parameters {
            let worst = p.worst.as_ref();
            let shown = |get: &dyn Fn(&Checked) -> String| worst.map_or("-".to_owned(), get);
            rows.push([
                p.name.clone(),
                p.elements.to_string(),
                format!("{} + {}", p.checked, p.directions),
                p.near_kink.to_string(),
                shown(&|w| format!("{:.1e}", w.relative_error)),
                shown(&|w| place(w.index.as_deref())),
                shown(&|w| format!("{:.9e}", w.analytic)),
                shown(&|w| format!("{:.9e}", w.numeric)),
            ]);
        }
        let widths: Vec<usize> =
            (0..heads.len()).map(|c| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0)).collect();
        for row in &rows {
            write!(f, "{:<width$}", row[0], width = widths[0])?;
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "checked: elements + random directions")?;
        for p in self.unchecked() {
            writeln!(f, "`{}`: nothing could be compared, the loss has corners all around this point", p.name)?;
        }
        match self.worst() {
            _ if !self.loss.is_finite() => write!(
                f,
                "the loss is {} at the starting values, so nothing can be compared: `dlc run` says where this comes from",
                self.loss
            ),
            Some((p, worst)) if !worst.analytic.is_finite() => write!(
                f,
                "the gradient is {} at {} of `{}`, where the loss is {:e}",
                worst.analytic,
                place(worst.index.as_deref()),
                p.name,
                self.loss
            ),
            None => write!(f, "nothing was compared"),
            Some((p, worst)) => {
                let verdict = if worst.relative_error > self.tolerance {
                    "DISAGREES with differences"
                } else if self.unchecked().next().is_some() {
                    "could not be compared for every parameter"
                } else {
                    "agrees with differences"
                };
                write!(
                    f,
                    "the gradient {verdict}: worst relative error {:.1e} at {} of `{}` (tolerance {:e})",
                    worst.relative_error,
                    place(worst.index.as_deref()),
                    p.name,
                    self.tolerance
                )
            }
        }
    }
}
