//! Typed AST to graphs: definitions become instances with actual sizes, names become nodes.
//!
//! Input: a [`Program`] without errors. Output: a [`Model`], the graphs of one program: starting values, and for each phase
//! its training step, evaluation, and the objective with its gradient. Invariants: parameter and state tensors have constant
//! dims; the only symbol in the graphs is the batch's [`Train::batch_symbol`]; derivatives are requests that differentiation
//! resolves; nothing after this stage knows a definition by its name.

mod apply;
mod average;
mod computed;
mod constraint;
mod expression;
mod frame;
mod generated;
mod instance;
mod jacobian;
mod limits;
mod map;
mod measure;
mod objective;
mod optimizer;
mod prediction;
mod repetition;
mod roles;
mod rows;

pub use computed::Constants;
pub use generated::generated;
pub use prediction::{Prediction, Predictions, predictions};

use crate::check::typed::{DefId, Label, Program, Train};
use crate::ir::{Builder, DType, Graph, NodeId, Op, OutputRole, Role, Type};
use crate::source::{Diagnostic, Span, codes, on_deep_stack};
use instance::Instances;
pub use measure::MEMBERS;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// A tensor that outlives a step, named by its path: `classifier.hidden.W`.
#[derive(Clone, PartialEq, Debug)]
pub struct Persistent {
    pub path: Arc<str>,
    /// Constant dims.
    pub ty: Type,
    /// The labels of a parameter's axes, which are their roles.
    pub labels: Vec<Option<Label>>,
    /// Where it is declared.
    pub span: Span,
    /// The application in the user's file that creates it.
    pub applied: Option<Span>,
}

/// The graphs of one program.
#[derive(Clone, Debug)]
pub struct Model {
    /// In the order in which the program first applies them.
    pub parameters: Vec<Persistent>,
    /// What layers keep between steps.
    pub layer_state: Vec<Persistent>,
    /// States that nothing assigns.
    pub constants: Constants,
    /// Inputs: seed, step and constants. `Next` outputs: every parameter, every layer state and what the first phase's optimizer keeps,
    /// before the first step.
    pub init: Graph,
    /// In the order in which they run; at least one.
    pub phases: Vec<Phase>,
}

/// The graphs of one phase.
#[derive(Clone, Debug)]
pub struct Phase {
    /// `None` if it is the only one and has none.
    pub name: Option<String>,
    /// The parameters that are trained, as indices into [`Model::parameters`].
    pub trained: Vec<usize>,
    /// What each player trains, likewise: the parts of `trained`.
    pub players: Vec<Player>,
    /// What the optimizers and the average keep between steps.
    pub optimizer_state: Vec<Persistent>,
    /// For each trained parameter the path of the state that stands for it in evaluation; empty without an average.
    pub averaged: Vec<(usize, Arc<str>)>,
    /// `Next` outputs: the optimizers' state before the phase's first step.
    pub start: Graph,
    /// One training step. `Next` outputs: trained parameters and state; reports: what each player optimizes, by name.
    pub step: Graph,
    /// On a chunk of rows. Reports what each player optimizes, when evaluating, and by name every measure that is a mean over
    /// rows; and what `summary` takes of the chunk, under the names of its inputs.
    pub evaluate: Graph,
    /// On all rows of a part. Reports by name every measure that applies a metric. Inputs besides columns: what `evaluate`
    /// has reported of its chunks, one after the other.
    pub summary: Graph,
    /// The names of those inputs.
    pub gathered: Vec<String>,
    /// Reports what each player optimizes, when training, and `grad PATH` for every trained parameter.
    pub gradient: Graph,
    /// Reports what each player optimizes, as in `gradient`: what differences are taken of.
    pub objective: Graph,
}

/// One who optimizes in a phase.
#[derive(Clone, PartialEq, Debug)]
pub struct Player {
    /// Under which its value is reported.
    pub name: String,
    /// What it trains, as indices into [`Model::parameters`].
    pub trained: Vec<usize>,
}

impl Model {
    /// The parameters that a phase trains.
    pub fn trained(&self, phase: usize) -> impl Iterator<Item = &Persistent> {
        self.phases[phase].trained.iter().map(|k| &self.parameters[*k])
    }
}

/// The float type and the part of the program that decides the graphs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// F32 or F64.
    pub dtype: DType,
}

/// Makes the graphs of a program that has a `train` block.
pub fn elaborate(program: &Program, options: Options) -> Result<Model, Diagnostic> {
    of_program(program, options, true)
}

/// As [`elaborate`], but for the graphs that only look at a phase and do not run it, [`Phase::gradient`] and
/// [`Phase::objective`], which are left empty.
pub fn elaborate_training(program: &Program, options: Options) -> Result<Model, Diagnostic> {
    of_program(program, options, false)
}

