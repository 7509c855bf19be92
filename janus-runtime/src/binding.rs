//! Tensors that a graph reads and writes in place, such as a cache of keys and values.

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::IoBinding;
use ort::value::Tensor;

use crate::error::{Error, Result};
use crate::graph::{Graph, collect};
use crate::tensor::{Input, Outputs};

/// A tensor of 32-bit floats that one run leaves for the next: the graph reads it under one name
/// and writes it, in the same memory, under another.
#[derive(Clone, Debug)]
pub struct Resident {
    /// Name of the input.
    pub input: String,
    /// Name of the output.
    pub output: String,
    /// Extent of each axis.
    pub shape: Vec<usize>,
}

/// The resident tensors of a graph, allocated and bound once.
#[derive(Debug)]
pub struct Binding {
    io: IoBinding,
    tensors: Vec<Tensor<f32>>,
}

impl Binding {
    /// The elements of the resident tensor at `index`, in row-major order.
    ///
    /// # Panics
    ///
    /// Where there are not so many.
    pub fn elements(&self, index: usize) -> &[f32] {
        self.tensors[index].extract_tensor().1
    }

    /// The elements of the resident tensor at `index`, to be written.
    ///
    /// # Panics
    ///
    /// Where there are not so many.
    pub fn elements_mut(&mut self, index: usize) -> &mut [f32] {
        self.tensors[index].extract_tensor_mut().1
    }
}

impl Graph {
    /// Allocates resident tensors, zeroed, and binds each to its input and its output.
    pub fn bind(&self, residents: &[Resident]) -> Result<Binding> {
        let setup = |name: &str, source| self.tensor_error(name, source);
        let mut io = self
            .session
            .create_binding()
            .map_err(|e| setup("binding", e))?;
        let mut tensors = Vec::with_capacity(residents.len());
        for resident in residents {
            let name = resident.input.as_str();
            let mut tensor = Tensor::<f32>::new(&Allocator::default(), resident.shape.clone())
                .map_err(|e| setup(name, e))?;
            tensor.extract_tensor_mut().1.fill(0.0);
            io.bind_input(name, &tensor).map_err(|e| setup(name, e))?;
            io.bind_output(&resident.output, &mut tensor)
                .map_err(|e| setup(name, e))?;
            tensors.push(tensor);
        }
        Ok(Binding { io, tensors })
    }

    /// Runs the graph on its resident tensors and on `inputs`, and copies `output` back.
    ///
    /// `inputs` are handed over: only memory that ONNX Runtime owns may be bound, because
    /// binding a borrowed tensor dead-locks in `ort` 2.0.0-rc.15.
    pub fn run_bound(
        &mut self,
        binding: &mut Binding,
        inputs: Vec<(&str, Input<'static>)>,
        output: &'static str,
    ) -> Result<Outputs> {
        self.check_inputs(&inputs)?;
        for (name, input) in inputs {
            let bound =
                match input {
                    Input::F32(a) => Tensor::from_array(a.into_owned())
                        .and_then(|t| binding.io.bind_input(name, &t)),
                    Input::I64(a) => Tensor::from_array(a.into_owned())
                        .and_then(|t| binding.io.bind_input(name, &t)),
                    Input::I32(a) => Tensor::from_array(a.into_owned())
                        .and_then(|t| binding.io.bind_input(name, &t)),
                };
            bound.map_err(|source| self.tensor_error(name, source))?;
        }
        let host = MemoryInfo::new(
            AllocationDevice::CPU,
            0,
            AllocatorType::Device,
            MemoryType::CPUOutput,
        );
        host.and_then(|host| binding.io.bind_output_to_device(output, &host))
            .map_err(|source| self.tensor_error(output, source))?;
        let graph = self.kind();
        let outputs = self
            .session
            .run_binding(&binding.io)
            .map_err(|source| Error::Run { graph, source })?;
        collect(graph, &outputs, Some(output))
    }
}
