//! The standard operators: one short method each.
//!
//! Names and attributes are those of the ONNX operator set [`OPSET`](super::OPSET). Every method
//! computes the type and shape that the operator gives.

use std::f32::consts::FRAC_1_SQRT_2;
use std::ops::{Add, Div, Mul, Sub};

use janus_runtime::manifest::Operators;

use super::MICROSOFT;
use super::shape::{DType, Dim, Shape, broadcast, matrix_product, reshape_request, shape};
use super::value::{Value, resolve_axis};

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
binary!(Sub, sub, "Sub");
binary!(Mul, mul, "Mul");
binary!(Div, div, "Div");

/// Rows of several pictures or texts together.
const ROWS: &str = "rows";

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

    /// The exact one, by the error function; `Gelu` is newer than what some providers have.
    pub(crate) fn gelu(self) -> Self {
        let graph = self.graph();
        if graph.operators() == Operators::Standard {
            let inner = (self * graph.scalar(FRAC_1_SQRT_2)).op("Erf").like(self);
            return self * graph.scalar(0.5) * (inner + graph.scalar(1.0));
        }
        match self.dtype() {
            DType::F32 => self.op("Gelu").text("approximate", "none").like(self),
            // The standard's has no kernel for every type of 16 bits.
            _ => self.op("Gelu").domain(MICROSOFT).like(self),
        }
    }

    pub(crate) fn sqrt(self) -> Self {
        self.op("Sqrt").like(self)
    }

    pub(crate) fn abs(self) -> Self {
        self.op("Abs").like(self)
    }

    pub(crate) fn sin(self) -> Self {
        self.op("Sin").like(self)
    }

    pub(crate) fn cos(self) -> Self {
        self.op("Cos").like(self)
    }

    /// Euclidean length along an axis, which stays with an extent of one.
    pub(crate) fn reduce_l2(self, axis: usize) -> Self {
        if self.graph().operators() == Operators::Standard {
            return (self * self).reduced("ReduceSum", axis).sqrt();
        }
        self.reduced("ReduceL2", axis)
    }

    /// Mean along an axis, which stays with an extent of one.
    pub(crate) fn reduce_mean(self, axis: usize) -> Self {
        self.reduced("ReduceMean", axis)
    }

    fn reduced(self, op: &'static str, axis: usize) -> Self {
        let mut shape = self.shape();
        shape[axis] = 1.into();
        let axes = self.graph().integers(&[axis as i64]);
        self.op(op)
            .input(axes)
            .int("keepdims", 1)
            .output(self.dtype(), shape)
    }

    /// These, then `next`, along an axis that has a fixed extent in both.
    pub(crate) fn followed_by(self, next: Self, axis: isize) -> Self {
        self.followed_by_all(&[next], axis)
    }

    pub(crate) fn followed_by_all(self, others: &[Self], axis: isize) -> Self {
        let mut shape = self.shape();
        let place = resolve_axis(axis, shape.len());
        let extent: usize = others.iter().map(|other| other.extent(axis)).sum();
        shape[place] = (self.extent(axis) + extent).into();
        let node = self.op("Concat");
        let node = others.iter().fold(node, |node, &other| node.input(other));
        node.int("axis", axis as i64).output(self.dtype(), shape)
    }

    /// This tensor, `[1, ..]`, once for each element of the first axis of `like`.
    pub(crate) fn repeat_for(self, like: Self) -> Self {
        if self.dim(0) == like.dim(0) {
            return self;
        }
        let mut shape = self.shape();
        shape[0] = like.dim(0);
        let count = like
            .op("Shape")
            .int("start", 0)
            .int("end", 1)
            .output(DType::I64, shape![1]);
        let rest = self.graph().integers(&vec![1; shape.len() - 1]);
        let extents = count
            .op("Concat")
            .input(rest)
            .int("axis", 0)
            .output(DType::I64, shape![shape.len()]);
        self.op("Expand").input(extents).output(self.dtype(), shape)
    }

    /// The greatest element along the last axis, which stays with an extent of one.
    pub(crate) fn reduce_max(self) -> Self {
        let mut shape = self.shape();
        shape.pop();
        shape.push(1.into());
        let axis = self.graph().integers(&[-1]);
        self.op("ReduceMax")
            .input(axis)
            .int("keepdims", 1)
            .output(self.dtype(), shape)
    }

    /// `[rows, width]` as bytes: `middle + x / scale`, rounded to the nearest and clamped, with a
    /// `scale [rows, 1]` for each row.
    pub(crate) fn quantise_rows(self, scale: Self, middle: Self) -> Self {
        let rows = vec![self.dim(0)];
        let flat = self.graph().integers(&[-1]);
        let scale = scale
            .op("Reshape")
            .input(flat)
            .output(scale.dtype(), rows.clone());
        let count = scale.op("Shape").output(DType::I64, shape![1]);
        let middles = middle.op("Expand").input(count).output(DType::U8, rows);
        self.op("QuantizeLinear")
            .input(scale)
            .input(middles)
            .int("axis", 0)
            .output(DType::U8, self.shape())
    }

    /// `[n, rows, width]` as `[n · rows, width]`.
    pub(crate) fn join_rows(self) -> Self {
        let width = self.extent(-1);
        let rows = match (self.dim(0), self.dim(1)) {
            (Dim::Fixed(1), rows) => rows,
            (Dim::Fixed(n), Dim::Fixed(rows)) => (n * rows).into(),
            _ => ROWS.into(),
        };
        let request = self.graph().integers(&[-1, width as i64]);
        self.op("Reshape")
            .input(request)
            .output(self.dtype(), shape![rows, width])
    }

    /// `[n · rows, width]` as `[n, rows, width]`, with the first two axes of `like`.
    pub(crate) fn part_rows(self, like: Self) -> Self {
        let width = self.extent(-1);
        let (n, rows) = (like.dim(0), like.dim(1));
        let extents = match (n, rows) {
            // Neither is known before the graph runs.
            (Dim::Named(_), Dim::Named(_)) => {
                let outer = like.op("Shape").int("start", 0).int("end", 2);
                let width = self.graph().integers(&[width as i64]);
                outer
                    .output(DType::I64, shape![2])
                    .op("Concat")
                    .input(width)
                    .int("axis", 0)
                    .output(DType::I64, shape![3])
            }
            _ => {
                let extent = |dim| match dim {
                    Dim::Fixed(extent) => extent as i64,
                    Dim::Named(_) => -1,
                };
                self.graph()
                    .integers(&[extent(n), extent(rows), width as i64])
            }
        };
        self.op("Reshape")
            .input(extents)
            .output(self.dtype(), shape![n, rows, width])
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
        let to = self.graph().settled(to);
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
        assert_eq!(
            self.dim(1),
            weight.dim(1),
            "Conv of {self:?} and {weight:?}"
        );
        self.convolved(weight, bias, conv, 1)
    }

    /// As [`Value::conv2d`], each channel by itself, with a kernel `[channels, 1, k, k]`.
    pub(crate) fn depthwise_conv2d(self, weight: Self, bias: Self, conv: Conv) -> Self {
        assert_eq!(
            self.dim(1),
            weight.dim(0),
            "Conv of {self:?} and {weight:?}"
        );
        self.convolved(weight, bias, conv, self.extent(1))
    }

    fn convolved(self, weight: Self, bias: Self, conv: Conv, groups: usize) -> Self {
        let Conv {
            kernel,
            stride,
            pads,
        } = conv;
        let side = |axis, before: usize, after: usize| {
            (self.extent(axis) + before + after - kernel) / stride + 1
        };
        let (height, width) = (side(2, pads[0], pads[2]), side(3, pads[1], pads[3]));
        let shape = shape![self.dim(0), weight.dim(0), height, width];
        let node = self
            .op("Conv")
            .input(weight)
            .input(bias)
            .ints("kernel_shape", [kernel as i64; 2])
            .ints("strides", [stride as i64; 2])
            .ints("pads", pads.map(|pad| pad as i64));
        let node = match groups {
            1 => node,
            _ => node.int("group", groups as i64),
        };
        node.output(self.dtype(), shape)
    }

    /// `[n, c · side², h, w]` as `[n, c, h · side, w · side]`: each place becomes a square, whose
    /// rows and columns vary faster than the channel.
    pub(crate) fn pixel_shuffle(self, side: usize) -> Self {
        self.depth_to_space(side, "CRD")
    }

    /// As [`Value::pixel_shuffle`], where the channel varies faster than rows and columns.
    pub(crate) fn interleave(self, side: usize) -> Self {
        self.depth_to_space(side, "DCR")
    }

    fn depth_to_space(self, side: usize, mode: &str) -> Self {
        let shape = shape![
            self.dim(0),
            self.extent(1) / (side * side),
            side * self.extent(2),
            side * self.extent(3)
        ];
        self.op("DepthToSpace")
            .int("blocksize", side as i64)
            .text("mode", mode)
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
