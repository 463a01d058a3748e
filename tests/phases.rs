//! Training programs, run for real on small data: phases, freezing and transfer, stopping and what follows it, plateaus,
//! cross-validation, ensembles and search.

#[path = "support/command.rs"]
mod command;

use command::{Ran, json_lines};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Three overlapping classes of points in the plane, with a column that says nothing.
fn points(rows: usize) -> String {
    let mut text = "a,b,c,class\n".to_owned();
    let mut state = 12345u64;
    let mut noise = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / f64::from(1 << 24) - 0.5
    };
    for k in 0..rows {
        let class = k % 3;
        let [x, y] = [[0.0, 1.0], [1.0, -0.4], [-1.0, -0.4]][class];
        text += &format!("{:.4},{:.4},{:.4},{class}\n", x + 2.2 * noise(), y + 2.2 * noise(), noise());
    }
    text
}

/// Runs a program on the points; the events it tells.
fn events(program: &str, options: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), program, options)
}

fn dlc(folder: &Path, program: &str, options: &[&str]) -> Ran {
    let text =
        format!("data d = csv(\"points.csv\", target: class)\nsplit d into train 60%, valid 20%, test 20%\n{program}");
    fs::write(folder.join("p.dl"), text).unwrap();
    if !folder.join("points.csv").exists() {
        fs::write(folder.join("points.csv"), points(240)).unwrap();
    }
    command::dlc(folder, &[&["run", "p.dl"], options].concat())
}

fn run_in(folder: &Path, program: &str, options: &[&str]) -> Vec<Value> {
    let mut all = vec!["--json", "--no-save"];
    all.extend(options);
    json_lines(&dlc(folder, program, &all).fine())
}

fn of<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|e| e["event"] == kind).collect()
}

fn last(events: &[Value]) -> &Value {
    let done = events.last().unwrap();
    assert_eq!(done["event"], "done");
    done
}

const NETS: &str = "
net encoder(x: [N, 3]) -> [N, 8] = dense(x, 8) |> tanh
net decoder(h: [N, 8]) -> [N, 3] = dense(h, 3)
net head(h: [N, 8]) -> [N, 3] = dense(h, 3)
";

#[test]
fn phases_follow_each_other_on_one_set_of_parameters() {
    let program = format!(
        "{NETS}
        train {{
            on    d.train, batch 16
            using adam(lr: 1e-2)
            phase pretrain {{
                minimize mse(decoder(encoder(x)), x)
                epochs 20
            }}
            phase tune {{
                minimize cross_entropy(head(encoder(x)), class) over head
                measure  accuracy(head(encoder(x)), class), rebuilt = mse(decoder(encoder(x)), x)
                epochs 20
            }}
        }}"
    );
    let events = events(&program, &[]);
    let starts = of(&events, "start");
    let named: Vec<&str> = starts.iter().map(|e| e["phase"].as_str().unwrap()).collect();
    assert_eq!(named, ["pretrain", "tune"]);
    // Only the head is trained in the second phase: 8 * 3 + 3 numbers.
    assert_eq!(starts[1]["parameters"], 27);
    let first = of(&events, "phase_done")[0]["metrics"]["train"]["loss"].as_f64().unwrap();
    let done = last(&events);
    assert_eq!(done["metrics"]["train"]["rebuilt"].as_f64().unwrap(), first, "frozen parameters stay to the bit");
    assert!(first < 0.2, "{first}");
    assert!(done["metrics"]["test"]["accuracy"].as_f64().unwrap() > 0.5, "{done}");
    assert_eq!(done["steps"], 20 * 9, "steps are counted from the phase's beginning");
}

