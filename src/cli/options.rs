//! What can be said on the command line.

use crate::codegen::Cpu;
use crate::ir::DType;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};

/// Compiles a page of deep-learning mathematics into one native training step, and trains it.
#[derive(Parser, Debug)]
#[command(name = "dlc", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// When to colour the output.
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true)]
    pub color: Color,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Train the model of a file and report its metrics.
    Run(Run),
    /// Apply a trained net to new rows.
    Predict(Predict),
    /// Measure a trained model on the parts of its data, or on a new file.
    Eval(Eval),
    /// Report every error in a file.
    Check(Check),
    /// Print the derivative of the objective with respect to each parameter, as mathematics.
    Grad(Grad),
    /// Print what a stage of the compiler makes of a file.
    Dump(Dump),
    /// Draw the step's graph as DOT and SVG.
    Graph(Graph),
    /// Check every gradient of a file against differences in f64.
    Test(Test),
    /// Time training steps.
    Bench(Bench),
    /// Tell what the time of a training step goes to, expression by expression, against what the machine can do.
    Profile(Profile),
    /// Put `.dl` files into canonical form.
    Fmt(Fmt),
    /// Show the documentation and the source of a definition, or list all of them.
    Doc(Doc),
    /// Create a folder with a small model that trains at once.
    New(New),
    /// Explain an error code at length.
    ExplainError(Explain),
}

/// The program and how it is to be read.
#[derive(Args, Clone, Debug)]
pub struct Source {
    /// The `.dl` file.
    pub file: PathBuf,

    /// Give a top-level constant of the file another value.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub set: Vec<(String, f64)>,

    /// The folder that the paths of data are relative to, if it is not that of the file.
    #[arg(skip)]
    pub data: Option<PathBuf>,
}

impl Source {
    /// The folder that the paths of data are relative to.
    pub fn directory(&self) -> &Path {
        self.data.as_deref().unwrap_or(self.folder())
    }

    /// The folder of the file, which the paths of the files it uses are relative to.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }
}

/// Which phases of the program are meant.
#[derive(Args, Clone, Debug, Default)]
pub struct Phases {
    /// Only the phase of this name; by default every phase.
    #[arg(long, value_name = "NAME")]
    pub phase: Option<String>,
}

/// How many threads there are.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Threads {
    /// Threads for large products; never changes results. By default, as many as the machine has cores.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

/// How the program is to be compiled.
#[derive(Args, Clone, Debug)]
pub struct Compile {
    /// The precision of every float.
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub dtype: Precision,

    #[command(flatten)]
    pub threads: Threads,

    /// The vectors code may use, 128 bits wide (portable), 256 or 512. By default, what the environment says in DLC_CPU, else
    /// the widest this machine has.
    #[arg(long, value_enum)]
    pub cpu: Option<Vectors>,

    /// Switch an optimization pass off; may be repeated. By default, those that the environment names in DLC_OFF, with
    /// commas between.
    #[arg(long, value_name = "PASS")]
    pub off: Option<Vec<String>>,
}

impl Compile {
    /// What holds where nothing is said on the command line.
    pub fn new(dtype: Precision, threads: Threads) -> Compile {
        Compile { dtype, threads, cpu: None, off: None }
    }
}

/// Where training starts.
#[derive(Args, Clone, Debug, Default)]
pub struct Start {
    /// The seed of every random draw: initial values, noise, the order of rows.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Start from the tensors of a safetensors file, named by parameter path.
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Vectors {
    Portable,
    Avx2,
    Avx512,
}

impl Vectors {
    pub fn cpu(self) -> Cpu {
        match self {
            Vectors::Portable => Cpu::Portable,
            Vectors::Avx2 => Cpu::Avx2,
            Vectors::Avx512 => Cpu::Avx512,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Precision {
    F32,
    F64,
}

impl Precision {
    pub fn dtype(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::F64 => DType::F64,
        }
    }
}

#[derive(Args, Clone, Debug)]
pub struct Run {
    /// The `.dl` file.
    #[arg(required_unless_present = "resume")]
    pub file: Option<PathBuf>,

    /// Give a top-level constant of the file another value.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub set: Vec<(String, f64)>,

    #[command(flatten)]
    pub compile: Compile,

    #[command(flatten)]
    pub start: Start,

    /// End after this many steps, whatever the file says.
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,

    /// One JSON object per event on stdout.
    #[arg(long)]
    pub json: bool,

    /// The folder that runs are kept in.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub runs: PathBuf,

    /// The name of the run's folder; by default that of the file, numbered if there is one already.
    #[arg(long)]
    pub name: Option<String>,

    /// Remove the run that has the name before.
    #[arg(long, requires = "name")]
    pub overwrite: bool,

    /// Keep nothing.
    #[arg(long, conflicts_with_all = ["name", "resume"])]
    pub no_save: bool,

    /// Go on with a run that was interrupted: the one in this folder, or the newest of the file.
    #[arg(long, value_name = "RUN", num_args = 0..=1,
        conflicts_with_all = ["set", "dtype", "off", "seed", "init", "name", "overwrite"])]
    pub resume: Option<Option<PathBuf>>,

