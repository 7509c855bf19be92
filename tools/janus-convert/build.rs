//! A fingerprint of the converter: exports that another one made can be told apart.

use std::path::Path;
use std::{env, fs};

fn main() {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    // The file format and the reader's contract are part of what an export is.
    let others = ["../janus-onnx/src", "../../janus-runtime/src"];
    for sources in ["src", "recipes"].into_iter().chain(others) {
        println!("cargo:rerun-if-changed={sources}");
        add(Path::new(sources), &mut hash);
    }
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    println!(
        "cargo:rustc-env=JANUS_CONVERT_FINGERPRINT={version}-{:016x}",
        hash.0
    );
}

/// The FNV-1a hash: it guards against mistakes, not against an attacker.
struct Fnv(u64);

impl Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

/// Adds every file below `dir`, by name.
fn add(dir: &Path, hash: &mut Fnv) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            add(&path, hash);
        } else if let Ok(text) = fs::read(&path) {
            hash.write(&text);
        }
    }
}
