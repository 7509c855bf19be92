//! Graphs bound to memory that stays where it is from run to run.

mod capture;

use ndarray::{ArrayView, ArrayViewD, CowArray, IxDyn};
use ort::memory::Allocator;
use ort::session::IoBinding;
use ort::value::{DynTensorRef, PrimitiveTensorElementType, Tensor};

use self::capture::Capture;
pub(crate) use self::capture::RunSettings;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::manifest::{Dim, TensorSpec};
use crate::provider::ExecutionProvider;
use crate::residents::Residents;
use crate::tensor::Input;

/// A graph's inputs and outputs, bound to memory that stays where it is from run to run.
#[derive(Debug)]
pub struct Binding {
    io: IoBinding,
    /// Whether the graph reads its inputs where they are bound. Other providers read a copy, which is
    /// made when an input is bound and never again.
    on_host: bool,
    inputs: Vec<(&'static str, Bound)>,
    output: Option<(&'static str, Typed<f32>)>,
    /// Of runs that are captured.
    capture: Option<Capture>,
}

impl Graph {
    /// Binds resident tensors, each to its input and its output.
    ///
    /// Where a number is given, the provider captures the first run, and replays it from then on: shapes
    /// stay as they are, and so does what kernels read on the host. The number is of this binding alone, and
    /// the resident tensors outlive every run of the graph. Captured graphs are kept until the graph is
    /// closed.
    pub fn bind(&self, residents: &mut Residents, captured: Option<u16>) -> Result<Binding> {
        let setup = |name: &str, source| self.tensor_error(name, source);
        let io = self.session.create_binding();
        let mut io = io.map_err(|e| setup("binding", e))?;
        let bound = residents.bind(&mut io);
        bound.map_err(|(name, source)| setup(&name, source))?;
        let capture = captured.map(|number| Capture::new(number, self.provider()));
        let capture = capture.transpose();
        Ok(Binding {
            io,
            on_host: self.provider() == ExecutionProvider::Cpu,
            inputs: Vec::new(),
            output: None,
            capture: capture.map_err(|e| setup("binding", e))?,
        })
    }

    /// Runs the graph on its resident tensors and on `inputs`, and gives `output`, whose elements
    /// are all finite.
    ///
    /// Inputs are copied into memory that is kept: as long as shapes stay the same, as in decoding
    /// step by step, nothing is allocated; on the CPU nothing is bound again.
    pub fn run_bound<'b>(
        &mut self,
        binding: &'b mut Binding,
        inputs: &[(&'static str, Input<'_>)],
        output: &'static str,
    ) -> Result<ArrayViewD<'b, f32>> {
        self.check_inputs(inputs)?;
        for (name, input) in inputs {
            binding
                .set_input(name, input)
                .map_err(|source| self.tensor_error(name, source))?;
        }
        let spec = self.output(output)?;
        let shape = resolve(&spec.shape, inputs, &self.entry().inputs);
        binding
            .prepare_output(output, shape)
            .map_err(|source| self.tensor_error(output, source))?;
        let graph = self.kind();
        binding
            .run(self)
            .map_err(|source| Error::Run { graph, source })?;
        let view = binding.output_view();
        match view.iter().find(|value| !value.is_finite()) {
            Some(&value) => Err(Error::NotFinite {
                graph,
                tensor: output,
                value,
            }),
            None => Ok(view),
        }
    }
}

/// A tensor with its shape at hand.
#[derive(Debug)]
struct Typed<T: PrimitiveTensorElementType + std::fmt::Debug> {
    shape: Vec<usize>,
    tensor: Tensor<T>,
}

#[derive(Debug)]
enum Bound {
    F32(Typed<f32>),
    I64(Typed<i64>),
    I32(Typed<i32>),
}

impl Binding {
    fn set_input(&mut self, name: &'static str, input: &Input<'_>) -> ort::Result<()> {
        let place = self.inputs.iter().position(|(bound, _)| *bound == name);
        if let Some(place) = place
            && self.inputs[place].1.overwrite(input)
        {
            return match self.on_host || self.capture.is_some() {
                true => Ok(()),
                false => self.inputs[place].1.bind(name, &mut self.io),
            };
        }
        // Only memory that ONNX Runtime owns may be bound: binding a borrowed tensor dead-locks
        // in `ort` 2.0.0-rc.15.
        let bound = match input {
            Input::F32(array) => Bound::F32(Typed::new(array)?),
            Input::I64(array) => Bound::I64(Typed::new(array)?),
            Input::I32(array) => Bound::I32(Typed::new(array)?),
        };
        match (&self.capture, place) {
            (None, _) => bound.bind(name, &mut self.io)?,
            (Some(_), None) => {}
            (Some(_), Some(_)) => return Err(other_shape()),
        }
        match place {
            Some(place) => self.inputs[place].1 = bound,
            None => self.inputs.push((name, bound)),
        }
        Ok(())
    }

