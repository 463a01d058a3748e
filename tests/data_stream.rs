//! Streamed data: it is what the same file read whole would be, its errors name their places, and it takes little memory.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use dlc::data::{Array, Batches, FloatType, Order, Share, Source, Table, Values, csv, npy};
use tempfile::TempDir;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

/// A file of about two and a half megabytes: several blocks.
fn text(folder: &TempDir) -> PathBuf {
    let mut text = String::from("\u{feff}id,color,a,kind,n\r\n");
    for row in 0..50_000u64 {
        let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let color = ["red", "\"light\nblue\"", "green, dark", "green"][(mixed % 4) as usize];
        let color = if color.contains(',') { format!("\"{color}\"") } else { color.to_string() };
        let a = if mixed % 97 == 0 { String::new() } else { format!("{}.{:03}", mixed % 50, mixed % 1000) };
        let kind = ["cat", "dog"][(mixed % 2) as usize];
        text += &format!("row number {row} of this file,{color},{a},{kind},{}\n", mixed % 12);
    }
    let path = folder.path().join("d.csv");
    fs::write(&path, text).unwrap();
    path
}

fn options(stream: bool) -> csv::Options {
    csv::Options {
        drop: names(&["id"]),
        one_hot: names(&["color"]),
        missing: csv::Missing::Drop,
        stream,
        ..csv::Options::target("kind")
    }
}

/// Some rows of a column.
fn gathered(table: &Table, name: &str, rows: &[usize]) -> Vec<f64> {
    let selected = table.select(name).unwrap();
    let mut out = vec![f64::NAN; rows.len() * selected.width()];
    table.gather(&selected, rows, &mut out).unwrap();
    out
}

/// Both tables have the same columns, and the same values in them.
fn same(whole: &Table, streamed: &Table) {
    assert_eq!(whole.schema(), streamed.schema());
    assert_eq!(whole.encoding(), streamed.encoding());
    let forward: Vec<usize> = (0..whole.rows()).collect();
    let scattered: Vec<usize> = (0..2000).map(|k| (k * 7919) % whole.rows()).collect();
    for column in &whole.schema().columns {
        for rows in [&forward, &scattered] {
            assert_eq!(gathered(whole, &column.name, rows), gathered(streamed, &column.name, rows), "{}", column.name);
        }
    }
}

#[test]
fn a_streamed_file_is_the_same_data() {
    let folder = TempDir::new().unwrap();
    let path = text(&folder);
    let read = |stream| Source::Csv { path: path.clone(), options: options(stream) }.read(FloatType::F32).unwrap();
    let (mut whole, mut streamed) = (read(false), read(true));
    assert!(fs::metadata(&path).unwrap().len() > 4 << 19, "the file has several blocks");
    same(&whole, &streamed);
    assert_eq!(streamed.check_index_range("n", 12), Ok(()));
    let error = streamed.check_index_range("n", 11).unwrap_err();
    assert_eq!(error, whole.check_index_range("n", 11).unwrap_err());
    // The same statistics, whatever the rows are read in.
    let width = whole.measured("x").unwrap();
    let rows = whole.all_rows();
    let standard = whole.statistics("x", width, &rows).unwrap();
    assert_eq!(standard, streamed.statistics("x", width, &streamed.all_rows()).unwrap());
    whole.standardize(standard.clone());
    streamed.standardize(standard);
    same(&whole, &streamed);
}

fn arrays(folder: &TempDir, rows: usize) -> Vec<(String, PathBuf)> {
    let (x, y) = (folder.path().join("x.npy"), folder.path().join("y.npy"));
    let values = (0..rows * 50).map(|k| (k % 1013) as f32 / 8.0).collect();
    npy::write(&x, &Array { shape: vec![rows, 5, 10], values: Values::F32(values) }).unwrap();
    let values = (0..rows).map(|k| (k * k % 10) as i64).collect();
    npy::write(&y, &Array { shape: vec![rows], values: Values::I64(values) }).unwrap();
    vec![("x".to_string(), x), ("y".to_string(), y)]
}

fn npy_source(columns: Vec<(String, PathBuf)>, stream: bool) -> Source {
    Source::Npy { columns, targets: names(&["y"]), stream }
}

#[test]
fn streamed_arrays_are_the_same_data() {
    let folder = TempDir::new().unwrap();
    let columns = arrays(&folder, 12_345);
    for float in [FloatType::F32, FloatType::F64] {
        same(
            &npy_source(columns.clone(), false).read(float).unwrap(),
            &npy_source(columns.clone(), true).read(float).unwrap(),
        );
    }
}

