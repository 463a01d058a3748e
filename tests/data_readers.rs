//! Readers of data files: what they make of good files, and that no bytes make them panic.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use dlc::check::ColumnKind;
use dlc::data::{Array, Choice, FloatType, Source, Values, csv, idx, npy, npz, safetensors};
use dlc::ir::{DType, Data, Tensor};
use proptest::prelude::*;

fn example(name: &str, target: &str) -> Source {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data").join(name);
    Source::Csv { path, options: csv::Options::target(target) }
}

#[test]
fn digits() {
    let table = example("digits.csv", "label").read(FloatType::F32).unwrap();
    let schema = table.schema();
    assert_eq!(schema.rows, 1797);
    assert_eq!(schema.columns.len(), 2 + 64);
    let x = schema.column("x").unwrap();
    assert_eq!((x.axes.as_slice(), x.kind), (&[64][..], ColumnKind::Float));
    assert_eq!(schema.column("label").unwrap().kind, ColumnKind::Int { min: 0, max: 9 });
    assert_eq!(schema.column("p03").unwrap().kind, ColumnKind::Int { min: 0, max: 16 });
    let Values::F32(x) = &table.stored("x").unwrap().values else { panic!("x is of the run's float type") };
    assert_eq!(x.len(), 1797 * 64);
    assert_eq!(x[..8], [0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0]);
    assert_eq!(table.stored("label").unwrap().check_index_range(10), Ok(()));
    let Values::I64(p03) = &table.column("p03").unwrap().values else { panic!("pixels are integers") };
    assert_eq!((p03[0], p03[1]), (13, 12));
}

#[test]
fn floats_and_integers_are_told_apart() {
    let table = example("breast_cancer.csv", "benign").read(FloatType::F64).unwrap();
    let schema = table.schema();
    assert_eq!((schema.rows, schema.column("x").unwrap().axes[0]), (569, 30));
    assert_eq!(schema.column("benign").unwrap().kind, ColumnKind::Int { min: 0, max: 1 });
    assert_eq!(schema.column("mean_radius").unwrap().kind, ColumnKind::Float);
    let Values::F64(radius) = &table.column("mean_radius").unwrap().values else { panic!("a float column") };
    assert_eq!(radius[0], 17.99);
    let table = example("diabetes.csv", "progression").read(FloatType::F32).unwrap();
    assert_eq!((table.rows(), table.columns()[0].shape[0]), (442, 10));
}

fn parse(text: &str, target: Option<&str>) -> dlc::data::Table {
    let options = target.map_or_else(csv::Options::default, csv::Options::target);
    csv::parse(text.as_bytes(), Path::new("d.csv"), &options, FloatType::F64).unwrap()
}

#[test]
fn one_table_in_many_spellings() {
    let plain = parse("a,b,y\n1,2.5,0\n-3,4e1,1\n", Some("y"));
    for text in [
        "\u{feff}a,b,y\r\n1,2.5,0\r\n-3,4e1,1",
        "\"a\",\"b\",\"y\"\n\"1\",\"2.5\",\"0\"\n\"-3\",\"4e1\",\"1\"\n",
        " a , b , y \n 1 , 2.5 , 0 \n -3 , 4e1 , 1 \n",
        "a,b,y\n+1,02.50,0\n-3,40.,1\n",
    ] {
        assert_eq!(parse(text, Some("y")), plain, "{text:?}");
    }
}

#[test]
fn without_a_target_all_columns_are_inputs() {
    let table = parse("a,b\n1,2\n3,4\n", None);
    assert_eq!(table.columns().len(), 1);
    assert_eq!(table.columns()[0].values, Values::F64(vec![1.0, 2.0, 3.0, 4.0]));
    assert_eq!(table.column("b").unwrap().values, Values::I64(vec![2, 4]));
}

#[test]
fn the_matrix_hides_a_column_called_x() {
    let table = parse("x,y\n1,2\n3,4\n", Some("y"));
    assert_eq!(table.column("x").unwrap().shape, [1]);
    assert_eq!(table.schema().columns.len(), 2);
}

#[test]
fn integers_a_float_cannot_hold_are_floats_in_the_matrix_and_exact_as_target() {
    let table =
        csv::parse(b"id,y\n16777217,16777217\n", Path::new("d.csv"), &csv::Options::target("y"), FloatType::F32)
            .unwrap();
    assert_eq!(table.schema().column("id").unwrap().kind, ColumnKind::Float);
    assert_eq!(table.column("y").unwrap().values, Values::I64(vec![16777217]));
}

