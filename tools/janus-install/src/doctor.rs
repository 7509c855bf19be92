//! A report on the library that would be used, for a person who asks why something does not run.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::in_full;
use crate::find::{Library, file_names, find, verify};
use crate::flavour::{Flavour, Platform};
use crate::record;
use crate::request::Request;

/// Which library would be used, whether it is whole, and what its providers lack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Doctor {
    /// This machine, if ONNX Runtime is published for it.
    pub platform: Option<Platform>,
    /// The library.
    pub library: Option<Library>,
    /// Why there is none.
    pub problem: Option<String>,
    /// Whether it is what was installed.
    pub integrity: Integrity,
    /// The provider libraries that lie beside it.
    pub provider_libraries: Vec<String>,
    /// The libraries that these need and the system would not find.
    pub missing: Vec<Missing>,
    /// The providers that the loaded library reports; left empty for the caller, who loads it.
    pub providers: Vec<String>,
}

/// Whether a library is what was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Integrity {
    /// Every file has the recorded SHA-256.
    Unchanged,
    /// Somebody else installed it; nothing is recorded.
    Unrecorded,
    /// A file is missing or differs; says which one.
    Changed(String),
}

/// A library that a provider needs and the system would not find.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The provider.
    pub provider: &'static str,
    /// The library's file.
    pub library: &'static str,
    /// How to get it.
    pub remedy: &'static str,
}

/// Reports on the library that [`find`] gives for `request`. The contents of an installed library
/// are read in full.
pub fn diagnose(request: &Request) -> Doctor {
    let platform = Platform::current();
    let mut doctor = Doctor {
        platform,
        library: None,
        problem: None,
        integrity: Integrity::Unrecorded,
        provider_libraries: Vec::new(),
        missing: Vec::new(),
        providers: Vec::new(),
    };
    match find(request) {
        Ok(library) => {
            doctor.integrity = integrity(&library);
            doctor.provider_libraries = provider_libraries(library.directory());
            let folders = [request.loader_path.clone(), system_folders()].concat();
            doctor.missing = missing(&library, &doctor.provider_libraries, &folders);
            doctor.library = Some(library);
        }
        Err(error) => doctor.problem = Some(in_full(&error)),
    }
    doctor
}

impl fmt::Display for Doctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let platform = self
            .platform
            .map_or("none that ONNX Runtime is published for", Platform::name);
        write!(f, "platform   {platform}")?;
        if let Some(problem) = &self.problem {
            write!(f, "\nproblem    {problem}")?;
        }
        let Some(library) = &self.library else {
            return Ok(());
        };
        let version = library
            .version
            .map_or("unknown".to_owned(), |version| version.to_string());
        let flavour = library.flavour.map_or("unknown", Flavour::name);
        write!(
            f,
            "\nlibrary    {} ({})",
            library.path.display(),
            library.origin
        )?;
        write!(f, "\nversion    {version}")?;
        write!(f, "\nflavour    {flavour}")?;
        write!(f, "\nintegrity  {}", self.integrity)?;
        for (label, names) in [
            ("beside it ", &self.provider_libraries),
            ("providers ", &self.providers),
        ] {
            if !names.is_empty() {
                write!(f, "\n{label} {}", names.join(", "))?;
            }
        }
        for Missing {
            provider,
            library,
            remedy,
        } in &self.missing
        {
            write!(f, "\nmissing    {library} for {provider}: {remedy}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("unchanged since it was installed"),
            Self::Unrecorded => f.write_str("unknown; `janus` did not install it"),
            Self::Changed(what) => write!(f, "changed: {what}"),
        }
    }
}

fn integrity(library: &Library) -> Integrity {
    if !library.directory().join(record::FILE_NAME).exists() {
        return Integrity::Unrecorded;
    }
    match verify(library) {
        Ok(()) => Integrity::Unchanged,
        Err(error) => Integrity::Changed(in_full(&error)),
    }
}

fn provider_libraries(directory: &Path) -> Vec<String> {
    let is_one = |name: &String| {
        name.contains("onnxruntime_providers_") || name.eq_ignore_ascii_case("directml.dll")
    };
    file_names(directory).into_iter().filter(is_one).collect()
}

/// What may need libraries that the system lacks.
#[derive(Clone, Copy)]
enum Provider {
    Cpu,
    Cuda,
    TensorRt,
    OpenVino,
    WebGpu,
}

/// A provider, a library that it loads, and how to get that.
type Need = (Provider, &'static str, &'static str);

const LINUX: &[Need] = &[
    (Provider::Cpu, "libstdc++.so.6", CPP_RUNTIME),
    (Provider::Cuda, "libcuda.so.1", DRIVER),
    (Provider::Cuda, "libcudart.so.13", CUDA),
    (Provider::Cuda, "libcublas.so.13", CUDA),
    (Provider::Cuda, "libcublasLt.so.13", CUDA),
    (Provider::Cuda, "libcufft.so.12", CUDA),
    (Provider::Cuda, "libcurand.so.10", CUDA),
    (Provider::Cuda, "libcudnn.so.9", CUDNN),
    (Provider::Cuda, "libz.so.1", "install the system's zlib"),
    (Provider::TensorRt, "libnvinfer.so.10", TENSORRT),
    (Provider::TensorRt, "libnvonnxparser.so.10", TENSORRT),
    (Provider::OpenVino, "libopenvino.so.2541", OPENVINO),
    (Provider::OpenVino, "libz.so.1", "install the system's zlib"),
    (
        Provider::WebGpu,
        "libvulkan.so.1",
        "install the system's Vulkan loader",
    ),
];

