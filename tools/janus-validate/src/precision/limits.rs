//! What each precision may cost.

use janus_runtime::manifest::DType;
use serde::Serialize;

/// How far an export may be from the 32-bit one of the same weights.
///
/// The integer formats round activations to 8 bits as well as weights, so a few positions may be
/// off by much more than the mean, most of all after guidance, which multiplies what the rows
/// differ.
///
/// | precision | relative error | equal image tokens | mean KL | 99 % KL | clear top-1 |
/// |---|---|---|---|---|---|
/// | fp32 | 1e-5 | 99.9 % | 1e-6 | 1e-5 | 99.9 % |
/// | fp16 | 5e-3 | 99 % | 5e-4 | 5e-3 | 99 % |
/// | bf16 | 2e-2 | 97 % | 5e-3 | 5e-2 | 97.5 % |
/// | q8 | 5e-2 | 95 % | 1e-3 | 1e-1 | 99 % |
/// | q4, q4f16 | 1e-1 | 90 % | 3e-2 | 3e-1 | 92 % |
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// The largest relative error of what a graph gives.
    pub relative_error: f64,
    /// The smallest share of places to which the VQ encoder gives the same code.
    pub equal_tokens: f64,
    /// The largest [mean divergence](crate::Divergence::mean_kl).
    pub mean_kl: f64,
    /// The largest divergence of [99 % of the positions](crate::Divergence::p99_kl).
    pub p99_kl: f64,
    /// The smallest [agreement](crate::Divergence::clear_agreement) on clearly most probable tokens.
    /// Of few positions one may always disagree.
    pub clear_agreement: f64,
}

impl Limits {
    /// The limits of a precision.
    pub fn of(dtype: DType) -> Self {
        let [
            relative_error,
            equal_tokens,
            mean_kl,
            p99_kl,
            clear_agreement,
        ] = match dtype {
            DType::Fp32 => [1e-5, 0.999, 1e-6, 1e-5, 0.999],
            DType::Fp16 => [5e-3, 0.99, 5e-4, 5e-3, 0.99],
            DType::Bf16 => [2e-2, 0.97, 5e-3, 5e-2, 0.975],
            DType::Q8 => [5e-2, 0.95, 1e-3, 1e-1, 0.99],
            DType::Q4 | DType::Q4f16 => [1e-1, 0.90, 3e-2, 3e-1, 0.92],
        };
        Self {
            relative_error,
            equal_tokens,
            mean_kl,
            p99_kl,
            clear_agreement,
        }
    }
}
