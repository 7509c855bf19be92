//! The list of shards of a checkpoint: `model.safetensors.index.json`, `pytorch_model.bin.index.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use super::error::{CheckpointError, Fault, Quoted};
use super::limits;
use super::source::SourceFile;

/// Why a list of shards is not usable.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file is longer than a list of shards needs.
    #[error("it has {size} bytes; the limit is {}", limits::INDEX)]
    TooLong {
        /// Bytes of the file.
        size: u64,
    },
    /// The file is not the JSON that it should be.
    #[error("it is not what it should be")]
    Json {
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A shard's name is a path, or not a name at all.
    #[error(
        "shard {} is not the plain name of a file in the same directory",
        Quoted(shard)
    )]
    ShardName {
        /// The name.
        shard: String,
    },
    /// More shards than any model has.
    #[error("it names {count} shards; the limit is {}", limits::SHARDS)]
    TooManyShards {
        /// How many.
        count: usize,
    },
    /// The list is empty.
    #[error("it names no tensors")]
    NoTensors,
}

impl IndexError {
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::TooLong { .. } | Self::ShardName { .. } | Self::TooManyShards { .. } => {
                Fault::Refused
            }
            Self::Json { .. } | Self::NoTensors => Fault::Malformed,
        }
    }
}

/// Which shard holds which tensor.
#[derive(Debug)]
pub(super) struct Index {
    /// Bytes of all tensors, if the list says so.
    pub(super) total_size: Option<u64>,
    /// Shard names by tensor.
    pub(super) weight_map: BTreeMap<String, String>,
}

impl Index {
    pub(super) fn read(file: &SourceFile) -> Result<Self, CheckpointError> {
        let wrong = |source| CheckpointError::Index {
            file: file.name().to_owned(),
            source,
        };
        if file.size() > limits::INDEX {
            return Err(wrong(IndexError::TooLong { size: file.size() }));
        }
        let text = file.start(limits::INDEX as usize)?;
        Self::parse(&text).map_err(wrong)
    }

    fn parse(text: &[u8]) -> Result<Self, IndexError> {
        let IndexFile {
            metadata,
            weight_map: WeightMap(weight_map),
        } = serde_json::from_slice(text).map_err(|source| IndexError::Json { source })?;
        let index = Self {
            total_size: metadata.and_then(|m| m.total_size),
            weight_map,
        };
        let shards = index.shards();
        if shards.is_empty() {
            return Err(IndexError::NoTensors);
        }
        if shards.len() > limits::SHARDS {
            return Err(IndexError::TooManyShards {
                count: shards.len(),
            });
        }
        if let Some(shard) = shards.into_iter().find(|shard| !is_plain_name(shard)) {
            return Err(IndexError::ShardName {
                shard: shard.to_owned(),
            });
        }
        Ok(index)
    }

    /// The shards, each once, in the order of their names.
    pub(super) fn shards(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }
}

/// Whether a name stays in its directory on every system.
fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| !matches!(c, '/' | '\\' | ':') && !c.is_control();
    !name.is_empty() && name.len() <= 255 && name != "." && name != ".." && name.chars().all(plain)
}

#[derive(serde::Deserialize)]
#[serde(expecting = "an object with a `weight_map`")]
struct IndexFile {
    metadata: Option<IndexMetadata>,
    weight_map: WeightMap,
}

#[derive(serde::Deserialize)]
struct IndexMetadata {
    #[serde(default, deserialize_with = "total_size")]
    total_size: Option<u64>,
}

/// Some writers put a floating-point number here.
fn total_size<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u64>, D::Error> {
    let number = serde_json::Number::deserialize(value)?;
    let whole = |size: &f64| size.fract() == 0.0 && (0.0..9e15).contains(size);
    Ok(number
        .as_u64()
        .or_else(|| number.as_f64().filter(whole).map(|size| size as u64)))
}

/// A map that refuses to hold a name twice, where a plain one would keep the last.
struct WeightMap(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_map(WeightMapVisitor)
    }
}

struct WeightMapVisitor;

impl<'de> Visitor<'de> for WeightMapVisitor {
    type Value = WeightMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of shard names by tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
        let mut shards = BTreeMap::new();
        while let Some((tensor, shard)) = map.next_entry::<String, String>()? {
            if shards.contains_key(&tensor) {
                return Err(A::Error::custom(format_args!(
                    "{} is there twice",
                    Quoted(&tensor)
                )));
            }
            shards.insert(tensor, shard);
        }
        Ok(WeightMap(shards))
    }
}