const WINDOWS: &[Need] = &[
    (Provider::Cpu, "msvcp140.dll", CPP_RUNTIME),
    (Provider::Cuda, "nvcuda.dll", DRIVER),
    (Provider::Cuda, "cudart64_13.dll", CUDA),
    (Provider::Cuda, "cublas64_13.dll", CUDA),
    (Provider::Cuda, "cublasLt64_13.dll", CUDA),
    (Provider::Cuda, "cufft64_12.dll", CUDA),
    (Provider::Cuda, "cudnn64_9.dll", CUDNN),
    (Provider::TensorRt, "nvinfer_10.dll", TENSORRT),
    (Provider::TensorRt, "nvonnxparser_10.dll", TENSORRT),
    (Provider::OpenVino, "openvino.dll", OPENVINO),
];

const CPP_RUNTIME: &str = "install the system's C++ runtime";
const DRIVER: &str = "install the NVIDIA driver, version 580 or newer";
const CUDA: &str = "run `janus runtime install cuda`, or install CUDA 13";
const CUDNN: &str = "run `janus runtime install cuda`, or install cuDNN 9 for CUDA 13";
const TENSORRT: &str =
    "install TensorRT 10 for CUDA 13, and put its directory on the loader's path";
const OPENVINO: &str = "install OpenVINO 2025.4, and put its directory on the loader's path";

impl Provider {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "ONNX Runtime",
            Self::Cuda => "CUDA",
            Self::TensorRt => "TensorRT",
            Self::OpenVino => "OpenVINO",
            Self::WebGpu => "WebGPU",
        }
    }

    /// Whether the library has this provider, beside it or, for WebGPU, inside.
    fn is_part_of(self, library: &Library, provider_libraries: &[String]) -> bool {
        let has = |part| provider_libraries.iter().any(|name| name.contains(part));
        match self {
            Self::Cpu => true,
            Self::Cuda => has("_providers_cuda"),
            Self::TensorRt => has("_providers_tensorrt"),
            Self::OpenVino => has("_providers_openvino"),
            Self::WebGpu => library.flavour == Some(Flavour::WebGpu),
        }
    }
}

fn missing(library: &Library, provider_libraries: &[String], folders: &[PathBuf]) -> Vec<Missing> {
    let needs = match Platform::current() {
        Some(Platform::LinuxX64 | Platform::LinuxArm64) => LINUX,
        Some(Platform::WindowsX64 | Platform::WindowsArm64) => WINDOWS,
        Some(Platform::MacArm64) | None => &[],
    };
    let is_there = |file: &str| {
        folders.iter().any(|folder| folder.join(file).exists())
            || library.directory().join(file).exists()
    };
    needs
        .iter()
        .filter(|(provider, ..)| provider.is_part_of(library, provider_libraries))
        .filter(|(_, file, _)| !is_there(file))
        .map(|&(provider, library, remedy)| Missing {
            provider: provider.name(),
            library,
            remedy,
        })
        .collect()
}

/// Where Linux looks for libraries in the end: the loader's own directories, and those that its
/// configuration names.
fn system_folders() -> Vec<PathBuf> {
    if !cfg!(target_os = "linux") {
        return Vec::new();
    }
    let parts = Path::new("/etc/ld.so.conf.d");
    let mut files = vec![PathBuf::from("/etc/ld.so.conf")];
    files.extend(file_names(parts).iter().map(|name| parts.join(name)));
    let texts = files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok());
    let named: Vec<PathBuf> = texts
        .flat_map(|text| {
            text.lines()
                .map(|line| PathBuf::from(line.trim()))
                .collect::<Vec<_>>()
        })
        .filter(|line| line.is_absolute())
        .collect();
    let own = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from);
    named.into_iter().chain(own).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::find::Origin;

    #[test]
    fn what_the_providers_need_is_looked_for_beside_them_and_on_the_path() {
        let (own, path) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13"] {
            fs::write(own.path().join(name), "").unwrap();
        }
        for name in [
            "libstdc++.so.6",
            "libcuda.so.1",
            "libz.so.1",
            "libnvinfer.so.10",
        ] {
            fs::write(path.path().join(name), "").unwrap();
        }
        let library = |flavour| Library {
            path: own.path().join("libonnxruntime.so.1.99.0"),
            version: None,
            flavour: Some(flavour),
            origin: Origin::Named,
        };
        let missing = |flavour, provider: &str| -> Vec<String> {
            let libraries = [format!("libonnxruntime_providers_{provider}.so")];
            missing(&library(flavour), &libraries, &[path.path().to_owned()])
                .iter()
                .map(|missing| format!("{} {}", missing.provider, missing.library))
                .collect()
        };
        assert_eq!(missing(Flavour::Cpu, "shared"), [""; 0]);
        assert_eq!(
            missing(Flavour::Cuda, "cuda"),
            [
                "CUDA libcufft.so.12",
                "CUDA libcurand.so.10",
                "CUDA libcudnn.so.9"
            ]
        );
        assert_eq!(
            missing(Flavour::Cuda, "tensorrt"),
            ["TensorRT libnvonnxparser.so.10"]
        );
        assert_eq!(
            missing(Flavour::OpenVino, "openvino"),
            ["OpenVINO libopenvino.so.2541"]
        );
        assert_eq!(
            missing(Flavour::WebGpu, "shared"),
            ["WebGPU libvulkan.so.1"]
        );
    }
}
