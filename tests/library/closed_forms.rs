//! What training with a penalty converges to where that is known.

use super::run::{Array, Folder, compare};
use std::collections::BTreeMap;

const CURVATURE: [f64; 5] = [0.5, 1.0, 2.0, 4.0, 3.0];
const OPTIMUM: [f64; 5] = [0.9, -1.5, 0.2, 0.7, -0.05];

/// Columns with which `at(e)` is the parameter itself.
fn quadratic() -> Folder {
    let identity: Vec<f64> = (0..25).map(|k| if k % 6 == 0 { 1.0 } else { 0.0 }).collect();
    Folder::new(&BTreeMap::from([
        ("e".to_owned(), (vec![5, 5], identity)),
        ("h".to_owned(), (vec![5], CURVATURE.to_vec())),
        ("best".to_owned(), (vec![5], OPTIMUM.to_vec())),
    ]))
}

fn quadratic_program(penalty: &str, rule: &str, closed: &str) -> String {
    format!(
        "net at(e: [N, 5]) -> [N] {{
            param w: [5] = zeros
            e @ w
        }}
        train {{
            minimize 0.5 * sum(h * (at(e) - best)^2){penalty}
            on       d in order
            using    {rule}
            steps    3000
            measure  error = max(abs(at(e) - {closed})), zeros = sum(at(e) == 0), size = sum(abs(at(e)))
        }}"
    )
}

/// The minimum of ½Σ h (w - w*)² + alpha·Σ|w| is w* moved towards 0 by alpha / h, and exactly 0 where that goes beyond.
#[test]
fn l1_reaches_the_soft_threshold_with_exact_zeros() {
    let closed = "sign(best) * max(abs(best) - 0.5 / h, 0)";
    let zeros = CURVATURE.iter().zip(OPTIMUM).filter(|(h, w)| w.abs() <= 0.5 / **h).count();
    assert_eq!(zeros, 3);
    for rule in ["ista(lr: 0.2, alpha: 0.5)", "fista(lr: 0.2, alpha: 0.5)"] {
        for (dtype, tolerance) in [("f32", 1e-6), ("f64", 1e-12)] {
            let run = quadratic().run(&quadratic_program("", rule, closed), dtype);
            assert!(run.measure("error") < tolerance, "{rule}: {}", run.measure("error"));
            assert_eq!(run.measure("zeros"), zeros as f64, "{rule}");
        }
    }
    // The subgradient comes near, though not to exact zeros.
    let run = quadratic().run(&quadratic_program(" + 0.5 * l1(at)", "sgd(lr: 1e-3)", closed), "f64");
    assert!(run.measure("error") < 0.3 && run.measure("zeros") < zeros as f64);
}

/// The minimum of ½Σ λ (w - w*)² + alpha/2·Σ w² is λ / (λ + alpha) of w*.
#[test]
fn l2_shrinks_each_direction_by_its_eigenvalue() {
    let closed = "h / (h + 0.5) * best";
    for rule in ["sgd(lr: 0.1)", "nesterov(lr: 0.02)", "adam(lr: 0.01)"] {
        let run = quadratic().run(&quadratic_program(" + 0.5 * l2(at)", rule, closed), "f32");
        assert!(run.measure("error") < 1e-4, "{rule}: {}", run.measure("error"));
    }
}

/// Penalty and decay apart from the gradient are the same for gradient descent.
#[test]
fn weight_decay_in_the_objective_and_in_the_update_agree() {
    let closed = "h / (h + 0.5) * best";
    let steps = |program: String| program.replace("3000", "50");
    let a = quadratic().run(&steps(quadratic_program(" + 0.5 * l2(at)", "sgd(lr: 0.1)", closed)), "f64");
    let rule = "sgdw(lr: 0.1, alpha: 0, decay: 0.5)";
    let b = quadratic().run(&steps(quadratic_program("", rule, closed)), "f64");
    for name in ["error", "size"] {
        assert!((a.measure(name) - b.measure(name)).abs() < 1e-14, "{name}");
    }
}

/// Elastic net: soft threshold, then shrinkage.
#[test]
fn elastic_net_thresholds_and_shrinks() {
    let closed = "h / (h + 0.25) * sign(best) * max(abs(best) - 0.25 / h, 0)";
    let penalty = " + 0.25 * l2(at)";
    let run = quadratic().run(&quadratic_program(penalty, "ista(lr: 0.1, alpha: 0.25)", closed), "f64");
    assert!(run.measure("error") < 1e-12, "{}", run.measure("error"));
    let once = quadratic_program(" + 2 * elastic(at, ratio: 0.25)", "sgd(lr: 0)", closed).replace("zeros\n", "2\n");
    let run = quadratic().run(&once, "f64");
    let data: f64 = CURVATURE.iter().zip(OPTIMUM).map(|(h, w)| 0.5 * h * (2.0 - w).powi(2)).sum();
    assert!((run.measure("loss") - data - 2.0 * (0.25 * 10.0 + 0.75 * 10.0)).abs() < 1e-12);
}

