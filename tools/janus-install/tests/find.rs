//! Where a library is looked for, and in which order.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod registry;

use std::fs;
use std::path::{Path, PathBuf};

use janus_install::seam::Installer;
use janus_install::{
    Doctor, Error, Flavour, Integrity, Library, Options, Origin, Platform, Request, Version,
    diagnose, find,
};
use registry::{FakeClient, MAIN_LIBRARY, VERSION, source, wheel, wheel_pin};
use tempfile::TempDir;

#[test]
fn what_the_user_names_comes_first_and_a_python_package_last() {
    let machine = Machine::new();
    let mut request = machine.request();
    let mut origins = Vec::new();
    loop {
        match find(&request) {
            Ok(library) => {
                assert!(library.path.is_file(), "{library:?}");
                assert_eq!(library.version.or(Some(VERSION)), Some(VERSION));
                origins.push(library.origin);
                match library.origin {
                    Origin::Named => request.library = None,
                    Origin::DylibPath => request.dylib_path = None,
                    Origin::BesideProgram => request.beside.clear(),
                    Origin::Cache => request.cache = None,
                    Origin::PythonPackage => request.virtual_env = None,
                }
            }
            Err(error) => {
                assert_eq!(
                    error.to_string(),
                    "no ONNX Runtime library for `cpu`; \
                     run `janus runtime install cpu`, or set ORT_DYLIB_PATH"
                );
                break;
            }
        }
    }
    use Origin::{BesideProgram, Cache, DylibPath, Named, PythonPackage};
    assert_eq!(
        origins,
        [Named, DylibPath, BesideProgram, Cache, PythonPackage]
    );
}

#[test]
fn a_directory_can_be_named_too() {
    let machine = Machine::new();
    let library = find(&Request::default().library(machine.path("named"))).unwrap();
    assert_eq!(library.path, machine.path("named").join(MAIN_LIBRARY));
}

#[test]
fn a_named_library_of_the_cache_is_known_by_its_record() {
    let machine = Machine::new();
    let place = machine.path("cache/onnxruntime/cpu-1.99.0");
    let library = find(&Request::default().library(place.join(MAIN_LIBRARY))).unwrap();
    assert_eq!(library.version, Some(VERSION));
    assert_eq!(library.flavour, Some(Flavour::Cpu));
    assert_eq!(library.origin, Origin::Named);
}

#[test]
fn what_the_user_names_is_never_replaced() {
    let machine = Machine::new();
    let missing = machine.path("elsewhere/libonnxruntime.so");
    for (request, origin) in [
        (machine.request().library(&missing), "as named"),
        (
            Request {
                library: None,
                dylib_path: Some(missing.clone()),
                ..machine.request()
            },
            "by ORT_DYLIB_PATH",
        ),
    ] {
        let error = find(&request).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the ONNX Runtime library `{}` ({origin}) is not there",
                missing.display()
            )
        );
    }
    let empty = machine.path("empty");
    fs::create_dir(&empty).unwrap();
    let error = find(&machine.request().library(&empty)).unwrap_err();
    assert!(matches!(error, Error::NoSuchLibrary { .. }), "{error:?}");
}

#[cfg(not(windows))]
#[test]
fn a_library_that_is_too_old_is_an_error_if_named_and_passed_over_if_not() {
    let machine = Machine::new();
    let old = machine
        .path("old")
        .join(MAIN_LIBRARY.replace("1.99.0", "1.23.2"));
    write(&old);
    let error = find(&machine.request().library(&old)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the ONNX Runtime library `{}` (as named) is version 1.23.2; \
             1.24.0 or newer is needed",
            old.display()
        )
    );

    let request = Request {
        beside: vec![machine.path("old")],
        ..Request::default()
    };
    let error = find(&request).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "no ONNX Runtime library for `cpu` in `{}` (`{}`: version 1.23.2 is older than \
             1.24.0); run `janus runtime install cpu`, or set ORT_DYLIB_PATH",
            machine.path("old").display(),
            old.display()
        )
    );
}

#[test]
fn a_library_that_does_something_else_is_passed_over() {
    let machine = Machine::new();
    let request = Request {
        library: None,
        dylib_path: None,
        ..machine.request()
    };
    let error = find(&request.clone().flavour(Flavour::OpenVino)).unwrap_err();
    match &error {
        Error::NotFound { rejected, .. } => assert_eq!(rejected.len(), 3, "{error}"),
        other => panic!("{other:?}"),
    }

    write(
        &machine
            .path("venv/lib/python3.12/site-packages/onnxruntime/capi")
            .join("libonnxruntime_providers_openvino.so"),
    );
    let library = find(&request.flavour(Flavour::OpenVino)).unwrap();
    assert_eq!(library.origin, Origin::PythonPackage);
    assert_eq!(library.flavour, Some(Flavour::OpenVino));
}

