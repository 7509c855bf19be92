//! Installed libraries that somebody changed, and installs that somebody stopped.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod registry;

use std::fs;
use std::path::Path;

use janus_install::{Error, Library, Platform, Request, find, verify};
use registry::{LIBRARIES, MAIN_LIBRARY, install_wheel, names, sha256, wheel};
use tempfile::TempDir;

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
    let cases: [(&str, Damage, &str); 7] = [
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

/// Does something to the directory of an installed library.
type Damage = fn(&Path);

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