#[test]
fn a_student_takes_hints_from_a_teacher() {
    let program = "
        net teacher(x: [N, 3]) -> [N, 3] {
            h = dense(x, 16) |> tanh
            dense(h, 3)
        }
        net thin(x: [N, 3]) -> [N, 3] {
            h1 = dense(x, 6)
            h2 = dense(tanh(h1), 6)
            dense(tanh(h2), 3)
        }
        net regress(h: [N, H]) -> [N, 16] = dense(h, 16)
        train {
            on    d.train, batch 16
            using adam(lr: 2e-2)
            phase teacher {
                minimize cross_entropy(teacher(x), class) over teacher
                measure  accuracy(teacher(x), class)
                epochs 15
            }
            phase hint {
                minimize mse(regress(thin(x).h2), stop(teacher(x).h)) over thin.h1, thin.h2, regress
                epochs 15
            }
            phase student {
                minimize cross_entropy(thin(x), class) over thin
                measure  accuracy(thin(x), class), taught = accuracy(teacher(x), class)
                epochs 15
            }
        }";
    let events = events(program, &[]);
    let hints: Vec<f64> = of(&events, "epoch")
        .iter()
        .filter(|e| e["phase"] == "hint")
        .map(|e| e["train"]["loss"].as_f64().unwrap())
        .collect();
    assert!(hints.len() == 15 && hints[14] < 0.3 * hints[0], "{hints:?}");
    let taught = of(&events, "phase_done")[0]["metrics"]["test"]["accuracy"].clone();
    let done = &last(&events)["metrics"]["test"];
    assert_eq!(done["taught"], taught, "the teacher is left alone");
    assert!(done["accuracy"].as_f64().unwrap() > 0.5, "{done}");
}

/// A net that soon fits the training rows too well.
const OVERFITTING: &str = "
net f(x: [N, 3]) -> [N, 3] = dense(x, 48) |> tanh |> dense(48) |> tanh |> dense(3)
";

fn stopping(clauses: &str) -> String {
    format!(
        "{OVERFITTING}
        train {{
            minimize cross_entropy(f(x), class)
            on       d.train, batch 16
            using    adam(lr: 1e-2)
            measure  accuracy(f(x), class)
            epochs   200
            {clauses}
        }}"
    )
}

#[test]
fn the_best_parameters_are_put_back() {
    let events = events(&stopping("stop when d.valid loss has not improved for 5 epochs"), &[]);
    let valid: Vec<f64> = of(&events, "epoch").iter().map(|e| e["valid"]["loss"].as_f64().unwrap()).collect();
    let best = valid.iter().copied().fold(f64::INFINITY, f64::min);
    let at = valid.iter().position(|v| *v == best).unwrap();
    assert_eq!(valid.len(), at + 6, "five epochs without improvement");
    let stop = of(&events, "stop")[0];
    assert_eq!((stop["reason"].as_str(), stop["best_epoch"].as_u64()), (Some("no_improvement"), Some(at as u64 + 1)));
    let kept = last(&events)["metrics"]["valid"]["loss"].as_f64().unwrap();
    assert!((kept - best).abs() < 1e-9, "{kept} for {best}");
}

#[test]
fn evaluations_come_every_so_many_steps() {
    let events =
        events(&stopping("evaluate every 4 steps\nstop when d.valid loss has not improved for 6 evaluations"), &[]);
    let looks = of(&events, "evaluation");
    let steps: Vec<u64> = looks.iter().map(|e| e["steps"].as_u64().unwrap()).collect();
    assert!(steps.iter().enumerate().all(|(k, step)| *step == 4 * (k as u64 + 1)), "{steps:?}");
    let losses: Vec<f64> = looks.iter().map(|e| e["metrics"]["valid"]["loss"].as_f64().unwrap()).collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses.len(), losses.iter().position(|v| *v == best).unwrap() + 7);
    let kept = last(&events)["metrics"]["valid"]["loss"].as_f64().unwrap();
    assert!((kept - best).abs() < 1e-9, "{kept} for {best}");
}

