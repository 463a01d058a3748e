//! Checks a gradient against differences of the function itself.
//!
//! Input: the function and its gradient as closures over f64 tensors, and a point. Output: a [`Report`]. Every element
//! of a small parameter is checked, and a stated number of a large one: those with the largest gradient and a seeded
//! sample of the rest; then derivatives along random directions, in which every element of the parameter takes part.
//!
//! The relative error of an element is |analytic - numeric| over the largest of |analytic|, |numeric|, a thousandth of
//! the largest element of the parameter's gradient, and 1e-5 of the function's value: rounding in the function's value
//! must not count as an error of a gradient that is next to nothing.
//!
//! Invariant: an element disagrees only if differences have converged, to one slope on both sides, at two step lengths; it
//! is near a kink, and skipped and counted, if they converge at none (a perturbation crosses a corner of `relu`,
//! `abs` or `max` however small it is). The point is the same before and after.

mod report;

pub use report::{Checked, ParameterReport, Report};

use crate::autodiff::differences::slope;
use crate::scalar::random::Key;
use std::collections::BTreeSet;

/// A tensor that the gradient is taken by.
#[derive(Clone, PartialEq, Debug)]
pub struct Parameter {
    /// Its path.
    pub name: String,
    pub dims: Vec<usize>,
}

/// How much is checked, and how closely.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options {
    /// Of the sample and the directions.
    pub seed: u64,
    /// The largest relative error that passes.
    pub tolerance: f64,
    /// Parameters of no more elements are checked whole.
    pub whole: usize,
    /// Of larger ones, so many elements with the largest gradients …
    pub largest: usize,
    /// … and so many others are.
    pub sampled: usize,
    /// Random directions per parameter.
    pub directions: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { seed: 0, tolerance: 1e-6, whole: 64, largest: 8, sampled: 24, directions: 2 }
    }
}

/// The first step length, relative to an element or to 1 if that is larger; each next one is a twentieth.
const FIRST_STEP: f64 = 2e-2;
const NEXT_STEP: f64 = 0.05;
const STEPS: usize = 5;

/// Below this part of the function's value, a gradient is held to the tolerance absolutely.
const VALUE_FLOOR: f64 = 1e-5;
/// Below this part of the largest element of its parameter, an element is.
const GRADIENT_FLOOR: f64 = 1e-3;

/// Checks `gradient` against `loss` at `point`, which holds one row-major tensor for each parameter.
pub fn check(
    parameters: &[Parameter],
    point: &[Vec<f64>],
    mut loss: impl FnMut(&[Vec<f64>]) -> f64,
    gradient: impl FnOnce(&[Vec<f64>]) -> Vec<Vec<f64>>,
    options: &Options,
) -> Report {
    let analytic = gradient(point);
    let value = loss(point);
    let mut point = point.to_vec();
    let mut reports = Vec::with_capacity(parameters.len());
    for (k, parameter) in parameters.iter().enumerate() {
        let mut comparison = Comparison { loss: &mut loss, point: &mut point, parameter: k, value, options };
        reports.push(comparison.parameter(parameter, &analytic[k]));
    }
    Report { loss: value, seed: options.seed, tolerance: options.tolerance, parameters: reports }
}

/// One parameter's gradient being compared with differences.
struct Comparison<'a, F> {
    loss: &'a mut F,
    point: &'a mut Vec<Vec<f64>>,
    parameter: usize,
    /// The loss at the point.
    value: f64,
    options: &'a Options,
}

/// What differences say about a derivative.
enum Outcome {
    /// The numeric derivative and the relative error.
    Compared(f64, f64),
    NearKink,
}

