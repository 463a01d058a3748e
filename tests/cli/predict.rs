//! `dlc predict` and `dlc eval`: from the folder of a run alone.

use super::{digits, dlc, json_lines};
use std::fs;
use std::path::Path;

/// A table of numbers and words with its header.
fn table(text: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut lines = text.lines().map(cells);
    (lines.next().unwrap(), lines.collect())
}

fn numbers(cells: &[String]) -> Vec<f64> {
    cells.iter().map(|cell| cell.parse().unwrap()).collect()
}

/// Keeps the columns of a CSV text for which `keep` holds, and so many rows.
fn cut(text: &str, rows: usize, keep: impl Fn(&str) -> bool) -> String {
    let (header, all) = table(text);
    let kept: Vec<usize> = (0..header.len()).filter(|k| keep(&header[*k])).collect();
    let line = |cells: &[String]| kept.iter().map(|k| cells[*k].clone()).collect::<Vec<_>>().join(",") + "\n";
    std::iter::once(line(&header)).chain(all.iter().take(rows).map(|row| line(row))).collect()
}

#[test]
fn classes_and_their_probabilities_without_program_data_or_target() {
    let folder = digits();
    let path = folder.path();
    dlc(path, &["run", "digits.dl", "--name", "a", "--max-steps", "120"]).fine();
    let data = fs::read_to_string(path.join("data/digits.csv")).unwrap();
    let measured = &json_lines(&dlc(path, &["eval", "runs/a", "--data", "data/digits.csv", "--json"]).fine())[0];
    fs::remove_file(path.join("digits.dl")).unwrap();
    fs::remove_dir_all(path.join("data")).unwrap();
    fs::write(path.join("new.csv"), cut(&data, 3000, |column| column != "label")).unwrap();
    fs::write(path.join("all.csv"), &data).unwrap();
    let out = dlc(path, &["predict", "runs/a", "--data", "new.csv"]).fine();
    // Columns that the net does not read make no difference.
    assert_eq!(out, dlc(path, &["predict", "runs/a", "--data", "all.csv"]).fine());
    let (header, rows) = table(&out);
    assert_eq!((header[0].as_str(), header[1].as_str(), header.len()), ("class", "p(0)", 11));
    let (names, truth) = table(&data);
    let label = names.iter().position(|n| n == "label").unwrap();
    assert_eq!(rows.len(), truth.len());
    let mut right = 0;
    for (row, truth) in rows.iter().zip(&truth) {
        let p = numbers(&row[1..]);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-6);
        let class: usize = row[0].parse().unwrap();
        assert!(p.iter().all(|q| *q <= p[class]));
        right += u32::from(row[0] == truth[label]);
    }
    let accuracy = measured["metrics"]["data/digits.csv"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.5 && (f64::from(right) / rows.len() as f64 - accuracy).abs() < 1e-6, "{right} {accuracy}");
    // Files, and a checkpoint by its name.
    assert_eq!(dlc(path, &["predict", "runs/a/best.safetensors", "--data", "new.csv", "-o", "p.csv"]).fine(), "");
    assert_eq!(fs::read_to_string(path.join("p.csv")).unwrap(), out);
    dlc(path, &["predict", "runs/a", "--data", "new.csv", "--out", "p.npy"]).fine();
    let bytes = fs::read(path.join("p.npy")).unwrap();
    assert!(bytes.starts_with(b"\x93NUMPY") && String::from_utf8_lossy(&bytes[..128]).contains("(1797, 10)"));
    dlc(path, &["predict", "runs/a", "--data", "new.csv", "--out", "p.txt"]).fails(1, &["p.txt: ", ".csv or .npy"]);
}

