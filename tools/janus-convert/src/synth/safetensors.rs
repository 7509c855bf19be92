//! Writes safetensors: a header, and the values in the order of their names.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::json;

use super::tensor::Tensor;

/// Writes `tensors` with the values of `seed`, telling `progress` about each piece of them.
pub(super) fn write(
    out: &mut impl Write,
    tensors: &[Tensor],
    seed: u64,
    progress: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let by_name = tensors
        .iter()
        .map(|t| (t.name.as_str(), t))
        .collect::<BTreeMap<_, _>>();
    let mut entries = BTreeMap::from([("__metadata__", json!({ "format": "pt" }))]);
    let mut offset = 0;
    for (name, tensor) in &by_name {
        let end = offset + tensor.byte_len();
        let shape = &tensor.shape;
        entries.insert(
            name,
            json!({ "dtype": "BF16", "shape": shape, "data_offsets": [offset, end] }),
        );
        offset = end;
    }
    // Padded, so that the values begin at a multiple of eight.
    let mut header = serde_json::to_vec(&entries)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for tensor in by_name.values() {
        tensor.write(seed, |bytes| {
            progress(bytes.len() as u64);
            out.write_all(bytes)
        })?;
    }
    Ok(())
}
