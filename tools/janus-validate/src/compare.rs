//! Two tensors, compared.

use janus_runtime::{GraphKind, Output};
use ndarray::ArrayD;

use crate::error::Result;
use crate::report::{MaxAbs, Row};
use crate::tensor_file::TensorFile;

/// Compares what the graphs gave with the tensor of the same name in the golden file; `cache` has the
/// positions of the transformer's cache, where sizes are fixed.
///
/// Floats may be off by the relative error `tolerance`; integers have to be equal.
pub(crate) fn compare(
    golden: &TensorFile,
    name: &str,
    (graphs, cache): (&[GraphKind], Option<usize>),
    found: &Output,
    tolerance: f64,
) -> Result<Row> {
    let shape = match found {
        Output::F32(a) => a.shape(),
        Output::I64(a) => a.shape(),
        Output::I32(a) => a.shape(),
    };
    golden.expect_shape(name, shape)?;
    let (difference, exact) = match found {
        Output::F32(a) => (difference(a, &golden.f32(name)?, f64::from), false),
        Output::I64(a) => (difference(a, &golden.i64(name)?, |id| id as f64), true),
        Output::I32(a) => (difference(a, &golden.i32(name)?, f64::from), true),
    };
    let Difference {
        relative_error,
        max_abs,
        differing,
    } = difference;
    let tolerance = if exact { 0.0 } else { tolerance };
    Ok(Row {
        name: name.to_owned(),
        graphs: graphs.iter().map(GraphKind::to_string).collect(),
        cache,
        shape: shape.to_vec(),
        relative_error,
        max_abs,
        differing: exact.then_some(differing),
        tolerance,
        // An error that is not a number is within no tolerance.
        passed: if exact {
            differing == 0
        } else {
            relative_error <= tolerance
        },
    })
}

/// Compares two tensors of one shape by pieces of `width` elements, a position each: the relative error
/// is the largest of any.
pub(crate) fn compare_rows(
    name: String,
    graph: &str,
    found: &ArrayD<f32>,
    expected: &ArrayD<f32>,
    width: usize,
    tolerance: f64,
) -> Row {
    let pieces = |array: &ArrayD<f32>| -> Vec<ArrayD<f32>> {
        let elements: Vec<_> = array.iter().copied().collect();
        let pieces = elements.chunks(width.max(1));
        pieces
            .map(|it| ArrayD::from_shape_vec(vec![it.len()], it.to_vec()).unwrap_or_default())
            .collect()
    };
    let (found_pieces, expected_pieces) = (pieces(found), pieces(expected));
    let errors = found_pieces.iter().zip(&expected_pieces);
    let errors = errors.map(|(a, b)| difference(a, b, f64::from).relative_error);
    // What is not a number orders above everything.
    let relative_error = errors.map(f64::abs).max_by(f64::total_cmp).unwrap_or(0.0);
    Row {
        name,
        graphs: vec![graph.to_owned()],
        cache: None,
        shape: found.shape().to_vec(),
        relative_error,
        max_abs: difference(found, expected, f64::from).max_abs,
        differing: None,
        tolerance,
        passed: relative_error <= tolerance,
    }
}

/// How far one tensor is from another.
pub(crate) struct Difference {
    /// `‖found − expected‖ / ‖expected‖`.
    pub(crate) relative_error: f64,
    max_abs: MaxAbs,
    /// How many elements differ.
    pub(crate) differing: usize,
}

/// How far `found` is from `expected`, which has the same shape.
pub(crate) fn difference<T>(
    found: &ArrayD<T>,
    expected: &ArrayD<T>,
    wide: fn(T) -> f64,
) -> Difference
where
    T: Copy + PartialEq,
{
    let (mut square, mut norm, mut differing) = (0.0, 0.0, 0);
    let mut worst = (0, 0.0, 0.0, 0.0);
    for (i, (&a, &b)) in found.iter().zip(expected).enumerate() {
        differing += usize::from(a != b);
        let (a, b) = (wide(a), wide(b));
        let distance = (a - b).abs();
        square += distance * distance;
        norm += b * b;
        // What is not a number orders above everything, and so is the worst.
        if i == 0 || distance.total_cmp(&worst.1).is_gt() {
            worst = (i, distance, a, b);
        }
    }
    let (i, value, found_there, expected_there) = worst;
    Difference {
        relative_error: if square == 0.0 {
            0.0
        } else {
            (square / norm).sqrt()
        },
        max_abs: MaxAbs {
            value,
            at: unravel(i, found.shape()),
            found: found_there,
            expected: expected_there,
        },
        differing,
    }
}

/// The index of the `i`th element in row-major order.
fn unravel(mut i: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (axis, &extent) in shape.iter().enumerate().rev() {
        index[axis] = i % extent.max(1);
        i /= extent.max(1);
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, arr2};

    #[test]
    fn the_error_is_relative_to_the_norm_and_the_worst_element_is_found() {
        let expected = arr2(&[[3.0_f32, 0.0, 0.0], [0.0, 4.0, 0.0]]).into_dyn();
        let mut found = expected.clone();
        found[[1, 2]] = 0.5;
        found[[0, 1]] = -0.25;
        let it = difference(&found, &expected, f64::from);
        assert_eq!(it.relative_error, (0.3125_f64 / 25.0).sqrt());
        let MaxAbs {
            value,
            at,
            found,
            expected,
        } = it.max_abs;
        assert_eq!((value, at, found, expected), (0.5, vec![1, 2], 0.5, 0.0));
        assert_eq!(it.differing, 2);
    }

    #[test]
    fn what_is_not_a_number_is_the_worst_and_never_within_tolerance() {
        let expected = Array::zeros(vec![2, 2]);
        let mut found = expected.clone();
        found[[0, 0]] = f32::INFINITY;
        found[[0, 1]] = -f32::NAN;
        let it = difference(&found, &expected, f64::from);
        assert!(it.relative_error.is_nan());
        assert_eq!(it.max_abs.at, [0, 1]);

        let zeros = Array::<f32, _>::zeros(vec![2]);
        assert_eq!(difference(&zeros, &zeros, f64::from).relative_error, 0.0);
        let ones = &zeros + 1.0;
        assert_eq!(
            difference(&ones, &zeros, f64::from).relative_error,
            f64::INFINITY
        );
    }

    #[test]
    fn integers_are_compared_exactly_however_large() {
        let expected = Array::from_elem(vec![1, 2], i64::MAX);
        let found = &expected - 1;
        let it = difference(&found, &expected, |id| id as f64);
        assert_eq!(it.differing, 2);
    }
}
