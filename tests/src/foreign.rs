//! Exports that other programs made of the repository's checkpoints.

use std::fs;
use std::path::Path;

use half::f16;
use janus_onnx::proto::{DataType, StringPair, Tensor};
use janus_validate::TensorFile;
use ndarray::{Array2, ArrayD, Axis, Ix2, concatenate};
use prost::Message;

use crate::models::{data, demo_checkpoint};

/// Where a weight that was left out lies, as `tools/foreign/export.py` says it.
const LEFT_OUT: &str = "checkpoint";
/// Weights begin on a boundary of so many bytes, as exporters have it.
const BOUNDARY: usize = 4096;

/// Writes a directory of `tests/data/foreign` into `folder`, with its weights, which `change` may alter
/// on the way, by the names that the checkpoint has for them.
pub fn foreign_export(name: &str, folder: &Path, change: &mut dyn FnMut(&str, &mut [f32])) {
    let checkpoint = match name {
        "genai" => demo_checkpoint(),
        _ => data("janus-tiny/transformers"),
    };
    let checkpoint = TensorFile::read(checkpoint.join("model.safetensors")).expect("a checkpoint");
    let from = data("foreign").join(name);
    let entries = fs::read_dir(&from).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    for entry in entries {
        let from = entry.expect("a file").path();
        let to = folder.join(from.file_name().unwrap_or_default());
        fill(&from, &to, &checkpoint, change);
    }
}

/// Copies a graph and puts its weights into a file beside it.
fn fill(from: &Path, to: &Path, checkpoint: &TensorFile, change: &mut dyn FnMut(&str, &mut [f32])) {
    let mut model = janus_onnx::read(from).expect("a graph");
    let file = format!(
        "{}_data",
        to.file_name().unwrap_or_default().to_string_lossy()
    );
    let mut bytes = Vec::new();
    let graph = model.graph.as_mut().expect("a graph");
    for weight in &mut graph.initializer {
        if weight.external().is_none_or(|it| it.location != LEFT_OUT) {
            continue;
        }
        let floats = stored(weight, checkpoint, change);
        let place = bytes.len();
        match weight.data_type() {
            DataType::Float16 => {
                bytes.extend(
                    floats
                        .iter()
                        .flat_map(|&it| f16::from_f32(it).to_le_bytes()),
                );
            }
            _ => bytes.extend(floats.iter().flat_map(|it| it.to_le_bytes())),
        }
        lies_at(weight, &file, place, bytes.len() - place);
        bytes.resize(bytes.len().next_multiple_of(BOUNDARY), 0);
    }
    let write = |path: &Path, bytes: &[u8]| {
        fs::write(path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    };
    if !bytes.is_empty() {
        write(&to.with_file_name(&file), &bytes);
    }
    write(to, &model.encode_to_vec());
}

/// A tensor of the checkpoint, or several below one another, as the graph has it.
fn stored(
    weight: &Tensor,
    checkpoint: &TensorFile,
    change: &mut dyn FnMut(&str, &mut [f32]),
) -> ArrayD<f32> {
    let names = weight.metadata("tensor").expect("a name");
    let parts: Vec<_> = names
        .split(',')
        .map(|name| {
            let mut tensor = checkpoint.f32(name).expect("a tensor");
            change(name, tensor.as_slice_mut().expect("rows in order"));
            tensor
        })
        .collect();
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    let joined = concatenate(Axis(0), &views).expect("one width");
    if weight.metadata("transposed").is_none() {
        return joined;
    }
    let matrix: Array2<f32> = joined.into_dimensionality::<Ix2>().expect("a matrix");
    matrix.reversed_axes().into_dyn()
}

fn lies_at(weight: &mut Tensor, file: &str, offset: usize, length: usize) {
    let pair = |key: &str, value: String| StringPair {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    weight.external_data = vec![
        pair("location", file.to_owned()),
        pair("offset", offset.to_string()),
        pair("length", length.to_string()),
    ];
    weight.metadata_props.clear();
}
