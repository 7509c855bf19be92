//! Tensors of the host that go into graphs and come out of them.

use std::collections::BTreeMap;

use ndarray::{ArrayD, ArrayView, Axis, CowArray, Dimension, IxDyn, Slice};

use crate::contract::GraphKind;
use crate::error::{Error, Result};
use crate::manifest::{Dim, ElementType, TensorSpec};

/// An input: elements of the host, borrowed or owned, in row-major order.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// 32-bit floats.
    F32(CowArray<'a, f32, IxDyn>),
    /// 64-bit integers.
    I64(CowArray<'a, i64, IxDyn>),
    /// 32-bit integers.
    I32(CowArray<'a, i32, IxDyn>),
}

impl Input<'_> {
    /// Type of the elements.
    pub fn dtype(&self) -> ElementType {
        match self {
            Self::F32(_) => ElementType::F32,
            Self::I64(_) => ElementType::I64,
            Self::I32(_) => ElementType::I32,
        }
    }

    /// Extent of each axis.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::F32(a) => a.shape(),
            Self::I64(a) => a.shape(),
            Self::I32(a) => a.shape(),
        }
    }

    /// One element of the first axis, which stays with an extent of one; the whole where there are
    /// not so many.
    pub(crate) fn row(&self, row: usize) -> Input<'_> {
        fn slice<'a, T: Clone>(
            array: &'a CowArray<'_, T, IxDyn>,
            row: usize,
        ) -> CowArray<'a, T, IxDyn> {
            match array.shape().first() {
                Some(&count) if row < count => {
                    array.slice_axis(Axis(0), Slice::from(row..row + 1)).into()
                }
                _ => array.view().into(),
            }
        }
        match self {
            Self::F32(array) => Input::F32(slice(array, row)),
            Self::I64(array) => Input::I64(slice(array, row)),
            Self::I32(array) => Input::I32(slice(array, row)),
        }
    }

    /// Whether type and shape are what `spec` asks for; floats are narrowed to 16 bits where it does, and
    /// integers are true or false.
    pub(crate) fn fits(&self, spec: &TensorSpec) -> bool {
        let shape = self.shape();
        let dtype = match spec.dtype {
            ElementType::F16 | ElementType::Bf16 => ElementType::F32,
            ElementType::Bool => ElementType::I64,
            dtype => dtype,
        };
        self.dtype() == dtype
            && shape.len() == spec.shape.len()
            && shape
                .iter()
                .zip(&spec.shape)
                .all(|(extent, dim)| match dim {
                    Dim::Fixed(expected) => extent == expected,
                    Dim::Named(_) => true,
                })
    }
}

macro_rules! from_view {
    ($element:ty, $variant:ident) => {
        impl<'a, D: Dimension> From<ArrayView<'a, $element, D>> for Input<'a> {
            fn from(view: ArrayView<'a, $element, D>) -> Self {
                let view = view.into_dyn();
                // ONNX Runtime reads plain memory, so a transposed view has to be laid out anew.
                Self::$variant(match view.is_standard_layout() {
                    true => view.into(),
                    false => view.as_standard_layout().into_owned().into(),
                })
            }
        }
    };
}

from_view!(f32, F32);
from_view!(i64, I64);
from_view!(i32, I32);

/// An output, copied to the host.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// 32-bit floats.
    F32(ArrayD<f32>),
    /// 64-bit integers.
    I64(ArrayD<i64>),
    /// 32-bit integers.
    I32(ArrayD<i32>),
}

/// The outputs of a run, by name.
#[derive(Clone, Debug)]
pub struct Outputs {
    pub(crate) graph: GraphKind,
    pub(crate) values: BTreeMap<String, Output>,
}

impl Outputs {
    /// Adds the outputs of another run behind these, along the first axis.
    pub(crate) fn append(&mut self, next: Self) {
        for (name, value) in next.values {
            let fits = match (self.values.get_mut(&name), &value) {
                (Some(Output::F32(all)), Output::F32(next)) => {
                    all.append(Axis(0), next.view()).is_ok()
                }
                (Some(Output::I64(all)), Output::I64(next)) => {
                    all.append(Axis(0), next.view()).is_ok()
                }
                (Some(Output::I32(all)), Output::I32(next)) => {
                    all.append(Axis(0), next.view()).is_ok()
                }
                _ => false,
            };
            debug_assert!(fits, "runs of one graph give the same outputs");
        }
    }

    /// Takes an output of 32-bit floats.
    pub fn take_f32(&mut self, name: &'static str) -> Result<ArrayD<f32>> {
        match self.values.remove(name) {
            Some(Output::F32(array)) => Ok(array),
            other => Err(self.missing(name, other.is_some())),
        }
    }

    /// Takes an output of 32-bit floats and checks that every element is finite.
    ///
    /// Wrong weights or an overflow would otherwise turn into a plausible picture or answer.
    pub fn take_finite(&mut self, name: &'static str) -> Result<ArrayD<f32>> {
        let array = self.take_f32(name)?;
        match array.iter().find(|value| !value.is_finite()) {
            Some(&value) => Err(Error::NotFinite {
                graph: self.graph,
                tensor: name,
                value,
            }),
            None => Ok(array),
        }
    }

    /// Takes an output of 64-bit integers.
    pub fn take_i64(&mut self, name: &'static str) -> Result<ArrayD<i64>> {
        match self.values.remove(name) {
            Some(Output::I64(array)) => Ok(array),
            other => Err(self.missing(name, other.is_some())),
        }
    }

    /// Every output, in alphabetical order.
    pub fn into_values(self) -> BTreeMap<String, Output> {
        self.values
    }

    fn missing(&self, name: &str, of_other_type: bool) -> Error {
        let names: Vec<_> = self.values.keys().map(String::as_str).collect();
        let expected = match of_other_type {
            true => "one of another type".to_owned(),
            false => names.join(", "),
        };
        Error::UnknownTensor {
            graph: self.graph,
            tensor: name.to_owned(),
            expected,
        }
    }
}