#[test]
fn eval_measures_as_training_did() {
    let folder = digits();
    let path = folder.path();
    let told = json_lines(&dlc(path, &["run", "digits.dl", "--max-steps", "60", "--json"]).fine());
    let done = &told.last().unwrap()["metrics"];
    assert_eq!(json_lines(&dlc(path, &["eval", "runs/digits", "--json"]).fine())[0]["metrics"], *done);
    let part = &json_lines(&dlc(path, &["eval", "runs/digits", "--json", "--part", "test"]).fine())[0]["metrics"];
    assert_eq!((&part["test"], part.as_object().unwrap().len()), (&done["test"], 1));
    let text = dlc(path, &["eval", "runs/digits"]).fine();
    assert!(text.lines().next().unwrap().trim_start().starts_with("loss  accuracy"), "{text}");
    dlc(path, &["eval", "runs/digits", "--part", "tst"]).fails(1, &["no part `tst`", "train, valid, test"]);
    dlc(path, &["eval", "runs/none"]).fails(1, &["error[E0603]"]);
    let data = fs::read_to_string(path.join("data/digits.csv")).unwrap();
    fs::write(path.join("short.csv"), cut(&data, 7, |_| true)).unwrap();
    dlc(path, &["eval", "runs/digits", "--data", "short.csv"]).fine();
    fs::write(path.join("blind.csv"), cut(&data, 7, |column| column != "label")).unwrap();
    dlc(path, &["eval", "runs/digits", "--data", "blind.csv"]).fails(1, &["label"]);
    fs::write(
        path.join("beyond.csv"),
        cut(&data, 1, |_| true).trim_end().rsplit_once(',').unwrap().0.to_owned() + ",10\n",
    )
    .unwrap();
    dlc(path, &["eval", "runs/digits", "--data", "beyond.csv"]).fails(1, &["label"]);
    fs::write(path.join("narrow.csv"), cut(&data, 7, |column| column != data.split(',').next().unwrap())).unwrap();
    for command in ["eval", "predict"] {
        let ran = dlc(path, &[command, "runs/digits", "--data", "narrow.csv"]);
        ran.fails(1, &["narrow.csv"]);
        dlc(path, &[command, "runs/digits", "--data", "nothing.csv"]).fails(1, &["error[E0301]"]);
    }
}

/// Flowers by name, with measures far from zero, and numbers to predict.
fn flowers(path: &Path) {
    let mut text = "length,width,kind,area\n".to_owned();
    for k in 0..60 {
        let (kind, l) = [("rose", 1.0), ("iris", 2.0), ("lily, white", 3.0)][k % 3];
        let (l, w) = (1000.0 + 10.0 * l + (k / 3 % 5) as f64, 0.001 * (k / 7) as f64);
        let kind = if kind.contains(',') { format!("\"{kind}\"") } else { kind.to_owned() };
        text += &format!("{l},{w},{kind},{}\n", l * 2.0 + w);
    }
    fs::write(path.join("flowers.csv"), text).unwrap();
    fs::write(
        path.join("flowers.dl"),
        r#"
data flowers = csv("flowers.csv", target: kind)
split flowers into train 70%, test 30%
standardize flowers by flowers.train

net kinds(x: [N, 3]) -> [N, 3] = dense(x, 3)

train {
    minimize cross_entropy(kinds(x), kind)
    on       flowers.train
    using    sgd(lr: 0.5)
    measure  accuracy(kinds(x), kind)
    steps    200
}
"#,
    )
    .unwrap();
}

#[test]
fn classes_have_their_names_and_columns_are_standardized_as_in_training() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    flowers(path);
    dlc(path, &["run", "flowers.dl"]).fine();
    // Two rows are far from any statistics of the training part, which are the ones that count.
    fs::write(path.join("new.csv"), "length,width,area\n1011,0.001,2022\n1031,0.001,2062\n").unwrap();
    let (header, rows) =
        table(&dlc(path, &["predict", "runs/flowers", "--data", "new.csv"]).fine().replace("lily, ", ""));
    assert_eq!(header, ["class", "p(iris)", "\"p(white)\"", "p(rose)"]);
    assert_eq!([rows[0][0].as_str(), rows[1][0].as_str()], ["rose", "\"white\""]);
}

