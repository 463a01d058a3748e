//! Starting parameters and batches of the benchmark workloads, from one counter hash (splitmix64), so that other
//! frameworks can be given the very same numbers.

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use std::fs;
use std::path::{Path, PathBuf};

/// Batches in a pool; they are cycled.
const POOL: usize = 4;

/// One benchmark workload: `benches/workloads/NAME.dl`.
pub struct Workload {
    pub name: &'static str,
    /// Rows of a batch and columns of `x`.
    rows: usize,
    columns: usize,
    /// Parameter paths without the final `.W` or `.b`, with fan-in and fan-out; a layer of fan-in 0 is a normalization, with
    /// `.gamma` and `.beta`.
    layers: &'static [(&'static str, usize, usize)],
    /// What a step cannot do without: operations of its products, and bytes that must come from memory or go there.
    #[allow(dead_code, reason = "only timings look at it")]
    pub operations: f64,
    #[allow(dead_code, reason = "only timings look at it")]
    pub traffic: f64,
}

pub const WORKLOADS: [Workload; 7] = [
    Workload {
        name: "W1",
        rows: 64,
        columns: 64,
        layers: &[("mlp.hidden", 64, 128), ("mlp.out", 128, 10)],
        // Forward, and backward to the weights; backward to the input of the second layer.
        operations: products(64, &[(64, 128, 2.0), (128, 10, 3.0)]),
        traffic: 0.0,
    },
    Workload {
        name: "W2",
        rows: 128,
        columns: 784,
        layers: &[("mlp.a", 784, 512), ("mlp.b", 512, 512), ("mlp.out", 512, 10)],
        operations: products(128, &[(784, 512, 2.0), (512, 512, 3.0), (512, 10, 3.0)]),
        traffic: 0.0,
    },
    Workload {
        name: "W5",
        rows: 64,
        columns: 64,
        layers: &[("mlp.hidden", 64, 128), ("mlp.out", 128, 10)],
        // The tangents of every product beside it: one product where only one operand has a tangent, else two.
        operations: products(64, &[(64, 128, 4.0), (128, 10, 9.0)]),
        traffic: 0.0,
    },
    Workload {
        name: "W6",
        rows: 64,
        columns: 64,
        layers: &[("mlp.hidden", 64, 128), ("mlp.out", 128, 10)],
        // The gradient by the input, and the products through which its norm is differentiated.
        operations: products(64, &[(64, 128, 5.0), (128, 10, 6.0)]),
        traffic: 0.0,
    },
    Workload {
        name: "W7",
        rows: 256,
        columns: 20000,
        layers: &[("linear.out", 20000, 10)],
        operations: products(256, &[(20000, 10, 2.0)]),
        // The batch is read once.
        traffic: 4.0 * 256.0 * 20000.0,
    },
    Workload {
        name: "W8",
        rows: 128,
        columns: 784,
        layers: &[
            ("autoencoder.a", 784, 256),
            ("autoencoder.norm_a", 0, 256),
            ("autoencoder.b", 256, 64),
            ("autoencoder.norm_b", 0, 64),
            ("autoencoder.c", 64, 256),
            ("autoencoder.norm_c", 0, 256),
            ("autoencoder.out", 256, 784),
        ],
        operations: products(128, &[(784, 256, 2.0), (256, 64, 3.0), (64, 256, 3.0), (256, 784, 3.0)]),
        traffic: 0.0,
    },
    Workload {
        name: "W9",
        rows: 1,
        columns: 2,
        layers: &[("mlp.hidden", 2, 8), ("mlp.out", 8, 1)],
        operations: products(1, &[(2, 8, 2.0), (8, 1, 3.0)]),
        traffic: 0.0,
    },
];

/// The operations of so many products with each layer, of so many rows.
const fn products(rows: usize, layers: &[(usize, usize, f64)]) -> f64 {
    let (mut sum, mut k) = (0.0, 0);
    while k < layers.len() {
        let (fan_in, fan_out, times) = layers[k];
        sum += 2.0 * (rows * fan_in * fan_out) as f64 * times;
        k += 1;
    }
    sum
}

/// `n` floats in [0, 1): the top 24 bits of splitmix64 at state ((seed << 40) + i + 1) · golden ratio.
fn uniform(seed: u64, n: usize) -> impl Iterator<Item = f32> {
    (1..=n as u64).map(move |i| {
        let mut z = (seed << 40).wrapping_add(i).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f32 * 2f32.powi(-24)
    })
}

fn symmetric(seed: u64, n: usize, scale: f64) -> Vec<f32> {
    uniform(seed, n).map(|u| (u * 2.0 - 1.0) * scale as f32).collect()
}