#[test]
fn integers_the_run_cannot_hold_are_floats() {
    let read =
        |float| csv::parse(b"a,y\n1,3000000000\n", Path::new("d.csv"), &csv::Options::target("y"), float).unwrap();
    assert_eq!(read(FloatType::F32).stored("y").unwrap().values, Values::F32(vec![3e9]));
    assert_eq!(read(FloatType::F64).stored("y").unwrap().values, Values::I64(vec![3_000_000_000]));
    let array = Array { shape: vec![1], values: Values::I64(vec![3_000_000_000]) };
    assert_eq!(array.for_run(FloatType::F32).values, Values::F32(vec![3e9]));
}

#[test]
fn arrays_and_tensors_convert() {
    let tensor = Tensor { dims: vec![2], data: Data::I32(vec![-1, 2]) };
    let array = Array::from(tensor.clone());
    assert_eq!(array.values, Values::I64(vec![-1, 2]));
    assert_eq!(array.clone().tensor(DType::I32), tensor);
    assert_eq!(array.clone().tensor(DType::F32).data, Data::F32(vec![-1.0, 2.0]));
    assert_eq!(array.tensor(DType::Bool).data, Data::Bool(vec![true, true]));
    // Beyond 2^53, where a detour through floats would round.
    let large = Array { shape: vec![1], values: Values::I64(vec![i64::MAX - 1]) };
    assert_eq!(large.tensor(DType::I64).data, Data::I64(vec![i64::MAX - 1]));
}

#[test]
fn lines_are_counted_through_quotes_and_blank_lines() {
    let table = parse("a,y\n\n1,0\n\"2\n\",1\n\n\n3,2\n4,3\n", Some("y"));
    let y = table.column("y").unwrap();
    let lines: Vec<usize> = (0..4).map(|row| y.place(row).line.unwrap()).collect();
    assert_eq!(lines, [3, 4, 8, 9]);
}

#[test]
fn fortran_order_is_converted() {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let header = "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }";
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    // Columns one after the other.
    bytes.extend([11i16, 21, 12, 22, 13, 23].iter().flat_map(|value| value.to_le_bytes()));
    let array = npy::parse(bytes.as_slice(), bytes.len() as u64, Path::new("a.npy"), None).unwrap();
    assert_eq!(array, Array { shape: vec![2, 3], values: Values::I64(vec![11, 12, 13, 21, 22, 23]) });
}

#[test]
fn data_sets_from_npy_and_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let x = Array { shape: vec![2, 3], values: Values::F64(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) };
    let y = Array { shape: vec![2], values: Values::I64(vec![1, 0]) };
    npy::write(&path("x.npy"), &x).unwrap();
    npy::write(&path("y.npy"), &y).unwrap();
    let tensors = [("x".to_string(), x), ("y".to_string(), y)];
    safetensors::write(&path("both.safetensors"), &tensors, None).unwrap();
    let columns = vec![("x".to_string(), path("x.npy")), ("y".to_string(), path("y.npy"))];
    for source in [
        Source::Npy { columns, targets: Vec::new(), stream: false },
        Source::Safetensors { path: path("both.safetensors"), choice: Choice::default() },
    ] {
        let table = source.read(FloatType::F32).unwrap();
        assert_eq!(table.rows(), 2);
        let x = table.stored("x").unwrap();
        assert_eq!((x.shape.as_slice(), &x.values), (&[3][..], &Values::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])));
        assert_eq!(table.schema().column("y").unwrap().kind, ColumnKind::Int { min: 0, max: 1 });
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

fn declared(text: &str, options: &csv::Options) -> dlc::data::Table {
    csv::parse(text.as_bytes(), Path::new("d.csv"), options, FloatType::F64).unwrap()
}

fn matrix(table: &dlc::data::Table) -> &[f64] {
    let Values::F64(values) = &table.stored("x").unwrap().values else { panic!("x is of floats") };
    values
}