#[test]
fn batches_of_a_part_mix_the_rows_of_several_blocks() {
    let folder = TempDir::new().unwrap();
    let table = npy_source(arrays(&folder, 60_000), true).read(FloatType::F32).unwrap();
    let share = |name: &str, percent| Share { name: name.into(), percent };
    let parts = table.split(&[share("train", 80.0), share("test", 20.0)], None, 3).unwrap();
    assert_eq!(parts, table.split(&[share("train", 80.0), share("test", 20.0)], None, 3).unwrap());
    assert_eq!(parts[0].len() + parts[1].len(), 60_000);
    let mut batches = Batches::new(parts[0].clone(), 64, Order::Shuffled { seed: 1 });
    // 2500 rows make a block, eight blocks a window.
    let rows = batches.advance().to_vec();
    let blocks: std::collections::BTreeSet<usize> = rows.iter().map(|row| row / 2500).collect();
    assert!(blocks.len() >= 6, "{blocks:?}");
    let values = gathered(&table, "y", &rows);
    let expected: Vec<f64> = rows.iter().map(|row| (row * row % 10) as f64).collect();
    assert_eq!(values, expected);
}

#[track_caller]
fn fails(source: &Source, expected: &str) {
    let error = source.read(FloatType::F32).unwrap_err();
    assert_eq!(format!("{} {}", error.code(), error.message()), expected.lines().next().unwrap());
    if let Some(note) = expected.lines().nth(1) {
        assert!(error.note().unwrap().ends_with(note), "{:?}", error.note());
    }
}

#[test]
fn errors_name_their_places() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("d.csv");
    let long = format!("0.{}", "1234567890".repeat(6));
    let good = format!("{long},1\n").repeat(30_000);
    let source = |text: String| {
        fs::write(&path, text).unwrap();
        Source::Csv { path: path.clone(), options: csv::Options { stream: true, ..csv::Options::target("y") } }
    };
    fails(&source(format!("a,y\n{good}1,2,3\n")), "E0305 this row has 3 cells, but the header names 2\nd.csv:30002:5");
    fails(
        &source(format!("a,y\n{good}\n0.5,1\nwide,1\n")),
        "E0306 `wide` in column `a` is not a number\nd.csv:30004:1",
    );
    fails(&source(format!("a,y\n{good}nan,1\n")), "E0307 `nan` in column `a` is not a finite number\nd.csv:30002:1");
    fails(&source(format!("a,y\n{good}1,")), "E0307 the value of column `y` is missing\nd.csv:30002:3");
    fails(&source(String::new()), "E0303 the data file is empty");
    fails(&source("a,y\n\n".to_string()), "E0303 the data file has a header but no rows");
    let unclosed = format!("a,y\n{good}\"1,1\n{}", good.repeat(20));
    fails(
        &source(unclosed),
        "E0310 this is not a well-formed CSV file: a row is longer than 32 MiB; perhaps a quote is not closed\nd.csv:30002",
    );
    // A damaged byte of the encoding.
    fs::write(&path, [format!("a,y\n{good}").as_bytes(), b"1,\xff\n"].concat()).unwrap();
    let options = csv::Options { stream: true, ..csv::Options::target("y") };
    fails(
        &Source::Csv { path: path.clone(), options },
        "E0302 the data file is not UTF-8 text: byte 0xff\nd.csv:30002:3",
    );
}

#[test]
fn errors_of_arrays() {
    let folder = TempDir::new().unwrap();
    let columns = arrays(&folder, 9000);
    let x = columns[0].1.clone();
    let mut bytes = fs::read(&x).unwrap();
    let at = bytes.len() - 4 * (50 * 100 + 7);
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&x, &bytes).unwrap();
    fails(&npy_source(columns.clone(), true), "E0307 `NaN (row 8899)` in column `x` is not a finite number");
    bytes.truncate(at);
    fs::write(&x, &bytes).unwrap();
    let error = npy_source(columns.clone(), true).read(FloatType::F32).unwrap_err();
    assert!(error.message().contains("do not take the"), "{error}");
    let fortran = folder.path().join("f.npy");
    let header = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }";
    let mut file = fs::File::create(&fortran).unwrap();
    file.write_all(b"\x93NUMPY\x01\x00").unwrap();
    file.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.write_all(&[0; 16]).unwrap();
    let source = Source::Npy { columns: vec![("x".to_string(), fortran)], targets: Vec::new(), stream: true };
    fails(&source, "E0322 `x` is stored in Fortran order and cannot be streamed");
}

#[test]
fn a_file_that_changes_is_refused() {
    let folder = TempDir::new().unwrap();
    let columns = arrays(&folder, 9000);
    let table = npy_source(columns.clone(), true).read(FloatType::F32).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&columns[0].1).unwrap();
    file.set_len(1000).unwrap();
    let selected = table.select("x").unwrap();
    let mut out = [0f32; 50];
    let error = table.gather(&selected, &[10], &mut out).unwrap_err();
    assert_eq!(error.message(), "the data file has changed since it was loaded");
}

#[test]
fn a_streamed_file_cannot_be_stratified() {
    let folder = TempDir::new().unwrap();
    let table = npy_source(arrays(&folder, 100), true).read(FloatType::F32).unwrap();
    let shares = [Share { name: "train".into(), percent: 50.0 }];
    let error = table.split(&shares, Some("y"), 0).unwrap_err();
    assert_eq!(
        (error.code().to_string().as_str(), error.message().as_str()),
        ("E0322", "`y` is streamed: its rows are not held")
    );
}

