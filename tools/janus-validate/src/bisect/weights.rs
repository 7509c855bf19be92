//! The weights of a node that departs, compared with the reference's.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use janus_onnx::proto::{DataType, Model, Node, Tensor};
use janus_runtime::{GraphKind, ModelDir};

use super::{Side, WeightDifference};
use crate::error::{Error, Result};

/// Bytes of a weight that are compared at a time.
const CHUNK: usize = 1 << 20;

/// The weights that `node` of the first side reads and that differ in the second.
pub(super) fn differing(
    [found, expected]: &[Side<'_>; 2],
    kind: GraphKind,
    node: &Node,
) -> Result<Vec<WeightDifference>> {
    let mut differences = Vec::new();
    for weight in read_by(&found.model, node) {
        let others = &expected.model.graph().initializer;
        let other = others.iter().find(|other| other.name() == weight.name());
        let Some(other) = other.filter(|other| is_alike(weight, other)) else {
            continue;
        };
        let sides = [(found.dir, weight), (expected.dir, other)];
        let difference = compare(sides, kind)?;
        differences.extend(difference.filter(|it| it.differing_bytes > 0));
    }
    Ok(differences)
}

/// The weights of a node, those too that are only cast before it reads them.
fn read_by<'m>(model: &'m Model, node: &Node) -> Vec<&'m Tensor> {
    let graph = model.graph();
    let mut read: BTreeSet<&str> = node.input.iter().map(String::as_str).collect();
    let casts = graph.node.iter().filter(|it| it.op_type() == "Cast");
    for cast in casts {
        let gives = |value: &String| node.input.contains(value);
        if cast.output.iter().any(gives) {
            read.extend(cast.input.iter().map(String::as_str));
        }
    }
    let weights = graph.initializer.iter();
    weights.filter(|it| read.contains(it.name())).collect()
}

fn is_alike(a: &Tensor, b: &Tensor) -> bool {
    a.data_type == b.data_type && a.dims == b.dims
}

/// Compares two weights of one type and shape; nothing where they have no bytes to read.
fn compare(sides: [(&ModelDir, &Tensor); 2], kind: GraphKind) -> Result<Option<WeightDifference>> {
    let [mut found, mut expected] = match sides.map(|(dir, tensor)| open(dir, tensor, kind)) {
        [Some(found), Some(expected)] => [found?, expected?],
        _ => return Ok(None),
    };
    let tensor = sides[0].1;
    let is_float = tensor.data_type() == DataType::Float;
    let (mut differing, mut square, mut norm) = (0, 0.0, 0.0);
    let mut buffers = [vec![0; CHUNK], vec![0; CHUNK]];
    let mut left = tensor.bytes().unwrap_or(0);
    while left > 0 {
        let count = left.min(CHUNK as u64) as usize;
        let [a, b] = &mut buffers;
        for (reader, buffer) in [(&mut found, &mut *a), (&mut expected, &mut *b)] {
            reader
                .read_exact(&mut buffer[..count])
                .map_err(|source| failed(sides[0].0, kind, source))?;
        }
        let pairs = a[..count].iter().zip(&b[..count]);
        differing += pairs.filter(|(a, b)| a != b).count() as u64;
        if is_float {
            for (a, b) in floats(&a[..count]).zip(floats(&b[..count])) {
                square += (a - b).powi(2);
                norm += b.powi(2);
            }
        }
        left -= count as u64;
    }
    Ok(Some(WeightDifference {
        name: tensor.name().to_owned(),
        differing_bytes: differing,
        relative_error: (is_float && norm > 0.0).then(|| (square / norm).sqrt()),
    }))
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f64> {
    let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap_or_default());
    bytes
        .chunks_exact(4)
        .map(move |bytes| f64::from(number(bytes)))
}

/// The bytes of a weight, in the graph or in the file beside it.
fn open<'t>(
    dir: &ModelDir,
    tensor: &'t Tensor,
    kind: GraphKind,
) -> Option<Result<Box<dyn Read + 't>>> {
    let Some(external) = tensor.external() else {
        let raw: &[u8] = tensor.raw_data.as_deref()?;
        return Some(Ok(Box::new(raw)));
    };
    let data = dir.manifest().graphs[&kind].data.as_deref()?;
    let offset = external.offset.unwrap_or("0").parse().ok()?;
    let file = || -> io::Result<File> {
        let mut file = File::open(dir.path().join(data))?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(file)
    };
    Some(match file() {
        Ok(file) => Ok(Box::new(file)),
        Err(source) => Err(failed(dir, kind, source)),
    })
}

fn failed(dir: &ModelDir, kind: GraphKind, source: io::Error) -> Error {
    let entry = &dir.manifest().graphs[&kind];
    Error::ReadFile {
        path: dir.path().join(entry.data.as_ref().unwrap_or(&entry.file)),
        source,
    }
}
