//! Tensors that a graph reads and writes in place, such as a cache of keys and values.

use ndarray::{ArrayView, ArrayViewD, CowArray, IxDyn};
use ort::memory::Allocator;
use ort::session::IoBinding;
use ort::value::{PrimitiveTensorElementType, Tensor};

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::manifest::{Dim, TensorSpec};
use crate::tensor::Input;

/// A tensor of 32-bit floats that one run leaves for the next: a graph reads it under one name
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

/// Resident tensors in memory. Several graphs may be bound to them.
#[derive(Debug)]
pub struct Residents {
    residents: Vec<Resident>,
    tensors: Vec<Tensor<f32>>,
}

impl Residents {
    /// Allocates tensors, zeroed.
    pub fn new(residents: Vec<Resident>) -> Result<Self> {
        let tensors = residents.iter().map(|resident| {
            let mut tensor = allocate(&resident.shape).map_err(|source| Error::Allocate {
                tensor: resident.input.clone(),
                shape: resident.shape.clone(),
                source,
            })?;
            tensor.extract_tensor_mut().1.fill(0.0);
            Ok(tensor)
        });
        let tensors = tensors.collect::<Result<_>>()?;
        Ok(Self { residents, tensors })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Name under which graphs read the tensor at `index`.
    ///
    /// # Panics
    ///
    /// Where there are not so many.
    pub fn input(&self, index: usize) -> &str {
        &self.residents[index].input
    }

    /// Name under which graphs write the tensor at `index`.
    ///
    /// # Panics
    ///
    /// Where there are not so many.
    pub fn output(&self, index: usize) -> &str {
        &self.residents[index].output
    }

    /// The elements of the tensor at `index`, in row-major order.
    ///
    /// # Panics
    ///
    /// Where there are not so many.
    pub fn elements(&self, index: usize) -> &[f32] {
        self.tensors[index].extract_tensor().1
    }

    /// The elements of the tensor at `index`, to be written.
    ///
    /// # Panics
    ///
    /// Where there are not so many.
    pub fn elements_mut(&mut self, index: usize) -> &mut [f32] {
        self.tensors[index].extract_tensor_mut().1
    }
}

/// A graph's inputs and outputs, bound to memory that stays where it is from run to run.
#[derive(Debug)]
pub struct Binding {
    io: IoBinding,
    inputs: Vec<(&'static str, Bound)>,
    output: Option<(&'static str, Typed<f32>)>,
}

impl Graph {
    /// Binds resident tensors, each to its input and its output.
    pub fn bind(&self, residents: &mut Residents) -> Result<Binding> {
        let setup = |name: &str, source| self.tensor_error(name, source);
        let io = self.session.create_binding();
        let mut io = io.map_err(|e| setup("binding", e))?;
        for (resident, tensor) in residents.residents.iter().zip(&mut residents.tensors) {
            let name = resident.input.as_str();
            io.bind_input(name, tensor).map_err(|e| setup(name, e))?;
            io.bind_output(&resident.output, tensor)
                .map_err(|e| setup(name, e))?;
        }
        Ok(Binding {
            io,
            inputs: Vec::new(),
            output: None,
        })
    }

    /// Runs the graph on its resident tensors and on `inputs`, and gives `output`, whose elements
    /// are all finite.
    ///
    /// Inputs are copied into memory that is kept: as long as shapes stay the same, as in decoding
    /// step by step, nothing is allocated or bound again.
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
        self.session
            .run_binding(&binding.io)
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
            return Ok(());
        }
        // Only memory that ONNX Runtime owns may be bound: binding a borrowed tensor dead-locks
        // in `ort` 2.0.0-rc.15.
        let bound = match input {
            Input::F32(array) => {
                let typed = Typed::new(array)?;
                self.io.bind_input(name, &typed.tensor)?;
                Bound::F32(typed)
            }
            Input::I64(array) => {
                let typed = Typed::new(array)?;
                self.io.bind_input(name, &typed.tensor)?;
                Bound::I64(typed)
            }
            Input::I32(array) => {
                let typed = Typed::new(array)?;
                self.io.bind_input(name, &typed.tensor)?;
                Bound::I32(typed)
            }
        };
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
        self.io.bind_output(name, &mut tensor)?;
        self.output = Some((name, Typed { shape, tensor }));
        Ok(())
    }

    fn output_view(&self) -> ArrayViewD<'_, f32> {
        let (_, typed) = self.output.as_ref().expect("an output that was prepared");
        let elements = typed.tensor.extract_tensor().1;
        ArrayView::from_shape(IxDyn(&typed.shape), elements).expect("elements of the shape")
    }
}

impl Bound {
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
