//! ONNX Runtime as a package of Python, found without being imported.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::find::{Library, Origin, file_names, in_directory};
use crate::flavour::{Flavour, Platform, Version};
use crate::request::{Interpreter, Request};

/// The packages that bring an ONNX Runtime library, as their metadata spells them.
const PACKAGES: [(&str, Flavour); 5] = [
    ("onnxruntime", Flavour::Cpu),
    ("onnxruntime_gpu", Flavour::Cuda),
    ("onnxruntime_directml", Flavour::DirectMl),
    ("onnxruntime_openvino", Flavour::OpenVino),
    ("onnxruntime_webgpu", Flavour::WebGpu),
];

/// Prints the folders that packages are imported from; run without the current directory.
const LIST_FOLDERS: &str =
    "import site, sys; print('\\n'.join(sys.path + [site.getusersitepackages()]))";

/// The package folders of the active virtual environment.
pub(crate) fn virtual_env_folders(request: &Request) -> Vec<PathBuf> {
    let Some(root) = &request.virtual_env else {
        return Vec::new();
    };
    let lib = root.join("lib");
    let versions = file_names(&lib)
        .into_iter()
        .filter(|name| name.starts_with("python"));
    let mut folders: Vec<PathBuf> = versions
        .map(|version| lib.join(version).join("site-packages"))
        .collect();
    folders.push(root.join("Lib").join("site-packages"));
    folders.retain(|folder| folder.is_dir());
    folders
}

/// The package folders of the first interpreter that answers.
pub(crate) fn interpreter_folders(request: &Request) -> Vec<PathBuf> {
    request
        .interpreters
        .iter()
        .find_map(ask)
        .unwrap_or_default()
}

fn ask(interpreter: &Interpreter) -> Option<Vec<PathBuf>> {
    let output = Command::new(&interpreter.program)
        .args(&interpreter.arguments)
        .args(["-I", "-X", "utf8", "-c", LIST_FOLDERS])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    let answer = String::from_utf8(output.stdout).ok()?;
    let folders = answer.lines().map(PathBuf::from);
    Some(
        folders
            .filter(|folder| folder.is_absolute() && folder.is_dir())
            .collect(),
    )
}

/// The library of the ONNX Runtime package in a folder of packages.
pub(crate) fn in_site_packages(folder: &Path, platform: Platform) -> Option<Library> {
    let libraries = folder.join("onnxruntime").join("capi");
    let found = in_directory(&libraries, platform, Origin::PythonPackage)?;
    let metadata = file_names(folder).iter().find_map(|name| package(name));
    let (flavour, version) = metadata.unzip();
    Some(Library {
        version: found.version.or(version),
        flavour: found.flavour.or(flavour),
        ..found
    })
}

/// What a name such as `onnxruntime_gpu-1.31.1.dist-info` tells.
fn package(name: &str) -> Option<(Flavour, Version)> {
    let (package, version) = name.strip_suffix(".dist-info")?.split_once('-')?;
    let (_, flavour) = PACKAGES.iter().find(|(known, _)| *known == package)?;
    Some((*flavour, version.parse().ok()?))
}
