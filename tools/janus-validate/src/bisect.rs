//! Where two exports of the same weights part: the first node of each graph that departs.

mod report;
mod weights;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use janus_onnx::proto::{DataType, Extent, Model, Node, ValueInfo};
use janus_runtime::{Graph, GraphKind, ModelDir, Output, SessionOptions};

pub use report::{BisectReport, BisectRow, Departure, WeightDifference};

use crate::compare::difference;
use crate::error::{Error, Result};
use crate::precision::{Limits, expect_same_weights};
use crate::probe::{Inputs, Probe, borrowed};

/// Values between nodes that are in memory at a time, in bytes.
const BATCH_BYTES: u64 = 256 << 20;
/// What a named axis counts for in that reckoning.
const NAMED_EXTENT: u64 = 8;

/// Runs every graph of `model` and of `reference` on the same inputs and compares the values between
/// their nodes, in order: tells the first node of each graph whose output departs by more than the
/// limit of the model's precision.
///
/// Values are paired by their names, so both have to come from the same converter. The inputs are a
/// synthetic picture, ids and codes over the whole vocabularies, and what the reference's graphs make
/// of them. `options` are the model's and the reference's. `progress` is told each graph, and may stop it.
///
/// # Errors
///
/// [`Error::OtherWeights`] and [`Error::OtherSizes`] where the exports are not of the same weights,
/// [`Error::Cancelled`], and whatever stops a graph from running. A departure is not an error: see
/// [`BisectReport::passed`].
pub fn bisect(
    model: &ModelDir,
    reference: &ModelDir,
    options: [&SessionOptions; 2],
    progress: &mut dyn FnMut(GraphKind) -> ControlFlow<()>,
) -> Result<BisectReport> {
    expect_same_weights(model, reference)?;
    let tolerance = Limits::of(model.manifest().converter.dtype).relative_error;
    let mut probe = Probe::new(reference.manifest())?;
    let (mut rows, mut not_compared) = (Vec::new(), Vec::new());
    for &kind in reference.manifest().graphs.keys() {
        if progress(kind).is_break() {
            return Err(Error::Cancelled);
        }
        match Pair::read(model, reference, kind)? {
            Some(pair) => {
                let entry = &reference.manifest().graphs[&kind];
                let inputs = probe.inputs(&entry.inputs);
                rows.push(pair.follow(&inputs, options, tolerance)?);
            }
            None => not_compared.push(kind),
        }
        probe.run(reference, kind, options[1])?;
    }
    Ok(BisectReport {
        tolerance,
        graphs: rows,
        not_compared,
    })
}

/// A graph of the model and the same one of the reference.
struct Pair<'a> {
    kind: GraphKind,
    sides: [Side<'a>; 2],
}

struct Side<'a> {
    dir: &'a ModelDir,
    bytes: Vec<u8>,
    model: Model,
}

impl<'a> Side<'a> {
    fn read(dir: &'a ModelDir, kind: GraphKind) -> Result<Self> {
        let path = dir.path().join(&dir.manifest().graphs[&kind].file);
        let bytes = janus_onnx::read_bytes(&path)?;
        let model = janus_onnx::parse(&bytes, &path)?;
        Ok(Self { dir, bytes, model })
    }

    /// The graph with more outputs.
    fn open(
        &self,
        kind: GraphKind,
        outputs: &[ValueInfo],
        options: &SessionOptions,
    ) -> Result<Graph> {
        let bytes = janus_onnx::with_outputs(self.bytes.clone(), outputs.to_vec());
        Ok(self.dir.altered_graph(kind, &bytes, options)?)
    }
}

impl<'a> Pair<'a> {
    /// Both graphs; nothing if only the reference has this one, or it takes other inputs.
    fn read(model: &'a ModelDir, reference: &'a ModelDir, kind: GraphKind) -> Result<Option<Self>> {
        let entries = [model, reference].map(|dir| dir.manifest().graphs.get(&kind));
        let [Some(found), Some(expected)] = entries else {
            return Ok(None);
        };
        if found.inputs != expected.inputs {
            return Ok(None);
        }
        let sides = [Side::read(model, kind)?, Side::read(reference, kind)?];
        Ok(Some(Self { kind, sides }))
    }

