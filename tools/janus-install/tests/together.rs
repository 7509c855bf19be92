//! Two installs at once, and installs that are killed.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod registry;

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use janus_install::seam::{Fetch, Installer, Package, Registry};
use janus_install::{
    Attempt, Error, Flavour, Library, Options, Platform, Progress, Request, Result, find, verify,
};
use registry::{source, wheel, wheel_pin};

/// Tells a copy of this test program which cache to install into.
const CACHE: &str = "JANUS_INSTALL_TEST_CACHE";

/// Makes a copy of this test program install.
const INSTALL: [&str; 2] = ["--exact", "install_where_the_environment_says"];

#[test]
fn threads_that_install_at_once_share_one_download() {
    let cache = tempfile::tempdir().unwrap();
    let waited = AtomicUsize::new(0);
    let start = Barrier::new(4);
    let libraries: Vec<Library> = thread::scope(|scope| {
        let one = || {
            start.wait();
            let waiting = |progress: Progress<'_>| {
                if matches!(progress, Progress::Waiting { .. }) {
                    waited.fetch_add(1, Ordering::SeqCst);
                }
            };
            install_slowly(cache.path(), &waiting).unwrap()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(libraries.iter().all(|library| *library == libraries[0]));
    assert_eq!(downloads(cache.path()), 1);
    assert!(waited.into_inner() > 0, "nobody waited");
}

#[test]
fn processes_that_install_at_once_share_one_download() {
    let cache = tempfile::tempdir().unwrap();
    let children: Vec<Child> = (0..3).map(|_| install_in_a_process(cache.path())).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(downloads(cache.path()), 1);
    verify(&find(&Request::default().cache(cache.path())).unwrap()).unwrap();
}

#[test]
fn an_install_that_is_killed_leaves_a_whole_library_or_none() {
    let cache = tempfile::tempdir().unwrap();
    let mut seen = [0, 0];
    for moment in (0..30).map(|step| Duration::from_millis(4 * step)) {
        let mut child = install_in_a_process(cache.path());
        thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        match find(&Request::default().cache(cache.path())) {
            Ok(library) => {
                verify(&library).unwrap();
                fs::remove_dir_all(library.directory()).unwrap();
                seen[1] += 1;
            }
            Err(Error::NotFound { rejected, .. }) => {
                assert_eq!(rejected, [], "killed after {moment:?}");
                seen[0] += 1;
            }
            Err(error) => panic!("killed after {moment:?}: {error}"),
        }
    }
    assert!(seen[0] > 0, "no install was killed before its end");
    install_slowly(cache.path(), &|_| {}).unwrap();
    let mut names: Vec<_> = fs::read_dir(cache.path().join("onnxruntime"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, [".lock", "cpu-1.99.0"]);
}

#[cfg(unix)]
#[test]
fn the_library_is_safe_whatever_the_file_mask() {
    use std::os::unix::fs::PermissionsExt;

    for mask in ["000", "077"] {
        let cache = tempfile::tempdir().unwrap();
        let status = Command::new("sh")
            .args(["-c", "umask $1; shift; exec \"$@\"", "sh", mask])
            .arg(env::current_exe().unwrap())
            .args(INSTALL)
            .env(CACHE, cache.path())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        let library = find(&Request::default().cache(cache.path())).unwrap();
        for (path, expected) in [
            (library.path.as_path(), 0o644),
            (library.directory(), 0o755),
            (&cache.path().join("onnxruntime"), 0o755),
        ] {
            let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, expected, "{} under {mask}", path.display());
        }
    }
}

/// What the copies of this program run; nothing when it is run as a test.
#[test]
fn install_where_the_environment_says() {
    if let Some(cache) = env::var_os(CACHE) {
        install_slowly(Path::new(&cache), &|_| {}).unwrap();
    }
}

/// A client that takes its time, and writes down that it was asked.
struct SlowClient {
    log: PathBuf,
    bytes: Vec<u8>,
}

impl Fetch for SlowClient {
    fn name(&self) -> String {
        "slow".to_owned()
    }

    fn serves(&self, registry: Registry) -> bool {
        registry == Registry::Python
    }

    fn fetch(&self, package: &Package, folder: &Path, _: &dyn Fn(u64)) -> Result<(), Attempt> {
        let mut log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        writeln!(log, "asked").unwrap();
        let mut file = File::create(folder.join(package.file)).unwrap();
        for part in self.bytes.chunks(self.bytes.len() / 10) {
            file.write_all(part).unwrap();
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

fn install_slowly(cache: &Path, progress: &dyn Fn(Progress<'_>)) -> Result<Library> {
    let bytes = wheel();
    let package = wheel_pin(&bytes);
    let log = cache.join("log");
    let installer = Installer {
        platform: Platform::current().unwrap(),
        sources: &[source(package)],
        clients: &[&SlowClient { log, bytes }],
    };
    installer.install(Flavour::Cpu, &Options { cache, progress })
}

fn install_in_a_process(cache: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(INSTALL)
        .env(CACHE, cache)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// How often a client was asked.
fn downloads(cache: &Path) -> usize {
    fs::read_to_string(cache.join("log"))
        .unwrap()
        .lines()
        .count()
}
