//! Whatever a pickle asks for, opening and reading the archive around it gives values or an error.
#![no_main]

#[path = "../../tests/hostile/reading.rs"]
mod reading;
#[allow(dead_code, reason = "the cases of the test need more of it")]
#[path = "../../tests/hostile/zip.rs"]
mod zip;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use zip::Entry;

thread_local! {
    static DIR: TempDir = TempDir::new().expect("a directory");
}

fuzz_target!(|pickle: &[u8]| {
    let file = zip::archive(&[
        Entry::new("m/data.pkl", pickle),
        Entry::new("m/data/0", [0; 24]),
    ]);
    DIR.with(|dir| drop(reading::read_all(dir.path(), "pytorch_model.bin", &file)));
});
