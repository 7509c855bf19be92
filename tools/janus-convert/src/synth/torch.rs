//! Writes what `torch.save` writes: a zip archive with a pickle and one entry per storage.

use std::io::{self, Write};

use super::tensor::Tensor;
use super::zip::ZipWriter;

/// The directory at the top of the archive.
const ROOT: &str = "pytorch_model";

/// Writes `tensors` with the values of `seed`, telling `progress` about each piece of them.
pub(super) fn write(
    out: &mut impl Write,
    tensors: &[Tensor],
    seed: u64,
    progress: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let mut zip = ZipWriter::new(out);
    zip.add(&format!("{ROOT}/data.pkl"), &state_dict(tensors))?;
    zip.add(&format!("{ROOT}/byteorder"), b"little")?;
    for (key, tensor) in tensors.iter().enumerate() {
        let mut entry = zip.begin(&format!("{ROOT}/data/{key}"))?;
        tensor.write(seed, |bytes| {
            progress(bytes.len() as u64);
            entry.write(bytes)
        })?;
        entry.finish()?;
    }
    zip.add(&format!("{ROOT}/version"), b"3\n")?;
    zip.finish()
}

/// The pickle of an ordered dictionary of tensors, each with a storage of its own, in protocol 2.
fn state_dict(tensors: &[Tensor]) -> Vec<u8> {
    /// Entries that are added by one opcode.
    const BATCH: usize = 1000;
    let mut pickle = Pickle(vec![0x80, 2]);
    pickle.ordered_dict();
    for (batch, tensors) in tensors.chunks(BATCH).enumerate() {
        pickle.op(b"(");
        for (i, tensor) in tensors.iter().enumerate() {
            pickle.text(&tensor.name);
            pickle.tensor(&(batch * BATCH + i).to_string(), tensor);
        }
        pickle.op(b"u");
    }
    // The versions of the modules, which a `state_dict()` carries as an attribute.
    pickle.op(b"}");
    pickle.text("_metadata");
    pickle.ordered_dict();
    pickle.op(b"sb.");
    pickle.0
}

/// A pickle that is being written.
struct Pickle(Vec<u8>);

impl Pickle {
    fn op(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn ordered_dict(&mut self) {
        self.op(b"ccollections\nOrderedDict\n)R");
    }

    fn tensor(&mut self, key: &str, tensor: &Tensor) {
        self.op(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        self.text("storage");
        self.op(b"ctorch\nBFloat16Storage\n");
        self.text(key);
        self.text("cpu");
        self.int(tensor.len());
        self.op(b"tQK\x00");
        self.ints(&tensor.shape);
        self.ints(&row_major_strides(&tensor.shape));
        self.op(b"\x89");
        self.ordered_dict();
        self.op(b"tR");
    }

    fn text(&mut self, text: &str) {
        self.op(b"X");
        self.op(&(text.len() as u32).to_le_bytes());
        self.op(text.as_bytes());
    }

    fn ints(&mut self, numbers: &[usize]) {
        self.op(b"(");
        for number in numbers {
            self.int(*number);
        }
        self.op(b"t");
    }

    fn int(&mut self, number: usize) {
        match i32::try_from(number) {
            Ok(number) => {
                self.op(b"J");
                self.op(&number.to_le_bytes());
            }
            Err(_) => {
                self.op(b"\x8a\x08");
                self.op(&(number as u64).to_le_bytes());
            }
        }
    }
}

fn row_major_strides(shape: &[usize]) -> Vec<usize> {
    let mut stride = 1;
    let mut strides = vec![0; shape.len()];
    for (at, size) in strides.iter_mut().zip(shape).rev() {
        *at = stride;
        stride *= size;
    }
    strides
}
