//! Whatever a pickle asks for, opening the archive around it gives a checkpoint or an error.
#![no_main]

use std::cell::RefCell;
use std::io::{Cursor, Write};

use janus_convert::checkpoint::Checkpoint;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Bytes of the one storage that the pickle may speak of.
const STORAGE: usize = 256;

thread_local! {
    static DIR: RefCell<TempDir> = RefCell::new(TempDir::new().expect("a directory"));
}

/// A file as `torch.save` writes it, around a pickle.
fn archive(pickle: &[u8]) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in [
        ("archive/data.pkl", pickle),
        ("archive/byteorder", b"little".as_slice()),
        ("archive/data/0", [0; STORAGE].as_slice()),
        ("archive/version", b"3\n".as_slice()),
    ] {
        zip.start_file(name, stored)?;
        zip.write_all(content)?;
    }
    Ok(zip.finish()?.into_inner())
}

fuzz_target!(|pickle: &[u8]| {
    DIR.with_borrow(|dir| {
        let file = archive(pickle).expect("an archive");
        std::fs::write(dir.path().join("pytorch_model.bin"), file).expect("room for a file");
        let _ = Checkpoint::open(dir.path());
    });
});
