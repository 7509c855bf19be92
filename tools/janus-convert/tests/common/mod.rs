//! Tiny checkpoints, whole and altered.

#![allow(dead_code, reason = "every test uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// The tiny Janus in one of its layouts.
pub(crate) fn tiny(layout: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data/janus-tiny")
        .join(layout)
}

/// The tiny JanusFlow, `released`, or its VAE, `sdxl-vae`.
pub(crate) fn tiny_flow(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data/janusflow-tiny")
        .join(part)
}

/// Message of an error with those of its causes; of the system's errors, only the kind.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        match cause.downcast_ref::<io::Error>() {
            Some(system) => text.push_str(&format!(": {:?}", system.kind())),
            None => text.push_str(&format!(": {cause}")),
        }
        source = cause.source();
    }
    text
}

/// What a test does to a copy.
pub(crate) type Alteration<'a> = &'a dyn Fn(&Altered);

/// A copy of a tiny checkpoint that may be altered, in a directory with room for exports.
pub(crate) struct Altered {
    dir: TempDir,
}

impl Altered {
    /// A copy of the tiny Janus in a layout.
    pub(crate) fn copy(layout: &str) -> Self {
        let altered = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(altered.released()).unwrap();
        for entry in fs::read_dir(tiny(layout)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), altered.released().join(entry.file_name())).unwrap();
        }
        altered
    }

    /// A copy of the tiny JanusFlow, with its VAE beside it.
    pub(crate) fn flow() -> Self {
        let altered = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for (from, to) in [
            ("released", altered.released()),
            ("sdxl-vae", altered.vae()),
        ] {
            fs::create_dir(&to).unwrap();
            for entry in fs::read_dir(tiny_flow(from)).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
        altered
    }

    /// The VAE of a JanusFlow.
    pub(crate) fn vae(&self) -> PathBuf {
        self.dir.path().join("vae")
    }

    /// The checkpoint.
    pub(crate) fn released(&self) -> PathBuf {
        self.dir.path().join("checkpoint")
    }

    /// Where an export may go.
    pub(crate) fn out(&self) -> PathBuf {
        self.dir.path().join("export")
    }

    /// Names of everything beside the checkpoint and its VAE.
    pub(crate) fn around(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| name != "checkpoint" && name != "vae")
            .collect()
    }

    /// Sets or, with `null`, removes a field of a JSON file; `pointer` is as in RFC 6901.
    pub(crate) fn set(&self, file: &str, pointer: &str, value: Value) {
        let path = self.released().join(file);
        let text = fs::read(&path).unwrap_or_else(|_| b"{}".to_vec());
        let mut json: Value = serde_json::from_slice(&text).unwrap();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let object = json.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Value::Null => object.remove(key),
            value => object.insert(key.to_owned(), value),
        };
        self.write(file, &serde_json::to_vec(&json).unwrap());
    }

    /// Writes a file of the checkpoint.
    pub(crate) fn write(&self, file: &str, bytes: &[u8]) {
        fs::write(self.released().join(file), bytes).unwrap();
    }

    /// Alters the tensors of the checkpoint.
    pub(crate) fn tensors(&self, alter: impl FnOnce(&mut BTreeMap<String, Tensor>)) {
        self.tensors_of("model.safetensors", alter);
    }

    /// Alters the tensors of a file, named from the checkpoint.
    pub(crate) fn tensors_of(&self, file: &str, alter: impl FnOnce(&mut BTreeMap<String, Tensor>)) {
        let path = self.released().join(file);
        let mut tensors = read_tensors(&fs::read(&path).unwrap());
        alter(&mut tensors);
        fs::write(&path, write_tensors(&tensors)).unwrap();
    }
}

/// A tensor of a safetensors file.
pub(crate) struct Tensor {
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

fn read_tensors(file: &[u8]) -> BTreeMap<String, Tensor> {
    let (len, rest) = file.split_at(8);
    let (header, data) = rest.split_at(u64::from_le_bytes(len.try_into().unwrap()) as usize);
    let mut header: Map<String, Value> = serde_json::from_slice(header).unwrap();
    header.remove("__metadata__");
    let tensor = |(name, entry): (String, Value)| {
        let sizes =
            |key: &str| -> Vec<usize> { serde_json::from_value(entry[key].clone()).unwrap() };
        let offsets = sizes("data_offsets");
        let bytes = data[offsets[0]..offsets[1]].to_vec();
        let dtype = entry["dtype"].as_str().unwrap().to_owned();
        (
            name,
            Tensor {
                dtype,
                shape: sizes("shape"),
                bytes,
            },
        )
    };
    header.into_iter().map(tensor).collect()
}

fn write_tensors(tensors: &BTreeMap<String, Tensor>) -> Vec<u8> {
    let mut header = Map::new();
    let mut data = Vec::new();
    for (
        name,
        Tensor {
            dtype,
            shape,
            bytes,
        },
    ) in tensors
    {
        let offsets = [data.len(), data.len() + bytes.len()];
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets });
        header.insert(name.clone(), entry);
        data.extend(bytes);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}