fn bytes<T: Copy, const W: usize>(values: &[T], to_bytes: fn(T) -> [u8; W]) -> Vec<u8> {
    values.iter().flat_map(|v| to_bytes(*v)).collect()
}

fn write(path: &Path, tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>) {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).expect("shape and bytes agree"))
    });
    serialize_to_file(views, None, path).expect("the file can be written");
}

impl Workload {
    /// Where the `.dl` file is.
    pub fn program(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/workloads").join(format!("{}.dl", self.name))
    }

    /// Where the starting parameters are, once [`Workload::prepare`] has run.
    pub fn init(&self) -> PathBuf {
        Self::folder().join(format!("{}.init.safetensors", self.name))
    }

    /// A copy of the program that shuffles its rows, once [`Workload::prepare`] has run.
    #[allow(dead_code, reason = "only timings look at it")]
    pub fn shuffled(&self) -> PathBuf {
        let text = fs::read_to_string(self.program()).expect("the program is there");
        let path = Self::folder().join(format!("{}.shuffled.dl", self.name));
        let text = text.replace("../../target/workloads/", "").replace(" in order", "");
        fs::write(&path, text).expect("target/ can be written");
        path
    }

    /// Bytes of the pool of batches, once [`Workload::prepare`] has run.
    #[allow(dead_code, reason = "only timings look at it")]
    pub fn data_bytes(&self) -> u64 {
        fs::metadata(Self::folder().join(format!("{}.safetensors", self.name))).map_or(0, |m| m.len())
    }

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/workloads")
    }

    /// Writes the pool of batches and the starting parameters, unless they are there.
    pub fn prepare(&self) {
        fs::create_dir_all(Self::folder()).expect("target/ can be written");
        let pool = Self::folder().join(format!("{}.safetensors", self.name));
        if !pool.exists() {
            let draft = pool.with_extension(format!("draft{}", std::process::id()));
            write(&draft, self.pool());
            fs::rename(&draft, &pool).expect("target/ can be written");
        }
        if !self.init().exists() {
            let draft = self.init().with_extension(format!("draft{}", std::process::id()));
            write(&draft, self.parameters());
            fs::rename(&draft, self.init()).expect("target/ can be written");
        }
    }

    fn pool(&self) -> Vec<(String, Dtype, Vec<usize>, Vec<u8>)> {
        let (mut x, mut labels, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for b in 0..POOL as u64 {
            // Two batches share x with different labels, except in W7 and W8.
            let source = if matches!(self.name, "W7" | "W8") { b } else { b / 2 };
            if self.name == "W8" {
                x.extend(uniform(1000 + source, self.rows * self.columns));
                continue;
            }
            x.extend(symmetric(1000 + source, self.rows * self.columns, 3f64.sqrt()));
            if self.name == "W9" {
                targets.extend(symmetric(2000 + b, self.rows, 1.0));
            } else {
                labels.extend(uniform(2000 + b, self.rows).map(|u| (u * 10.0) as i64));
            }
        }
        let rows = POOL * self.rows;
        let x = ("x".into(), Dtype::F32, vec![rows, self.columns], bytes(&x, f32::to_le_bytes));
        let y = match self.name {
            "W8" => return vec![x],
            "W9" => ("y".into(), Dtype::F32, vec![rows, 1], bytes(&targets, f32::to_le_bytes)),
            _ => ("y".into(), Dtype::I64, vec![rows], bytes(&labels, i64::to_le_bytes)),
        };
        vec![x, y]
    }

    fn parameters(&self) -> Vec<(String, Dtype, Vec<usize>, Vec<u8>)> {
        let mut tensors = Vec::new();
        for (k, (path, fan_in, fan_out)) in self.layers.iter().enumerate() {
            if *fan_in == 0 {
                for (name, value) in [("gamma", 1f32), ("beta", 0.0)] {
                    let all = bytes(&vec![value; *fan_out], f32::to_le_bytes);
                    tensors.push((format!("{path}.{name}"), Dtype::F32, vec![*fan_out], all));
                }
                continue;
            }
            let scale = (6.0 / (fan_in + fan_out) as f64).sqrt();
            let w = symmetric(100 + 2 * k as u64, fan_in * fan_out, scale);
            tensors.push((format!("{path}.W"), Dtype::F32, vec![*fan_in, *fan_out], bytes(&w, f32::to_le_bytes)));
            let b = vec![0f32; *fan_out];
            tensors.push((format!("{path}.b"), Dtype::F32, vec![*fan_out], bytes(&b, f32::to_le_bytes)));
        }
        tensors
    }
}
