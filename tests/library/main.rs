//! The library is what its sources say: every rule, loss, penalty, metric, activation and init against figures made elsewhere or
//! against closed forms, whole models against PyTorch; and every rule converges, in one pass over each parameter.
//!
//! The figures stand in `figures/`, each beside the script in `oracle/` that made it. Programs run through the command line.

mod attacks;
mod closed_forms;
mod convergence;
mod formulas;
mod initializers;
mod layers;
mod models;
mod noise;
mod ranks;
mod rules;
mod run;
mod sparsity;
mod techniques;
mod training;
mod updates;
