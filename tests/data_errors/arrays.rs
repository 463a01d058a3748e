//! What is said of arrays that are no data: NPY, NPZ, IDX and safetensors files, and tensors that make no table.

use super::{message, rendered};
use dlc::data::{Array, Column, FloatType, Table, Values, idx, npy, npz, safetensors};
use std::path::Path;

fn npy_bytes(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

#[track_caller]
fn npy_error(bytes: &[u8], expected: &str) {
    message(npy::parse(bytes, bytes.len() as u64, Path::new("a.npy"), None), expected);
}

#[test]
fn malformed_npy() {
    let malformed = |reason: &str| {
        format!(
            "E0310 this is not a well-formed npy file: {reason}\nnote: in a.npy\n\
             help: write the file again; it may be cut short or be of another kind"
        )
    };
    npy_error(b"PK\x03\x04....", &malformed("it does not start with `\\x93NUMPY`"));
    npy_error(b"\x93NUM", &malformed("it ends too early"));
    npy_error(b"\x93NUMPY\x09\x00\x00\x00", &malformed("its format version is 9, not 1, 2 or 3"));
    npy_error(
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        &malformed("its header claims 4294967295 bytes, more than the file has"),
    );
    let header = |shape: &str| format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
    npy_error(
        &npy_bytes(&header("(3,)"), &[0; 16]),
        &malformed("elements `<f8` of shape [3] do not take the 16 bytes that follow"),
    );
    npy_error(
        &npy_bytes(&header("(4294967296, 4294967296)"), &[0; 8]),
        &malformed("elements `<f8` of shape [4294967296, 4294967296] do not take the 8 bytes that follow"),
    );
    npy_error(
        &npy_bytes(&header("(2305843009213693952,)"), &[]),
        &malformed("elements `<f8` of shape [2305843009213693952] do not take the 0 bytes that follow"),
    );
}

#[test]
fn npy_elements_that_cannot_be_read() {
    let header = "{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }";
    npy_error(
        &npy_bytes(header, &[0; 4]),
        "E0311 elements of type `<c8` cannot be read from npy\nnote: in a.npy\n\
         help: store floats of 16, 32 or 64 bits, integers or booleans",
    );
    let header = "{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }";
    npy_error(
        &npy_bytes(header, &[255; 8]),
        "E0307 `18446744073709551615` in column `?` does not fit a 64-bit signed integer\nnote: in a.npy\n\
         help: store the column as floats",
    );
}

#[test]
fn malformed_safetensors() {
    message(
        safetensors::parse(b"\x00\x00", Path::new("w.safetensors"), None),
        "E0310 this is not a well-formed safetensors file: it ends too early\nnote: in w.safetensors\n\
         help: write the file again; it may be cut short or be of another kind",
    );
    let header = br#"{"h":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend([0; 2]);
    message(
        safetensors::parse(&bytes, Path::new("w.safetensors"), None),
        "E0311 elements of type `F8_E4M3` cannot be read from safetensors\nnote: in w.safetensors\n\
         help: store floats of 16, 32 or 64 bits, integers or booleans",
    );
}

#[test]
fn malformed_idx() {
    let malformed = |reason: &str| {
        format!(
            "E0310 this is not a well-formed IDX file: {reason}\nnote: in a.idx\n\
             help: write the file again; it may be cut short or be of another kind"
        )
    };
    let fails = |bytes: &[u8], expected: String| {
        message(idx::parse(bytes, bytes.len() as u64, Path::new("a.idx")), &expected);
    };
    fails(b"\0\0", malformed("it ends too early"));
    fails(b"\x89PNG....", malformed("it does not start with two zero bytes"));
    fails(b"\0\0\x08\x01\0\0\0\x03ab", malformed("it ends too early"));
    fails(b"\0\0\x08\x01\0\0\0\x01ab", malformed("it goes on after its last element"));
    fails(
        b"\0\0\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        malformed("its shape [4294967295, 4294967295, 4294967295] claims more elements than the file can hold"),
    );
    fails(
        b"\0\0\x07\x01\0\0\0\x01a",
        "E0311 elements of type `0x07` cannot be read from IDX\nnote: in a.idx\n\
         help: store floats of 16, 32 or 64 bits, integers or booleans"
            .to_string(),
    );
    fails(b"\x1f\x8bnot gzip", malformed("invalid gzip header"));
}

#[test]
fn malformed_npz() {
    let path = Path::new("a.npz");
    let fails = |bytes: &[u8], start: &str| {
        let text = rendered(&npz::parse(bytes, path, None).unwrap_err());
        assert!(text.starts_with(start), "{text}");
    };
    fails(b"no archive", "E0310 this is not a well-formed npz file: invalid Zip archive");
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("notes.txt", zip::write::SimpleFileOptions::default()).unwrap();
    let bytes = archive.finish().unwrap().into_inner();
    fails(&bytes, "E0310 this is not a well-formed npz file: it holds `notes.txt`, which is no `.npy` file");
}

#[test]
fn tensors_that_make_no_data_set() {
    let column = |name: &str, shape: &[usize], values: Values| {
        let array = Array { shape: shape.to_vec(), values };
        Column::new(name, array, FloatType::F32, Path::new("a.npy"))
    };
    message(
        column("x", &[], Values::F32(vec![1.0])),
        "E0312 `x` is a single number: it has no axis of rows\nnote: in a.npy\n\
         help: the first axis of every tensor of a data set counts its rows",
    );
    message(
        column("x", &[5, 0], Values::F32(vec![])),
        "E0312 `x` has shape [5, 0], which holds no values\nnote: in a.npy\n\
         help: a data set needs at least one row and one value a row",
    );
    message(
        column("x", &[2, 2], Values::F64(vec![1.0, 2.0, f64::NAN, 3.0])),
        "E0307 `NaN (row 1)` in column `x` is not a finite number\nnote: in a.npy\n\
         help: replace the value or remove the row",
    );
    message(
        column("x", &[2, 2], Values::F64(vec![1.0, 1e300, 2.0, 3.0])),
        &format!(
            "E0307 `{} (row 0)` in column `x` is outside the range of f32\nnote: in a.npy\n\
             help: rescale the column, or run with `--dtype f64`",
            1e300
        ),
    );
    let x = column("x", &[2], Values::F32(vec![1.0, 2.0])).unwrap();
    let y = column("y", &[3], Values::I64(vec![1, 2, 3])).unwrap();
    message(
        Table::of(vec![x, y], &[]),
        "E0312 `y` has 3 rows, but `x` has 2\nnote: in a.npy\n\
         help: the first axis of every column counts the rows; they must agree",
    );
}
