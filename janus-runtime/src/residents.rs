//! Tensors that one run leaves for the next, such as a cache of keys and values.

mod device;
pub(crate) mod transfer;

use half::{bf16, f16};
use ort::memory::{Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::IoBinding;
use ort::value::{PrimitiveTensorElementType, Tensor};

use self::device::Places;
use crate::error::{Error, Result};
use crate::manifest::ElementType;
use crate::provider::ExecutionProvider;

/// A tensor of floats that one run leaves for the next: a graph reads it under one name and writes
/// it, in the same memory, under another.
#[derive(Clone, Debug)]
pub struct Resident {
    /// Name of the input.
    pub input: String,
    /// Name of the output.
    pub output: String,
    /// Extent of each axis.
    pub shape: Vec<usize>,
}

/// Elements of one tensor that are copied to another.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Where they begin.
    pub from: usize,
    /// Where they go.
    pub to: usize,
    /// How many there are.
    pub length: usize,
}

/// Resident tensors in the memory of the provider that works on them. Several graphs may be bound to
/// them.
#[derive(Debug, Default)]
pub struct Residents {
    residents: Vec<Resident>,
    tensors: Vec<Floats>,
    provider: ExecutionProvider,
}

/// A tensor of one of the types that keys and values have.
#[derive(Debug)]
enum Floats {
    F32(Tensor<f32>),
    F16(Tensor<f16>),
    Bf16(Tensor<bf16>),
}

impl Residents {
    /// Allocates tensors of floats of type `dtype`, zeroed, in the memory of `provider` if it has its
    /// own.
    ///
    /// # Errors
    ///
    /// [`Error::Allocate`] where there is no room, or `dtype` is one of integers.
    pub fn new(
        residents: Vec<Resident>,
        dtype: ElementType,
        provider: ExecutionProvider,
    ) -> Result<Self> {
        let tensors = residents.iter().map(|resident| {
            Floats::zeros(&resident.shape, dtype, provider).map_err(|source| Error::Allocate {
                tensor: resident.input.clone(),
                shape: resident.shape.clone(),
                source,
            })
        });
        let tensors = tensors.collect::<Result<_>>()?;
        Ok(Self {
            residents,
            tensors,
            provider,
        })
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

    /// The elements of the tensor at `index`, in row-major order, if they are 32-bit floats of the
    /// host.
    ///
    /// # Panics
    ///
    /// Where there are not so many.
    pub fn elements(&self, index: usize) -> Option<&[f32]> {
        match &self.tensors[index] {
            Floats::F32(tensor) if is_host(tensor) => Some(tensor.extract_tensor().1),
            _ => None,
        }
    }

    /// The elements of the tensor at `index`, to be written, if they are 32-bit floats of the host.
    ///
    /// # Panics
    ///
    /// Where there are not so many.
    pub fn elements_mut(&mut self, index: usize) -> Option<&mut [f32]> {
        match &mut self.tensors[index] {
            Floats::F32(tensor) if is_host(tensor) => Some(tensor.extract_tensor_mut().1),
            _ => None,
        }
    }

    /// Copies elements of every tensor of others over those of the tensor at the same place here; in a
    /// device's memory, whole vectors along the last axis.
    ///
    /// # Errors
    ///
    /// [`Error::CopyResident`] where two are of different types, or the provider fails to copy.
    ///
    /// # Panics
    ///
    /// Where there are not so many elements.
    pub fn copy(&mut self, from: &Self, spans: &[Span]) -> Result<()> {
        let provider = self.provider;
        let mut places = None;
        for (index, (to, from_tensor)) in self.tensors.iter_mut().zip(&from.tensors).enumerate() {
            let resident = &self.residents[index];
            let failed = |source| Error::CopyResident {
                tensor: resident.input.clone(),
                source,
            };
            if !to.is_host() && places.is_none() {
                let shapes = [&*from.residents[index].shape, &*resident.shape];
                places = Some(Places::new(spans, shapes, provider).map_err(failed)?);
            }
            let copied = match (to, from_tensor) {
                (Floats::F32(to), Floats::F32(from)) => copy(to, from, spans, &places, provider),
                (Floats::F16(to), Floats::F16(from)) => copy(to, from, spans, &places, provider),
                (Floats::Bf16(to), Floats::Bf16(from)) => copy(to, from, spans, &places, provider),
                _ => Err(ort::Error::new("the two are of different types")),
            };
            copied.map_err(failed)?;
        }
        Ok(())
    }

    /// Binds each tensor to its input and its output. Gives the name of one that cannot be.
    pub(crate) fn bind(&mut self, io: &mut IoBinding) -> Result<(), (String, ort::Error)> {
        for (resident, tensor) in self.residents.iter().zip(&mut self.tensors) {
            let bound = match tensor {
                Floats::F32(tensor) => bind(io, resident, tensor),
                Floats::F16(tensor) => bind(io, resident, tensor),
                Floats::Bf16(tensor) => bind(io, resident, tensor),
            };
            bound.map_err(|source| (resident.input.clone(), source))?;
        }
        Ok(())
    }
}

impl Floats {
    fn is_host(&self) -> bool {
        match self {
            Self::F32(tensor) => is_host(tensor),
            Self::F16(tensor) => is_host(tensor),
            Self::Bf16(tensor) => is_host(tensor),
        }
    }

