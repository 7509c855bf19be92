//! Values that look like damage rather than like weights.

use std::fmt;

use super::error::Quoted;
use super::tensor::Tensor;

/// Values that look like damage rather than like weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Doubtful {
    /// Which tensor.
    pub tensor: String,
    /// What is odd about its values.
    pub oddity: Oddity,
}

/// What is odd about a tensor's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Oddity {
    /// So many of them are NaN or infinite.
    NonFinite(u64),
    /// All of them are this one, in a tensor whose name ends in `weight`.
    Constant(f32),
}

impl Doubtful {
    pub(super) fn find(name: &str, tensor: &Tensor) -> Option<Self> {
        let summary = *tensor.summary.lock().unwrap_or_else(|e| e.into_inner());
        let oddity = match (summary.non_finite, summary.constant()) {
            (1.., _) => Oddity::NonFinite(summary.non_finite),
            (0, Some(value)) if name.ends_with("weight") => Oddity::Constant(value),
            _ => return None,
        };
        Some(Self {
            tensor: name.to_owned(),
            oddity,
        })
    }
}

impl fmt::Display for Doubtful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tensor = Quoted(&self.tensor);
        match self.oddity {
            Oddity::NonFinite(count) => {
                write!(f, "tensor {tensor} has {count} values that are not finite")
            }
            Oddity::Constant(value) => write!(f, "every value of tensor {tensor} is {value}"),
        }
    }
}
