//! Numerical derivatives, to check symbolic ones against.
//!
//! Input: `f` around 0. Output: a [`Difference`]: Ridders' extrapolation of central differences at shrinking steps
//! ("Accurate computation of F'(x) and F'(x)F''(x)", 1982); or a [`Slope`], beside it the same extrapolation of the
//! differences to either side, which tell a smooth function from one with a kink at 0: there, central differences converge
//! too, to the mean of both slopes.

/// Where digits count, steps shrink slowly and there are many.
const FINE_RATIO: f64 = 1.4;
const FINE_LEVELS: usize = 10;

/// Where values are dear, as those of a whole program.
const RATIO: f64 = 1.6;
const LEVELS: usize = 8;

/// A derivative, and how far it may be off as far as the extrapolation can tell.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Difference {
    pub value: f64,
    pub error: f64,
}

/// The derivative at 0 seen with steps of up to one length.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Slope {
    pub central: Difference,
    pub right: Difference,
    pub left: Difference,
}

impl Slope {
    /// Whether the extrapolations have converged to within `error`, to one slope on both sides. One-sided differences
    /// converge more slowly: their own estimate of the error counts.
    pub fn is_smooth(&self, error: f64) -> bool {
        let jump = (self.right.value - self.left.value).abs();
        let doubt = self.right.error + self.left.error;
        self.central.error <= error && jump <= 10.0 * doubt + error && doubt <= 1e4 * error
    }
}

/// Values of differences at steps h, h/r, h/r², … extrapolated to h = 0: Neville's tableau, of which the entry with the least
/// estimated error wins.
struct Tableau {
    /// The factor by which the leading term of the error shrinks from one step to the next, and from one column to the next.
    factor: f64,
    column_factor: f64,
    row: Vec<f64>,
    best: Difference,
    finished: bool,
}

impl Tableau {
    /// For differences at steps of this ratio, whose error has the powers h^p, h^2p, h^3p, ….
    fn new(ratio: f64, power: i32) -> Tableau {
        let factor = ratio.powi(power);
        let best = Difference { value: f64::NAN, error: f64::INFINITY };
        Tableau { factor, column_factor: factor, row: Vec::new(), best, finished: false }
    }

    fn push(&mut self, difference: f64) {
        if self.finished {
            return;
        }
        let mut next = vec![difference];
        let mut factor = self.factor;
        for (k, above) in self.row.iter().enumerate() {
            let value = (next[k] * factor - above) / (factor - 1.0);
            factor *= self.column_factor;
            let error = (value - next[k]).abs().max((value - above).abs());
            if error <= self.best.error {
                self.best = Difference { value, error };
            }
            next.push(value);
        }
        // Once higher orders get worse, rounding has taken over.
        if let (Some(last), Some(previous)) = (next.last(), self.row.last()) {
            self.finished = (last - previous).abs() >= 4.0 * self.best.error && next.len() > 3;
        }
        self.row = next;
    }
}

/// The slope at 0 of `f`, whose value there is `here`, with steps from `h` down; `None` where `f` is not finite.
/// It is content with an error of `enough`.
pub fn slope(f: &mut impl FnMut(f64) -> f64, here: f64, h: f64, enough: f64) -> Option<Slope> {
    let (mut central, mut right, mut left) = (Tableau::new(RATIO, 2), Tableau::new(RATIO, 1), Tableau::new(RATIO, 1));
    let mut step = h;
    for level in 0..LEVELS {
        let (after, before) = (f(step), f(-step));
        if !(after.is_finite() && before.is_finite()) {
            return None;
        }
        central.push((after - before) / (2.0 * step));
        right.push((after - here) / step);
        left.push((here - before) / step);
        if level >= 3 && (central.finished || central.best.error <= enough) {
            break;
        }
        step /= RATIO;
    }
    Some(Slope { central: central.best, right: right.best, left: left.best })
}

/// f'(0), from values of `f` at no more than `step` from 0.
pub fn ridders(f: impl Fn(f64) -> f64, step: f64) -> Difference {
    let mut central = Tableau::new(FINE_RATIO, 2);
    let mut h = step;
    for _ in 0..FINE_LEVELS {
        central.push((f(h) - f(-h)) / (2.0 * h));
        if central.finished {
            break;
        }
        h /= FINE_RATIO;
    }
    central.best
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

    #[test]
    fn smooth_functions_have_slopes_to_ten_digits() {
        type Case = (fn(f64) -> f64, f64);
        let cases: [Case; 4] = [
            (|t| (0.7 + t).sin(), 0.7f64.cos()),
            (|t| (1.0 + t).exp(), std::f64::consts::E),
            (|t| (2.0 + t).powi(3), 12.0),
            (|t| (-0.3 + t).tanh(), 1.0 - 0.3f64.tanh().powi(2)),
        ];
        for (mut f, expected) in cases {
            let here = f(0.0);
            let slope = slope(&mut f, here, 0.05, 1e-13).unwrap();
            assert!((slope.central.value - expected).abs() < 1e-10 * expected.abs(), "{slope:?} {expected}");
            assert!(slope.is_smooth(1e-9 * expected.abs()), "{slope:?}");
        }
    }

    #[test]
    fn a_kink_at_the_point_or_within_reach_is_no_smooth_place() {
        let mut at_zero = |t: f64| t.max(0.0);
        assert!(!slope(&mut at_zero, 0.0, 0.05, 1e-13).unwrap().is_smooth(1e-6));
        let mut beside = |t: f64| (t - 1e-3).max(0.0);
        assert!(!slope(&mut beside, 0.0, 0.05, 1e-13).unwrap().is_smooth(1e-6));
        assert!(slope(&mut beside, 0.0, 9e-4, 1e-13).unwrap().is_smooth(1e-6));
    }

    #[test]
    fn no_slope_where_values_are_not_finite() {
        let mut f = |t: f64| (0.01 + t).ln();
        assert_eq!(slope(&mut f, 0.01f64.ln(), 0.05, 1e-13), None);
        assert!(slope(&mut f, 0.01f64.ln(), 0.005, 1e-13).is_some());
    }
}