    fn zeros(
        shape: &[usize],
        dtype: ElementType,
        provider: ExecutionProvider,
    ) -> ort::Result<Self> {
        Ok(match dtype {
            ElementType::F32 => Self::F32(zeros(shape, provider)?),
            ElementType::F16 => Self::F16(zeros(shape, provider)?),
            ElementType::Bf16 => Self::Bf16(zeros(shape, provider)?),
            ElementType::I64 | ElementType::I32 | ElementType::Bool => {
                return Err(ort::Error::new(format!("{dtype} is not a type of floats")));
            }
        })
    }
}

/// An element of a resident tensor.
trait Float: PrimitiveTensorElementType + Copy + Default + std::fmt::Debug + 'static {}

impl Float for f32 {}
impl Float for f16 {}
impl Float for bf16 {}

fn zeros<T: Float>(shape: &[usize], provider: ExecutionProvider) -> ort::Result<Tensor<T>> {
    if let Some((device, index)) = provider.memory() {
        let memory = MemoryInfo::new(device, index, AllocatorType::Device, MemoryType::Default)?;
        return device::zeros(shape, &memory, provider);
    }
    // Memory that ONNX Runtime owns, which alone can be bound to outputs.
    let mut tensor = Tensor::new(&Allocator::default(), shape.to_vec())?;
    tensor.extract_tensor_mut().1.fill(T::default());
    Ok(tensor)
}

fn is_host<T: Float>(tensor: &Tensor<T>) -> bool {
    tensor.memory_info().is_cpu_accessible()
}

fn bind<T: Float>(
    io: &mut IoBinding,
    resident: &Resident,
    tensor: &mut Tensor<T>,
) -> ort::Result<()> {
    io.bind_input(resident.input.as_str(), tensor)?;
    io.bind_output(resident.output.as_str(), tensor)
}

fn copy<T: Float>(
    to: &mut Tensor<T>,
    from: &Tensor<T>,
    spans: &[Span],
    places: &Option<Places>,
    provider: ExecutionProvider,
) -> ort::Result<()> {
    match places {
        Some(places) => device::copy(to, from, places, provider),
        None => {
            copy_elements(to.extract_tensor_mut().1, from.extract_tensor().1, spans);
            Ok(())
        }
    }
}

fn copy_elements<T: Copy>(to: &mut [T], from: &[T], spans: &[Span]) {
    for span in spans {
        to[span.to..][..span.length].copy_from_slice(&from[span.from..][..span.length]);
    }
}
