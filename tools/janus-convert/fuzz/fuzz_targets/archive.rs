//! Whatever a PyTorch file holds, opening and reading it gives values or an error.
#![no_main]

#[path = "../../tests/hostile/reading.rs"]
mod reading;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static DIR: TempDir = TempDir::new().expect("a directory");
}

fuzz_target!(|file: &[u8]| {
    DIR.with(|dir| drop(reading::read_all(dir.path(), "pytorch_model.bin", file)));
});
