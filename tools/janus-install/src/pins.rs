//! Which package files a flavour is made of, each pinned by its size and SHA-256.
//!
//! A pin is renewed by fetching the new file with its package client and writing down what came.
//! The Python tag is always `cp312`, whichever Python is there: only the libraries are taken, and
//! they are the same in every tag.
//!
//! Where a provider is published both inside a library and as a plugin to register
//! (`onnxruntime-ep-webgpu`), the library is pinned: it needs no second file to agree with.

mod nvidia;
mod onnxruntime;

use crate::flavour::{Flavour, Platform, Version};

/// Where a package file is published, which decides the client that fetches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registry {
    /// Python's package index.
    Python,
    /// Node's package registry.
    Node,
}

/// One package file, and the libraries in it that are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    /// Where it is published.
    pub registry: Registry,
    /// The package's name there.
    pub name: &'static str,
    /// The package's version there.
    pub version: &'static str,
    /// The platform tag of a wheel; empty for a node package.
    pub tag: &'static str,
    /// The file's name.
    pub file: &'static str,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: &'static str,
    /// The folder in it that holds the libraries.
    pub folder: &'static str,
    /// The libraries.
    pub libraries: &'static [&'static str],
}

/// One way to a flavour on a platform.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// What the library does.
    pub flavour: Flavour,
    /// The machine it is for.
    pub platform: Platform,
    /// The version of ONNX Runtime.
    pub version: Version,
    /// The files it is made of; the first one has the library that a program loads, as the first
    /// of its libraries.
    pub packages: &'static [Package],
}

impl Source {
    /// The file that a program loads.
    pub fn library(&self) -> &'static str {
        self.packages
            .first()
            .and_then(|package| package.libraries.first())
            .copied()
            .unwrap_or("")
    }

    /// How many bytes are fetched.
    pub fn download_size(&self) -> u64 {
        self.packages.iter().map(|package| package.size).sum()
    }
}

/// Every source; of two for the same flavour and platform the first is preferred, and the other
/// serves where the first one's package client is missing.
pub const SOURCES: &[Source] = &[
    source(
        Flavour::Cpu,
        Platform::LinuxX64,
        V1_32_0,
        &[onnxruntime::CPU_LINUX_X64],
    ),
    source(
        Flavour::Cpu,
        Platform::LinuxArm64,
        V1_32_0,
        &[onnxruntime::CPU_LINUX_ARM64],
    ),
    source(
        Flavour::Cpu,
        Platform::WindowsX64,
        V1_32_0,
        &[onnxruntime::CPU_WINDOWS_X64],
    ),
    source(
        Flavour::Cpu,
        Platform::WindowsArm64,
        V1_32_0,
        &[onnxruntime::CPU_WINDOWS_ARM64],
    ),
    source(
        Flavour::Cpu,
        Platform::MacArm64,
        V1_32_0,
        &[onnxruntime::MAC_ARM64],
    ),
    source(
        Flavour::Cpu,
        Platform::LinuxX64,
        V1_30_0,
        &[onnxruntime::NODE_LINUX_X64],
    ),
    source(
        Flavour::Cpu,
        Platform::LinuxArm64,
        V1_30_0,
        &[onnxruntime::NODE_LINUX_ARM64],
    ),
    source(
        Flavour::Cpu,
        Platform::WindowsX64,
        V1_30_0,
        &[onnxruntime::NODE_WINDOWS_X64],
    ),
    source(
        Flavour::Cpu,
        Platform::WindowsArm64,
        V1_30_0,
        &[onnxruntime::NODE_WINDOWS_ARM64],
    ),
    source(
        Flavour::Cpu,
        Platform::MacArm64,
        V1_30_0,
        &[onnxruntime::NODE_MAC_ARM64],
    ),
    source(
        Flavour::CoreMl,
        Platform::MacArm64,
        V1_32_0,
        &[onnxruntime::MAC_ARM64],
    ),
    source(
        Flavour::CoreMl,
        Platform::MacArm64,
        V1_30_0,
        &[onnxruntime::NODE_MAC_ARM64],
    ),
    source(
        Flavour::Cuda,
        Platform::LinuxX64,
        V1_31_1,
        nvidia::LINUX_X64,
    ),
    source(
        Flavour::Cuda,
        Platform::LinuxArm64,
        V1_31_1,
        nvidia::LINUX_ARM64,
    ),
    source(
        Flavour::Cuda,
        Platform::WindowsX64,
        V1_31_1,
        nvidia::WINDOWS_X64,
    ),
    source(
        Flavour::DirectMl,
        Platform::WindowsX64,
        V1_30_0,
        &[onnxruntime::NODE_WINDOWS_X64],
    ),
    source(
        Flavour::DirectMl,
        Platform::WindowsArm64,
        V1_30_0,
        &[onnxruntime::NODE_WINDOWS_ARM64],
    ),
    source(
        Flavour::DirectMl,
        Platform::WindowsX64,
        V1_24_4,
        &[onnxruntime::DIRECTML_WINDOWS_X64],
    ),
    source(
        Flavour::OpenVino,
        Platform::LinuxX64,
        V1_24_1,
        &[onnxruntime::OPENVINO_LINUX_X64],
    ),
    source(
        Flavour::OpenVino,
        Platform::WindowsX64,
        V1_24_1,
        &[onnxruntime::OPENVINO_WINDOWS_X64],
    ),
    source(
        Flavour::WebGpu,
        Platform::LinuxX64,
        V1_27_0,
        &[onnxruntime::WEBGPU_LINUX_X64],
    ),
    source(
        Flavour::WebGpu,
        Platform::WindowsX64,
        V1_27_0,
        &[onnxruntime::WEBGPU_WINDOWS_X64],
    ),
    source(
        Flavour::WebGpu,
        Platform::MacArm64,
        V1_27_0,
        &[onnxruntime::WEBGPU_MAC_ARM64],
    ),
    source(
        Flavour::WebGpu,
        Platform::LinuxX64,
        V1_30_0,
        &[onnxruntime::NODE_LINUX_X64],
    ),
    source(
        Flavour::WebGpu,
        Platform::WindowsX64,
        V1_30_0,
        &[onnxruntime::NODE_WINDOWS_X64],
    ),
    source(
        Flavour::WebGpu,
        Platform::MacArm64,
        V1_30_0,
        &[onnxruntime::NODE_MAC_ARM64],
    ),
];

