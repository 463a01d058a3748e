//! erf: near zero x + x·(erf(x)/x - 1) with a polynomial in x²; beyond it 1 - e^(log erfc |x|) with a polynomial in |x|.
//!
//! Input: any float. Output: within the bounds of the table in `scalar`. Invariant: both branches are evaluated and one
//! is selected; the logarithm's error is damped by erfc / erf < 0.23.

use super::exponential::exp_normal;
use super::lane::{Lane, Polynomial};

/// erf(x)/x - 1 in x² for |x| below 0.9375 (single) or 1 (double); error relative to erf 2^-29.4 and 2^-56.1.
const NEAR: Polynomial = Polynomial {
    single: &[8.40722e-05, -0.00081455975, 0.0052003153, -0.026858404, 0.112836555, -0.3761263, 0.12837917],
    double: &[
        1.4864243277120246e-10,
        -1.672989607345169e-09,
        1.6070565662217888e-08,
        -1.6563979522921844e-07,
        1.6481551452630594e-06,
        -1.492690324810794e-05,
        0.00012055386775096594,
        -0.000854832854469892,
        0.005223977652764912,
        -0.026866170648034177,
        0.11283791670971105,
        -0.376126389031841,
        0.1283791670955126,
    ],
};

/// log erfc(x) on [0.9375, 4] (single) or [1, 6] (double); error of erf 2^-29.3 and 2^-55.8, relative.
const FAR: Polynomial = Polynomial {
    single: &[0.0001938802, -0.0030230158, 0.022146188, -0.10376352, -0.6373746, -1.1275609, -0.00022360116],
    double: &[
        -1.3210206654321404e-13,
        6.891115102871213e-12,
        -1.6907446087639288e-10,
        2.5901893052439523e-09,
        -2.7736765145152684e-08,
        2.200671958557943e-07,
        -1.3356071959453482e-06,
        6.287059234376483e-06,
        -2.2830091208412744e-05,
        6.140527897519356e-05,
        -0.00010460619365694532,
        1.2979584549570546e-05,
        0.0005627640614508731,
        -0.0016842925351241102,
        0.00020867171571330384,
        0.0191248496513125,
        -0.10276970478765271,
        -0.6366209734203034,
        -1.128378891551222,
        -2.7856425018160745e-08,
    ],
};

/// The error function 2/√π·∫₀ˣ e^(-t²) dt.
pub fn erf<L: Lane>(lane: &mut L, x: L::F) -> L::F {
    let border = lane.pick(0.9375, 1.0);
    // From here on the result rounds to one.
    let saturated = lane.pick(4.0, 6.0);
    let one = lane.float(1.0);
    let magnitude = lane.abs(x);
    let square = lane.mul(magnitude, magnitude);
    let excess = lane.polynomial(&NEAR, square);
    let near = lane.fma(magnitude, excess, magnitude);
    let bounded = lane.min(saturated, magnitude);
    let log_erfc = lane.polynomial(&FAR, bounded);
    let erfc = exp_normal(lane, log_erfc);
    let far = lane.sub(one, erfc);
    let is_near = lane.lt(magnitude, border);
    let result = lane.select(is_near, near, far);
    lane.with_sign_of(result, x)
}
