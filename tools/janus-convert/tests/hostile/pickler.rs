//! Builds pickles, right or wrong.

use super::zip::{Entry, archive};

/// A PyTorch file with this pickle and these storages.
pub(super) fn pytorch(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    archive(&entries(pickle, storages))
}

/// The entries of a PyTorch file.
pub(super) fn entries(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<Entry> {
    let pickle = Entry::new("m/data.pkl", pickle);
    let storage = |(key, data): &(&str, &[u8])| Entry::new(format!("m/data/{key}"), *data);
    [pickle]
        .into_iter()
        .chain(storages.iter().map(storage))
        .collect()
}

/// A dictionary with these values, pickled.
pub(super) fn dict(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}".to_vec();
    for (name, value) in entries {
        pickle.extend_from_slice(&[&text(name), *value, b"s"].concat());
    }
    pickle.push(b'.');
    pickle
}

pub(super) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub(super) fn text(text: &str) -> Vec<u8> {
    [
        b"X",
        &(text.len() as u32).to_le_bytes()[..],
        text.as_bytes(),
    ]
    .concat()
}

pub(super) fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

pub(super) fn ints(numbers: &[i64]) -> Vec<u8> {
    let long = |number: &i64| [b"\x8a\x08", &number.to_le_bytes()[..]].concat();
    [
        b"(",
        numbers.iter().flat_map(long).collect::<Vec<_>>().as_slice(),
        b"t",
    ]
    .concat()
}

/// A tensor of 32-bit numbers.
pub(super) struct Tensor<'a> {
    pub(super) class: &'a str,
    pub(super) key: &'a str,
    pub(super) len: i64,
    pub(super) offset: i64,
    pub(super) shape: &'a [i64],
    pub(super) strides: &'a [i64],
}

impl Default for Tensor<'_> {
    /// Two by three, in a storage of six.
    fn default() -> Self {
        Self {
            class: "FloatStorage",
            key: "0",
            len: 6,
            offset: 0,
            shape: &[2, 3],
            strides: &[3, 1],
        }
    }
}

impl Tensor<'_> {
    pub(super) fn pickle(&self) -> Vec<u8> {
        let one = |number: i64| {
            let tuple = ints(&[number]);
            tuple[1..tuple.len() - 1].to_vec()
        };
        [
            &global("torch._utils", "_rebuild_tensor_v2")[..],
            b"((",
            &text("storage"),
            &global("torch", self.class),
            &text(self.key),
            &text("cpu"),
            &one(self.len),
            b"tQ",
            &one(self.offset),
            &ints(self.shape),
            &ints(self.strides),
            b"\x89}tR",
        ]
        .concat()
    }
}
