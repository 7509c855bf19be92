//! The safetensors container: eight bytes of length, a JSON header, and the tensors' bytes one after the other.
//!
//! Read more strictly than most readers do: no name twice, no byte that belongs to no tensor or to two.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::Utf8Error;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::error::{CheckpointError, Fault, Quoted};
use super::limits;
use super::source::SourceFile;
use super::tensor::{Dtype, Layout, value_count};

const LENGTH_BYTES: u64 = 8;
const METADATA: &str = "__metadata__";

/// Why a safetensors header is not usable.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum SafetensorsError {
    /// The file ends within the header's length.
    #[error("the file has {size} bytes; the length of a header takes {LENGTH_BYTES}")]
    TooShort {
        /// Bytes of the file.
        size: u64,
    },
    /// The header ends after the file.
    #[error("the header should have {header} bytes, but the file has {size} in all")]
    HeaderBeyondEnd {
        /// Bytes of the header, by the file's own account.
        header: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// The header is longer than the format allows.
    #[error(
        "the header has {header} bytes; the limit is {}",
        limits::SAFETENSORS_HEADER
    )]
    HeaderLimit {
        /// Bytes of the header.
        header: u64,
    },
    /// The header is too large a part of the file to be one that weights need.
    #[error("the header has {header} of the file's {size} bytes; the limit is a quarter")]
    HeaderShare {
        /// Bytes of the header.
        header: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// The header is not text.
    #[error("the header is not UTF-8 at byte {}", LENGTH_BYTES as usize + source.valid_up_to())]
    NotUtf8 {
        /// What is wrong there.
        #[source]
        source: Utf8Error,
    },
    /// The header is not the JSON that it should be.
    #[error("the header is not what it should be")]
    Header {
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The header lists nothing.
    #[error("the header names no tensors")]
    NoTensors,
    /// The header lists more tensors than any model has.
    #[error("the header names more than {} tensors", limits::TENSORS)]
    TooManyTensors,
    /// The offsets of a tensor are not as far apart as its shape and type need.
    #[error("tensor {} of type {dtype} and shape {shape:?} takes {}; its offsets {begin}..{end} span {}",
        Quoted(tensor), bytes(*expected), found(*begin, *end))]
    Size {
        /// Which tensor.
        tensor: String,
        /// Its type.
        dtype: Dtype,
        /// Its shape.
        shape: Vec<usize>,
        /// What shape and type need; `None` if no machine can count it.
        expected: Option<u64>,
        /// First byte.
        begin: u64,
        /// The byte after the last.
        end: u64,
    },
    /// A tensor begins before the one before it ends.
    #[error(
        "tensor {} begins at byte {begin} of the data, within the tensor before it, which ends at {end}",
        Quoted(tensor)
    )]
    Overlap {
        /// The later tensor.
        tensor: String,
        /// Where it begins.
        begin: u64,
        /// Where the earlier one ends.
        end: u64,
    },
    /// Bytes between two tensors.
    #[error(
        "bytes {end}..{begin} of the data, before tensor {}, belong to no tensor",
        Quoted(tensor)
    )]
    Hole {
        /// The later tensor.
        tensor: String,
        /// Where it begins.
        begin: u64,
        /// Where the earlier one ends.
        end: u64,
    },
    /// The file ends before its last tensor.
    #[error("the file is truncated: its header needs {needed} bytes, and it has {size}")]
    Truncated {
        /// Bytes that header and tensors take.
        needed: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// The file goes on after its last tensor.
    #[error("{extra} bytes after the last tensor belong to no tensor")]
    Trailing {
        /// How many.
        extra: u64,
    },
}

impl SafetensorsError {
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::HeaderLimit { .. } | Self::HeaderShare { .. } | Self::TooManyTensors => {
                Fault::Refused
            }
            _ => Fault::Malformed,
        }
    }
}

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
    let mut described = BTreeMap::new();
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = json
        .deserialize_map(HeaderVisitor {
            tensors: &mut described,
        })
        .and_then(|()| json.end());
    if described.len() > limits::TENSORS {
        return Err(SafetensorsError::TooManyTensors);
    }
    parsed.map_err(|source| SafetensorsError::Header { source })?;
    if described.is_empty() {
        return Err(SafetensorsError::NoTensors);
    }

    let data = LENGTH_BYTES + header.len() as u64;
    check_coverage(&described, data, size)?;
    described
        .into_iter()
        .map(|(name, tensor)| Ok((name.clone(), tensor.layout(name, data)?)))
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

