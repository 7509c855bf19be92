//! Whatever a manifest says, reading it gives a manifest or an error.
#![no_main]

use std::path::Path;

use janus_runtime::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Ok(manifest) = Manifest::parse(text, Path::new("manifest.json")) {
        let written = manifest.to_json().expect("a manifest can be written");
        let again = Manifest::parse(written.as_bytes(), Path::new("manifest.json"));
        assert_eq!(again.expect("what was written can be read"), manifest);
    }
});