#[test]
fn a_threshold_ends_a_phase() {
    let events = events(&stopping("stop when d.train accuracy > 0.8"), &[]);
    assert_eq!(of(&events, "stop")[0]["reason"], "reached");
    let seen: Vec<f64> = of(&events, "epoch").iter().map(|e| e["valid"]["accuracy"].as_f64().unwrap()).collect();
    let (reached, before) = seen.split_last().unwrap();
    assert!(*reached > 0.8 && before.iter().all(|a| *a <= 0.8), "{seen:?}");
}

#[test]
fn retraining_takes_as_many_steps_on_all_rows() {
    let clause = "stop when d.valid loss has not improved for 3 epochs, then retrain on d for as many steps";
    let events = events(&stopping(clause), &[]);
    let best = of(&events, "stop")[0]["best_epoch"].as_u64().unwrap();
    let then = of(&events, "then")[0];
    assert_eq!((then["action"].as_str(), then["on"].as_str()), (Some("retrain"), Some("d")));
    // 144 rows are 9 batches of 16; all 240 are 15.
    assert_eq!(then["steps"], best * 9);
    assert_eq!(last(&events)["steps"], best * 9);
    let retrained: Vec<&Value> =
        events.iter().skip_while(|e| e["event"] != "then").filter(|e| e["event"] == "epoch").collect();
    assert_eq!(retrained.len() as u64, (best * 9).div_ceil(15));
    assert!(retrained.iter().all(|e| e.get("valid").is_none()), "what was held out is trained on now");
    // It begins anew: the loss is that of a first epoch again.
    let first = |e: &Value| e["train"]["loss"].as_f64().unwrap();
    let (before, last) = (of(&events, "epoch"), of(&events, "stop")[0]["epoch"].as_u64().unwrap() as usize);
    assert!(first(retrained[0]) > 1.2 * first(before[last - 1]), "{}", retrained[0]);
}

#[test]
fn continuing_ends_when_the_held_out_loss_is_low_enough() {
    let clause = "stop when d.valid loss has not improved for 3 epochs, then continue on d at most 60 epochs";
    let events = events(&stopping(clause), &[]);
    let then = of(&events, "then")[0];
    let below = then["below"].as_f64().unwrap();
    let after: Vec<f64> = events
        .iter()
        .skip_while(|e| e["event"] != "then")
        .filter(|e| e["event"] == "epoch")
        .map(|e| e["valid"]["loss"].as_f64().unwrap())
        .collect();
    let (reached, before) = after.split_last().unwrap();
    assert!(before.iter().all(|loss| *loss >= below), "{after:?} until {below}");
    assert!(*reached < below || after.len() == 60, "{after:?} until {below}");
    assert!(last(&events)["metrics"]["valid"]["loss"].as_f64().unwrap() <= after[0]);
}

#[test]
fn a_plateau_lowers_the_learning_rate() {
    let program = "
        net f(x: [N, 3]) -> [N, 3] = dense(x, 3, init: zeros)
        train {
            minimize cross_entropy(f(x), class)
            on       d.train
            using    sgd(lr: 4 * 0.25^plateau)
            measure  rate = 4 * 0.25^plateau
            watch    plateau = d.train loss, patience 2
            epochs   60
        }";
    let events = events(program, &[]);
    let rates: Vec<f64> = of(&events, "epoch").iter().map(|e| e["valid"]["rate"].as_f64().unwrap()).collect();
    assert_eq!(rates[0], 4.0);
    assert!(rates.windows(2).all(|w| w[1] == w[0] || w[1] == w[0] / 4.0), "{rates:?}");
    let losses: Vec<f64> = of(&events, "epoch").iter().map(|e| e["valid"]["loss"].as_f64().unwrap()).collect();
    // The count as it follows from the losses that were told; the rate told is that of before the look.
    let (mut best, mut waited, mut count) = (f64::INFINITY, 0, 0);
    for (loss, rate) in losses.iter().zip(&rates) {
        assert_eq!(*rate, 4.0 * 0.25f64.powi(count), "{losses:?} {rates:?}");
        if *loss < best {
            (best, waited) = (*loss, 0);
        } else {
            waited += 1;
            if waited == 2 {
                (waited, count) = (0, count + 1);
            }
        }
    }
}

