//! The JSON of a safetensors header.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::super::error::Quoted;
use super::super::limits;
use super::super::tensor::Dtype;
use super::error::SafetensorsError;

/// The one name that is no tensor's.
const METADATA: &str = "__metadata__";

const TWICE: &str = "the name is there twice";

/// Parses the tensors of a header, of which there is at least one.
pub(super) fn parse(header: &str) -> Result<BTreeMap<String, Described>, SafetensorsError> {
    let mut tensors = BTreeMap::new();
    let mut json = serde_json::Deserializer::from_str(header);
    let visitor = HeaderVisitor {
        tensors: &mut tensors,
    };
    let parsed = json.deserialize_map(visitor).and_then(|()| json.end());
    if tensors.len() > limits::TENSORS {
        return Err(SafetensorsError::TooManyTensors);
    }
    parsed.map_err(|source| SafetensorsError::Header { source })?;
    if tensors.is_empty() {
        Err(SafetensorsError::NoTensors)
    } else {
        Ok(tensors)
    }
}
/// One tensor, as the header has it.
#[derive(serde::Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `dtype`, `shape` and `data_offsets`"
)]
pub(super) struct Described {
    #[serde(deserialize_with = "dtype")]
    pub(super) dtype: Dtype,
    #[serde(deserialize_with = "shape")]
    pub(super) shape: Vec<usize>,
    #[serde(deserialize_with = "data_offsets")]
    pub(super) data_offsets: (u64, u64),
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
            if name == METADATA {
                let in_metadata = |e| A::Error::custom(format_args!("{METADATA}: {e}"));
                map.next_value::<Metadata>().map_err(in_metadata)?;
                if std::mem::replace(&mut metadata_seen, true) {
                    return Err(in_metadata(A::Error::custom(TWICE)));
                }
                continue;
            }
            let in_tensor = |e| A::Error::custom(format_args!("tensor {}: {e}", Quoted(&name)));
            if name.is_empty() || name.len() > limits::NAME {
                let allowed = format_args!("a name has 1 to {} bytes", limits::NAME);
                return Err(in_tensor(A::Error::custom(allowed)));
            }
            let tensor = map.next_value().map_err(in_tensor)?;
            if self.tensors.contains_key(name.as_ref()) {
                return Err(in_tensor(A::Error::custom(TWICE)));
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