#[test]
fn columns_are_chosen_dropped_and_ordered() {
    let text = "id,a,note,b,y,z\n7,1,hello,2,0,0.5\n8,3,,4,1,1.5\n";
    let options = csv::Options { targets: names(&["y", "z"]), drop: names(&["id", "note"]), ..Default::default() };
    let table = declared(text, &options);
    assert_eq!(matrix(&table), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(table.stored("z").unwrap().values, Values::F64(vec![0.5, 1.5]));
    let names_of: Vec<String> = table.schema().columns.into_iter().map(|column| column.name).collect();
    assert_eq!(names_of, ["x", "y", "z", "a", "b"]);
    let options = csv::Options { inputs: Some(names(&["b", "a"])), targets: names(&["y"]), ..Default::default() };
    let table = declared(text, &options);
    assert_eq!(matrix(&table), [2.0, 1.0, 4.0, 3.0]);
    assert!(table.column("z").is_err());
}

#[test]
fn categories_become_columns_in_sorted_order() {
    let options = csv::Options { one_hot: names(&["color", "kind"]), ..csv::Options::target("y") };
    let table = declared("color,a,kind,y\nred,1,10,no\nblue,2,9,yes\nred,3,9,maybe\n", &options);
    assert_eq!(matrix(&table), [0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 2.0, 1.0, 0.0, 0.0, 1.0, 3.0, 1.0, 0.0]);
    assert_eq!(table.encoding().matrix_names(), ["color=blue", "color=red", "a", "kind=9", "kind=10"]);
    assert_eq!(table.stored("y").unwrap().values, Values::I64(vec![1, 2, 0]));
    assert_eq!(table.encoding().classes("y").unwrap(), ["maybe", "no", "yes"]);
    assert_eq!(table.column("color").unwrap().values, Values::I64(vec![1, 0, 1]));
    let schema = table.schema();
    assert_eq!(schema.column("y").unwrap().kind, ColumnKind::Int { min: 0, max: 2 });
    assert_eq!(schema.column("kind").unwrap().kind, ColumnKind::Int { min: 0, max: 1 });
    assert_eq!(schema.column("x").unwrap().axes, [5]);
}

#[test]
fn separators_missing_headers_and_missing_cells() {
    let options = csv::Options { separator: b';', header: false, targets: names(&["c3"]), ..Default::default() };
    let table = declared("1,5;2;0\n".replace(',', ".").as_str(), &options);
    assert_eq!(matrix(&table), [1.5, 2.0]);
    assert_eq!(table.stored("c3").unwrap().values, Values::I64(vec![0]));
    let options = csv::Options { missing: csv::Missing::Drop, drop: names(&["d"]), ..csv::Options::target("y") };
    let table = declared("a,d,y\n,1,0\n2,,1\n3,1,\nNA,1,1\n6,1,0\n", &options);
    assert_eq!(matrix(&table), [2.0, 6.0]);
    assert_eq!(table.stored("y").unwrap().place(1).line, Some(6));
}

#[test]
fn a_further_file_is_read_as_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.csv");
    let options = csv::Options { one_hot: names(&["color"]), ..csv::Options::target("kind") };
    let mut table = declared("a,color,kind,n\n1,red,cat,1\n3,blue,dog,2\n5,green,cat,2\n", &options);
    let standard = table.statistics("x", 5, &vec![0, 1].into()).unwrap();
    assert_eq!((standard.mean[0], standard.deviation[0]), (2.0, 1.0));
    table.standardize(standard);
    let text = serde_json::to_string(table.encoding()).unwrap();
    let encoding: dlc::data::Encoding = serde_json::from_str(&text).unwrap();
    assert_eq!(&encoding, table.encoding());
    // Other columns, another order, no target.
    std::fs::write(&path, "n,extra,color,a\n1.5,?,green,4\n2,?,red,2\n").unwrap();
    let new = encoding.read(&path, FloatType::F64).unwrap();
    let selected = new.select("x").unwrap();
    let mut x = [0.0; 10];
    new.gather(&selected, &[0, 1], &mut x).unwrap();
    assert_eq!(x, [2.0, -1.0, 0.0, -1.0, 0.0, 0.0, -1.0, 0.0, 1.0, 1.0]);
    assert_eq!(new.column("color").unwrap().values, Values::I64(vec![1, 2]));
    assert!(new.select("kind").is_err());
    // It held integers in the first file.
    assert!(new.select("n").is_err());
    std::fs::write(&path, "a,color,n,kind\n4,red,1,dog\n").unwrap();
    assert_eq!(encoding.read(&path, FloatType::F64).unwrap().stored("kind").unwrap().values, Values::I64(vec![1]));
}

