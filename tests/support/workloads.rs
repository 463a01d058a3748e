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
    /// Parameter paths without the final `.W` or `.b`, with fan-in and fan-out.
    layers: &'static [(&'static str, usize, usize)],
}

pub const WORKLOADS: [Workload; 5] = [
    Workload { name: "W1", rows: 64, columns: 64, layers: &[("mlp.hidden", 64, 128), ("mlp.out", 128, 10)] },
    Workload {
        name: "W2",
        rows: 128,
        columns: 784,
        layers: &[("mlp.a", 784, 512), ("mlp.b", 512, 512), ("mlp.out", 512, 10)],
    },
    Workload { name: "W6", rows: 64, columns: 64, layers: &[("mlp.hidden", 64, 128), ("mlp.out", 128, 10)] },
    Workload { name: "W7", rows: 256, columns: 20000, layers: &[("linear.out", 20000, 10)] },
    Workload { name: "W9", rows: 1, columns: 2, layers: &[("mlp.hidden", 2, 8), ("mlp.out", 8, 1)] },
];

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
            // Two batches share x with different labels, except in W7.
            let source = if self.name == "W7" { b } else { b / 2 };
            x.extend(symmetric(1000 + source, self.rows * self.columns, 3f64.sqrt()));
            if self.name == "W9" {
                targets.extend(symmetric(2000 + b, self.rows, 1.0));
            } else {
                labels.extend(uniform(2000 + b, self.rows).map(|u| (u * 10.0) as i64));
            }
        }
        let rows = POOL * self.rows;
        let y = match self.name {
            "W9" => ("y".into(), Dtype::F32, vec![rows, 1], bytes(&targets, f32::to_le_bytes)),
            _ => ("y".into(), Dtype::I64, vec![rows], bytes(&labels, i64::to_le_bytes)),
        };
        vec![("x".into(), Dtype::F32, vec![rows, self.columns], bytes(&x, f32::to_le_bytes)), y]
    }

    fn parameters(&self) -> Vec<(String, Dtype, Vec<usize>, Vec<u8>)> {
        let mut tensors = Vec::new();
        for (k, (path, fan_in, fan_out)) in self.layers.iter().enumerate() {
            let scale = (6.0 / (fan_in + fan_out) as f64).sqrt();
            let w = symmetric(100 + 2 * k as u64, fan_in * fan_out, scale);
            tensors.push((format!("{path}.W"), Dtype::F32, vec![*fan_in, *fan_out], bytes(&w, f32::to_le_bytes)));
            let b = vec![0f32; *fan_out];
            tensors.push((format!("{path}.b"), Dtype::F32, vec![*fan_out], bytes(&b, f32::to_le_bytes)));
        }
        tensors
    }
}