impl<F: FnMut(&[Vec<f64>]) -> f64> Comparison<'_, F> {
    fn parameter(&mut self, parameter: &Parameter, gradient: &[f64]) -> ParameterReport {
        let mut report = ParameterReport::new(&parameter.name, &parameter.dims, gradient.len());
        let largest = gradient.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
        let floor = (VALUE_FLOOR * self.value.abs()).max(f64::MIN_POSITIVE);
        for index in self.chosen(gradient) {
            let outcome = self.element(index, gradient[index], floor.max(GRADIENT_FLOOR * largest));
            let place = position(index, &parameter.dims);
            report.count(outcome_of(outcome, gradient[index], Some(place)));
        }
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        for number in 0..self.options.directions {
            if gradient.is_empty() {
                break;
            }
            let direction = self.direction(number, gradient.len());
            let along = gradient.iter().zip(&direction).map(|(g, v)| g * v).sum();
            // Along a unit vector of equal elements, a derivative is about the root mean square of the gradient.
            let typical = norm / (gradient.len() as f64).sqrt();
            let outcome = self.along(&direction, along, floor.max(GRADIENT_FLOOR * typical));
            report.count(outcome_of(outcome, along, None));
        }
        report
    }

    fn key(&self, purpose: u64) -> Key {
        Key::derive(self.options.seed, self.parameter as u64, purpose)
    }

    /// The elements to check, ascending.
    fn chosen(&self, gradient: &[f64]) -> Vec<usize> {
        let n = gradient.len();
        if n <= self.options.whole.max(self.options.largest + self.options.sampled) {
            return (0..n).collect();
        }
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|a, b| gradient[*b].abs().total_cmp(&gradient[*a].abs()).then(a.cmp(b)));
        let mut chosen: BTreeSet<usize> = order[..self.options.largest].iter().copied().collect();
        let mut rest = order.split_off(self.options.largest);
        let key = self.key(0);
        for k in 0..self.options.sampled {
            let drawn = k + (key.bits64(k as u64) % (rest.len() - k) as u64) as usize;
            rest.swap(k, drawn);
            chosen.insert(rest[k]);
        }
        chosen.into_iter().collect()
    }

    /// A unit vector whose elements are ±1/√n.
    fn direction(&self, number: usize, n: usize) -> Vec<f64> {
        let key = self.key(1 + number as u64);
        let magnitude = 1.0 / (n as f64).sqrt();
        (0..n as u64).map(|k| if key.bits64(k) >> 63 == 0 { magnitude } else { -magnitude }).collect()
    }

    fn element(&mut self, index: usize, analytic: f64, floor: f64) -> Outcome {
        let here = self.point[self.parameter][index];
        let (k, value) = (self.parameter, self.value);
        let (loss, point) = (&mut *self.loss, &mut *self.point);
        let mut f = |t: f64| {
            point[k][index] = here + t;
            loss(point)
        };
        let outcome = compare(&mut f, value, analytic, FIRST_STEP * here.abs().max(1.0), floor, self.options.tolerance);
        self.point[k][index] = here;
        outcome
    }

    fn along(&mut self, direction: &[f64], analytic: f64, floor: f64) -> Outcome {
        let here = self.point[self.parameter].clone();
        let (k, value) = (self.parameter, self.value);
        let (loss, point) = (&mut *self.loss, &mut *self.point);
        let mut f = |t: f64| {
            for (x, (h, v)) in point[k].iter_mut().zip(here.iter().zip(direction)) {
                *x = h + t * v;
            }
            loss(point)
        };
        let size = here.iter().map(|x| x * x).sum::<f64>().sqrt();
        let outcome = compare(&mut f, value, analytic, FIRST_STEP * size.max(1.0), floor, self.options.tolerance);
        self.point[k] = here;
        outcome
    }
}

/// Compares `analytic` with the slope of `f` at 0, where its value is `here`, seen with shorter and shorter steps.
fn compare(
    f: &mut impl FnMut(f64) -> f64,
    here: f64,
    analytic: f64,
    first: f64,
    floor: f64,
    tolerance: f64,
) -> Outcome {
    if !(here.is_finite() && analytic.is_finite()) {
        return Outcome::Compared(f64::NAN, f64::INFINITY);
    }
    let mut step = first;
    let mut before: Option<(f64, f64)> = None;
    for _ in 0..STEPS {
        let enough = 0.01 * tolerance * floor.max(analytic.abs());
        if let Some(seen) = slope(f, here, step, enough) {
            let numeric = seen.central.value;
            let scale = floor.max(analytic.abs()).max(numeric.abs());
            let error = (analytic - numeric).abs() / scale;
            if seen.is_smooth(tolerance * scale) {
                if error <= tolerance {
                    return Outcome::Compared(numeric, error);
                }
                // A corner just within reach can look smooth once, by chance, but not with other steps.
                if let Some((earlier, its_error)) = before
                    && (earlier - numeric).abs() <= 0.1 * (analytic - numeric).abs()
                {
                    let best = if its_error <= error { (earlier, its_error) } else { (numeric, error) };
                    return Outcome::Compared(best.0, best.1);
                }
                before = Some((numeric, error));
            }
        }
        step *= NEXT_STEP;
    }
    match before {
        Some((numeric, error)) => Outcome::Compared(numeric, error),
        None => Outcome::NearKink,
    }
}

fn outcome_of(outcome: Outcome, analytic: f64, index: Option<Vec<usize>>) -> Option<Checked> {
    match outcome {
        Outcome::Compared(numeric, relative_error) => Some(Checked { index, analytic, numeric, relative_error }),
        Outcome::NearKink => None,
    }
}

/// The row-major position of an element.
fn position(mut element: usize, dims: &[usize]) -> Vec<usize> {
    let mut out = vec![0; dims.len()];
    for (k, d) in dims.iter().enumerate().rev() {
        out[k] = element % d;
        element /= d;
    }
    out
}

#[cfg(test)]
mod tests;
