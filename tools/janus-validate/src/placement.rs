//! What an execution provider would run of an export, known without the provider.

mod cost;
mod report;
mod rules;
mod table;

use std::collections::BTreeMap;

use janus_onnx::proto::{DataType, Model, Node};
use janus_runtime::{ExecutionProvider, ModelDir};

pub use report::{GraphPlacement, Leaving, PlacementReport};

use crate::error::Result;
use cost::Cost;
use table::Table;

/// Operators that do the work: matrices, convolutions, attention.
const HEAVY: [&str; 14] = [
    "MatMul",
    "FusedMatMul",
    "DynamicQuantizeMatMul",
    "MatMulNBits",
    "MatMulIntegerToFloat",
    "MatMulInteger",
    "Gemm",
    "Conv",
    "ConvInteger",
    "FusedConv",
    "NhwcConv",
    "Attention",
    "GroupQueryAttention",
    "MultiHeadAttention",
];

/// Reads the graphs of an export and tells for every node whether `provider` has a kernel for its
/// operator, version, types, attributes and sizes, by the table of that provider's kernels.
///
/// The CPU's table is what its library says of itself, those of OpenVINO and WebGPU are what theirs did
/// with graphs of one node, the others are what is documented: see `kernels/`. Optimisers may fuse nodes before they are placed, which the tables do not foresee; the
/// record of a session that was opened is [`Graph::placement`](janus_runtime::Graph::placement).
///
/// # Errors
///
/// [`Error::NoKernelTable`](crate::Error::NoKernelTable) where nothing is known of a provider's
/// kernels, [`Error::Graph`](crate::Error::Graph) where a graph cannot be read.
pub fn check_placement(model: &ModelDir, provider: ExecutionProvider) -> Result<PlacementReport> {
    let graphs = model.manifest().graphs.iter();
    let graphs = graphs.map(|(kind, entry)| -> Result<_> {
        let graph = janus_onnx::read(&model.path().join(&entry.file))?;
        Ok((kind.to_string(), graph))
    });
    place_all(graphs, provider)
}

/// Looks the nodes of graphs up, one graph in memory at a time.
pub(crate) fn place_all(
    graphs: impl Iterator<Item = Result<(String, Model)>>,
    provider: ExecutionProvider,
) -> Result<PlacementReport> {
    let table = Table::of(provider)?;
    let placed = graphs.map(|graph| -> Result<_> {
        let (name, model) = graph?;
        Ok(place(name, &model, provider, &table))
    });
    Ok(PlacementReport {
        provider: provider.to_string(),
        table: table.source.to_owned(),
        graphs: placed.collect::<Result<_>>()?,
    })
}

fn place(
    name: String,
    model: &Model,
    provider: ExecutionProvider,
    table: &Table,
) -> GraphPlacement {
    let facts = Facts::new(model);
    let mut placement = GraphPlacement::new(name);
    // A constant is a weight once a graph is opened.
    let is_node = |node: &&Node| node.op_type() != "Constant";
    for node in model.graph().node.iter().filter(is_node) {
        let cost = Cost::of(node, &facts);
        let heavy = HEAVY.contains(&node.op_type());
        let reason = match table.refusal(node, &facts) {
            None => rules::refusal(provider, node, &facts),
            reason => reason,
        };
        placement.add(heavy, cost, reason.is_none());
        if let Some(reason) = reason {
            placement.leave(node.op_type(), reason, heavy, node.name());
        }
    }
    placement
}

/// What a graph says of its values.
struct Facts<'a> {
    model: &'a Model,
    types: BTreeMap<&'a str, DataType>,
    /// Extents; nothing for one that differs from run to run.
    shapes: BTreeMap<&'a str, Vec<Option<u64>>>,
    /// Bytes of each weight.
    weights: BTreeMap<&'a str, u64>,
}

impl<'a> Facts<'a> {
    fn new(model: &'a Model) -> Self {
        let graph = model.graph();
        let mut facts = Self {
            model,
            types: BTreeMap::new(),
            shapes: BTreeMap::new(),
            weights: BTreeMap::new(),
        };
        let said = graph
            .input
            .iter()
            .chain(&graph.output)
            .chain(&graph.value_info);
        for value in said {
            let name = value.name();
            facts
                .types
                .extend(value.elements().map(|dtype| (name, dtype)));
            let shape = value.shape().map(|shape| {
                let number = |extent: &Option<janus_onnx::proto::Extent>| match extent {
                    Some(janus_onnx::proto::Extent::Value(extent)) => u64::try_from(*extent).ok(),
                    _ => None,
                };
                shape.iter().map(number).collect()
            });
            facts.shapes.extend(shape.map(|shape| (name, shape)));
        }
        for weight in &graph.initializer {
            let dims = weight.dims.iter().map(|&extent| u64::try_from(extent).ok());
            facts.types.insert(weight.name(), weight.data_type());
            facts.shapes.insert(weight.name(), dims.collect());
            facts
                .weights
                .insert(weight.name(), weight.bytes().unwrap_or(0));
        }
        facts
    }

    fn dtype(&self, node: &Node, input: usize) -> Option<DataType> {
        let name = node.input.get(input).filter(|name| !name.is_empty())?;
        self.types.get(name.as_str()).copied()
    }
}
