//! Names that textbooks and other libraries use for what is written in another way here.
//!
//! Input: a name that nothing defines. Output: what to write instead, for the help line of the error.

/// What stands here for a name from elsewhere.
pub fn familiar(name: &str) -> Option<&'static str> {
    Some(match name {
        "len" | "shape" | "numel" | "dim" | "ndim" | "length" => {
            "the size of an axis is `size(x over D)`; the size variable itself, `D`, is a number too"
        }
        "True" | "TRUE" => "write `true`",
        "False" | "FALSE" => "write `false`",
        "None" | "null" | "nil" => "every name has a value here; leave out what is not needed",
        "gradient" | "derivative" | "diff" | "backward" => "write `grad(e, x)`, or `grad(J)(θ)` in an optimizer",
        "Jacobian" | "jac" => "write `jacobian(f)(x)`",
        "transpose" | "permute" | "swapaxes" => {
            "write `x.T`; other orders of axes are index notation, `y[j, i] = x[i, j]`"
        }
        "ln" => "write `log(x)`, the natural logarithm",
        "log2" | "log10" => "write `log(x) / log(2)`: `log` is the natural logarithm",
        "e" => "write `exp(x)` for e^x",
        "PI" => "write `pi`",
        "inf" | "infinity" | "nan" | "NaN" => "write a large number, as in `1e30`",
        "sigma" | "logistic" | "expit" => "the logistic function is `sigmoid`",
        "Sigma" => "write `sum(x over N)`, or `sum(i) x[i]`",
        "Pi" | "prod" | "product" | "cumprod" => "write `exp(sum(log(x) over N))` for a product of positive numbers",
        "print" | "println" | "echo" => "leave it out: what `measure` names in `train` is reported",
        "pow" | "power" => "write `a^b`",
        "square" | "sqr" => "write `x^2`",
        "fabs" | "absolute" | "magnitude" => "write `abs(x)`",
        "argmin" => "write `argmax(-x over K)`",
        "maximum" | "fmax" => "write `max(a, b)`, or `max(x over N)` along an axis",
        "minimum" | "fmin" => "write `min(a, b)`, or `min(x over N)` along an axis",
        "average" | "avg" | "expectation" => "write `mean(x over N)`",
        "var" | "variance" | "std" | "stddev" => "write `mean((x - mean(x over N))^2 over N)`, and `sqrt` of it",
        "matmul" | "mm" | "bmm" | "dot_product" | "einsum" | "inner" => {
            "write `x @ w`, or index notation, `y[n, o] = sum(i) x[n, i] * w[i, o]`"
        }
        "cat" | "concatenate" | "hstack" | "vstack" | "append" => "write `concat(a, b over A)`",
        "arange" | "linspace" => "write `range(N)`",
        "view" | "squeeze" | "unsqueeze" | "expand_dims" => "write `reshape(x, [N, 8, 8])`",
        "rand" | "random" => "write `uniform(like: x)`",
        "randn" | "gaussian" => "write `normal(like: x)`",
        "zeros_like" => "write `zeros(like: x)`",
        "ones_like" => "write `ones(like: x)`",
        "eye" => "the identity matrix is the init `identity`",
        "clip" | "clamp" => "write `max(low, min(high, x))`",
        "round" | "ceil" | "int" | "trunc" => "write `floor(x)`, or `floor(x + 0.5)` to round",
        "float" | "double" | "tensor" | "array" => "leave it out: integers become numbers where numbers are wanted",
        "onehot" | "to_categorical" => "write `one_hot(y)`",
        "detach" | "stop_gradient" | "no_grad" => "write `stop(e)`",
        "norm2" | "l2_norm" | "euclidean" => "write `norm(x over D)`",
        "logsumexp" => "write `log(sum(exp(z) over K))`: it does not overflow",
        "map" | "vmap" | "apply" | "foreach" => "apply the function to the tensor: it works on every element",
        "enumerate" | "zip" => "a repetition is written `for k in 1..20 (h = x) { h' = f(h) }`",
        "Linear" | "FullyConnected" | "fc" | "fully_connected" => "write `dense(x, 10)`",
        "CrossEntropyLoss" | "CrossEntropy" | "NLLLoss" | "nll_loss" | "categorical_crossentropy" => {
            "write `cross_entropy(z, y)`, which takes the values before softmax"
        }
        "BCELoss" | "BCEWithLogitsLoss" | "bce" => "write `binary_cross_entropy(z, y)`",
        "MSELoss" | "mean_squared_error" | "squared_error" | "mse_loss" => "write `mse(a, b)`",
        "Sequential" | "Model" | "Module" => {
            "a network is an equation: `net f(x: [N, 64]) -> [N, 10] = x |> dense(32) |> relu |> dense(10)`"
        }
        "self" | "this" => "leave it out: a layer's parameters are known by their names",
        "epochs" => "`epochs 10` is a clause of `train`; its counter is `epoch`",
        _ => return None,
    })
}

/// The same for `x.name`, where `x` is a tensor.
pub fn familiar_member(name: &str) -> Option<&'static str> {
    familiar(match name {
        "t" => "transpose",
        "size" => "shape",
        _ => name,
    })
}

/// An option of this name, for one that other libraries call so.
pub fn familiar_option(name: &str, options: &[&str]) -> Option<&'static str> {
    let meant: &[&'static str] = match name {
        "learning_rate" | "step_size" | "eta" | "stepsize" => &["lr"],
        "beta1" | "beta_1" | "b1" => &["rho1"],
        "beta2" | "beta_2" | "b2" => &["rho2"],
        "eps" | "epsilon" => &["delta", "eps"],
        "weight_decay" | "wd" => &["decay"],
        "momentum" | "beta" => &["alpha", "momentum"],
        "p" | "rate" | "dropout" | "prob" => &["drop"],
        "units" | "out_features" | "num_outputs" | "outputs" | "width" => &["O"],
        "kernel_initializer" | "weights" | "initializer" => &["init"],
        "sigma" | "stddev" => &["std"],
        _ => &[],
    };
    meant.iter().copied().find(|meant| options.contains(meant))
}

#[cfg(test)]
mod tests {
    use super::{familiar, familiar_option};
    use crate::check::BUILTINS;

    #[test]
    fn what_is_known_here_needs_no_other_name() {
        let known: Vec<&str> = BUILTINS.into_iter().filter(|name| familiar(name).is_some()).collect();
        assert!(known.is_empty(), "{known:?}");
    }

    #[test]
    fn an_option_is_offered_only_where_it_exists() {
        assert_eq!(familiar_option("learning_rate", &["lr", "rho1"]), Some("lr"));
        assert_eq!(familiar_option("learning_rate", &["slope"]), None);
    }
}
