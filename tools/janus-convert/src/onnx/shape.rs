//! Types and shapes of values.

use std::fmt;

use super::proto;

/// Type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DType {
    F32,
    F16,
    BF16,
    I64,
    I32,
    I8,
    U8,
}

impl DType {
    /// Bytes of one element.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::I8 | Self::U8 => 1,
        }
    }

    pub(super) fn proto(self) -> proto::DataType {
        match self {
            Self::F32 => proto::DataType::Float,
            Self::F16 => proto::DataType::Float16,
            Self::BF16 => proto::DataType::Bfloat16,
            Self::I64 => proto::DataType::Int64,
            Self::I32 => proto::DataType::Int32,
            Self::I8 => proto::DataType::Int8,
            Self::U8 => proto::DataType::Uint8,
        }
    }
}

/// Extent of an axis: a number, or the name of one that differs from run to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dim {
    Fixed(usize),
    Named(&'static str),
}

impl From<usize> for Dim {
    fn from(extent: usize) -> Self {
        Self::Fixed(extent)
    }
}

impl From<&'static str> for Dim {
    fn from(name: &'static str) -> Self {
        Self::Named(name)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(extent) => extent.fmt(f),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// Extents of a tensor's axes, outermost first.
pub(crate) type Shape = Vec<Dim>;

/// `shape![BATCH, 3, side]`: a [`Shape`] of names and numbers.
macro_rules! shape {
    ($($dim:expr),* $(,)?) => { vec![$($crate::onnx::Dim::from($dim)),*] };
}
pub(crate) use shape;

/// Shape of an element-wise operation: axes are aligned at the end, and an axis of one stretches.
pub(super) fn broadcast(a: &[Dim], b: &[Dim]) -> Shape {
    let rank = a.len().max(b.len());
    let axis = |shape: &[Dim], i: usize| {
        (i + shape.len())
            .checked_sub(rank)
            .map_or(Dim::Fixed(1), |i| shape[i])
    };
    (0..rank)
        .map(|i| match (axis(a, i), axis(b, i)) {
            (Dim::Fixed(1), dim) | (dim, Dim::Fixed(1)) => dim,
            (left, right) => {
                assert_eq!(left, right, "{a:?} and {b:?} do not broadcast");
                left
            }
        })
        .collect()
}

/// Shape of a matrix product over the last two axes; the axes before them broadcast.
pub(super) fn matrix_product(a: &[Dim], b: &[Dim]) -> Shape {
    let ([outer_a @ .., rows, inner_a], [outer_b @ .., inner_b, columns]) = (a, b) else {
        panic!("{a:?} and {b:?} are not both matrices");
    };
    assert_eq!(inner_a, inner_b, "{a:?} and {b:?} do not multiply");
    let mut shape = broadcast(outer_a, outer_b);
    shape.extend([*rows, *columns]);
    shape
}

/// What `Reshape` is told to go from one shape to the other: zero keeps a named axis where it is.
pub(super) fn reshape_request(from: &[Dim], to: &[Dim]) -> Vec<i64> {
    let elements = |shape: &[Dim]| -> usize {
        shape
            .iter()
            .map(|dim| if let Dim::Fixed(n) = dim { *n } else { 1 })
            .product()
    };
    assert_eq!(
        elements(from),
        elements(to),
        "{from:?} and {to:?} have different sizes"
    );
    to.iter()
        .enumerate()
        .map(|(i, dim)| match *dim {
            Dim::Fixed(extent) => extent as i64,
            Dim::Named(_) => {
                assert_eq!(
                    from.get(i),
                    Some(dim),
                    "axis {i} of {to:?} is elsewhere in {from:?}"
                );
                0
            }
        })
        .collect()
}

#[cfg(test)]
#[expect(clippy::useless_vec, reason = "a shape is a vector everywhere else")]
mod tests {
    use super::*;

    #[test]
    fn axes_of_one_stretch() {
        assert_eq!(broadcast(&shape!["n", 4, 1], &shape![6]), shape!["n", 4, 6]);
        assert_eq!(
            broadcast(&shape![1, "s"], &shape!["b", 1, "s"]),
            shape!["b", 1, "s"]
        );
    }

    #[test]
    #[should_panic(expected = "do not broadcast")]
    fn other_axes_must_agree() {
        broadcast(&shape!["n", 4], &shape!["n", 6]);
    }

    #[test]
    fn matrices_multiply_over_the_last_axes() {
        assert_eq!(
            matrix_product(&shape!["b", "s", 8], &shape![8, 3]),
            shape!["b", "s", 3]
        );
    }

    #[test]
    fn reshape_keeps_named_axes() {
        assert_eq!(
            reshape_request(&shape!["n", 4, 6], &shape!["n", 2, 12]),
            [0, 2, 12]
        );
    }
}
