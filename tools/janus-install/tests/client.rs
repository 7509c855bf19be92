//! Package clients as programs that are really run.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod registry;

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use janus_install::Attempt;
use janus_install::seam::{Client, Fetch, Package, Registry};
use registry::{node_pin, wheel_pin};
use tempfile::TempDir;

#[test]
fn pip_is_asked_for_one_wheel_in_its_own_folder() {
    let script = Script::new("pip", r#"printf '%s\n' "$PWD" "$TMPDIR" "$@" > asked"#);
    let folder = script.fetch(&wheel_pin(b"wheel")).unwrap();
    let asked = fs::read_to_string(folder.join("asked")).unwrap();
    let folder = folder.canonicalize().unwrap();
    let folder = folder.display();
    assert_eq!(
        asked,
        format!(
            "{folder}\n{folder}/tmp\ndownload\n--no-cache-dir\n--disable-pip-version-check\n\
             --no-input\n--progress-bar=off\n--dest=.\n--no-deps\n--only-binary=:all:\n\
             --implementation=cp\n--python-version=3.12\n--platform=test\nonnxruntime==1.99.0\n"
        )
    );
}

#[test]
fn npm_is_asked_for_one_package_and_runs_no_script_of_it() {
    let script = Script::new("npm", r#"printf '%s\n' "$@" > asked"#);
    let folder = script.fetch(&node_pin(b"tarball")).unwrap();
    assert_eq!(
        fs::read_to_string(folder.join("asked")).unwrap(),
        "download\n--ignore-scripts\n--loglevel=error\n--pack-destination=.\nonnxruntime@1.99.0\n"
    );
}

#[test]
fn a_client_that_fails_is_quoted_without_passwords() {
    let script = Script::new(
        "pip",
        "echo progress; echo; echo looking at https://me:secret@mirror.example/simple, really; \
         echo 'ERROR: no such package' >&2; exit 3",
    );
    let reason = script.fetch(&wheel_pin(b"wheel")).unwrap_err().reason;
    assert_eq!(
        reason,
        "failed (exit status: 3): progress | \
         looking at https://***@mirror.example/simple, really | ERROR: no such package"
    );
}

#[test]
fn a_client_that_floods_its_output_is_quoted_in_part() {
    let script = Script::new("pip", "yes 'much to say' | head -n 100000; exit 1");
    let reason = script.fetch(&wheel_pin(b"wheel")).unwrap_err().reason;
    assert_eq!(
        reason,
        "failed (exit status: 1): much to say | much to say | much to say"
    );
}

#[test]
fn a_client_that_says_nothing_or_is_not_there_is_an_error() {
    let script = Script::new("pip", "exit 1");
    let reason = script.fetch(&wheel_pin(b"wheel")).unwrap_err().reason;
    assert_eq!(reason, "failed (exit status: 1): it said nothing");

    let absent = Client::new(Registry::Python, "no-such-program", &["download"]);
    let folder = tempfile::tempdir().unwrap();
    let attempt = absent.fetch(&wheel_pin(b"wheel"), folder.path(), &|_| {});
    let (client, reason) = (
        "no-such-program download".to_owned(),
        "is not installed".to_owned(),
    );
    assert_eq!(attempt, Err(Attempt { client, reason }));
}

#[test]
fn bytes_are_counted_while_they_come() {
    let script = Script::new(
        "pip",
        "mkdir tmp/unpack; printf abc > tmp/unpack/part; sleep 0.3; mv tmp/unpack/part file",
    );
    let most = Cell::new(0);
    let folder = tempfile::tempdir().unwrap();
    let received = |bytes: u64| most.set(bytes.max(most.get()));
    let package = wheel_pin(b"wheel");
    script
        .client
        .fetch(&package, folder.path(), &received)
        .unwrap();
    assert_eq!(most.get(), 3);
}

/// A shell script in the place of a package client.
struct Script {
    directory: TempDir,
    client: Client,
}

impl Script {
    fn new(name: &str, commands: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, commands).unwrap();
        let path: &'static str = path.into_os_string().into_string().unwrap().leak();
        // Run by the shell, not as a program: another test's child may still hold it open.
        let client = Client::new(Registry::Python, "sh", vec![path, "download"].leak());
        Self { directory, client }
    }

    /// Runs the script, and returns the folder that it ran in.
    fn fetch(&self, package: &Package) -> Result<PathBuf, Attempt> {
        let folder = self.directory.path().join("folder");
        fs::create_dir(&folder).unwrap();
        self.client.fetch(package, &folder, &|_| {})?;
        Ok(folder)
    }
}