/// A price of the constraint ½‖w‖² ≤ k that climbs while it is violated settles at the multiplier of Karush, Kuhn and Tucker: the
/// minimum with L2 penalty of that price lies on the boundary, and where the constraint does not bind the price is 0.
#[test]
fn a_multiplier_settles_at_the_boundary_or_at_zero() {
    for (bound, binds) in [(0.5, true), (5.0, false)] {
        let program = format!(
            "net at(e: [N, 5]) -> [N] {{
                param w: [5] = zeros
                e @ w
            }}
            net price() -> [] {{
                param a: [] = 1
                a
            }}
            train {{
                minimize 0.5 * sum(h * (at(e) - best)^2) + price() * (l2(at) - {bound}) over at using sgd(lr: 0.1)
                maximize slack = price() * (l2(at) - {bound}) over price using sgd(lr: 0.1)
                keep     price >= 0
                on       d in order
                steps    2000
                measure  excess = l2(at) - {bound}, price = price(),
                         error = max(abs(at(e) - h / (h + price()) * best))
            }}"
        );
        let run = quadratic().run(&program, "f64");
        assert!(run.measure("error") < 1e-9, "{}", run.measure("error"));
        if binds {
            assert!(run.measure("excess").abs() < 1e-9 && run.measure("price") > 0.5);
        } else {
            assert!(run.measure("excess") < -1.0);
            assert_eq!(run.measure("price"), 0.0);
        }
    }
}

/// The solution of a symmetric positive definite system, by elimination.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for k in 0..n {
        for i in k + 1..n {
            let factor = a[i][k] / a[k][k];
            let row = a[k].clone();
            a[i].iter_mut().zip(&row).for_each(|(x, y)| *x -= factor * y);
            b[i] -= factor * b[k];
        }
    }
    for k in (0..n).rev() {
        b[k] = (b[k] - (k + 1..n).map(|j| a[k][j] * b[j]).sum::<f64>()) / a[k][k];
    }
    b
}

/// Training a linear model with an L2 penalty reaches (XᵀX + alpha·I)⁻¹Xᵀy.
#[test]
fn ridge_regression_reaches_the_closed_form() {
    const ALPHA: f64 = 0.7;
    let (rows, columns) = (20, 4);
    let wave = |k: usize| (k as f64 * 0.754_877_666_246_692_8).fract() * 2.0 - 1.0;
    let x: Vec<Vec<f64>> = (0..rows).map(|n| (0..columns).map(|i| wave(n * columns + i + 1)).collect()).collect();
    let y: Vec<f64> = (0..rows).map(|n| x[n][0] - 2.0 * x[n][2] + 0.3 * wave(7 * n + 100)).collect();
    let dot = |i: usize, f: &dyn Fn(usize) -> f64| (0..rows).map(|n| x[n][i] * f(n)).sum::<f64>();
    let normal = (0..columns).map(|i| {
        let row = (0..columns).map(|j| dot(i, &|n| x[n][j]) + if i == j { ALPHA } else { 0.0 });
        row.collect()
    });
    let w = solve(normal.collect(), (0..columns).map(|i| dot(i, &|n| y[n])).collect());
    // The first rows of `probe` are the identity, so that the net applied to it gives the parameters.
    let probe: Vec<f64> = (0..rows * columns).map(|k| if k / columns == k % columns { 1.0 } else { 0.0 }).collect();
    let mut closed = w;
    closed.resize(rows, 0.0);
    let data: BTreeMap<String, Array> = BTreeMap::from([
        ("x".to_owned(), (vec![rows, columns], x.concat())),
        ("y".to_owned(), (vec![rows], y)),
        ("probe".to_owned(), (vec![rows, columns], probe)),
        ("closed".to_owned(), (vec![rows], closed)),
    ]);
    for rule in ["sgd(lr: 0.05)", "momentum(lr: 0.01)", "adam(lr: 0.01)", "rmsprop_nesterov(lr: 1e-5)"] {
        let program = format!(
            "net ridge(x: [N, 4]) -> [N] {{
                param w: [4] = zeros
                x @ w
            }}
            train {{
                minimize 0.5 * sum((ridge(x) - y)^2) + {ALPHA} * l2(ridge)
                on       d in order
                using    {rule}
                steps    {}
                measure  error = max(abs(ridge(probe) - closed))
            }}",
            if rule.starts_with("rms") { 60_000 } else { 4000 }
        );
        let run = Folder::new(&data).run(&program, "f32");
        let mut failures = String::new();
        compare(&mut failures, rule, run.measure("error"), 0.0, 1e-4);
        assert!(failures.is_empty(), "{failures}");
    }
}