/// One tensor, as the header has it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    #[serde(deserialize_with = "dtype")]
    dtype: Dtype,
    #[serde(deserialize_with = "shape")]
    shape: Vec<usize>,
    #[serde(deserialize_with = "data_offsets")]
    data_offsets: (u64, u64),
}

impl Described {
    /// Checks that shape and type need exactly the bytes that the offsets span.
    fn layout(self, tensor: String, data: u64) -> Result<Layout, SafetensorsError> {
        let Self {
            dtype,
            shape,
            data_offsets: (begin, end),
        } = self;
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
}

fn dtype<'de, D: Deserializer<'de>>(value: D) -> Result<Dtype, D::Error> {
    let name = Cow::<'de, str>::deserialize(value).map_err(|e| in_field("dtype", e))?;
    Dtype::named(&name).ok_or_else(|| {
        in_field(
            "dtype",
            format_args!("{} is not one of {}", Quoted(&name), Dtype::names()),
        )
    })
}

fn shape<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<usize>, D::Error> {
    value
        .deserialize_seq(ShapeVisitor)
        .map_err(|e| in_field("shape", e))
}

fn data_offsets<'de, D: Deserializer<'de>>(value: D) -> Result<(u64, u64), D::Error> {
    Deserialize::deserialize(value).map_err(|e| in_field("data_offsets", e))
}

fn in_field<E: serde::de::Error>(field: &str, error: impl fmt::Display) -> E {
    E::custom(format_args!("{field}: {error}"))
}

/// Collects the tensors of the header, refusing a second one of the same name.
struct HeaderVisitor<'a> {
    tensors: &'a mut BTreeMap<String, Described>,
}

impl<'de> Visitor<'de> for HeaderVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut metadata_seen = false;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let in_tensor = |e: A::Error| A::Error::custom(format_args!("{}: {e}", Quoted(&name)));
            if name == METADATA {
                map.next_value::<Metadata>().map_err(in_tensor)?;
                if std::mem::replace(&mut metadata_seen, true) {
                    return Err(in_tensor(A::Error::custom("the name is there twice")));
                }
                continue;
            }
            if name.is_empty() || name.len() > limits::NAME {
                let allowed = format_args!("a name has 1 to {} bytes", limits::NAME);
                return Err(in_tensor(A::Error::custom(allowed)));
            }
            let tensor = map.next_value().map_err(in_tensor)?;
            if self.tensors.contains_key(name.as_ref()) {
                return Err(in_tensor(A::Error::custom("the name is there twice")));
            }
            self.tensors.insert(name.into_owned(), tensor);
            if self.tensors.len() > limits::TENSORS {
                return Err(A::Error::custom("too many tensors"));
            }
        }
        Ok(())
    }
}

/// The dimensions of a tensor, at most as many as there may be.
struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Vec<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} dimensions", limits::RANK)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<usize>, A::Error> {
        let mut shape = Vec::new();
        while let Some(size) = seq.next_element()? {
            if shape.len() == limits::RANK {
                return Err(A::Error::invalid_length(limits::RANK + 1, &self));
            }
            shape.push(size);
        }
        Ok(shape)
    }
}

/// The free-form part of a header: texts by name, of no use here.
struct Metadata;

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for Metadata {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Cow<'de, str>, Cow<'de, str>>()?.is_some() {}
        Ok(self)
    }
}

fn bytes(count: Option<u64>) -> String {
    count.map_or("more bytes than can be counted".to_owned(), |count| {
        format!("{count} bytes")
    })
}

fn found(begin: u64, end: u64) -> String {
    end.checked_sub(begin)
        .map_or("backwards".to_owned(), |span| span.to_string())
}
