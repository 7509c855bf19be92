//! Tensors in a device's memory. ONNX Runtime has no calls that fill them or copy parts of them, but
//! graphs do. The second one leaves everything else of its target where it is:
//!
//! ```text
//! zero [1, 1, 1, 1] ─ Expand(shape [4]) ─► filled
//!
//! from [r, h, c, d] ─ GatherND(sources [n, 3]) ─► rows [n, d]
//! to   [R, H, C, d] ─ ScatterND(targets [n, 3], rows) ─► the same memory
//! ```

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, PoisonError};

use ort::editor::{Graph, Model, Node, ONNX_DOMAIN, Opset};
use ort::memory::{Allocator, MemoryInfo};
use ort::session::Session;
use ort::value::{
    DynValue, Outlet, Shape, SymbolicDimensions, Tensor, TensorElementType, ValueType,
};

use super::{Float, Span, transfer};
use crate::provider::ExecutionProvider;
use crate::session;

/// Opset of the graphs.
const OPSET: u32 = 18;
/// Axes of a resident tensor; elements along the last go together.
const AXES: usize = 4;

/// The graphs, by what they do, the device and the types that they are for; opening one takes as long as
/// many runs.
static SESSIONS: Mutex<BTreeMap<(Task, String, String), Session>> = Mutex::new(BTreeMap::new());

/// What a graph is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    Fill,
    Copy,
    Transfer,
}

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
        let [sources, targets] = [host(&sources)?, host(&targets)?];
        if provider.memory().is_none() {
            return Ok(Self { sources, targets });
        }
        // Once for all tensors, rather than with each.
        let mut sent = Vec::new();
        let places = [sources.upcast_ref(), targets.upcast_ref()];
        transfer::send(&places, &mut sent, provider)?;
        let targets = sent.pop().map(DynValue::downcast);
        let sources = sent.pop().map(DynValue::downcast);
        let lost = || ort::Error::new("the graph gave nothing");
        Ok(Self {
            sources: sources.ok_or_else(lost)??,
            targets: targets.ok_or_else(lost)??,
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
    let dtype = T::into_tensor_element_type();
    with_session(
        (Task::Copy, dtype.to_string()),
        provider,
        || copy_model(dtype),
        |session| {
            let mut io = session.create_binding()?;
            io.bind_input("from", from)?;
            io.bind_input("sources", &places.sources)?;
            io.bind_input("targets", &places.targets)?;
            io.bind_input("to", &*to)?;
            io.bind_output("copied", to)?;
            session.run_binding(&io)?;
            Ok(())
        },
    )
}

/// A tensor of four axes in the memory of a device, zeroed.
pub(super) fn zeros<T: Float>(
    shape: &[usize],
    memory: &MemoryInfo<'_>,
    provider: ExecutionProvider,
) -> ort::Result<Tensor<T>> {
    let mut zero = Tensor::<T>::new(&Allocator::default(), [1_usize; AXES])?;
    zero.extract_tensor_mut().1.fill(T::default());
    let mut extents = Tensor::<i64>::new(&Allocator::default(), [shape.len()])?;
    let elements = extents.extract_tensor_mut().1;
    elements
        .iter_mut()
        .zip(shape)
        .for_each(|(to, from)| *to = *from as i64);
    let dtype = T::into_tensor_element_type();
    with_session(
        (Task::Fill, dtype.to_string()),
        provider,
        || fill_model(dtype),
        |session| {
            let mut io = session.create_binding()?;
            io.bind_input("zero", &zero)?;
            io.bind_input("shape", &extents)?;
            io.bind_output_to_device("filled", memory)?;
            let mut outputs = session.run_binding(&io)?;
            let filled = outputs.remove("filled");
            let filled = filled.ok_or_else(|| ort::Error::new("the graph gave nothing"))?;
            filled.downcast()
        },
    )
}

/// Uses the graph for a task with tensors of some types, which is opened when it is first needed.
pub(super) fn with_session<R>(
    (task, types): (Task, String),
    provider: ExecutionProvider,
    model: impl FnOnce() -> ort::Result<Model>,
    run: impl FnOnce(&mut Session) -> ort::Result<R>,
) -> ort::Result<R> {
    let mut sessions = SESSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let session = match sessions.entry((task, provider.to_string(), types)) {
        Entry::Occupied(opened) => opened.into_mut(),
        Entry::Vacant(place) => place.insert(session::open_edited(model()?, provider)?),
    };
    run(session)
}

fn fill_model(dtype: TensorElementType) -> ort::Result<Model> {
    let mut graph = Graph::new()?;
    graph.set_inputs([
        outlet("zero", dtype, &[1; AXES]),
        outlet("shape", TensorElementType::Int64, &[AXES as i64]),
    ])?;
    graph.set_outputs([outlet("filled", dtype, &[-1; AXES])])?;
    graph.add_node(node("Expand", &["zero", "shape"], "filled")?)?;
    model(graph)
}

fn copy_model(dtype: TensorElementType) -> ort::Result<Model> {
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
    graph.add_node(node("GatherND", &["from", "sources"], "rows")?)?;
    graph.add_node(node("ScatterND", &["to", "targets", "rows"], "copied")?)?;
    model(graph)
}

pub(super) fn model(graph: Graph) -> ort::Result<Model> {
    let mut model = Model::new([Opset::new(ONNX_DOMAIN, OPSET)?])?;
    model.set_graph(graph)?;
    Ok(model)
}

pub(super) fn outlet(name: &str, ty: TensorElementType, extents: &[i64]) -> Outlet {
    let tensor = ValueType::Tensor {
        ty,
        shape: Shape::new(extents.iter().copied()),
        dimension_symbols: SymbolicDimensions::empty(extents.len()),
    };
    Outlet::new(name, tensor)
}

fn node(op: &str, inputs: &[&str], output: &str) -> ort::Result<Node> {
    Node::new(op, ONNX_DOMAIN, op, inputs, [output], [])
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

fn host(places: &[i64]) -> ort::Result<Tensor<i64>> {
    let shape = [places.len() / (AXES - 1), AXES - 1];
    let mut tensor = Tensor::new(&Allocator::default(), shape)?;
    tensor.extract_tensor_mut().1.copy_from_slice(places);
    Ok(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::residents::copy_elements;

    /// The graph does on a device what the host does with slices.
    #[test]
    fn vectors_go_where_slices_go() -> ort::Result<()> {
        load()?;
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

    #[test]
    fn a_filled_tensor_is_zero() -> ort::Result<()> {
        load()?;
        let filled = zeros::<f32>(
            &[2, 3, 4, 5],
            &MemoryInfo::default(),
            ExecutionProvider::Cpu,
        )?;
        assert_eq!(filled.extract_tensor().1, [0.0; 120]);
        assert_eq!(filled.shape()[..], [2, 3, 4, 5]);
        Ok(())
    }

    /// The fixtures' loads it for another copy of this crate.
    fn load() -> ort::Result<()> {
        let request = janus_install::Request::from_env();
        let library = janus_install::ensure(&request, &|_| {}).map_err(ort::Error::wrap)?;
        crate::load_library(&library.path, &crate::LibraryOptions::default())
            .map_err(ort::Error::wrap)
    }
}
