//! Expected numbers, and how far a result may be from them.

use std::path::Path;

use ndarray::{ArrayD, ArrayViewD, Dimension, IxDyn};
use safetensors::{Dtype, SafeTensors};

/// Tensors of a file that a reference implementation wrote.
#[derive(Debug)]
pub struct Golden {
    bytes: Vec<u8>,
}

impl Golden {
    /// Reads a safetensors file.
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self { bytes }
    }

    /// A tensor of 32-bit floats.
    pub fn f32(&self, name: &str) -> ArrayD<f32> {
        self.array(name, Dtype::F32, |bytes: [u8; 4]| f32::from_le_bytes(bytes))
    }

    /// A tensor of 64-bit integers.
    pub fn i64(&self, name: &str) -> ArrayD<i64> {
        self.array(name, Dtype::I64, |bytes: [u8; 8]| i64::from_le_bytes(bytes))
    }

    fn array<T, const N: usize>(
        &self,
        name: &str,
        dtype: Dtype,
        element: fn([u8; N]) -> T,
    ) -> ArrayD<T> {
        let tensors = SafeTensors::deserialize(&self.bytes).expect("a safetensors file");
        let tensor = tensors
            .tensor(name)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(tensor.dtype(), dtype, "{name}");
        let elements = tensor
            .data()
            .chunks_exact(N)
            .map(|c| element(c.try_into().expect("N bytes")));
        ArrayD::from_shape_vec(IxDyn(tensor.shape()), elements.collect()).expect("shape and data")
    }
}

/// `‖found − expected‖ / ‖expected‖`.
pub fn relative_error(found: &ArrayViewD<'_, f32>, expected: &ArrayViewD<'_, f32>) -> f64 {
    assert_eq!(found.shape(), expected.shape());
    let square = |x: f32| f64::from(x).powi(2);
    let difference: f64 = found.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    let norm: f64 = expected.iter().map(|&b| square(b)).sum();
    (difference / norm).sqrt()
}

/// Fails where the relative error exceeds `tolerance`; prints the worst element.
pub fn assert_close<D: Dimension, E: Dimension>(
    what: &str,
    found: ndarray::ArrayView<'_, f32, D>,
    expected: ndarray::ArrayView<'_, f32, E>,
    tolerance: f64,
) {
    let (found, expected) = (found.into_dyn(), expected.into_dyn());
    let error = relative_error(&found, &expected);
    let worst = found
        .indexed_iter()
        .zip(&expected)
        .max_by(|((_, a), b), ((_, c), d)| (*a - *b).abs().total_cmp(&(*c - *d).abs()));
    let ((index, a), b) = worst.expect("not empty");
    let index = index.slice();
    assert!(
        error <= tolerance,
        "{what}: relative error {error:.2e} > {tolerance:.0e}; worst at {index:?}: {a} for {b}"
    );
}