#[test]
fn statistics_are_those_of_the_training_rows() {
    let table = declared("a,b,y\n1,7,0\n2,7,0\n3,7,1\n100,8,1\n", &csv::Options::target("y"));
    let mut standardized = table.clone();
    standardized.standardize(table.statistics("x", 2, &vec![0, 1, 2].into()).unwrap());
    let mut x = [0.0f64; 8];
    standardized.gather(&standardized.select("x").unwrap(), &[0, 1, 2, 3], &mut x).unwrap();
    let deviation = (2.0f64 / 3.0).sqrt();
    assert_eq!(x, [-1.0 / deviation, 0.0, 0.0, 0.0, 1.0 / deviation, 0.0, 98.0 / deviation, 0.0]);
    // A column on its own is as it was read.
    let mut b = [0i64; 4];
    standardized.gather(&standardized.select("b").unwrap(), &[0, 1, 2, 3], &mut b).unwrap();
    assert_eq!(b, [7, 7, 7, 8]);
    assert_eq!(standardized.float_inputs().unwrap(), ["x"]);
}

fn idx_bytes(kind: u8, shape: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn idx_files_of_every_element() {
    let path = Path::new("a.idx");
    let cases: [(u8, Vec<u8>, Values); 6] = [
        (0x08, vec![0, 255], Values::U8(vec![0, 255])),
        (0x09, vec![1, 0xff], Values::I64(vec![1, -1])),
        (0x0b, vec![1, 0, 0xff, 0xff], Values::I64(vec![256, -1])),
        (0x0c, vec![0, 0, 1, 0, 0, 0, 0, 1], Values::I64(vec![256, 1])),
        (0x0d, [1.5f32.to_be_bytes(), (-2f32).to_be_bytes()].concat(), Values::F32(vec![1.5, -2.0])),
        (0x0e, [1.5f64.to_be_bytes(), (-2f64).to_be_bytes()].concat(), Values::F64(vec![1.5, -2.0])),
    ];
    for (kind, data, values) in cases {
        let bytes = idx_bytes(kind, &[2, 1], &data);
        for bytes in [bytes.clone(), gzipped(&bytes)] {
            let array = idx::parse(bytes.as_slice(), bytes.len() as u64, path).unwrap();
            assert_eq!(array, Array { shape: vec![2, 1], values: values.clone() });
        }
    }
}

#[test]
fn images_and_labels_as_mnist_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let images = idx_bytes(0x08, &[3, 2, 2], &[0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 255]);
    std::fs::write(path("x.gz"), gzipped(&images)).unwrap();
    std::fs::write(path("y"), idx_bytes(0x08, &[3], &[7, 0, 9])).unwrap();
    let columns = vec![("x".to_string(), path("x.gz")), ("y".to_string(), path("y"))];
    let table = Source::Idx { columns, targets: names(&["y"]) }.read(FloatType::F32).unwrap();
    let schema = table.schema();
    assert_eq!((schema.rows, schema.column("x").unwrap().axes.as_slice()), (3, &[2, 2][..]));
    assert_eq!(schema.column("y").unwrap().kind, ColumnKind::Int { min: 0, max: 9 });
    let mut pixels = [0f32; 4];
    table.gather(&table.select("x").unwrap(), &[2], &mut pixels).unwrap();
    assert_eq!(pixels, [80.0, 90.0, 100.0, 255.0]);
    // A further file of images alone.
    std::fs::write(path("new"), idx_bytes(0x08, &[1, 2, 2], &[1, 2, 3, 4])).unwrap();
    let new = table.encoding().read(&path("new"), FloatType::F32).unwrap();
    assert_eq!(new.stored("x").unwrap().values, Values::U8(vec![1, 2, 3, 4]));
    std::fs::write(path("new"), idx_bytes(0x08, &[1, 3, 2], &[1, 2, 3, 4, 5, 6])).unwrap();
    let error = table.encoding().read(&path("new"), FloatType::F32).unwrap_err();
    assert_eq!(error.message(), "a row of `x` has shape [3, 2], but [2, 2] in the training data");
}

