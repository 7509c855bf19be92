//! Copies between tensors in a device's memory. ONNX Runtime copies only whole tensors there, so parts
//! go through a graph of two nodes, which leaves everything else of its target where it is:
//!
//! ```text
//! from [r, h, c, d] ─ GatherND(sources [n, 3]) ─► rows [n, d]
//! to   [R, H, C, d] ─ ScatterND(targets [n, 3], rows) ─► the same memory
//! ```

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ort::editor::{Graph, Model, Node, ONNX_DOMAIN, Opset};
use ort::memory::{AllocationDevice, Allocator};
use ort::session::Session;
use ort::value::{Outlet, Shape, SymbolicDimensions, Tensor, TensorElementType, ValueType};

use super::{Float, Span};
use crate::provider::ExecutionProvider;
use crate::session;

/// Opset of the graph.
const OPSET: u32 = 18;
/// Axes of a resident tensor; elements along the last go together.
const AXES: usize = 4;

/// The graphs that copy, by the device and the type that they are for; making one takes as long as many
/// copies.
static COPIERS: Mutex<BTreeMap<(String, String), Session>> = Mutex::new(BTreeMap::new());

/// Where the vectors along the last axis come from, and where they go, on the device that copies.
pub(super) struct Places {
    sources: Tensor<i64>,
    targets: Tensor<i64>,
}

impl Places {
    /// Those of elements that `spans` name in tensors of the shapes `from` and `to`; spans are of whole
    /// vectors.
    pub(super) fn new(
        spans: &[Span],
        [from, to]: [&[usize]; 2],
        provider: ExecutionProvider,
    ) -> ort::Result<Self> {
        let width = from.last().copied().unwrap_or(1).max(1);
        let vectors = |start: fn(&Span) -> usize| {
            let of = move |span: &Span| {
                let first = start(span) / width;
                first..first + span.length / width
            };
            spans.iter().flat_map(of)
        };
        let sources = coordinates(vectors(|span| span.from), from);
        let targets = coordinates(vectors(|span| span.to), to);
        Ok(Self {
            sources: placed(sources, provider)?,
            targets: placed(targets, provider)?,
        })
    }
}

/// Copies vectors of one tensor over those of another.
pub(super) fn copy<T: Float>(
    to: &mut Tensor<T>,
    from: &Tensor<T>,
    places: &Places,
    provider: ExecutionProvider,
) -> ort::Result<()> {
    let mut copiers = COPIERS.lock().unwrap_or_else(PoisonError::into_inner);
    let dtype = T::into_tensor_element_type();
    let key = (provider.to_string(), dtype.to_string());
    if !copiers.contains_key(&key) {
        let session = session::open_edited(model(dtype)?, provider)?;
        copiers.insert(key.clone(), session);
    }
    let Some(session) = copiers.get_mut(&key) else {
        return Err(ort::Error::new("no graph that copies"));
    };
    let mut io = session.create_binding()?;
    io.bind_input("from", from)?;
    io.bind_input("sources", &places.sources)?;
    io.bind_input("targets", &places.targets)?;
    io.bind_input("to", to)?;
    io.bind_output("copied", to)?;
    session.run_binding(&io)?;
    Ok(())
}

fn model(dtype: TensorElementType) -> ort::Result<Model> {
    let outlet = |name: &str, ty, extents: &[i64]| {
        let dimension_symbols = SymbolicDimensions::empty(extents.len());
        let shape = Shape::new(extents.iter().copied());
        Outlet::new(
            name,
            ValueType::Tensor {
                ty,
                shape,
                dimension_symbols,
            },
        )
    };
    let any = [-1; AXES];
    let places = [-1, AXES as i64 - 1];
    let mut graph = Graph::new()?;
    graph.set_inputs([
        outlet("from", dtype, &any),
        outlet("to", dtype, &any),
        outlet("sources", TensorElementType::Int64, &places),
        outlet("targets", TensorElementType::Int64, &places),
    ])?;
    graph.set_outputs([outlet("copied", dtype, &any)])?;
    let node = |op: &str, inputs: &[&str], output: &str| {
        Node::new(op, ONNX_DOMAIN, op, inputs, [output], [])
    };
    graph.add_node(node("GatherND", &["from", "sources"], "rows")?)?;
    graph.add_node(node("ScatterND", &["to", "targets", "rows"], "copied")?)?;
    let mut model = Model::new([Opset::new(ONNX_DOMAIN, OPSET)?])?;
    model.set_graph(graph)?;
    Ok(model)
}

/// The first three coordinates of vectors of a tensor, which are counted in row-major order: `[n, 3]`.
fn coordinates(vectors: impl Iterator<Item = usize>, shape: &[usize]) -> Vec<i64> {
    let extent = |axis: usize| shape.get(axis).copied().unwrap_or(1).max(1);
    let (heads, positions) = (extent(1), extent(2));
    let of = |vector: usize| {
        let row = vector / (heads * positions);
        let head = vector / positions % heads;
        [row, head, vector % positions].map(|place| place as i64)
    };
    vectors.flat_map(of).collect()
}

fn placed(places: Vec<i64>, provider: ExecutionProvider) -> ort::Result<Tensor<i64>> {
    let shape = [places.len() / (AXES - 1), AXES - 1];
    let mut tensor = Tensor::new(&Allocator::default(), shape)?;
    tensor.extract_tensor_mut().1.copy_from_slice(&places);
    match provider {
        ExecutionProvider::Cuda { device } => tensor.to(AllocationDevice::CUDA, device as i32),
        _ => Ok(tensor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::residents::copy_elements;

    /// The graph does on a device what the host does with slices.
    #[test]
    fn vectors_go_where_slices_go() -> ort::Result<()> {
        // The fixtures' loads it for another copy of this crate.
        let request = janus_install::Request::from_env();
        let library = janus_install::ensure(&request, &|_| {}).map_err(ort::Error::wrap)?;
        crate::load_library(&library.path, &crate::LibraryOptions::default())
            .map_err(ort::Error::wrap)?;
        let shapes = [[2, 3, 5, 4], [3, 3, 7, 4]];
        let fill = |shape: [usize; 4], first: f32| -> ort::Result<Tensor<f32>> {
            let mut tensor = Tensor::new(&Allocator::default(), shape)?;
            let elements = tensor.extract_tensor_mut().1;
            elements
                .iter_mut()
                .enumerate()
                .for_each(|(i, element)| *element = first + i as f32);
            Ok(tensor)
        };
        let from = fill(shapes[0], 0.5)?;
        let mut to = fill(shapes[1], 1000.0)?;
        // Two positions from the third on, of every head of the second row, over the first of the third.
        let spans: Vec<_> = (0..3)
            .map(|head| Span {
                from: ((3 + head) * 5 + 2) * 4,
                to: (2 * 3 + head) * 7 * 4,
                length: 2 * 4,
            })
            .collect();
        let mut expected = to.extract_tensor().1.to_vec();
        copy_elements(&mut expected, from.extract_tensor().1, &spans);

        let provider = ExecutionProvider::Cpu;
        let places = Places::new(&spans, [&shapes[0], &shapes[1]], provider)?;
        copy(&mut to, &from, &places, provider)?;
        assert_eq!(to.extract_tensor().1, expected);
        Ok(())
    }
}
