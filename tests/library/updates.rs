//! The update compiles to one pass: each parameter is written by one kernel, which also writes all that the rule keeps for it.

use dlc::check::{self, ColumnKind, ColumnSchema, Schema, Schemas};
use dlc::elaborate::{self, Model};
use dlc::ir::{DType, Role};
use dlc::schedule::kernel::Stmt;
use dlc::schedule::{BufferId, Place, Program, Work};
use dlc::source::{Files, render};
use dlc::syntax;
use dlc::train::{Settings, schedule_of};
use std::collections::{BTreeMap, BTreeSet};

fn model(rule: &str) -> Model {
    let text = format!(
        "data rows = npy(x: \"x.npy\", y: \"y.npy\")
        net f(x: [N, 24]) -> [N, 10] = x |> dense(40) |> relu |> dense(10)
        train {{
            minimize cross_entropy(f(x), y)
            on       rows, batch 32
            using    {rule}
            steps    1
        }}"
    );
    let mut files = Files::default();
    let user = files.add("rule.dl", text);
    let (tree, errors) = syntax::parse(user, files.text(user));
    assert!(errors.is_empty(), "{}", render(&files, &errors, false));
    let prelude = check::prelude(&mut files);
    let prelude: Vec<_> = prelude.iter().collect();
    let column = |name: &str, axes: &[u64], kind| ColumnSchema { name: name.into(), axes: axes.to_vec(), kind };
    let columns = vec![column("x", &[24], ColumnKind::Float), column("y", &[], ColumnKind::Int { min: 0, max: 9 })];
    let schemas = Schemas::from([("rows".to_string(), Schema { rows: 100, columns })]);
    let (program, errors) = check::check(&prelude, &tree, &schemas, &[]);
    assert!(errors.is_empty(), "{}", render(&files, &errors, false));
    elaborate::elaborate(&program, elaborate::Options { dtype: DType::F32 }).unwrap()
}

fn scheduled(model: &Model) -> Program {
    let settings =
        Settings { dtype: DType::F32, threads: 1, cpu: dlc::codegen::Cpu::native(), seed: 0, off: BTreeSet::new() };
    schedule_of(&model.phases[0].step, 32, &settings).unwrap()
}

/// The buffers that a kernel stores into.
fn stored(body: &[Stmt], into: &mut BTreeSet<BufferId>) {
    for stmt in body {
        match stmt {
            Stmt::Store(store) => {
                into.insert(store.buffer);
            }
            Stmt::Loop(inner) => stored(&inner.body, into),
            Stmt::Reduce(inner) => stored(&inner.body, into),
            Stmt::Let(_) => {}
        }
    }
}

/// For each input that is updated, the steps of the program that write it.
fn writers(program: &Program) -> BTreeMap<String, Vec<usize>> {
    let mut all = BTreeMap::new();
    for (k, step) in program.steps.iter().enumerate() {
        let mut written = BTreeSet::new();
        match &step.work {
            Work::Kernel(kernel) => stored(&kernel.body, &mut written),
            Work::Product(product) => {
                written.insert(product.out.buffer);
            }
            Work::Order(order) => {
                written.insert(order.to);
            }
        }
        for buffer in written {
            if let Place::Input { name, role: Role::Parameter | Role::State, .. } = &program.buffer(buffer).place {
                all.entry(name.to_string()).or_insert_with(Vec::new).push(k);
            }
        }
    }
    all
}

#[test]
fn each_parameter_is_written_once_together_with_its_state() {
    let mut failures = String::new();
    let mut rules = 0;
    for (_, text) in check::LIBRARY {
        for line in text.lines().filter_map(|line| line.strip_prefix("optimizer ")) {
            let rule = line.split('(').next().unwrap();
            rules += 1;
            let model = model(rule);
            let program = scheduled(&model);
            let writers = writers(&program);
            for parameter in model.trained(0) {
                let path = &*parameter.path;
                let own = &writers[path];
                if own.len() != 1 {
                    failures += &format!("{rule}: {path} is written by {own:?}\n");
                }
                // What is kept for it is called by it: `adam.s.f.dense_1.W`.
                for state in model.phases[0].optimizer_state.iter().filter(|s| s.path.ends_with(path)) {
                    let kept = &writers[&*state.path];
                    if kept != own {
                        failures += &format!("{rule}: {path} is written by {own:?}, {} by {kept:?}\n", state.path);
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
    assert!(rules >= 19, "{rules} rules");
}