    fn prepare_output(&mut self, name: &'static str, shape: Vec<usize>) -> ort::Result<()> {
        if let Some((bound, typed)) = &self.output
            && *bound == name
            && typed.shape == shape
        {
            return Ok(());
        }
        let mut tensor = allocate(&shape)?;
        match (&self.capture, &self.output) {
            (None, _) => self.io.bind_output(name, &mut tensor)?,
            (Some(_), None) => {}
            (Some(_), Some(_)) => return Err(other_shape()),
        }
        self.output = Some((name, Typed { shape, tensor }));
        Ok(())
    }

    /// Runs the graph, or what was captured of it.
    fn run(&mut self, graph: &mut Graph) -> ort::Result<()> {
        let Some(capture) = &mut self.capture else {
            let session = &mut graph.session;
            session.run_binding_with_options(&self.io, &graph.uncaptured.0)?;
            return Ok(());
        };
        let (name, output) = self.output.as_mut().expect("an output that was prepared");
        capture.send(&mut self.io, &self.inputs, (name, &output.tensor))?;
        let session = &mut graph.session;
        session.run_binding_with_options(&self.io, &capture.settings.0)?;
        capture.fetch(&mut output.tensor)
    }

    fn output_view(&self) -> ArrayViewD<'_, f32> {
        let (_, typed) = self.output.as_ref().expect("an output that was prepared");
        let elements = typed.tensor.extract_tensor().1;
        ArrayView::from_shape(IxDyn(&typed.shape), elements).expect("elements of the shape")
    }
}

/// Why a captured graph is not run.
fn other_shape() -> ort::Error {
    ort::Error::new("a graph that was captured has one shape")
}

impl Bound {
    fn any(&self) -> DynTensorRef<'_> {
        match self {
            Self::F32(typed) => typed.tensor.upcast_ref(),
            Self::I64(typed) => typed.tensor.upcast_ref(),
            Self::I32(typed) => typed.tensor.upcast_ref(),
        }
    }

    fn bind(&self, name: &str, io: &mut IoBinding) -> ort::Result<()> {
        match self {
            Self::F32(typed) => io.bind_input(name, &typed.tensor),
            Self::I64(typed) => io.bind_input(name, &typed.tensor),
            Self::I32(typed) => io.bind_input(name, &typed.tensor),
        }
    }

    /// Copies an input over this one, if type and shape are the same.
    fn overwrite(&mut self, input: &Input<'_>) -> bool {
        match (self, input) {
            (Self::F32(typed), Input::F32(array)) => typed.overwrite(array),
            (Self::I64(typed), Input::I64(array)) => typed.overwrite(array),
            (Self::I32(typed), Input::I32(array)) => typed.overwrite(array),
            _ => false,
        }
    }
}

impl<T: PrimitiveTensorElementType + std::fmt::Debug + Copy> Typed<T> {
    fn new(array: &CowArray<'_, T, IxDyn>) -> ort::Result<Self> {
        let shape = array.shape().to_vec();
        let tensor = allocate(&shape)?;
        let mut typed = Self { shape, tensor };
        typed.overwrite(array);
        Ok(typed)
    }

    fn overwrite(&mut self, array: &CowArray<'_, T, IxDyn>) -> bool {
        if self.shape != array.shape() {
            return false;
        }
        let elements = self.tensor.extract_tensor_mut().1;
        match array.as_slice() {
            Some(slice) => elements.copy_from_slice(slice),
            None => elements
                .iter_mut()
                .zip(array)
                .for_each(|(to, from)| *to = *from),
        }
        true
    }
}

fn allocate<T: PrimitiveTensorElementType + std::fmt::Debug>(
    shape: &[usize],
) -> ort::Result<Tensor<T>> {
    Tensor::new(&Allocator::default(), shape.to_vec())
}

/// A shape with the extents that the named axes have in `inputs`.
fn resolve(
    shape: &[Dim],
    inputs: &[(&'static str, Input<'_>)],
    specs: &[TensorSpec],
) -> Vec<usize> {
    let extent_of = |name: &str| {
        inputs.iter().find_map(|(input, value)| {
            let spec = specs.iter().find(|spec| spec.name == *input)?;
            let is_it = |dim: &Dim| matches!(dim, Dim::Named(n) if n == name);
            let axis = spec.shape.iter().position(is_it)?;
            value.shape().get(axis).copied()
        })
    };
    let extent = |dim: &Dim| match dim {
        Dim::Fixed(extent) => *extent,
        Dim::Named(name) => extent_of(name).unwrap_or(1),
    };
    shape.iter().map(extent).collect()
}
