//! Whatever a safetensors file holds, opening it gives a checkpoint or an error.
#![no_main]

use std::cell::RefCell;

use janus_convert::checkpoint::Checkpoint;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static DIR: RefCell<TempDir> = RefCell::new(TempDir::new().expect("a directory"));
}

fuzz_target!(|file: &[u8]| {
    DIR.with_borrow(|dir| {
        std::fs::write(dir.path().join("model.safetensors"), file).expect("room for a file");
        let _ = Checkpoint::open(dir.path());
    });
});
