//! What an install leaves in the cache, whatever goes wrong.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod registry;

use std::fs;

use janus_install::seam::{Installer, Package, Registry};
use janus_install::{Error, Flavour, Library, Origin, Platform, Request, find, verify};
use registry::{
    FakeClient, LIBRARIES, MAIN_LIBRARY, VERSION, install, install_wheel, names, node_package,
    node_pin, options, sha256, sorted, source, wheel, wheel_pin,
};

#[test]
fn the_libraries_are_installed_and_nothing_else() {
    let cache = tempfile::tempdir().unwrap();
    let library = install_wheel(cache.path(), &wheel()).unwrap();

    let place = cache.path().join("onnxruntime/cpu-1.99.0");
    let expected = Library {
        path: place.join(MAIN_LIBRARY),
        version: Some(VERSION),
        flavour: Some(Flavour::Cpu),
        origin: Origin::Cache,
    };
    assert_eq!(library, expected);
    assert_eq!(
        names(&place),
        sorted(["install.json", LIBRARIES[0].0, LIBRARIES[1].0])
    );
    for (name, bytes) in LIBRARIES {
        assert_eq!(fs::read(place.join(name)).unwrap(), bytes);
    }
    assert_eq!(
        names(&cache.path().join("onnxruntime")),
        [".lock", "cpu-1.99.0"]
    );
    verify(&library).unwrap();
    assert_eq!(
        find(&Request::default().cache(cache.path())).unwrap(),
        expected
    );
}

#[test]
fn a_node_package_is_installed_where_there_is_no_python() {
    let cache = tempfile::tempdir().unwrap();
    let (wheel, tarball) = (wheel(), node_package());
    let sources = [source(wheel_pin(&wheel)), source(node_pin(&tarball))];
    let python = FakeClient::broken(Registry::Python, "is not installed");
    let node = FakeClient::with(&node_pin(&tarball), tarball);
    let library = install(cache.path(), &sources, &[&python, &node]).unwrap();
    for (name, bytes) in LIBRARIES {
        assert_eq!(fs::read(library.directory().join(name)).unwrap(), bytes);
    }
    assert_eq!((python.fetched(), node.fetched()), (1, 1));
}

#[test]
fn what_is_installed_is_not_fetched_again() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = wheel();
    let package = wheel_pin(&bytes);
    let client = FakeClient::with(&package, bytes);
    let first = install(cache.path(), &[source(package)], &[&client]).unwrap();
    let second = install(cache.path(), &[source(package)], &[&client]).unwrap();
    assert_eq!(first, second);
    assert_eq!(client.fetched(), 1);
}

#[test]
fn a_file_that_is_not_the_pinned_one_is_not_kept() {
    let bytes = wheel();
    let pin = wheel_pin(&bytes);
    let mut altered = bytes.clone();
    altered[40] ^= 1;
    let (expected, found) = (sha256(&bytes), sha256(&altered));
    let (size, half) = (bytes.len(), bytes.len() / 2);
    let cases = [
        (
            FakeClient::with(&pin, altered),
            format!(
                "the fetched `{}` has SHA-256 {found}; it should have {expected}; \
                 nothing was kept",
                pin.file
            ),
        ),
        (
            FakeClient::with(&pin, bytes[..half].to_vec()),
            format!(
                "the fetched `{}` has {half} bytes; it should have {size}; nothing was kept",
                pin.file
            ),
        ),
        (
            FakeClient::with_other_file("onnxruntime-1.98.0-cp312-cp312-test.whl"),
            format!(
                "`fake python` should have fetched `{}`; \
                 it fetched `onnxruntime-1.98.0-cp312-cp312-test.whl`",
                pin.file
            ),
        ),
        (
            FakeClient::with_other_file("index.html"),
            format!(
                "`fake python` should have fetched `{}`; it fetched nothing",
                pin.file
            ),
        ),
    ];
    for (client, expected) in cases {
        let cache = tempfile::tempdir().unwrap();
        let error = install(cache.path(), &[source(pin)], &[&client]).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(names(&cache.path().join("onnxruntime")), [".lock"]);
    }
}

