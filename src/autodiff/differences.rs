//! Numerical derivatives, to check symbolic ones against.
//!
//! Ridders' method: central differences at shrinking steps, extrapolated to step zero by Neville's scheme; the entry of
//! the tableau with the least estimated error wins (Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", 1982).

/// A derivative with an estimate of its error.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Difference {
    pub value: f64,
    pub error: f64,
}

const SHRINK: f64 = 1.4;
const STEPS: usize = 10;

/// f'(0), from values of `f` at no more than `step` from 0.
pub fn ridders(f: impl Fn(f64) -> f64, step: f64) -> Difference {
    let mut best = Difference { value: f64::NAN, error: f64::INFINITY };
    let mut previous: Vec<f64> = Vec::new();
    let mut h = step;
    for _ in 0..STEPS {
        let mut row = vec![(f(h) - f(-h)) / (2.0 * h)];
        let mut factor = SHRINK * SHRINK;
        for (k, coarser) in previous.iter().enumerate() {
            let value = (row[k] * factor - coarser) / (factor - 1.0);
            let error = (value - row[k]).abs().max((value - coarser).abs());
            if error <= best.error {
                best = Difference { value, error };
            }
            row.push(value);
            factor *= SHRINK * SHRINK;
        }
        // Rounding has taken over once higher orders disagree more than the best did.
        if let (Some(last), Some(before)) = (row.last(), previous.last())
            && (last - before).abs() >= 2.0 * best.error
            && previous.len() > 2
        {
            break;
        }
        previous = row;
        h /= SHRINK;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smooth_functions_agree_to_eleven_digits() {
        for (f, exact) in [
            (f64::exp as fn(f64) -> f64, 1.0),
            (|t| (1.0 + t).ln(), 1.0),
            (|t| (2.0 + t).powi(5), 80.0),
            (|t| (0.3 + t).sin(), 0.3f64.cos()),
        ] {
            let d = ridders(f, 0.05);
            assert!((d.value - exact).abs() <= 1e-11 * exact.abs(), "{d:?} {exact}");
        }
    }
}
