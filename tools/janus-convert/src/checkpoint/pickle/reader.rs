//! Takes the arguments of opcodes off a pickle.

use super::super::limits;
use super::error::PickleProblem;

type Result<T> = std::result::Result<T, PickleProblem>;

/// The bytes of a pickle and how far they have been read.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self.bytes[self.position..]
            .get(..count)
            .ok_or(PickleProblem::Truncated)?;
        self.position += count;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_le_bytes)
    }

    /// A length in eight bytes, which must be one of something that can follow.
    pub(super) fn length8(&mut self) -> Result<usize> {
        let length = self.array().map(u64::from_le_bytes)?;
        usize::try_from(length).map_err(|_| PickleProblem::Truncated)
    }

    /// A length in four bytes.
    pub(super) fn length4(&mut self) -> Result<usize> {
        usize::try_from(self.u32()?).map_err(|_| PickleProblem::Truncated)
    }

    /// A signed integer of `length` bytes.
    pub(super) fn long(&mut self, length: usize) -> Result<i64> {
        if length > limits::INTEGER {
            return Err(PickleProblem::Number);
        }
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
        let mut whole = [if negative { 0xff } else { 0 }; limits::INTEGER];
        whole[..length].copy_from_slice(bytes);
        Ok(i64::from_le_bytes(whole))
    }

    /// UTF-8 of `length` bytes.
    pub(super) fn text(&mut self, length: usize) -> Result<&'a str> {
        std::str::from_utf8(self.take(length)?).map_err(|_| PickleProblem::Text)
    }

    /// ASCII up to the end of the line, which is dropped. Escapes are not among what names and numbers need.
    pub(super) fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.position..];
        let window = &rest[..rest.len().min(limits::LINE + 1)];
        let Some(length) = window.iter().position(|byte| *byte == b'\n') else {
            let whole = window.len() == rest.len();
            return Err(if whole {
                PickleProblem::Truncated
            } else {
                PickleProblem::LINE
            });
        };
        self.position += length + 1;
        let line = std::str::from_utf8(&rest[..length]).map_err(|_| PickleProblem::Text)?;
        if line.is_ascii() && !line.contains('\\') {
            Ok(line)
        } else {
            Err(PickleProblem::Text)
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.bytes[self.position..]
            .first_chunk()
            .ok_or(PickleProblem::Truncated)?;
        self.position += N;
        Ok(*taken)
    }
}