    /// Compares value after value, in pieces that fit into memory.
    fn follow(
        &self,
        inputs: &Inputs,
        options: [&SessionOptions; 2],
        tolerance: f64,
    ) -> Result<BisectRow> {
        let shared = self.shared();
        let mut row = BisectRow {
            graph: self.kind,
            nodes: self.sides[0].model.graph().node.len(),
            compared: 0,
            worst: 0.0,
            departure: None,
        };
        let mut rest = &shared[..];
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(fitting(rest));
            rest = after;
            let values: Vec<_> = batch.iter().map(|(_, value)| (*value).clone()).collect();
            let [found, expected] = self.run(&values, inputs, options)?;
            for (node, value) in batch {
                let Some(error) = relative_error(&found, &expected, value.name()) else {
                    continue;
                };
                row.compared += 1;
                // An error that is not a number is within no tolerance.
                if error <= tolerance {
                    row.worst = row.worst.max(error);
                    continue;
                }
                row.departure = Some(Departure {
                    node: node.name().to_owned(),
                    op_type: node.op_type().to_owned(),
                    value: value.name().to_owned(),
                    relative_error: error,
                    weights: weights::differing(&self.sides, self.kind, node)?,
                });
                return Ok(row);
            }
        }
        Ok(row)
    }

    /// Values that nodes of both graphs give, with the model's node, in its order.
    fn shared(&self) -> Vec<(&Node, &ValueInfo)> {
        let [found, expected] = [&self.sides[0], &self.sides[1]].map(|side| values(&side.model));
        let nodes = self.sides[0].model.graph().node.iter();
        let outputs = nodes.flat_map(|node| node.output.iter().map(move |name| (node, name)));
        outputs
            .filter_map(|(node, name)| {
                let value = *found.get(name.as_str())?;
                let other = expected.get(name.as_str())?;
                (value.r#type == other.r#type && is_comparable(value)).then_some((node, value))
            })
            .collect()
    }

    /// What both graphs give for some values. Values that are outputs anyway are not added.
    fn run(
        &self,
        values: &[ValueInfo],
        inputs: &Inputs,
        options: [&SessionOptions; 2],
    ) -> Result<[BTreeMap<String, Output>; 2]> {
        let run = |side: &Side<'_>, options| -> Result<_> {
            let outputs = &side.model.graph().output;
            let is_new = |value: &&ValueInfo| outputs.iter().all(|it| it.name() != value.name());
            let added: Vec<_> = values.iter().filter(is_new).cloned().collect();
            let mut graph = side.open(self.kind, &added, options)?;
            Ok(graph.run(&borrowed(inputs))?.into_values())
        };
        // One at a time: the weights of a large model are in memory once.
        let [model, reference] = &self.sides;
        Ok([run(model, options[0])?, run(reference, options[1])?])
    }
}

/// What is said of the values that nodes give.
fn values(model: &Model) -> BTreeMap<&str, &ValueInfo> {
    let graph = model.graph();
    let said = graph.value_info.iter().chain(&graph.output);
    said.map(|value| (value.name(), value)).collect()
}

/// Whether values of this type are compared.
fn is_comparable(value: &ValueInfo) -> bool {
    let dtype = value.elements();
    matches!(
        dtype,
        Some(DataType::Float | DataType::Int64 | DataType::Int32)
    )
}

/// How many of the values fit into a batch, one at least.
fn fitting(values: &[(&Node, &ValueInfo)]) -> usize {
    let mut bytes = 0_u64;
    let fits = values.iter().take_while(|(_, value)| {
        bytes = bytes.saturating_add(size(value));
        bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}

fn size(value: &ValueInfo) -> u64 {
    let shape = value.shape().unwrap_or_default();
    let extents = shape.iter().map(|extent| match extent {
        Some(Extent::Value(extent)) => u64::try_from(*extent).unwrap_or(0),
        _ => NAMED_EXTENT,
    });
    extents.fold(4, u64::saturating_mul)
}

/// How far a value is off; nothing if it was not given in the same type and shape by both.
fn relative_error(
    found: &BTreeMap<String, Output>,
    expected: &BTreeMap<String, Output>,
    name: &str,
) -> Option<f64> {
    match (found.get(name)?, expected.get(name)?) {
        (Output::F32(a), Output::F32(b)) if a.shape() == b.shape() => {
            Some(difference(a, b, f64::from).relative_error)
        }
        (Output::I64(a), Output::I64(b)) if a.shape() == b.shape() => {
            Some(difference(a, b, |it| it as f64).relative_error)
        }
        (Output::I32(a), Output::I32(b)) if a.shape() == b.shape() => {
            Some(difference(a, b, f64::from).relative_error)
        }
        _ => None,
    }
}