#[test]
fn values_of_a_net_and_the_choice_among_several() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let rows: String = (0..20).map(|k| format!("{k},{},{}\n", k % 3, 2 * k + k % 3)).collect();
    fs::write(path.join("p.csv"), format!("a,b,y\n{rows}")).unwrap();
    fs::write(
        path.join("two.dl"),
        r#"
data p = csv("p.csv", target: y)

net code(x: [N, 2]) -> [N, 3] = dense(x, 3)
net value(h: [N, 3]) -> [N] {
    param w: [3] = normal(std: 0.1)
    h @ w
}

train {
    minimize mse(value(code(x)), y)
    on       p
    using    sgd(lr: 1e-4)
    steps    5
}
"#,
    )
    .unwrap();
    dlc(path, &["run", "two.dl", "--dtype", "f64"]).fine();
    let predict = |more: &[&str]| dlc(path, &[&["predict", "runs/two", "--data", "p.csv"], more].concat());
    predict(&[]).fails(1, &["error[E0605]: the program has several nets: code, value", "--net NAME"]);
    predict(&["--net", "valu"]).fails(1, &["error[E0605]: no net `valu`", "did you mean `value`?"]);
    let (header, code) = table(&predict(&["--net", "code"]).fine());
    assert_eq!((header.join(" ").as_str(), code.len()), ("code[0] code[1] code[2]", 20));
    let (header, value) = table(&predict(&["--net", "value"]).fine());
    assert_eq!((header, value.len()), (vec!["value".to_owned()], 20));
    // The mean square of what is left is the loss.
    let squares = value.iter().enumerate().map(|(k, row)| (numbers(row)[0] - (2 * k + k % 3) as f64).powi(2));
    let mean = squares.sum::<f64>() / 20.0;
    let loss = json_lines(&dlc(path, &["eval", "runs/two", "--json"]).fine())[0]["metrics"]["train"]["loss"].as_f64();
    assert!((mean - loss.unwrap()).abs() < 1e-9 * mean, "{mean} {loss:?}");
}

/// The weights scaled, the mean over masks of the probabilities, and their geometric mean.
#[test]
fn the_three_ways_to_predict_with_dropout_are_what_measures_look_at() {
    let folder = digits();
    let path = folder.path();
    let text = fs::read_to_string(path.join("digits.dl")).unwrap();
    let measures = "measure  scaled = accuracy(softmax(classifier(x)), label), \
         arithmetic = accuracy(mean(draws(softmax(classifier(x)), 10) over draws), label), \
         geometric = accuracy(mean(draws(log_softmax(classifier(x)), 10) over draws), label), size = mean(x)\n";
    let text: Vec<&str> = text.lines().map(|l| if l.trim().starts_with("measure") { measures } else { l }).collect();
    fs::write(path.join("digits.dl"), text.join("\n")).unwrap();
    dlc(path, &["run", "digits.dl", "--name", "a", "--max-steps", "120"]).fine();
    let rows = |more: &[&str]| {
        let arguments = [&["predict", "runs/a", "--data", "data/digits.csv"], more].concat();
        table(&dlc(path, &arguments).fine()).1.iter().map(|row| numbers(row)).collect::<Vec<_>>()
    };
    let scaled = rows(&[]);
    let looked = |measure: &str| rows(&["--measure", measure]);
    let distance = |a: &[Vec<f64>], b: &[Vec<f64>]| {
        let each = a.iter().zip(b).map(|(a, b)| a[1..].iter().zip(&b[1..]).map(|(a, b)| (a - b).abs()).sum::<f64>());
        each.sum::<f64>() / a.len() as f64
    };
    assert!(distance(&scaled, &looked("scaled")) < 1e-6);
    let (arithmetic, geometric) = (looked("arithmetic"), looked("geometric"));
    assert_eq!(arithmetic, looked("arithmetic"), "draws are those of the seed");
    for way in [&arithmetic, &geometric] {
        assert!(way.iter().all(|row| (row[1..].iter().sum::<f64>() - 1.0).abs() < 1e-5));
        assert!((1e-3..0.5).contains(&distance(&scaled, way)), "{}", distance(&scaled, way));
    }
    assert!(distance(&arithmetic, &geometric) > 1e-4);
    let measured = &json_lines(&dlc(path, &["eval", "runs/a", "--json", "--data", "data/digits.csv"]).fine())[0];
    let labels = table(&fs::read_to_string(path.join("data/digits.csv")).unwrap());
    let label = labels.0.iter().position(|name| name == "label").unwrap();
    let right = |way: &[Vec<f64>]| {
        let right = way.iter().zip(&labels.1).filter(|(row, truth)| row[0] == truth[label].parse::<f64>().unwrap());
        right.count() as f64 / way.len() as f64
    };
    for (name, way) in [("scaled", &scaled), ("arithmetic", &arithmetic), ("geometric", &geometric)] {
        let accuracy = measured["metrics"]["data/digits.csv"][name].as_f64().unwrap();
        assert!((right(way) - accuracy).abs() < 0.02, "{name}: {} instead of {accuracy}", right(way));
    }
    let predict = |measure: &str| dlc(path, &["predict", "runs/a", "--data", "data/digits.csv", "--measure", measure]);
    predict("size").fails(1, &["error[E0605]: no measure `size`", "these do: scaled, arithmetic, geometric"]);
    predict("scale").fails(1, &["did you mean `scaled`?"]);
}