#[test]
fn the_metadata_of_a_python_package_tells_its_flavour() {
    let machine = Machine::new();
    let packages = machine.path("venv/lib/python3.12/site-packages");
    fs::create_dir(packages.join("onnxruntime_webgpu-1.99.0.dist-info")).unwrap();
    fs::create_dir(packages.join("onnxruntime_genai-0.5.0.dist-info")).unwrap();
    let request = Request {
        virtual_env: Some(machine.path("venv")),
        ..Request::default()
    };
    let library = find(&request).unwrap();
    // Under macOS the library itself says that it has CoreML.
    if !cfg!(target_os = "macos") {
        assert_eq!(library.flavour, Some(Flavour::WebGpu));
    }
    assert_eq!(library.version, Some(VERSION));
}

#[cfg(unix)]
#[test]
fn an_interpreter_is_asked_for_its_packages() {
    use janus_install::Interpreter;

    let machine = Machine::new();
    let packages = machine.path("venv/lib/python3.12/site-packages");
    let script = format!(
        "echo; echo relative; echo /nowhere; echo '{}'",
        packages.display()
    );
    let interpreter = |program: &str, arguments: &[&str]| Interpreter {
        program: program.into(),
        arguments: arguments.iter().map(Into::into).collect(),
    };
    let request = Request {
        interpreters: vec![
            interpreter("no-such-interpreter", &[]),
            interpreter("sh", &["-c", "exit 1"]),
            interpreter("sh", &["-c", &script]),
        ],
        ..Request::default()
    };
    let library = find(&request).unwrap();
    assert_eq!(
        library.path,
        packages.join("onnxruntime/capi").join(MAIN_LIBRARY)
    );
}

#[test]
fn the_newest_library_of_the_best_flavour_is_taken() {
    let machine = Machine::new();
    let cache = machine.path("cache");
    for (flavour, minor) in [
        (Flavour::Cpu, 98),
        (Flavour::Cuda, 100),
        (Flavour::Cpu, 100),
    ] {
        machine.install(flavour, Version { minor, ..VERSION });
    }
    let found =
        |flavour| -> Library { find(&Request::default().cache(&cache).flavour(flavour)).unwrap() };
    assert_eq!(found(Flavour::Cpu).version.unwrap().to_string(), "1.100.0");
    assert_eq!(found(Flavour::Cpu).flavour, Some(Flavour::Cpu));
    assert_eq!(found(Flavour::Cuda).flavour, Some(Flavour::Cuda));

    let listing = janus_install::list(&cache);
    let installed: Vec<usize> = listing.iter().map(|line| line.installed.len()).collect();
    assert_eq!(installed, [3, 1, 0, 0, 0, 0]);
}

#[test]
fn the_doctor_reports_what_would_be_used() {
    let machine = Machine::new();
    let request = Request::default().cache(machine.path("cache"));
    let Doctor {
        library,
        integrity,
        problem,
        provider_libraries,
        ..
    } = diagnose(&request);
    let library = library.unwrap();
    assert_eq!(
        (library.origin, integrity, problem),
        (Origin::Cache, Integrity::Unchanged, None)
    );
    assert_eq!(provider_libraries, ["libonnxruntime_providers_shared.so"]);

    fs::write(&library.path, "the library itsELF").unwrap();
    let report = diagnose(&request);
    assert!(
        matches!(report.integrity, Integrity::Changed(_)),
        "{report}"
    );
    let expected = format!(
        "\nlibrary    {} (in the cache)\nversion    1.99.0\nflavour    cpu\n\
         integrity  changed: `{}` has SHA-256 ",
        library.path.display(),
        library.path.display()
    );
    assert!(report.to_string().contains(&expected), "{report}");

    let beside = Request {
        beside: vec![machine.path("beside")],
        ..Request::default()
    };
    assert_eq!(diagnose(&beside).integrity, Integrity::Unrecorded);
    let nothing = diagnose(&Request::default());
    assert!(
        nothing
            .to_string()
            .contains("\nproblem    no ONNX Runtime library"),
        "{nothing}"
    );
}

/// A machine with a library in every place.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for directory in ["named", "environment", "beside"] {
            write(&machine.path(directory).join(MAIN_LIBRARY));
        }
        let packages = machine.path("venv/lib/python3.12/site-packages");
        write(&packages.join("onnxruntime/capi").join(MAIN_LIBRARY));
        machine.install(Flavour::Cpu, VERSION);
        if cfg!(windows) {
            fs::create_dir(packages.join("onnxruntime-1.99.0.dist-info")).unwrap();
        }
        machine
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative)
    }

    fn request(&self) -> Request {
        Request {
            library: Some(self.path("named").join(MAIN_LIBRARY)),
            dylib_path: Some(self.path("environment").join(MAIN_LIBRARY)),
            beside: vec![self.path("nothing"), self.path("beside")],
            cache: Some(self.path("cache")),
            virtual_env: Some(self.path("venv")),
            ..Request::default()
        }
    }

    fn install(&self, flavour: Flavour, version: Version) {
        let bytes = wheel();
        let package = wheel_pin(&bytes);
        let installer = Installer {
            platform: Platform::current().unwrap(),
            sources: &[janus_install::seam::Source {
                flavour,
                version,
                ..source(package)
            }],
            clients: &[&FakeClient::with(&package, bytes)],
        };
        let cache = &self.path("cache");
        let progress = &|_: janus_install::Progress<'_>| {};
        installer
            .install(flavour, &Options { cache, progress })
            .unwrap();
    }
}

fn write(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "a library").unwrap();
}