const V1_24_1: Version = Version {
    major: 1,
    minor: 24,
    patch: 1,
};
const V1_24_4: Version = Version {
    major: 1,
    minor: 24,
    patch: 4,
};
const V1_27_0: Version = Version {
    major: 1,
    minor: 27,
    patch: 0,
};
const V1_30_0: Version = Version {
    major: 1,
    minor: 30,
    patch: 0,
};
const V1_31_1: Version = Version {
    major: 1,
    minor: 31,
    patch: 1,
};
const V1_32_0: Version = Version {
    major: 1,
    minor: 32,
    patch: 0,
};

const fn source(
    flavour: Flavour,
    platform: Platform,
    version: Version,
    packages: &'static [Package],
) -> Source {
    Source {
        flavour,
        platform,
        version,
        packages,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flavour_is_published_for_some_platform() {
        for flavour in Flavour::ALL {
            assert!(
                SOURCES.iter().any(|source| source.flavour == flavour),
                "{flavour}"
            );
        }
        for platform in Platform::ALL {
            let serves = |source: &&Source| source.platform == platform;
            let first = SOURCES.iter().find(serves).unwrap();
            assert_eq!(
                (first.flavour, first.version),
                (Flavour::Cpu, V1_32_0),
                "{platform}"
            );
        }
    }

    #[test]
    fn every_source_can_be_used() {
        for source in SOURCES {
            assert!(source.version >= Version::MINIMUM, "{source:?}");
            assert!(source.library().contains("onnxruntime"), "{source:?}");
            let mut names: Vec<&str> = source
                .packages
                .iter()
                .flat_map(|package| package.libraries)
                .copied()
                .collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        }
    }

    #[test]
    fn every_pin_is_whole() {
        for package in SOURCES.iter().flat_map(|source| source.packages) {
            let Package {
                file,
                tag,
                version,
                sha256,
                ..
            } = package;
            assert!(
                sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit()),
                "{file}"
            );
            assert!(
                package.size > 1 << 20 && !package.libraries.is_empty(),
                "{file}"
            );
            assert!(file.contains(version) && file.contains(tag), "{file}");
            match package.registry {
                Registry::Python => assert!(file.ends_with(".whl") && !tag.is_empty(), "{file}"),
                Registry::Node => assert!(file.ends_with(".tgz") && tag.is_empty(), "{file}"),
            }
        }
    }
}