fn of_program(program: &Program, options: Options, looking: bool) -> Result<Model, Diagnostic> {
    on_deep_stack(|| graphs(program, options, looking)).unwrap_or_else(|error| {
        let message = format!("there is no stack to expand the program's definitions on: {error}");
        Err(Diagnostic::new(codes::TOO_MUCH_MEMORY, message))
    })
}

/// The parameters that each player of a phase trains, as indices.
type Players = Vec<Vec<usize>>;

/// The graph of starting values with everything that the phases apply, and for each phase what each of its players trains.
fn instantiated<'p>(
    program: &'p Program,
    first: &'p Train,
    phases: &'p [Train],
    options: Options,
) -> Result<(Elaborator<'p>, Vec<Players>), Diagnostic> {
    let mut init = Elaborator::new(program, first, options, Purpose::Start, Instances::default());
    let mut applied = Vec::new();
    for train in phases {
        applied.push(init.instantiate(train)?);
    }
    let mut trained = Vec::new();
    for (train, applied) in phases.iter().zip(&applied) {
        trained.push(init.instances.trained(train, applied)?);
    }
    Ok((init, trained))
}

fn graphs(program: &Program, options: Options, looking: bool) -> Result<Model, Diagnostic> {
    let phases = program.train.as_ref().map_or(&[][..], |t| &t.phases);
    let first = phases.first().ok_or_else(|| {
        Diagnostic::new(codes::MISSING_TRAIN, "this program has no `train` block")
            .help("add `train { minimize …  on …  using …  epochs … }`")
    })?;
    let constants = computed::constants(program, options)?;
    let (mut init, trained) = instantiated(program, first, phases, options)?;
    init.turn_to(first, trained[0].clone());
    init.start_rules()?;
    let (init, instances) = init.finish();
    let mut graphs = Vec::new();
    for (train, trained) in phases.iter().zip(trained) {
        graphs.push(phase(program, train, trained, options, &instances, looking)?);
    }
    let Instances { parameters, layer_state, .. } = instances;
    Ok(Model { parameters, layer_state, constants, init, phases: graphs })
}

/// The graphs of a phase of a program all of whose parameters and layer states are instantiated; `trained` by player.
fn phase(
    program: &Program,
    train: &Train,
    trained: Vec<Vec<usize>>,
    options: Options,
    instances: &Instances,
    looking: bool,
) -> Result<Phase, Diagnostic> {
    let elaborator = |purpose| {
        let mut instances = instances.clone();
        instances.optimizer_state.clear();
        let mut elaborator = Elaborator::new(program, train, options, purpose, instances);
        elaborator.turn_to(train, trained.clone());
        elaborator
    };
    let mut start = elaborator(Purpose::Start);
    start.start_rules()?;
    let averaged = start.averaged();
    let (start, started) = start.finish();

    let mut step = elaborator(Purpose::Train);
    step.run_rules()?;
    let (step, _) = step.finish();

    let mut evaluate = elaborator(Purpose::Evaluate);
    evaluate.stand_in(&averaged);
    evaluate.report_objectives()?;
    let gathered = evaluate.measures(measure::Rows::Chunk)?;
    let (evaluate, _) = evaluate.finish();

    let mut summary = elaborator(Purpose::Evaluate);
    summary.stand_in(&averaged);
    summary.measures(measure::Rows::All)?;
    let (summary, _) = summary.finish();

    let (mut gradient, mut objective) = (Graph::default(), Graph::default());
    if looking {
        let mut of_gradient = elaborator(Purpose::Train);
        of_gradient.report_gradient()?;
        gradient = of_gradient.finish().0;

        let mut of_objective = elaborator(Purpose::Train);
        of_objective.report_objectives()?;
        objective = of_objective.finish().0;
    }

    let players = train.players.iter().zip(trained).map(|(p, trained)| Player { name: p.name.clone(), trained });
    Ok(Phase {
        name: train.name.clone(),
        players: players.collect(),
        trained: started.trained,
        optimizer_state: started.optimizer_state,
        averaged,
        start,
        step,
        evaluate,
        summary,
        gathered,
        gradient,
        objective,
    })
}

/// What a graph is made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    /// Parameters and state are created: their starting values stand for them.
    Start,
    Train,
    Evaluate,
}

