//! Builds safetensors files.

use std::fmt::Write;

/// A file with this header and this many bytes of data.
pub(super) fn file(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.resize(file.len() + data, 0);
    file
}

/// A header of one-byte tensors.
pub(super) fn header_of(names: &[&str]) -> String {
    let mut header = String::from("{");
    for (i, name) in names.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let name = serde_json::to_string(name).unwrap();
        let end = i + 1;
        write!(
            header,
            r#"{comma}{name}:{{"dtype":"U8","shape":[1],"data_offsets":[{i},{end}]}}"#
        )
        .unwrap();
    }
    header + "}"
}
