//! Values of fields, and their ranges.

use std::collections::hash_map::RandomState;
use std::fmt::{Debug, Display};
use std::hash::{BuildHasher, Hasher};

use serde::{Deserialize, Deserializer, de::IgnoredAny};

use crate::error::ApiError;

/// A field that says something about the request, but changes nothing.
#[derive(Debug, Default)]
pub(crate) struct Neutral;

impl<'de> Deserialize<'de> for Neutral {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// Refuses a field that asks for something that there is not; `none` asks for nothing.
pub(crate) fn expect_none<T: PartialEq + Debug>(
    param: &'static str,
    value: Option<T>,
    none: T,
) -> Result<(), ApiError> {
    match value {
        Some(value) if value != none => {
            let message = format!("{param} is not supported here; only {none:?} is taken");
            Err(ApiError::invalid(param, message))
        }
        _ => Ok(()),
    }
}

/// How many, 1 unless said otherwise.
pub(crate) fn count(
    param: &'static str,
    value: Option<usize>,
    most: usize,
) -> Result<usize, ApiError> {
    let value = value.unwrap_or(1);
    match (1..=most).contains(&value) {
        true => Ok(value),
        false => {
            let message = format!("{param} is {value}; it should be 1 to {most}");
            Err(ApiError::invalid(param, message))
        }
    }
}

/// A number within a range.
pub(crate) fn range<T: PartialOrd + Display + Copy>(
    param: &'static str,
    value: Option<T>,
    least: T,
    most: T,
) -> Result<Option<T>, ApiError> {
    match value {
        Some(value) if !(value >= least && value <= most) => {
            let message = format!("{param} is {value}; it should be {least} to {most}");
            Err(ApiError::invalid(param, message))
        }
        value => Ok(value),
    }
}

/// A number that nobody has seen before; 48 bits, which JavaScript can hold.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish() >> 16
}
