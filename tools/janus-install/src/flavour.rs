//! Which build of ONNX Runtime, for which machine, of which version.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A build of ONNX Runtime, named by the execution provider that it adds to the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// The CPU alone (on macOS the same library as [`Flavour::CoreMl`]).
    Cpu,
    /// CUDA 13, and TensorRT 10 where the user provides it.
    Cuda,
    /// DirectML, for any GPU under Windows.
    DirectMl,
    /// CoreML, for Apple silicon.
    CoreMl,
    /// OpenVINO, for Intel processors and GPUs.
    OpenVino,
    /// WebGPU over Vulkan, Direct3D 12 or Metal.
    WebGpu,
}

impl Flavour {
    /// Every flavour, the one that runs everywhere first.
    pub const ALL: [Self; 6] = [
        Self::Cpu,
        Self::Cuda,
        Self::DirectMl,
        Self::CoreMl,
        Self::OpenVino,
        Self::WebGpu,
    ];

    /// The name used on the command line and in the cache.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::DirectMl => "directml",
            Self::CoreMl => "coreml",
            Self::OpenVino => "openvino",
            Self::WebGpu => "webgpu",
        }
    }

    /// Whether a library of this flavour does what `wanted` asks for.
    ///
    /// Every library has the CPU provider, and every macOS library has CoreML.
    pub fn serves(self, wanted: Self, platform: Platform) -> bool {
        self == wanted
            || wanted == Self::Cpu
            || (wanted == Self::CoreMl && self == Self::Cpu && platform == Platform::MacArm64)
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Flavour {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|flavour| flavour.name() == name)
            .ok_or_else(|| Error::UnknownFlavour {
                name: name.to_owned(),
                expected: Self::ALL.map(Self::name).join(", "),
            })
    }
}

/// A machine that ONNX Runtime is published for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Platform {
    /// Linux with glibc 2.28 or newer on x86-64.
    #[serde(rename = "linux-x64")]
    LinuxX64,
    /// Linux with glibc 2.28 or newer on 64-bit Arm.
    #[serde(rename = "linux-arm64")]
    LinuxArm64,
    /// Windows on x86-64.
    #[serde(rename = "windows-x64")]
    WindowsX64,
    /// Windows on 64-bit Arm.
    #[serde(rename = "windows-arm64")]
    WindowsArm64,
    /// macOS 14 or newer on Apple silicon.
    #[serde(rename = "macos-arm64")]
    MacArm64,
}

impl Platform {
    /// Every platform that some flavour is published for.
    pub const ALL: [Self; 5] = [
        Self::LinuxX64,
        Self::LinuxArm64,
        Self::WindowsX64,
        Self::WindowsArm64,
        Self::MacArm64,
    ];

    /// The platform that this program was built for, if ONNX Runtime is published for it.
    pub fn current() -> Option<Self> {
        if cfg!(all(
            target_os = "linux",
            target_env = "gnu",
            target_arch = "x86_64"
        )) {
            Some(Self::LinuxX64)
        } else if cfg!(all(
            target_os = "linux",
            target_env = "gnu",
            target_arch = "aarch64"
        )) {
            Some(Self::LinuxArm64)
        } else if cfg!(all(target_os = "windows", target_arch = "x86_64")) {
            Some(Self::WindowsX64)
        } else if cfg!(all(target_os = "windows", target_arch = "aarch64")) {
            Some(Self::WindowsArm64)
        } else if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
            Some(Self::MacArm64)
        } else {
            None
        }
    }

    /// [`Self::current`], or the error that says that there is none.
    pub(crate) fn here() -> Result<Self, Error> {
        let machine = || format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        Self::current().ok_or_else(|| Error::UnsupportedMachine { machine: machine() })
    }

    /// Whether a file of this name is an ONNX Runtime library that a program can load.
    pub(crate) fn is_main_library(self, name: &str) -> bool {
        match self {
            Self::LinuxX64 | Self::LinuxArm64 => {
                name == "libonnxruntime.so" || name.starts_with("libonnxruntime.so.")
            }
            Self::WindowsX64 | Self::WindowsArm64 => name.eq_ignore_ascii_case("onnxruntime.dll"),
            Self::MacArm64 => name.starts_with("libonnxruntime.") && name.ends_with(".dylib"),
        }
    }

    /// The name used in messages and in the cache.
    pub fn name(self) -> &'static str {
        match self {
            Self::LinuxX64 => "linux-x64",
            Self::LinuxArm64 => "linux-arm64",
            Self::WindowsX64 => "windows-x64",
            Self::WindowsArm64 => "windows-arm64",
            Self::MacArm64 => "macos-arm64",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The version of an ONNX Runtime library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    /// Always 1 so far.
    pub major: u32,
    /// The number that the C interface's level goes by.
    pub minor: u32,
    /// Corrections.
    pub patch: u32,
}

