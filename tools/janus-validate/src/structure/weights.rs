//! Weights: their sizes, their places, their bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};

use janus_onnx::proto::{DataType, Tensor};
use janus_onnx::{CRC32, ExternalData};
use janus_runtime::manifest::GraphEntry;

use super::{Check, Fault, tell};
use crate::error::{Error, Result};

/// Weights of this many bytes or more begin on a boundary of as many: some systems map no other.
const PAGE: u64 = 1 << 16;
/// Alignment of smaller ones.
const LINE: u64 = 64;
/// Equal weights of fewer bytes are not worth a word.
const WORTH: u64 = 1 << 10;
/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;

/// The CRC-32 of each weight that was read, by its file, offset and length: graphs that share a file
/// have it read once.
pub(super) type Known = BTreeMap<(PathBuf, u64, u64), u32>;

/// Where the bytes of a weight lie.
struct Placed<'a> {
    tensor: &'a Tensor,
    offset: u64,
    bytes: u64,
}

pub(super) fn check(
    check: &mut Check<'_>,
    folder: &Path,
    known: &mut Known,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<()> {
    let graph = check.model.graph();
    // Other exporters write files of several names; the manifest names one.
    let mut files: BTreeMap<&str, Vec<Placed<'_>>> = BTreeMap::new();
    if let Some(data) = check.entry.and_then(|entry| entry.data.as_deref()) {
        files.insert(data, Vec::new());
    }
    for tensor in &graph.initializer {
        let Some(bytes) = size(check, tensor) else {
            continue;
        };
        let Some(external) = tensor.external() else {
            // Fields of numbers, as other exporters write them, are left to the runtime.
            let inline = tensor.raw_data.as_ref().map(|raw| raw.len() as u64);
            if let Some(inline) = inline.filter(|inline| *inline != bytes) {
                let message = format!("has {inline} bytes; its type and shape take {bytes}");
                check.found(Fault::Place, tensor.name(), message);
            }
            continue;
        };
        match place(check.entry, &external, folder, bytes) {
            Ok(offset) => {
                let boundary = if bytes < PAGE { LINE } else { PAGE };
                if !offset.is_multiple_of(boundary) {
                    let message =
                        format!("begins at {offset}, not on a boundary of {boundary} bytes");
                    check.odd(Fault::Alignment, tensor.name(), message);
                    if check.entry.is_some() {
                        continue;
                    }
                }
                files.entry(external.location).or_default().push(Placed {
                    tensor,
                    offset,
                    bytes,
                });
            }
            Err(message) => check.found(Fault::Place, tensor.name(), message),
        }
    }
    for (file, mut placed) in files {
        overlaps(check, &mut placed);
        contents(check, &folder.join(file), &placed, known, progress)?;
    }
    Ok(())
}

/// The bytes that type and shape take.
fn size(check: &mut Check<'_>, tensor: &Tensor) -> Option<u64> {
    let bytes = tensor.bytes();
    if bytes.is_none() {
        let (dtype, dims) = (tensor.data_type.unwrap_or(0), &tensor.dims);
        let name = DataType::try_from(dtype).map_or("?", DataType::short_name);
        let message = format!("is {name} {dims:?}, which is no type and shape of numbers");
        check.found(Fault::Type, tensor.name(), message);
    }
    bytes
}

/// Where a weight begins, if it lies in the file that the manifest names, or in one beside a graph that
/// has no manifest, and within it.
fn place(
    entry: Option<&GraphEntry>,
    external: &ExternalData<'_>,
    folder: &Path,
    bytes: u64,
) -> Result<u64, String> {
    let location = external.location;
    let data = entry.and_then(|entry| entry.data.as_deref());
    if entry.is_some() && Some(location) != data {
        let expected = data.unwrap_or("none");
        return Err(format!(
            "lies in `{}`; the manifest's file of weights is {expected}",
            location.escape_debug()
        ));
    }
    let is_inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if !Path::new(location).components().all(is_inside) {
        let location = location.escape_debug();
        return Err(format!("lies in `{location}`, outside of the directory"));
    }
    let length = match folder.join(location).metadata() {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        _ => {
            let location = location.escape_debug();
            return Err(format!("lies in `{location}`, which is no file there"));
        }
    };
    let number = |key: &str, text: Option<&str>, absent: u64| match text {
        None => Ok(absent),
        Some(text) => text.parse::<u64>().map_err(|_| {
            format!(
                "has the {key} `{}`, which is no number",
                text.escape_debug()
            )
        }),
    };
    let offset = number("offset", external.offset, 0)?;
    let said = number("length", external.length, length.saturating_sub(offset))?;
    if said != bytes {
        return Err(format!("has {said} bytes; its type and shape take {bytes}"));
    }
    match offset.checked_add(bytes).is_none_or(|end| end > length) {
        false => Ok(offset),
        true => Err(format!(
            "has {bytes} bytes from {offset} on; the file of weights has {length}"
        )),
    }
}

/// No two weights share bytes, unless they share all of them.
fn overlaps(check: &mut Check<'_>, placed: &mut [Placed<'_>]) {
    placed.sort_by_key(|it| (it.offset, it.bytes));
    for pair in placed.windows(2) {
        let [before, after] = pair else { continue };
        let same = before.offset == after.offset && before.bytes == after.bytes;
        if after.offset < before.offset + before.bytes && !same {
            let message = format!("shares bytes with `{}`", before.tensor.name());
            check.found(Fault::Place, after.tensor.name(), message);
        }
    }
}

/// Compares the checksum of each weight, and finds equal ones.
fn contents(
    check: &mut Check<'_>,
    path: &Path,
    placed: &[Placed<'_>],
    read: &mut Known,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<()> {
    let failed = |source| Error::ReadFile {
        path: PathBuf::from(path),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut known: BTreeMap<(u32, u64), &Placed<'_>> = BTreeMap::new();
    for it in placed {
        let name = it.tensor.name();
        let place = (path.to_owned(), it.offset, it.bytes);
        let crc = match read.get(&place) {
            Some(crc) => *crc,
            None => {
                let crc = checksum(&mut file, it).map_err(failed)?;
                read.insert(place, crc);
                tell(progress, it.bytes)?;
                crc
            }
        };
        if let Some(expected) = it.tensor.metadata(CRC32) {
            check.report.checksums += 1;
            if expected != format!("{crc:08x}") {
                let message = format!(
                    "has other bytes than were written, of {} from {} on: its CRC-32 is {crc:08x} \
                     and should be {expected}",
                    it.bytes, it.offset
                );
                check.found(Fault::Checksum, name, message);
            }
        }
        let of_type = known.entry((crc, it.bytes)).or_insert(it);
        let is_other = of_type.offset != it.offset && it.bytes >= WORTH;
        if is_other && of_type.tensor.data_type == it.tensor.data_type {
            let message = format!("has the same bytes as `{}`", of_type.tensor.name());
            check.add(Fault::Duplicate, name, message, true);
        }
    }
    Ok(())
}

fn checksum(file: &mut File, placed: &Placed<'_>) -> io::Result<u32> {
    let mut crc = crc32fast::Hasher::new();
    let mut buffer = vec![0; CHUNK];
    file.seek(SeekFrom::Start(placed.offset))?;
    let mut left = placed.bytes;
    while left > 0 {
        let count = left.min(CHUNK as u64) as usize;
        file.read_exact(&mut buffer[..count])?;
        crc.update(&buffer[..count]);
        left -= count as u64;
    }
    Ok(crc.finalize())
}