#[test]
fn archives_of_arrays_stored_and_deflated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.npz");
    let x = Array { shape: vec![2, 2], values: Values::F64(vec![1.0, 2.0, 3.0, 4.0]) };
    let y = Array { shape: vec![2], values: Values::I64(vec![1, 0]) };
    let other = Array { shape: vec![5], values: Values::I64(vec![0; 5]) };
    let mut bytes = Vec::new();
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        for (name, array) in [("x_train", &x), ("y_train", &y), ("x_test", &other)] {
            archive.start_file(format!("{name}.npy"), options).unwrap();
            npy::encode(array, &mut archive).unwrap();
        }
        bytes = archive.finish().unwrap().into_inner();
        let read = npz::parse(&bytes, &path, None).unwrap();
        assert_eq!(read[0], ("x_train".to_string(), x.clone()));
        assert_eq!(read[1], ("y_train".to_string(), y.clone()));
        std::fs::write(&path, &bytes).unwrap();
        let column = |name: &str, array: &str| (name.to_string(), array.to_string());
        let columns = Some(vec![column("x", "x_train"), column("y", "y_train")]);
        let source = |columns| Source::Npz { path: path.clone(), choice: Choice { columns, targets: Vec::new() } };
        let table = source(columns).read(FloatType::F32).unwrap();
        assert_eq!(table.stored("x").unwrap().values, Values::F32(vec![1.0, 2.0, 3.0, 4.0]));
        // Taken whole, its arrays disagree on the rows.
        assert!(source(None).read(FloatType::F32).is_err());
        let error = source(Some(vec![column("x", "x_trian")])).read(FloatType::F32).unwrap_err();
        assert!(error.message().contains("x_trian") || error.message().contains("no arrays"), "{error}");
    }
    // A damaged byte of the contents is found by its checksum.
    let at = bytes.len() / 3;
    bytes[at] ^= 1;
    assert!(npz::parse(&bytes, &path, None).is_err());
}

#[test]
fn weights_are_the_same_bytes_in_any_order() {
    let w = ("w".to_string(), Array { shape: vec![2], values: Values::F32(vec![1.0, f32::NAN]) });
    let b = ("b".to_string(), Array { shape: vec![], values: Values::F64(vec![0.1]) });
    let metadata = r#"{"step":3,"model":"digits"}"#;
    let bytes = safetensors::encode(&[w.clone(), b.clone()], Some(metadata)).unwrap();
    assert_eq!(bytes, safetensors::encode(&[b.clone(), w], Some(metadata)).unwrap());
    let read = safetensors::parse(&bytes, Path::new("w.safetensors"), None).unwrap();
    assert_eq!(read.metadata.as_deref(), Some(metadata));
    assert_eq!(read.tensors.len(), 2);
    assert!(read.tensors.contains(&b));
}

/// Rows of a hundred thousand cells and more are read in well under a frame's time in release builds.
#[test]
#[ignore = "measures time; run in release"]
fn digits_are_read_quickly() {
    let source = example("digits.csv", "label");
    let best = (0..20)
        .map(|_| {
            let start = Instant::now();
            source.read(FloatType::F32).unwrap();
            start.elapsed()
        })
        .min()
        .unwrap();
    println!("digits.csv: {best:?}");
    assert!(best < Duration::from_millis(5), "{best:?}");
}

fn shape() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0usize..5, 0..4)
}

fn array() -> impl Strategy<Value = Array> {
    (shape(), 0..3).prop_flat_map(|(shape, kind)| {
        let count = shape.iter().product::<usize>();
        let values = match kind {
            0 => prop::collection::vec(-1e30f32..1e30, count).prop_map(Values::F32).boxed(),
            1 => prop::collection::vec(-1e300f64..1e300, count).prop_map(Values::F64).boxed(),
            _ => prop::collection::vec(any::<i64>(), count).prop_map(Values::I64).boxed(),
        };
        values.prop_map(move |values| Array { shape: shape.clone(), values })
    })
}

fn many_options() -> csv::Options {
    csv::Options {
        one_hot: names(&["a"]),
        targets: names(&["b"]),
        missing: csv::Missing::Drop,
        ..csv::Options::default()
    }
}