impl Version {
    /// The oldest library that `janus-runtime` can use; it asks for level 24 of the C interface.
    pub const MINIMUM: Self = Self {
        major: 1,
        minor: 24,
        patch: 0,
    };

    /// The version in a library's file name, links followed.
    ///
    /// `libonnxruntime.so.1.32.0` and `libonnxruntime.1.32.0.dylib` carry one;
    /// `libonnxruntime.so.1` and `onnxruntime.dll` do not.
    pub fn of_file(path: &Path) -> Option<Self> {
        let target = path.canonicalize().ok()?;
        let name = target.file_name()?.to_str()?;
        let version = match name.strip_prefix("libonnxruntime.so.") {
            Some(version) => version,
            None => name
                .strip_prefix("libonnxruntime.")?
                .strip_suffix(".dylib")?,
        };
        version.parse().ok()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut numbers = text.split('.').map(str::parse);
        match (
            numbers.next(),
            numbers.next(),
            numbers.next(),
            numbers.next(),
        ) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Ok(Self {
                major,
                minor,
                patch,
            }),
            _ => Err(Error::ParseVersion {
                text: text.to_owned(),
            }),
        }
    }
}

impl TryFrom<String> for Version {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for flavour in Flavour::ALL {
            assert_eq!(flavour.name().parse::<Flavour>().unwrap(), flavour);
            assert_eq!(
                serde_json::to_string(&flavour).unwrap(),
                format!("\"{flavour}\"")
            );
        }
        for platform in Platform::ALL {
            assert_eq!(
                serde_json::to_string(&platform).unwrap(),
                format!("\"{platform}\"")
            );
        }
        let error = "gpu".parse::<Flavour>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`gpu` is not a flavour of ONNX Runtime; \
             there are cpu, cuda, directml, coreml, openvino, webgpu"
        );
    }

    #[test]
    fn versions_are_read_and_ordered() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert_eq!(version("1.32.0").to_string(), "1.32.0");
        assert!(version("1.9.3") < version("1.24.0"));
        for text in ["", "1", "1.32", "1.32.0.1", "1.32.0-dev", "1.-2.0", "a.b.c"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_name_tells_the_version() {
        let folder = tempfile::tempdir().unwrap();
        let cases = [
            ("libonnxruntime.so.1.32.0", Some("1.32.0")),
            ("libonnxruntime.1.30.0.dylib", Some("1.30.0")),
            ("libonnxruntime.so.1", None),
            ("libonnxruntime.so", None),
            ("libonnxruntime.dylib", None),
            ("onnxruntime.dll", None),
        ];
        for (name, expected) in cases {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            let found = Version::of_file(&path).map(|version| version.to_string());
            assert_eq!(found.as_deref(), expected, "{name}");
        }
        assert_eq!(
            Version::of_file(&folder.path().join("libonnxruntime.so.1.2.3")),
            None
        );
    }

    #[test]
    fn every_library_serves_the_cpu() {
        for flavour in Flavour::ALL {
            assert!(flavour.serves(Flavour::Cpu, Platform::LinuxX64));
        }
        assert!(Flavour::Cpu.serves(Flavour::CoreMl, Platform::MacArm64));
        assert!(!Flavour::Cpu.serves(Flavour::CoreMl, Platform::LinuxX64));
        assert!(!Flavour::Cpu.serves(Flavour::Cuda, Platform::LinuxX64));
    }
}