#[test]
fn folds_measure_each_row_once() {
    let program = "
        net f(x: [N, 3]) -> [N, 3] = dense(x, 3)
        train {
            minimize cross_entropy(f(x), class)
            on       d.train
            using    adam(lr: 0.1)
            measure  accuracy(f(x), class)
            epochs   15
            folds    4
        }";
    let events = events(program, &[]);
    let runs = of(&events, "run_done");
    assert_eq!(runs.len(), 4);
    let accuracies: Vec<f64> = runs.iter().map(|e| e["metrics"]["fold"]["accuracy"].as_f64().unwrap()).collect();
    let mean = accuracies.iter().sum::<f64>() / 4.0;
    let done = last(&events);
    assert!((done["metrics"]["fold"]["accuracy"].as_f64().unwrap() - mean).abs() < 1e-12);
    let deviation = (accuracies.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
    assert!((done["deviation"]["fold"]["accuracy"].as_f64().unwrap() - deviation).abs() < 1e-12);
    assert!(of(&events, "start").iter().all(|e| e["rows"]["train"] == 108), "three of four folds of 144 rows");
}

#[test]
fn an_ensemble_is_no_worse_than_its_members() {
    let program = "
        net f(x: [N, 3]) -> [N, classes: 3] = dense(x, 24) |> tanh |> dense(3)
        fn target(y: index(K)[N], z: [N, K]) -> [N, K] = one_hot(y)
        loss distance(p: [N, K], y: [N, K]) = mean(sum((p - y)^2 over K))
        train {
            minimize cross_entropy(f(x), class)
            on       d.train, batch 16
            using    adam(lr: 3e-2)
            measure  own = distance(softmax(f(x)), target(class, f(x))),
                     all = distance(mean(members(softmax(f(x))) over members), target(class, f(x))),
                     vote = accuracy(mean(members(one_hot(argmax(f(x) over classes))) over members), class)
            epochs   20
            ensemble 5 resampled
        }";
    let events = events(program, &[]);
    let members = of(&events, "run_done");
    assert_eq!(members.len(), 5);
    let own = |e: &Value, part: &str| e["metrics"][part]["own"].as_f64().unwrap();
    let done = last(&events);
    for part in ["train", "valid", "test"] {
        let mean = members.iter().map(|e| own(e, part)).sum::<f64>() / 5.0;
        assert!((own(done, part) - mean).abs() < 1e-9, "{part}: a measure of each member is their mean");
        let together = done["metrics"][part]["all"].as_f64().unwrap();
        // The square is convex, so this holds to the last digit; members that differ make it strict.
        assert!(together < mean - 1e-4, "{part}: {together} for {mean}");
    }
    let of_members: Vec<f64> = members.iter().map(|e| own(e, "test")).collect();
    assert!(of_members.windows(2).all(|w| w[0] != w[1]), "members differ: {of_members:?}");
}

#[test]
fn the_first_member_is_the_run_without_an_ensemble() {
    let program = |clause: &str| {
        format!(
            "net f(x: [N, 3]) -> [N, 3] = dense(x, 6) |> tanh |> dropout(0.2) |> dense(3)
            train {{
                on       d.train, batch 16
                using    adam(lr: 3e-2)
                phase one {{
                    minimize cross_entropy(f(x), class) over f.dense_1
                    epochs   2
                }}
                phase two {{
                    minimize cross_entropy(f(x), class)
                    epochs   2
                }}
                {clause}
            }}"
        )
    };
    let alone = last(&events(&program(""), &[]))["metrics"].clone();
    let events = events(&program("ensemble 2"), &[]);
    let members = of(&events, "run_done");
    assert_eq!(members[0]["metrics"], alone);
    assert_ne!(members[1]["metrics"], alone);
}

#[test]
fn a_run_is_resumed_in_the_midst_of_retraining() {
    let clause = "stop when d.valid loss has not improved for 2 epochs, then retrain on d for as many epochs
            watch slow = d.valid loss, patience 1";
    let program = stopping(clause).replace("adam(lr: 1e-2)", "adam(lr: 1e-2 * 0.9^slow)");
    let folder = tempfile::tempdir().unwrap();
    let whole = run_in(folder.path(), &program, &[]);
    let stop = of(&whole, "stop")[0]["epoch"].as_u64().unwrap() * 9;
    for at in [stop - 3, stop + 5] {
        let steps = at.to_string();
        let name = format!("cut{at}");
        dlc(folder.path(), &program, &["--json", "--name", &name, "--max-steps", &steps]).fine();
        let resumed = ["run", "--json", "--resume", &format!("runs/{name}")];
        let told = json_lines(&command::dlc(folder.path(), &resumed).fine());
        assert_eq!(last(&told)["metrics"], last(&whole)["metrics"], "cut after {at} steps");
    }
}

const SEARCHED: &str = "
rate = 0.05
width = 4
net f(x: [N, 3]) -> [N, 3] = dense(x, width) |> tanh |> dense(3)
train {
    minimize cross_entropy(f(x), class)
    on       d.train, batch 16
    using    sgd(lr: rate)
    measure  accuracy(f(x), class)
    epochs   3
}
";

#[test]
fn a_search_names_the_best_setting() {
    let program = format!("{SEARCHED}search {{ rate in 0.0001, 0.3; width in 2, 8 }} by d.valid loss");
    let events = events(&program, &[]);
    let trials = of(&events, "trial");
    assert_eq!(trials.len(), 4);
    let loss = |e: &Value| e["metrics"]["valid"]["loss"].as_f64().unwrap();
    let best = trials.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap();
    let found = events.last().unwrap();
    assert_eq!((found["event"].as_str(), &found["set"]), (Some("search"), &best["set"]));
    assert_eq!(found["set"]["rate"], 0.3);
    // A trial is the run with that setting.
    let alone = run_with_setting(best);
    assert_eq!(alone["metrics"], best["metrics"]);
}

/// Cross-validation decides: the mean over the rows that each run is kept from.
#[test]
fn a_search_is_decided_by_folds() {
    let program = SEARCHED.replace("d.train", "d").replace("epochs", "folds 3\n epochs");
    let events = events(&format!("{program}search {{ rate in 0.0001, 0.3 }} by d.fold loss"), &[]);
    let trials = of(&events, "trial");
    assert_eq!(trials.len(), 2);
    let loss = |e: &Value| e["metrics"]["fold"]["loss"].as_f64().unwrap();
    assert!(loss(trials[1]) < loss(trials[0]));
    let found = events.last().unwrap();
    assert_eq!((&found["part"], &found["set"]["rate"]), (&"fold".into(), &0.3.into()));
    assert_eq!(found["value"].as_f64().unwrap(), loss(trials[1]));
}

fn run_with_setting(trial: &Value) -> Value {
    let set = |name: &str| format!("{name}={}", trial["set"][name]);
    last(&events(SEARCHED, &["--set", &set("rate"), "--set", &set("width")])).clone()
}

#[test]
fn a_random_search_repeats_and_leaves_what_is_set() {
    let program = format!(
        "{SEARCHED}search 3 random {{\n rate in log_uniform(1e-3, 1)\n width in uniform(2, 9)\n}} by d.valid accuracy"
    );
    let first = events(&program, &["--seed", "4"]);
    assert_eq!(of(&first, "trial").len(), 3);
    assert_eq!(events(&program, &["--seed", "4"]), first);
    let fixed = events(&program, &["--set", "width=5"]);
    assert!(of(&fixed, "trial").iter().all(|e| e["set"].get("width").is_none() && e["set"].get("rate").is_some()));
}