/// Runs every reader on the bytes; that they return is the property.
fn read_all(bytes: &[u8]) {
    let path = Path::new("fuzzed");
    for float in [FloatType::F32, FloatType::F64] {
        let results = [
            csv::parse(bytes, path, &csv::Options::default(), float).map(|table| drop(table.schema())),
            csv::parse(bytes, path, &csv::Options::target("a"), float).map(|table| drop(table.schema())),
            npy::parse(bytes, bytes.len() as u64, path, Some(float)).map(drop),
            npz::parse(bytes, path, Some(float)).map(drop),
            idx::parse(bytes, bytes.len() as u64, path).map(drop),
            csv::parse(bytes, path, &many_options(), float).map(drop),
            safetensors::parse(bytes, path, Some(float)).map(drop),
        ];
        for error in results.into_iter().filter_map(Result::err) {
            assert!(!error.message().is_empty());
            assert!(error.note().is_some());
        }
    }
}

proptest! {
    #[test]
    fn npy_files_read_back(array in array()) {
        let mut bytes = Vec::new();
        npy::encode(&array, &mut bytes).unwrap();
        prop_assert_eq!(npy::parse(bytes.as_slice(), bytes.len() as u64, Path::new("a.npy"), None), Ok(array.clone()));
        let data = array.values.len() * if matches!(array.values, Values::F32(_)) { 4 } else { 8 };
        prop_assert_eq!((bytes.len() - data) % 64, 0);
    }

    #[test]
    fn cut_npy_files_are_refused(array in array(), cut in 1usize..200) {
        let mut bytes = Vec::new();
        npy::encode(&array, &mut bytes).unwrap();
        bytes.truncate(bytes.len().saturating_sub(cut));
        prop_assert!(npy::parse(bytes.as_slice(), bytes.len() as u64, Path::new("a.npy"), None).is_err());
    }

    #[test]
    fn safetensors_files_read_back(arrays in prop::collection::btree_map("[a-z.]{1,8}", array(), 0..4)) {
        let tensors: Vec<(String, Array)> = arrays.into_iter().collect();
        let bytes = safetensors::encode(&tensors, None).unwrap();
        let mut read = safetensors::parse(&bytes, Path::new("w"), None).unwrap().tensors;
        read.sort_by(|a, b| a.0.cmp(&b.0));
        prop_assert_eq!(read, tensors);
    }

    #[test]
    fn csv_cells_read_back(
        cells in prop::collection::vec((-1e30f64..1e30, any::<i32>()), 1..50),
        crlf: bool,
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let rows: String = cells.iter().map(|(a, y)| format!("{a:?},{y}{end}")).collect();
        let table = parse(&format!("a,y{end}{rows}"), Some("y"));
        let (a, y): (Vec<f64>, Vec<i64>) = cells.iter().map(|&(a, y)| (a, i64::from(y))).unzip();
        prop_assert_eq!(&table.stored("x").unwrap().values, &Values::F64(a));
        prop_assert_eq!(&table.stored("y").unwrap().values, &Values::I64(y));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
    }

    #[test]
    fn random_csv_never_panics(text in "(a|b|x|\"|,|\n|\r|-|\\.|e|[0-9]| |ä|\u{feff}){0,80}") {
        read_all(text.as_bytes());
        read_all(format!("a,b\n{text}").as_bytes());
    }

    #[test]
    fn damaged_files_never_panic(array in array(), position: prop::sample::Index, byte: u8) {
        let mut npy_bytes = Vec::new();
        npy::encode(&array, &mut npy_bytes).unwrap();
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        archive.start_file("w.npy", zip::write::SimpleFileOptions::default()).unwrap();
        npy::encode(&array, &mut archive).unwrap();
        let archive = archive.finish().unwrap().into_inner();
        let shape: Vec<u32> = array.shape.iter().map(|&size| size as u32).collect();
        let idx_file = idx_bytes(0x08, &shape, &vec![7; array.values.len()]);
        let tensor_bytes = safetensors::encode(&[("w".to_string(), array)], Some("{}")).unwrap();
        for mut bytes in [npy_bytes, tensor_bytes, archive, gzipped(&idx_file), idx_file] {
            let position = position.index(bytes.len());
            bytes[position] = byte;
            read_all(&bytes);
        }
    }

    #[test]
    fn random_npy_headers_never_panic(
        header in "\\{'descr': '[<>|=]?[fiub][1248]?', 'fortran_order': (True|False), 'shape': \\([0-9, ]{0,40}\\)?,? \\}?",
        data in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        read_all(&bytes);
    }
}
