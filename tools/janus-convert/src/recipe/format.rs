//! How the weights of a linear layer are stored, and what that makes of their product.

use std::fmt;
use std::str::FromStr;

use crate::onnx::DType;

/// How the weights of a linear layer are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As floats.
    Float(DType),
    /// As integers with a scale for each block of so many weights of a row (`MatMulNBits`). The
    /// CPU kernel rounds activations to 8 bits, block by block.
    Blocks(Blocks),
    /// As 8-bit integers with a scale for each row. Activations are rounded to 8 bits too, with a
    /// scale for each position (`MatMulIntegerToFloat`).
    Dynamic,
}

/// Integers in blocks with a scale each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    pub(crate) bits: Bits,
    /// Weights of a block: a power of two from 16 to 256.
    pub(crate) size: usize,
}

/// Width of an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bits {
    Four,
    Eight,
}

impl Bits {
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Four => 4,
            Self::Eight => 8,
        }
    }
}

impl Format {
    /// What a recipe may say.
    pub(super) const EXPECTED: &'static str = "fp32, fp16, bf16, int8-dynamic, int4/BLOCK or int8/BLOCK \
                                               with a BLOCK of 16, 32, 64, 128 or 256";
}

impl FromStr for Format {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let blocks = |bits, size: &str| match size {
            "16" | "32" | "64" | "128" | "256" => {
                let size = size.parse().map_err(|_| ())?;
                Ok(Self::Blocks(Blocks { bits, size }))
            }
            _ => Err(()),
        };
        match text.split_once('/') {
            Some(("int4", size)) => blocks(Bits::Four, size),
            Some(("int8", size)) => blocks(Bits::Eight, size),
            None if text == "fp32" => Ok(Self::Float(DType::F32)),
            None if text == "fp16" => Ok(Self::Float(DType::F16)),
            None if text == "bf16" => Ok(Self::Float(DType::BF16)),
            None if text == "int8-dynamic" => Ok(Self::Dynamic),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(DType::F16) => f.write_str("fp16"),
            Self::Float(DType::BF16) => f.write_str("bf16"),
            Self::Float(_) => f.write_str("fp32"),
            Self::Blocks(Blocks { bits, size }) => write!(f, "int{}/{size}", bits.count()),
            Self::Dynamic => f.write_str("int8-dynamic"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_as_they_are_written() {
        for text in [
            "fp32",
            "fp16",
            "bf16",
            "int8-dynamic",
            "int4/32",
            "int4/128",
            "int8/256",
        ] {
            assert_eq!(text.parse::<Format>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "int4",
            "int4/",
            "int4/48",
            "int4/512",
            "int2/32",
            "fp8",
            "int8/0128",
        ] {
            assert!(text.parse::<Format>().is_err(), "{text}");
        }
    }
}