#[test]
fn an_archive_without_the_libraries_is_an_error() {
    let bytes = wheel();
    let lacking = Package {
        libraries: &[MAIN_LIBRARY, "libonnxruntime_providers_cuda.so"],
        ..wheel_pin(&bytes)
    };
    let tarball = node_package();
    let lacking_too = Package {
        libraries: lacking.libraries,
        ..node_pin(&tarball)
    };
    let garbage = vec![7; 4096];
    let cases = [
        (
            lacking,
            bytes,
            "`onnxruntime-1.99.0-cp312-cp312-test.whl` \
             has no `onnxruntime/capi/libonnxruntime_providers_cuda.so`",
        ),
        (
            lacking_too,
            tarball,
            "`onnxruntime-node-1.99.0.tgz` has no `package/bin/libonnxruntime_providers_cuda.so`",
        ),
        (
            wheel_pin(&garbage),
            garbage.clone(),
            "cannot unpack `onnxruntime-1.99.0-cp312-cp312-test.whl`",
        ),
        (
            node_pin(&garbage),
            garbage,
            "cannot unpack `onnxruntime-node-1.99.0.tgz`",
        ),
    ];
    for (package, bytes, expected) in cases {
        let cache = tempfile::tempdir().unwrap();
        let client = FakeClient::with(&package, bytes);
        let error = install(cache.path(), &[source(package)], &[&client]).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(names(&cache.path().join("onnxruntime")), [".lock"]);
    }
}

#[test]
fn a_client_that_fails_leaves_it_to_the_next() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = wheel();
    let pin = wheel_pin(&bytes);
    let broken = FakeClient::broken(Registry::Python, "failed (exit status: 1): no network");
    let working = FakeClient::with(&pin, bytes);
    install(cache.path(), &[source(pin)], &[&broken, &working]).unwrap();
}

#[test]
fn where_every_client_fails_the_error_says_what_to_do() {
    let cache = tempfile::tempdir().unwrap();
    let (wheel, tarball) = (wheel(), node_package());
    let sources = [source(wheel_pin(&wheel)), source(node_pin(&tarball))];
    let python = FakeClient::broken(Registry::Python, "failed (exit status: 1): no network");
    let node = FakeClient::broken(Registry::Node, "is not installed");
    let error = install(cache.path(), &sources, &[&python, &node]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot fetch ONNX Runtime for `cpu`: \
             `fake python` failed (exit status: 1): no network; `fake node` is not installed; \
             by hand: run `python3 -m pip download --no-deps --only-binary=:all: \
             --implementation=cp --python-version=3.12 --platform=test onnxruntime==1.99.0` \
             on a machine with a network, take the files of `onnxruntime/capi` out of it, \
             and set ORT_DYLIB_PATH to `{MAIN_LIBRARY}` among them"
        )
    );
    assert_eq!(names(&cache.path().join("onnxruntime")), [".lock"]);
}

#[test]
fn a_flavour_that_is_not_published_is_an_error() {
    let cache = tempfile::tempdir().unwrap();
    let installer = Installer {
        platform: Platform::LinuxX64,
        sources: janus_install::seam::SOURCES,
        clients: &[],
    };
    let error = installer
        .install(Flavour::DirectMl, &options(cache.path()))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "flavour `directml` is not published for linux-x64; it is for windows-x64, windows-arm64"
    );
    assert!(names(cache.path()).is_empty());
}

#[test]
fn a_cache_that_cannot_be_written_is_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    let cache = file.join("cache");
    let error = install_wheel(&cache, &wheel()).unwrap_err();
    assert!(matches!(error, Error::CacheNotWritable { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "cannot write to the cache `{}`; name another with --cache or JANUS_CACHE_DIR, \
             or set ORT_DYLIB_PATH to a library",
            cache.join("onnxruntime").display()
        )
    );
}
