//! The library is what its sources say: every rule, loss, penalty, metric, activation and init against figures made elsewhere or
//! against closed forms, and whole models against PyTorch.
//!
//! The figures stand in `figures/`, each beside the script in `oracle/` that made it. Programs run through the command line.

mod closed_forms;
mod formulas;
mod initializers;
mod layers;
mod models;
mod noise;
mod rules;
mod run;
mod training;
mod sparsity;
mod techniques;
