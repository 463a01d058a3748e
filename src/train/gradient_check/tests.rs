//! Gradients that are right, wrong, and at corners.

use super::*;

fn parameter(name: &str, dims: &[usize]) -> Parameter {
    Parameter { name: name.to_owned(), dims: dims.to_vec() }
}

/// Numbers in [-1, 1), none of them close to 0.
fn numbers(n: usize, seed: u64) -> Vec<f64> {
    let key = Key::derive(seed, 99, 0);
    let number = |k| {
        let u = 2.0 * key.uniform_f64(k) - 1.0;
        if u.abs() < 0.05 { u + 0.2 } else { u }
    };
    (0..n as u64).map(number).collect()
}

/// Σ tanh(a)·sin(b) over pairs, plus a cube: smooth in both parameters.
fn smooth(p: &[Vec<f64>]) -> f64 {
    p[0].iter().zip(&p[1]).map(|(a, b)| a.tanh() * b.sin() + a.powi(3)).sum()
}

fn smooth_gradient(p: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let pairs = || p[0].iter().zip(&p[1]);
    vec![
        pairs().map(|(a, b)| (1.0 - a.tanh().powi(2)) * b.sin() + 3.0 * a * a).collect(),
        pairs().map(|(a, b)| a.tanh() * b.cos()).collect(),
    ]
}

fn two(n: usize) -> (Vec<Parameter>, Vec<Vec<f64>>) {
    (vec![parameter("a", &[n / 4, 4]), parameter("b", &[n])], vec![numbers(n, 1), numbers(n, 2)])
}

#[test]
fn a_right_gradient_agrees_to_nine_digits() {
    let (parameters, point) = two(48);
    let options = Options { tolerance: 1e-9, ..Options::default() };
    let report = check(&parameters, &point, smooth, smooth_gradient, &options);
    assert!(report.passed(), "{report}");
    for p in &report.parameters {
        assert_eq!((p.checked, p.directions, p.near_kink), (48, 2, 0), "{report}");
    }
}

#[test]
fn one_wrong_element_of_a_small_parameter_is_found_and_named() {
    let (parameters, point) = two(48);
    let wrong = |p: &[Vec<f64>]| {
        let mut g = smooth_gradient(p);
        g[0][13] *= 1.0 + 1e-4;
        g
    };
    let report = check(&parameters, &point, smooth, wrong, &Options::default());
    assert!(!report.passed());
    let (p, worst) = report.worst().unwrap();
    assert_eq!((p.name.as_str(), worst.index.clone()), ("a", Some(vec![3, 1])));
    assert!((worst.relative_error - 1e-4).abs() < 1e-7, "{report}");
    assert!(report.to_string().contains("DISAGREES"), "{report}");
}

#[test]
fn a_wrong_element_that_no_sample_meets_is_found_along_directions() {
    let (parameters, point) = two(4000);
    let options = Options { sampled: 4, ..Options::default() };
    let right = check(&parameters, &point, smooth, smooth_gradient, &options);
    assert!(right.passed(), "{right}");
    assert_eq!(right.parameters[0].checked, 12);
    let smallest = (0..4000)
        .min_by(|i, j| {
            let g = &smooth_gradient(&point)[1];
            g[*i].abs().total_cmp(&g[*j].abs())
        })
        .unwrap();
    let wrong = |p: &[Vec<f64>]| {
        let mut g = smooth_gradient(p);
        g[1][smallest] = 0.2;
        g
    };
    let report = check(&parameters, &point, smooth, wrong, &options);
    let worst = report.parameters[1].worst.clone().unwrap();
    assert!(!report.passed() && worst.index.is_none(), "{report}");
}

#[test]
fn elements_with_the_largest_gradients_are_always_checked() {
    let (parameters, point) = two(4000);
    let wrong = |p: &[Vec<f64>]| {
        let mut g = smooth_gradient(p);
        g[0][1234] = 50.0;
        g
    };
    let options = Options { directions: 0, ..Options::default() };
    let report = check(&parameters, &point, smooth, wrong, &options);
    assert_eq!(report.worst().unwrap().1.index, Some(vec![308, 2]));
}

#[test]
fn the_corner_of_relu_is_skipped_and_counted_not_called_wrong() {
    let parameters = [parameter("x", &[6])];
    // The third is at the corner; the others are near it or far.
    let point = [vec![0.5, -0.5, 0.0, 1e-3, -2e-5, 0.7]];
    let relu = |p: &[Vec<f64>]| p[0].iter().enumerate().map(|(k, x)| (k + 1) as f64 * x.max(0.0)).sum();
    let slope = |p: &[Vec<f64>]| {
        vec![p[0].iter().enumerate().map(|(k, x)| if *x > 0.0 { (k + 1) as f64 } else { 0.0 }).collect()]
    };
    let report = check(&parameters, &point, relu, slope, &Options { directions: 0, ..Options::default() });
    assert!(report.passed(), "{report}");
    assert_eq!((report.parameters[0].checked, report.parameters[0].near_kink), (5, 1), "{report}");
}

#[test]
fn a_wrong_gradient_beside_a_corner_is_still_wrong() {
    let parameters = [parameter("x", &[2])];
    let point = [vec![1e-3, -2e-5]];
    let relu = |p: &[Vec<f64>]| p[0].iter().map(|x| x.max(0.0) * (1.0 + x)).sum();
    let report = check(&parameters, &point, relu, |_| vec![vec![1.0, 1.0]], &Options::default());
    assert!(!report.passed(), "{report}");
    assert_eq!(report.parameters[0].checked, 2, "{report}");
}

#[test]
fn where_everything_is_a_corner_nothing_passes() {
    let parameters = [parameter("x", &[3])];
    let report = check(
        &parameters,
        &[vec![0.0; 3]],
        |p| p[0].iter().map(|x| x.abs()).sum(),
        |_| vec![vec![0.0; 3]],
        &Options::default(),
    );
    assert_eq!((report.parameters[0].checked, report.parameters[0].near_kink), (0, 5));
    assert!(!report.passed() && report.unchecked().count() == 1);
}

#[test]
fn a_zero_gradient_of_a_large_loss_is_not_held_to_its_rounding() {
    let parameters = [parameter("x", &[4])];
    let loss = |p: &[Vec<f64>]| 1e6 + 1e-9 * p[0].iter().map(|x| x.sin()).sum::<f64>();
    let report = check(&parameters, &[numbers(4, 3)], loss, |_| vec![vec![0.0; 4]], &Options::default());
    assert!(report.passed(), "{report}");
}

#[test]
fn what_is_not_finite_fails() {
    let parameters = [parameter("x", &[2])];
    let nan = |_: &[Vec<f64>]| vec![vec![f64::NAN, 1.0]];
    let report = check(&parameters, &[vec![0.1, 0.2]], |p| p[0].iter().sum(), nan, &Options::default());
    assert!(!report.passed());
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["parameters"][0]["worst"]["relative_error"].is_null());
}

#[test]
fn reports_repeat_and_empty_parameters_pass() {
    let (mut parameters, mut point) = two(4000);
    let options = Options { seed: 5, ..Options::default() };
    let once = check(&parameters, &point, smooth, smooth_gradient, &options);
    assert_eq!(once, check(&parameters, &point, smooth, smooth_gradient, &options));
    parameters.push(parameter("none", &[0, 3]));
    point.push(Vec::new());
    let gradient = |p: &[Vec<f64>]| [smooth_gradient(p), vec![Vec::new()]].concat();
    assert!(check(&parameters, &point, smooth, gradient, &options).passed());
}
