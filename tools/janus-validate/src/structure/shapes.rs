//! Types and shapes that the operators give, against what the graph says of them.

mod infer;

use std::collections::BTreeMap;

use janus_onnx::proto::{DataType, Extent, Node, Tensor, ValueInfo};

use super::{Check, Fault};
use infer::infer;

/// What is known of a value.
#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    dtype: Option<DataType>,
    shape: Option<Vec<Option<Extent>>>,
}

/// Values by name; and small constants, which shapes are computed from.
#[derive(Default)]
struct Values<'a> {
    known: BTreeMap<&'a str, Known>,
    constants: BTreeMap<&'a str, &'a Tensor>,
}

pub(super) fn check(check: &mut Check<'_>) {
    let graph = check.model.graph();
    let mut values = Values::default();
    for value in &graph.input {
        values.known.insert(value.name(), Known::said(value));
    }
    for weight in &graph.initializer {
        values.known.insert(weight.name(), Known::stored(weight));
        values.constants.insert(weight.name(), weight);
    }
    let said = graph.output.iter().chain(&graph.value_info);
    let said: BTreeMap<_, _> = said.map(|value| (value.name(), value)).collect();
    for node in &graph.node {
        let given = match infer(node, &values) {
            Ok(given) => given,
            Err(message) => {
                check.found(
                    Fault::Shape,
                    node.name(),
                    format!("{}: {message}", node.op_type()),
                );
                Vec::new()
            }
        };
        for (i, name) in node.output.iter().enumerate() {
            let given = given.get(i).cloned().unwrap_or_default();
            let said = said.get(name.as_str()).map(|value| Known::said(value));
            let said = said.unwrap_or_default();
            if let Some((fault, message)) = contradiction(&given, &said) {
                check.found(fault, node.name(), format!("gives `{name}` as {message}"));
            }
            // What the operator gives is believed rather than what is said of it.
            let dtype = given.dtype.or(said.dtype);
            let shape = merged(given.shape, said.shape);
            values.known.insert(name, Known { dtype, shape });
        }
    }
}

impl Known {
    fn said(value: &ValueInfo) -> Self {
        Self {
            dtype: value.elements(),
            shape: value.shape(),
        }
    }

    fn stored(weight: &Tensor) -> Self {
        let dims = weight.dims.iter();
        Self {
            dtype: Some(weight.data_type()).filter(|dtype| *dtype != DataType::Undefined),
            shape: Some(dims.map(|&extent| Some(Extent::Value(extent))).collect()),
        }
    }
}

impl<'a> Values<'a> {
    fn of(&self, node: &Node, input: usize) -> Option<&Known> {
        let name = node.input.get(input).filter(|name| !name.is_empty())?;
        self.known.get(name.as_str())
    }

    /// The integers of a constant input.
    fn integers(&self, node: &Node, input: usize) -> Option<Vec<i64>> {
        let tensor = self.constants.get(node.input.get(input)?.as_str())?;
        let raw = tensor.raw_data.as_ref()?;
        let is_i64 = tensor.data_type() == DataType::Int64;
        is_i64.then(|| {
            let numbers = raw.chunks_exact(8);
            numbers
                .map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap_or_default()))
                .collect()
        })
    }
}

/// Why what an operator gives and what is said of it cannot both be true.
fn contradiction(given: &Known, said: &Known) -> Option<(Fault, String)> {
    if let (Some(given), Some(said)) = (given.dtype, said.dtype)
        && given != said
    {
        let (given, said) = (given.short_name(), said.short_name());
        return Some((Fault::Type, format!("{given}; the graph says {said}")));
    }
    let (Some(given), Some(said)) = (&given.shape, &said.shape) else {
        return None;
    };
    let differs = |pair: (&Option<Extent>, &Option<Extent>)| match pair {
        (Some(Extent::Value(given)), Some(Extent::Value(said))) => given != said,
        _ => false,
    };
    let fits = given.len() == said.len() && !given.iter().zip(said).any(differs);
    let message = || format!("{}; the graph says {}", spelled(given), spelled(said));
    (!fits).then(|| (Fault::Shape, message()))
}

/// Of each extent the more that is known.
fn merged(
    given: Option<Vec<Option<Extent>>>,
    said: Option<Vec<Option<Extent>>>,
) -> Option<Vec<Option<Extent>>> {
    match (given, said) {
        (Some(given), Some(said)) if given.len() == said.len() => {
            let pairs = given.into_iter().zip(said);
            Some(pairs.map(|(given, said)| given.or(said)).collect())
        }
        (Some(shape), _) | (None, Some(shape)) => Some(shape),
        (None, None) => None,
    }
}

/// `[batch, 96]`
fn spelled(shape: &[Option<Extent>]) -> String {
    let extents = shape.iter().map(|extent| match extent {
        Some(Extent::Value(extent)) => extent.to_string(),
        Some(Extent::Param(name)) => name.clone(),
        None => "?".to_owned(),
    });
    format!("[{}]", extents.collect::<Vec<_>>().join(", "))
}
