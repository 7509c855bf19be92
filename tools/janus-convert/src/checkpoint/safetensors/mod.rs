//! The safetensors container: eight bytes of length, a JSON header, and the tensors' bytes one after the other.
//!
//! Read more strictly than most readers do: no name twice, no byte that belongs to no tensor or to two.

mod error;
mod header;

use std::collections::BTreeMap;

pub use self::error::SafetensorsError;

use self::header::Described;
use super::error::CheckpointError;
use super::limits;
use super::source::SourceFile;
use super::tensor::{Layout, value_count};

/// Bytes of the length at the front.
const LENGTH_BYTES: u64 = 8;

/// Reads the header of `file` and checks every promise it makes against the file's size.
pub(super) fn read(file: &SourceFile) -> Result<BTreeMap<String, Layout>, CheckpointError> {
    let wrong = |source| CheckpointError::Safetensors {
        file: file.name().to_owned(),
        source,
    };
    let mut length = [0; LENGTH_BYTES as usize];
    if file.size() < LENGTH_BYTES {
        return Err(wrong(SafetensorsError::TooShort { size: file.size() }));
    }
    file.read_exact_at(0, &mut length)?;
    let length = header_length(length, file.size()).map_err(wrong)?;
    let mut header = vec![0; length];
    file.read_exact_at(LENGTH_BYTES, &mut header)?;
    parse(&header, file.size()).map_err(wrong)
}

/// The length of the header, known to lie within the file and the limits.
fn header_length(length: [u8; 8], size: u64) -> Result<usize, SafetensorsError> {
    let header = u64::from_le_bytes(length);
    if header > size.saturating_sub(LENGTH_BYTES) {
        return Err(SafetensorsError::HeaderBeyondEnd { header, size });
    }
    if header > limits::SAFETENSORS_HEADER {
        return Err(SafetensorsError::HeaderLimit { header });
    }
    if header > limits::SMALL_HEADER && header > size / 4 {
        return Err(SafetensorsError::HeaderShare { header, size });
    }
    usize::try_from(header).map_err(|_| SafetensorsError::HeaderLimit { header })
}

/// Parses the header of a file of `size` bytes.
fn parse(header: &[u8], size: u64) -> Result<BTreeMap<String, Layout>, SafetensorsError> {
    let text =
        std::str::from_utf8(header).map_err(|source| SafetensorsError::NotUtf8 { source })?;
    let described = header::parse(text)?;
    let data = LENGTH_BYTES + header.len() as u64;
    check_coverage(&described, data, size)?;
    described
        .into_iter()
        .map(|(name, tensor)| Ok((name.clone(), layout(name, tensor, data)?)))
        .collect()
}

/// Every byte of the data belongs to exactly one tensor.
fn check_coverage(
    tensors: &BTreeMap<String, Described>,
    data: u64,
    size: u64,
) -> Result<(), SafetensorsError> {
    let mut ranges = tensors
        .iter()
        .map(|(name, t)| (t.data_offsets, name))
        .collect::<Vec<_>>();
    ranges.sort_unstable();
    let mut end = 0;
    for ((begin, next_end), tensor) in ranges {
        let tensor = || tensor.clone();
        if begin < end {
            return Err(SafetensorsError::Overlap {
                tensor: tensor(),
                begin,
                end,
            });
        }
        if begin > end {
            return Err(SafetensorsError::Hole {
                tensor: tensor(),
                begin,
                end,
            });
        }
        end = end.max(next_end);
    }
    let needed = data.saturating_add(end);
    if needed > size {
        return Err(SafetensorsError::Truncated { needed, size });
    }
    if needed < size {
        return Err(SafetensorsError::Trailing {
            extra: size - needed,
        });
    }
    Ok(())
}

/// Checks that shape and type of a tensor need exactly the bytes that its offsets span.
fn layout(tensor: String, described: Described, data: u64) -> Result<Layout, SafetensorsError> {
    let Described {
        dtype,
        shape,
        data_offsets: (begin, end),
    } = described;
    let len = value_count(&shape);
    let expected = len.and_then(|len| (len as u64).checked_mul(dtype.size() as u64));
    match (len, expected) {
        (Some(len), Some(bytes)) if begin.checked_add(bytes) == Some(end) => Ok(Layout {
            dtype,
            shape,
            strides: None,
            offset: data + begin,
            len,
        }),
        _ => Err(SafetensorsError::Size {
            tensor,
            dtype,
            shape,
            expected,
            begin,
            end,
        }),
    }
}