    /// Save where the run stands at most this often.
    #[arg(long, value_name = "SECONDS", default_value_t = super::keep::EVERY, value_parser = seconds)]
    pub save_every: f64,
}

#[derive(Args, Debug)]
pub struct Predict {
    /// The folder of a run, for its best parameters, or one of its checkpoints.
    pub run: PathBuf,

    /// A file with the columns of the run's data; targets may be absent.
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,

    /// The net to apply, if the program has several.
    #[arg(long, value_name = "NAME")]
    pub net: Option<String>,

    /// Give what a measure looks at instead, its first argument: p of `vote = accuracy(p, y)`.
    #[arg(long, value_name = "NAME", conflicts_with = "net")]
    pub measure: Option<String>,

    /// Write to a .csv or .npy file; by default as CSV to stdout.
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,

    #[command(flatten)]
    pub threads: Threads,
}

#[derive(Args, Debug)]
pub struct Eval {
    /// The folder of a run, for its best parameters, or one of its checkpoints.
    pub run: PathBuf,

    /// All rows of this file instead of the run's own data.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,

    /// This part of the run's data only.
    #[arg(long, value_name = "NAME", conflicts_with = "data")]
    pub part: Option<String>,

    /// One JSON object on stdout.
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub threads: Threads,
}

#[derive(Args, Debug)]
pub struct Check {
    #[command(flatten)]
    pub source: Source,

    /// Diagnostics as one JSON array on stdout.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct Grad {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub phases: Phases,

    /// Only parameters whose path begins so.
    #[arg(long, value_name = "PATH")]
    pub of: Option<String>,
}

#[derive(Args, Debug)]
pub struct Dump {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub phases: Phases,
    #[command(flatten)]
    pub compile: Compile,

    /// tokens, ast, check, graph, gradient, the name of an optimization pass, schedule, clif or asm.
    #[arg(long, value_name = "STAGE")]
    pub after: String,
}

#[derive(Args, Debug)]
pub struct Graph {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub phases: Phases,

    /// The directory to write FILE.dot and FILE.svg to; by default the current one.
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// The stage to draw: graph, gradient, or the name of an optimization pass.
    #[arg(long, value_name = "STAGE", default_value = "graph")]
    pub after: String,
}

#[derive(Args, Debug)]
pub struct Test {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub phases: Phases,

    /// The seed of the point at which gradients are checked.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// The largest relative error that passes.
    #[arg(long, default_value_t = 1e-6)]
    pub tolerance: f64,

    /// One JSON object on stdout.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct Bench {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub compile: Compile,

    /// The phase to time, from the program's starting values; by default the first.
    #[arg(long, value_name = "NAME")]
    pub phase: Option<String>,

    /// Steps to time, after a warm-up.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: u64,

    #[command(flatten)]
    pub start: Start,

    /// Also report the losses of the first N steps.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub losses: usize,

    /// One JSON object on stdout.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct Profile {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub compile: Compile,

    /// The phase to time, from the program's starting values; by default the first.
    #[arg(long, value_name = "NAME")]
    pub phase: Option<String>,

    /// Steps to time, after a warm-up; by default as many as run within about half a second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,

    #[command(flatten)]
    pub start: Start,

    /// One JSON object on stdout in place of the table, or in FILE beside it.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub json: Option<Option<PathBuf>>,
}

#[derive(Args, Debug)]
pub struct Fmt {
    /// Files, or folders with the `.dl` files below them; `-` is stdin. By default the current folder.
    pub files: Vec<PathBuf>,

    /// Change nothing; name the files that are not formatted and fail if there are any.
    #[arg(long)]
    pub check: bool,

    /// Write the result to stdout and leave the files as they are.
    #[arg(long, conflicts_with = "check")]
    pub stdout: bool,

    /// Write theta for θ, grad for ∇, <= for ≤, and so on.
    #[arg(long)]
    pub ascii: bool,
}

#[derive(Args, Debug)]
pub struct Doc {
    /// A definition, such as adam; without one, all are listed.
    pub name: Option<String>,

    /// Also know the definitions of this file.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct New {
    /// The folder to create.
    pub name: PathBuf,
}

#[derive(Args, Debug)]
pub struct Explain {
    /// An error code, such as E0203.
    pub code: String,
}

fn setting(text: &str) -> Result<(String, f64), String> {
    let expected = "expected NAME=VALUE, such as lr=0.1";
    let (name, value) = text.split_once('=').ok_or(expected)?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() {
        return Err(expected.to_owned());
    }
    let number: f64 = value.parse().map_err(|_| format!("`{value}` is not a number"))?;
    if number.is_finite() { Ok((name.to_owned(), number)) } else { Err(format!("`{value}` is not a finite number")) }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds >= 0.0 => Ok(seconds),
        _ => Err(format!("`{text}` is not a number of seconds")),
    }
}