/// Builds one graph of the program.
struct Elaborator<'p> {
    program: &'p Program,
    /// The phase that the graph is for.
    train: &'p Train,
    dtype: DType,
    purpose: Purpose,
    /// Nets evaluate rather than train here.
    evaluating: bool,
    /// A net does not change that.
    forced: bool,
    /// What is assigned to state here is not kept.
    quiet: bool,
    /// What each player trains, once that is known.
    players: Vec<Vec<usize>>,
    /// Whose objective is evaluated.
    player: usize,
    /// The parameters that the rule which is applied updates.
    updated: Vec<usize>,
    /// What is taken of the arguments of metrics.
    gathering: Option<measure::Gathering>,
    /// The constants computed so far, in the graph that computes them.
    computed: Option<BTreeMap<DefId, NodeId>>,
    builder: Builder,
    instances: Instances,
    /// The value of every parameter, in the order of `instances.parameters`: where the objective is evaluated.
    point: Vec<NodeId>,
    /// The value of every layer state before the step, likewise.
    state: Vec<NodeId>,
    /// What the current evaluation of the objective assigned to layer state, by index.
    next_state: BTreeMap<usize, NodeId>,
    /// The parameters applied since this was last emptied.
    applied: BTreeSet<usize>,
    /// The point whose evaluation the rule of a player commits to.
    committed: BTreeMap<usize, Vec<NodeId>>,
    /// Every evaluation of the objective in a step so far.
    evaluations: Vec<objective::Evaluation>,
    /// Every application of a net that gave a tensor, by the net's name.
    nets: Vec<(String, NodeId)>,
    expansion: limits::Expansion,
}

impl<'p> Elaborator<'p> {
    fn new(program: &'p Program, train: &'p Train, options: Options, purpose: Purpose, instances: Instances) -> Self {
        let mut builder = Builder::new();
        let mut inputs = |role: Role, list: &[Persistent]| -> Vec<NodeId> {
            list.iter().map(|p| builder.input(&p.path, role, p.ty.clone())).collect()
        };
        let point = inputs(Role::Parameter, &instances.parameters);
        let state = inputs(Role::State, &instances.layer_state);
        Elaborator {
            program,
            train,
            dtype: options.dtype,
            purpose,
            evaluating: purpose == Purpose::Evaluate,
            forced: false,
            quiet: false,
            players: Vec::new(),
            player: 0,
            updated: Vec::new(),
            gathering: None,
            computed: None,
            builder,
            instances,
            point,
            state,
            next_state: BTreeMap::new(),
            applied: BTreeSet::new(),
            committed: BTreeMap::new(),
            evaluations: Vec::new(),
            nets: Vec::new(),
            expansion: limits::Expansion::default(),
        }
    }

    /// Turns to a phase in which the players train these parameters.
    fn turn_to(&mut self, train: &'p Train, players: Vec<Vec<usize>>) {
        self.train = train;
        self.instances.trained = players.iter().flatten().copied().collect();
        self.instances.trained.sort_unstable();
        self.players = players;
    }

    /// Creates what a phase applies and does not find. The parameters that the objective of each player applies.
    fn instantiate(&mut self, train: &'p Train) -> Result<Vec<Vec<usize>>, Diagnostic> {
        self.turn_to(train, Vec::new());
        let mut applied = Vec::new();
        for player in 0..train.players.len() {
            self.next_state.clear();
            self.applied.clear();
            self.player = player;
            self.objective_here()?;
            applied.push(std::mem::take(&mut self.applied).into_iter().collect());
        }
        self.measures(measure::Rows::Chunk)?;
        Ok(applied)
    }

    /// The finished graph without the inputs that nothing reads, and what was instantiated.
    fn finish(self) -> (Graph, Instances) {
        (without_dead(&self.builder.finish()), self.instances)
    }
}

/// The graph that the outputs need: dead nodes go, dead inputs too unless an output is their next value.
fn without_dead(graph: &Graph) -> Graph {
    let mut live = graph.live();
    let assigned: HashSet<&str> =
        graph.outputs().iter().filter(|o| o.role == OutputRole::Next).map(|o| &*o.name).collect();
    for id in graph.inputs() {
        if let Op::Input(input) = graph.op(id) {
            live[id.index()] |= assigned.contains(&*input.name);
        }
    }
    let mut builder = Builder::new();
    let mut new: Vec<Option<NodeId>> = vec![None; graph.len()];
    let made = |new: &[Option<NodeId>], old: NodeId| new[old.index()].expect("operands of live nodes are live");
    for id in graph.ids().filter(|id| live[id.index()]) {
        let operands: Vec<NodeId> = graph.operands(id).iter().map(|o| made(&new, *o)).collect();
        builder.set_origin(graph.node(id).origin.clone());
        new[id.index()] = Some(builder.push(graph.op(id).clone(), &operands));
    }
    for output in graph.outputs() {
        builder.output(output.name.clone(), output.role.clone(), made(&new, output.node));
    }
    builder.finish()
}
