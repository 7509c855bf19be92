//! A package registry in memory: wheels with libraries of a few bytes, and their pins.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use janus_install::seam::{Fetch, Installer, Package, Registry, Source};
use janus_install::{Attempt, Flavour, Library, Options, Platform, Result, Version};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;

/// The version that the registry has.
pub(crate) const VERSION: Version = Version {
    major: 1,
    minor: 99,
    patch: 0,
};

/// The libraries of its package.
pub(crate) const LIBRARIES: [(&str, &[u8]); 2] = [
    (MAIN_LIBRARY, b"the library itself"),
    (SHARED_LIBRARY, b"what the providers share"),
];

#[cfg(target_os = "windows")]
pub(crate) const MAIN_LIBRARY: &str = "onnxruntime.dll";
#[cfg(target_os = "macos")]
pub(crate) const MAIN_LIBRARY: &str = "libonnxruntime.1.99.0.dylib";
#[cfg(not(any(target_os = "windows", target_os = "macos")))]
pub(crate) const MAIN_LIBRARY: &str = "libonnxruntime.so.1.99.0";

const SHARED_LIBRARY: &str = "libonnxruntime_providers_shared.so";
const FILE: &str = "onnxruntime-1.99.0-cp312-cp312-test.whl";

/// A client of the registry, which says what its one file is.
pub(crate) struct FakeClient {
    registry: Registry,
    file: &'static str,
    answer: std::result::Result<Vec<u8>, String>,
    fetched: AtomicUsize,
}

impl FakeClient {
    /// Fetches `bytes` as the package's file.
    pub(crate) fn with(package: &Package, bytes: Vec<u8>) -> Self {
        Self::new(package.registry, package.file, Ok(bytes))
    }

    /// Fetches a file of another name.
    pub(crate) fn with_other_file(file: &'static str) -> Self {
        Self::new(Registry::Python, file, Ok(b"something".to_vec()))
    }

    /// Fails.
    pub(crate) fn broken(registry: Registry, reason: &str) -> Self {
        Self::new(registry, "", Err(reason.to_owned()))
    }

    /// How often it was asked.
    pub(crate) fn fetched(&self) -> usize {
        self.fetched.load(Ordering::SeqCst)
    }

    fn new(
        registry: Registry,
        file: &'static str,
        answer: std::result::Result<Vec<u8>, String>,
    ) -> Self {
        let fetched = AtomicUsize::new(0);
        Self {
            registry,
            file,
            answer,
            fetched,
        }
    }
}

impl Fetch for FakeClient {
    fn name(&self) -> String {
        format!("fake {:?}", self.registry).to_lowercase()
    }

    fn serves(&self, registry: Registry) -> bool {
        self.registry == registry
    }

    fn fetch(
        &self,
        _: &Package,
        folder: &Path,
        received: &dyn Fn(u64),
    ) -> std::result::Result<(), Attempt> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        match &self.answer {
            Ok(bytes) => {
                fs::write(folder.join(self.file), bytes).unwrap();
                received(bytes.len() as u64);
                Ok(())
            }
            Err(reason) => Err(Attempt {
                client: self.name(),
                reason: reason.clone(),
            }),
        }
    }
}

/// A wheel with the libraries, and with files that nobody needs.
pub(crate) fn wheel() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, bytes: &[u8]| {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    };
    add("onnxruntime/__init__.py", b"import onnxruntime.capi");
    add(
        "onnxruntime/capi/onnxruntime_pybind11_state.so",
        b"for Python",
    );
    for (name, bytes) in LIBRARIES {
        add(&format!("onnxruntime/capi/{name}"), bytes);
    }
    zip.finish().unwrap().into_inner()
}

/// A node package with the libraries.
pub(crate) fn node_package() -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    add("package/package.json", b"{}");
    for (name, bytes) in LIBRARIES {
        add(&format!("package/bin/{name}"), bytes);
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// The pin of a wheel.
pub(crate) fn wheel_pin(bytes: &[u8]) -> Package {
    Package {
        registry: Registry::Python,
        name: "onnxruntime",
        version: "1.99.0",
        tag: "test",
        file: FILE,
        size: bytes.len() as u64,
        sha256: sha256(bytes).leak(),
        folder: "onnxruntime/capi",
        libraries: &[MAIN_LIBRARY, SHARED_LIBRARY],
    }
}

/// The pin of a node package.
pub(crate) fn node_pin(bytes: &[u8]) -> Package {
    Package {
        registry: Registry::Node,
        tag: "",
        file: "onnxruntime-node-1.99.0.tgz",
        folder: "package/bin",
        ..wheel_pin(bytes)
    }
}

/// The CPU library of this machine, made of one package.
pub(crate) fn source(package: Package) -> Source {
    Source {
        flavour: Flavour::Cpu,
        platform: Platform::current().unwrap(),
        version: VERSION,
        packages: vec![package].leak(),
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Installs the library from a registry that has `bytes` as its wheel.
pub(crate) fn install_wheel(cache: &Path, bytes: &[u8]) -> Result<Library> {
    let package = wheel_pin(bytes);
    let client = FakeClient::with(&package, bytes.to_vec());
    install(cache, &[source(package)], &[&client])
}

/// Installs the CPU library of this machine.
pub(crate) fn install(cache: &Path, sources: &[Source], clients: &[&dyn Fetch]) -> Result<Library> {
    let platform = Platform::current().unwrap();
    let installer = Installer {
        platform,
        sources,
        clients,
    };
    installer.install(Flavour::Cpu, &options(cache))
}

/// The options of an install into `cache` that tells nobody.
pub(crate) fn options(cache: &Path) -> Options<'_> {
    Options {
        cache,
        progress: &|_| {},
    }
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    sorted(
        paths
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap()),
    )
}

/// Names, sorted.
pub(crate) fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    names.sort();
    names
}