fn program(folder: &TempDir, data: &str, order: &str, rate: f64, epochs: u64) -> PathBuf {
    let path = folder.path().join("m.dl");
    let text = format!(
        "data big = {data}\nsplit big into train 80%, test 20%, seed 2\nstandardize big.x by big.train\n\
         net f(x: [N, D]) -> [N] {{\n    param w: [D] = normal(std: 0.1)\n    param b: [] = zeros\n    x @ w + b\n}}\n\
         train {{\n    minimize mse(f(x), y)\n    on big.train, batch 256{order}\n    using sgd(lr: {rate})\n    \
         measure r_squared(f(x), y)\n    epochs {epochs}\n}}\n"
    );
    fs::write(&path, text).unwrap();
    path
}

/// The events of a run.
fn events(program: &Path) -> Vec<serde_json::Value> {
    let run = Command::cargo_bin("dlc").unwrap().args(["run", "--json"]).arg(program).output().unwrap();
    let stdout = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn losses(program: &Path) -> Vec<f64> {
    let epochs = events(program).into_iter().filter(|event| event["event"] == "epoch");
    epochs.map(|event| event["train"]["loss"].as_f64().unwrap()).collect()
}

/// Rows of `width` numbers and their sum, which is to be learned.
fn sums(folder: &TempDir, rows: usize, width: usize) {
    let number = |k: usize| ((k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44) as f32 / 524_288.0 - 1.0;
    let x: Vec<f32> = (0..rows * width).map(number).collect();
    let y = x.chunks(width).map(|row| row.iter().sum()).collect();
    npy::write(&folder.path().join("x.npy"), &Array { shape: vec![rows, width], values: Values::F32(x) }).unwrap();
    npy::write(&folder.path().join("y.npy"), &Array { shape: vec![rows], values: Values::F32(y) }).unwrap();
}

#[test]
fn a_streamed_file_trains_and_a_seed_names_the_run() {
    let folder = TempDir::new().unwrap();
    sums(&folder, 40_000, 8);
    let shuffled = program(&folder, "npy(x: \"x.npy\", y: \"y.npy\", stream: true)", "", 0.05, 2);
    let first = losses(&shuffled);
    assert_eq!(first, losses(&shuffled));
    assert!(first[1] < 0.1 * first[0] && first[1] < 0.01, "{first:?}");
    let in_order = losses(&program(&folder, "npy(x: \"x.npy\", y: \"y.npy\", stream: true)", " in order", 0.05, 2));
    assert!(in_order[1] < 0.01 && in_order != first, "{in_order:?}");
    let done = events(&shuffled).pop().unwrap();
    assert!(done["metrics"]["test"]["r_squared"].as_f64().unwrap() > 0.99, "{done}");
}

fn full() -> bool {
    std::env::var_os("DLC_FULL").is_some()
}

/// The most memory a run takes, in megabytes.
fn peak(program: &Path) -> f64 {
    events(program).pop().unwrap()["peak_rss_mb"].as_f64().unwrap()
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "peak memory is read from /proc")]
fn memory_does_not_grow_with_the_file() {
    let folder = TempDir::new().unwrap();
    let data = "npy(x: \"x.npy\", y: \"y.npy\", stream: true)";
    sums(&folder, 1000, 400);
    let small = peak(&program(&folder, data, "", 1e-4, 1));
    sums(&folder, if full() { 600_000 } else { 24_000 }, 400);
    let large = peak(&program(&folder, data, "", 1e-4, 1));
    let file = fs::metadata(folder.path().join("x.npy")).unwrap().len() as f64 / 1e6;
    assert!(file > 35.0 && large - small < 16.0, "{small} MB, then {large} MB for a file of {file} MB");
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "peak memory is read from /proc")]
fn memory_does_not_grow_with_a_text() {
    let folder = TempDir::new().unwrap();
    let rows = |count: usize| {
        let mut out = std::io::BufWriter::new(fs::File::create(folder.path().join("d.csv")).unwrap());
        writeln!(out, "a,b,c,y").unwrap();
        for k in 0..count {
            let (a, b) = (k % 101, k % 57);
            writeln!(out, "{a}.{:060},{b}.{:060},{}.{:060},{}", k % 7, k % 3, k % 11, k % 5, a + b).unwrap();
        }
    };
    let data = "csv(\"d.csv\", target: y, stream: true)";
    rows(100);
    let small = peak(&program(&folder, data, "", 1e-4, 1));
    rows(if full() { 2_000_000 } else { 100_000 });
    let large = peak(&program(&folder, data, "", 1e-4, 1));
    let file = fs::metadata(folder.path().join("d.csv")).unwrap().len() as f64 / 1e6;
    assert!(file > 18.0 && large - small < 10.0, "{small} MB, then {large} MB for a file of {file} MB");
}
