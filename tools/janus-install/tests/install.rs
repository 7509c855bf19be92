//! What an install leaves in the cache, whatever goes wrong.

mod registry;

use std::fs;
use std::path::{Path, PathBuf};

use janus_install::seam::{Fetch, Installer, Package, Registry, Source};
use janus_install::{
    Error, Flavour, Library, Options, Origin, Platform, Request, Result, find, verify,
};
use registry::{
    FakeClient, LIBRARIES, MAIN_LIBRARY, VERSION, node_package, node_pin, sha256, source, wheel,
    wheel_pin,
};
use tempfile::TempDir;

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

#[test]
fn what_an_interrupted_install_left_is_no_library_and_is_deleted() {
    let cache = tempfile::tempdir().unwrap();
    let library = install_wheel(cache.path(), &wheel()).unwrap();
    // The moment before the rename: everything is there, under the name that nobody looks at.
    let onnxruntime = cache.path().join("onnxruntime");
    fs::rename(library.directory(), onnxruntime.join(".unfinished-abc")).unwrap();
    fs::create_dir(onnxruntime.join(".unfinished-def")).unwrap();
    fs::write(onnxruntime.join(".unfinished-def/half.whl"), "half").unwrap();

    let error = find(&Request::default().cache(cache.path())).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    install_wheel(cache.path(), &wheel()).unwrap();
    assert_eq!(names(&onnxruntime), [".lock", "cpu-1.99.0"]);
}

#[test]
fn a_library_that_was_tampered_with_is_detected_and_replaced() {
    let (_cache, library) = installed();
    let path = library.directory().join(LIBRARIES[1].0);
    let mut bytes = LIBRARIES[1].1.to_vec();
    bytes[3] ^= 0x20;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(
        verify(&library).unwrap_err().to_string(),
        format!(
            "`{}` has SHA-256 {}; its record says {}",
            path.display(),
            sha256(&bytes),
            sha256(LIBRARIES[1].1)
        )
    );

    let cache = library.directory().ancestors().nth(2).unwrap();
    install_wheel(cache, &wheel()).unwrap();
    verify(&library).unwrap();
    assert_eq!(names(&cache.join("onnxruntime")), [".lock", "cpu-1.99.0"]);
}

#[test]
fn a_damaged_install_is_passed_over_with_the_reason() {
    let cases: [(&str, fn(&Path), &str); 7] = [
        (
            "cut",
            |place| fs::write(place.join(MAIN_LIBRARY), "the").unwrap(),
            "has 3 bytes; its record says 18",
        ),
        (
            "deleted",
            |place| fs::remove_file(place.join(MAIN_LIBRARY)).unwrap(),
            "cannot read `",
        ),
        (
            "without a record",
            |place| fs::remove_file(place.join("install.json")).unwrap(),
            "cannot read `",
        ),
        (
            "half a record",
            |place| edit_record(place, |text| text.truncate(text.len() / 2)),
            "cannot parse `",
        ),
        (
            "another format",
            |place| {
                edit_record(place, |text| {
                    *text = text.replace("\"format\": 1", "\"format\": 2")
                })
            },
            "`format` is `2`; it should be 1",
        ),
        (
            "a path",
            |place| {
                edit_record(place, |text| {
                    *text = text.replace(MAIN_LIBRARY, "../../evil.so")
                })
            },
            "`name` is `../../evil.so`; it should be a file name",
        ),
        (
            "another machine's",
            |place| {
                let other = match Platform::current().unwrap() {
                    Platform::WindowsArm64 => "linux-x64",
                    _ => "windows-arm64",
                };
                let current = Platform::current().unwrap().name();
                edit_record(place, |text| *text = text.replace(current, other));
            },
            "`platform` is `",
        ),
    ];
    for (case, damage, expected) in cases {
        let (cache, library) = installed();
        damage(library.directory());
        match find(&Request::default().cache(cache.path())) {
            Err(Error::NotFound { rejected, .. }) => {
                assert_eq!(rejected[0].path, library.directory(), "{case}");
                assert!(
                    rejected[0].reason.contains(expected),
                    "{case}: {}",
                    rejected[0].reason
                );
            }
            other => panic!("{case}: {other:?}"),
        }
        install_wheel(cache.path(), &wheel()).unwrap();
        assert_eq!(
            find(&Request::default().cache(cache.path())).unwrap(),
            library,
            "{case}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_library_that_others_can_write_is_passed_over() {
    use std::os::unix::fs::PermissionsExt;

    let (cache, library) = installed();
    let mode = fs::metadata(&library.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    fs::set_permissions(&library.path, fs::Permissions::from_mode(0o646)).unwrap();
    let error = find(&Request::default().cache(cache.path())).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("can be written by others (mode 646)"),
        "{error}"
    );
}

fn edit_record(place: &Path, edit: impl FnOnce(&mut String)) {
    let path = place.join("install.json");
    let mut text = fs::read_to_string(&path).unwrap();
    edit(&mut text);
    fs::write(path, text).unwrap();
}

/// A cache with the library in it.
fn installed() -> (TempDir, Library) {
    let cache = tempfile::tempdir().unwrap();
    let library = install_wheel(cache.path(), &wheel()).unwrap();
    (cache, library)
}

fn install_wheel(cache: &Path, bytes: &[u8]) -> Result<Library> {
    let package = wheel_pin(bytes);
    let client = FakeClient::with(&package, bytes.to_vec());
    install(cache, &[source(package)], &[&client])
}

fn install(cache: &Path, sources: &[Source], clients: &[&dyn Fetch]) -> Result<Library> {
    let platform = Platform::current().unwrap();
    let installer = Installer {
        platform,
        sources,
        clients,
    };
    installer.install(Flavour::Cpu, &options(cache))
}

fn options(cache: &Path) -> Options<'_> {
    Options {
        cache,
        progress: &|_| {},
    }
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    sorted(
        paths
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap()),
    )
}

fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    names.sort();
    names
}
