//! Copies between the host's memory and a device's, for which ONNX Runtime has no calls that go with every
//! provider: a graph of one `Identity` for each tensor, so that one run carries them all.

use ort::editor::{Graph, Model, Node, ONNX_DOMAIN};
use ort::memory::{AllocatorType, MemoryInfo, MemoryType};
use ort::value::{DynTensorRef, DynValue, Tensor, TensorElementType, ValueType};

use super::device::{self, Task, outlet, with_session};
use crate::provider::ExecutionProvider;

/// Copies tensors of the host over those of the provider's memory; makes these where there are none yet.
///
/// They lie apart from what graphs of a model allocate: a captured graph goes on writing to the places
/// that were free when it was captured.
pub(crate) fn send(
    from: &[DynTensorRef<'_>],
    to: &mut Vec<DynValue>,
    provider: ExecutionProvider,
) -> ort::Result<()> {
    let (device, index) = provider
        .memory()
        .ok_or_else(|| ort::Error::new(format!("`{provider}` has no memory of its own")))?;
    let memory = MemoryInfo::new(device, index, AllocatorType::Device, MemoryType::Default)?;
    let types: Vec<_> = from
        .iter()
        .map(|tensor| of(tensor.dtype()))
        .collect::<ort::Result<_>>()?;
    let key = (Task::Transfer, format!("{types:?}"));
    let graph = || model(&types);
    with_session(key, provider, graph, |session| {
        let mut io = session.create_binding()?;
        for (i, tensor) in from.iter().enumerate() {
            io.bind_input(input(i), tensor)?;
            match to.get_mut(i) {
                Some(tensor) => io.bind_output(output(i), tensor)?,
                None => io.bind_output_to_device(output(i), &memory)?,
            }
        }
        let mut outputs = session.run_binding(&io)?;
        for i in to.len()..from.len() {
            let made = outputs.remove(output(i));
            let made = made.ok_or_else(|| ort::Error::new("the graph gave nothing"))?;
            to.push(made);
        }
        Ok(())
    })
}

/// Copies a tensor of the provider's memory over one of the host.
pub(crate) fn fetch(
    from: &DynValue,
    to: &mut Tensor<f32>,
    provider: ExecutionProvider,
) -> ort::Result<()> {
    let types = [of(from.dtype())?];
    let key = (Task::Transfer, format!("{types:?}"));
    let graph = || model(&types);
    with_session(key, provider, graph, |session| {
        let mut io = session.create_binding()?;
        io.bind_input(input(0), from)?;
        io.bind_output(output(0), to)?;
        session.run_binding(&io)?;
        Ok(())
    })
}

/// Type and number of axes.
fn of(tensor: &ValueType) -> ort::Result<(TensorElementType, usize)> {
    let shape = tensor.tensor_shape().map(|shape| shape.len());
    let both = tensor.tensor_type().zip(shape);
    both.ok_or_else(|| ort::Error::new("only tensors are copied"))
}

fn input(i: usize) -> String {
    format!("from_{i}")
}

fn output(i: usize) -> String {
    format!("to_{i}")
}

fn model(types: &[(TensorElementType, usize)]) -> ort::Result<Model> {
    let outlets = |name: fn(usize) -> String| {
        let types = types.iter().enumerate();
        let outlets = types.map(|(i, &(ty, axes))| outlet(&name(i), ty, &vec![-1; axes]));
        outlets.collect::<Vec<_>>()
    };
    let mut graph = Graph::new()?;
    graph.set_inputs(outlets(input))?;
    graph.set_outputs(outlets(output))?;
    for i in 0..types.len() {
        let name = format!("copy_{i}");
        let copy = Node::new("Identity", ONNX_DOMAIN, name, [input(i)], [output(i)], [])?;
        graph.add_node(copy)?;
    }
    device::model(graph)
}
