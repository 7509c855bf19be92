//! The standard operators: one short method each.
//!
//! Names and attributes are those of the ONNX operator set [`OPSET`](super::OPSET). Every method
//! computes the type and shape that the operator gives.

use std::ops::{Add, Mul};

use super::shape::{DType, Shape, broadcast, matrix_product, reshape_request, shape};
use super::value::Value;

/// Element-wise operators, which broadcast.
macro_rules! binary {
    ($trait:ident, $method:ident, $op:literal) => {
        impl<'g> $trait for Value<'g> {
            type Output = Self;

            fn $method(self, right: Self) -> Self {
                assert_eq!(
                    self.dtype(),
                    right.dtype(),
                    "{} of {self:?} and {right:?}",
                    $op
                );
                let shape = broadcast(&self.shape(), &right.shape());
                self.op($op).input(right).output(self.dtype(), shape)
            }
        }
    };
}
binary!(Add, add, "Add");
binary!(Mul, mul, "Mul");

/// How a convolution steps over its input.
#[derive(Clone, Copy)]
pub(crate) struct Conv {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    /// Rows and columns of zeros: top, left, bottom, right.
    pub(crate) pads: [usize; 4],
}

impl Conv {
    /// Keeps height and width; the kernel has an odd side.
    pub(crate) const fn same(kernel: usize) -> Self {
        Self {
            kernel,
            stride: 1,
            pads: [kernel / 2; 4],
        }
    }
}

impl<'g> Value<'g> {
    pub(crate) fn matmul(self, right: Self) -> Self {
        let shape = matrix_product(&self.shape(), &right.shape());
        self.op("MatMul").input(right).output(self.dtype(), shape)
    }

    pub(crate) fn softmax(self, axis: isize) -> Self {
        self.op("Softmax").int("axis", axis as i64).like(self)
    }

    pub(crate) fn sigmoid(self) -> Self {
        self.op("Sigmoid").like(self)
    }

    /// `x · sigmoid(x)`, which ONNX Runtime fuses.
    pub(crate) fn silu(self) -> Self {
        self * self.sigmoid()
    }

    /// The exact one, by the error function.
    pub(crate) fn gelu(self) -> Self {
        self.op("Gelu").text("approximate", "none").like(self)
    }

    pub(crate) fn cast(self, dtype: DType) -> Self {
        if self.dtype() == dtype {
            return self;
        }
        self.op("Cast")
            .int("to", dtype.proto() as i64)
            .output(dtype, self.shape())
    }

    pub(crate) fn transpose(self, order: &[usize]) -> Self {
        let from = self.shape();
        let shape = order.iter().map(|&axis| from[axis]).collect();
        self.op("Transpose")
            .ints("perm", order.iter().map(|&axis| axis as i64))
            .output(self.dtype(), shape)
    }

    /// The same elements in another shape. Named axes stay where they are.
    pub(crate) fn reshape(self, to: Shape) -> Self {
        let request = self.graph().integers(&reshape_request(&self.shape(), &to));
        self.op("Reshape").input(request).output(self.dtype(), to)
    }

    /// Parts of the given extents, along the last axis.
    pub(crate) fn split<const N: usize>(self, extents: [usize; N]) -> [Self; N] {
        assert_eq!(
            self.extent(-1),
            extents.iter().sum::<usize>(),
            "Split of {self:?}"
        );
        let request = self.graph().integers(&extents.map(|extent| extent as i64));
        let outputs = extents.map(|extent| {
            let mut shape = self.shape();
            shape.pop();
            shape.push(extent.into());
            (self.dtype(), shape)
        });
        self.op("Split")
            .input(request)
            .int("axis", -1)
            .outputs(outputs)
    }

    /// Rows of this table, `[rows, width]`, by their indices.
    pub(crate) fn rows(self, indices: Self) -> Self {
        let mut shape = indices.shape();
        shape.push(self.dim(1));
        self.op("Gather")
            .input(indices)
            .int("axis", 0)
            .output(self.dtype(), shape)
    }

    /// Index of the greatest element along the last axis; the first of equals.
    pub(crate) fn argmax(self) -> Self {
        let mut shape = self.shape();
        shape.pop();
        self.op("ArgMax")
            .int("axis", -1)
            .int("keepdims", 0)
            .output(DType::I64, shape)
    }

    /// Two-dimensional convolution of `[n, in, h, w]` with a kernel `[out, in, k, k]`.
    pub(crate) fn conv2d(self, weight: Self, bias: Self, conv: Conv) -> Self {
        let Conv {
            kernel,
            stride,
            pads,
        } = conv;
        assert_eq!(
            self.dim(1),
            weight.dim(1),
            "Conv of {self:?} and {weight:?}"
        );
        let side = |axis, before: usize, after: usize| {
            (self.extent(axis) + before + after - kernel) / stride + 1
        };
        let (height, width) = (side(2, pads[0], pads[2]), side(3, pads[1], pads[3]));
        let shape = shape![self.dim(0), weight.dim(0), height, width];
        self.op("Conv")
            .input(weight)
            .input(bias)
            .ints("kernel_shape", [kernel as i64; 2])
            .ints("strides", [stride as i64; 2])
            .ints("pads", pads.map(|pad| pad as i64))
            .output(self.dtype(), shape)
    }

    /// Repeats every pixel of `[n, c, h, w]` in a block of 2 × 2.
    pub(crate) fn upsample_nearest(self) -> Self {
        let scales = self.graph().floats(&[1.0, 1.0, 2.0, 2.0]);
        let shape = shape![
            self.dim(0),
            self.dim(1),
            2 * self.extent(2),
            2 * self.extent(3)
        ];
        self.op("Resize")
            .optional(None)
            .input(scales)
            .text("mode", "nearest")
            .text("coordinate_transformation_mode", "asymmetric")
            .text("nearest_mode", "floor")
            .output(self.dtype(), shape)
    }

    pub(crate) fn layer_norm(self, weight: Self, bias: Self, eps: f32) -> Self {
        assert_eq!(
            self.dim(-1),
            weight.dim(0),
            "LayerNormalization of {self:?}"
        );
        self.op("LayerNormalization")
            .input(weight)
            .input(bias)
            .int("axis", -1)
            .float("epsilon", eps)
            .like(self)
    }

    /// Each channel of each picture to mean 0 and variance 1, times `scale`, plus `bias`.
    pub(crate) fn instance_norm(self, scale: Self, bias: Self, eps: f32) -> Self {
        assert_eq!(
            self.dim(1),
            scale.dim(0),
            "InstanceNormalization of {self:?}"
        );
        self.op("InstanceNormalization")
            .input(scale)
            .input(bias)
            .float("epsilon", eps)
            .like(self)
    }
}