/// Running averages are state of the layer: they are in the checkpoint, and evaluation from it alone uses them.
#[test]
fn running_averages_of_batch_norm_are_kept() {
    let folder = digits();
    let path = folder.path();
    let text = fs::read_to_string(path.join("digits.dl")).unwrap().replace("|> relu", "|> batch_norm |> relu");
    fs::write(path.join("digits.dl"), text).unwrap();
    let told = json_lines(&dlc(path, &["run", "digits.dl", "--name", "a", "--max-steps", "60", "--json"]).fine());
    let bytes = fs::read(path.join("runs/a/best.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (state, start) in [("mean_run", 0.0f32), ("var_run", 1.0)] {
        let (name, tensor) =
            tensors.tensors().into_iter().find(|(name, _)| name.ends_with(state)).expect("the state is saved");
        let values = tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b));
        assert!(values.into_iter().filter(|v| (v - start).abs() > 1e-3).count() > 60, "{name} has not moved");
    }
    let measured = json_lines(&dlc(path, &["eval", "runs/a", "--json"]).fine())[0]["metrics"].clone();
    assert_eq!(measured, told.last().unwrap()["metrics"]);
    assert!(measured["test"]["accuracy"].as_f64().unwrap() > 0.8);
}

#[test]
fn a_run_without_a_checkpoint_or_with_another_program_is_not_used() {
    let folder = digits();
    let path = folder.path();
    dlc(path, &["run", "digits.dl", "--max-steps", "3"]).fine();
    let model = path.join("runs/digits/model.dl");
    let text = fs::read_to_string(&model).unwrap();
    fs::write(&model, text.replace("relu", "tanh")).unwrap();
    for args in [&["predict", "runs/digits", "--data", "data/digits.csv"][..], &["eval", "runs/digits"]] {
        dlc(path, args)
            .fails(1, &["error[E0604]: the run runs/digits cannot be used: the program has changed (model.dl)"]);
    }
    fs::write(&model, text).unwrap();
    fs::write(path.join("runs/digits/last.safetensors"), "damaged").unwrap();
    dlc(path, &["eval", "runs/digits"]).fails(1, &["error[E0601]: runs/digits/last.safetensors is not used"]);
    fs::remove_file(path.join("runs/digits/last.safetensors")).unwrap();
    dlc(path, &["eval", "runs/digits"]).fails(1, &["error[E0603]: the run runs/digits has not been saved yet"]);
}
