//! What is installed, and what could be.

use std::path::Path;

use serde::Serialize;

use crate::cache::Cache;
use crate::find::Library;
use crate::flavour::{Flavour, Platform, Version};
use crate::pins::{SOURCES, Source};

/// A flavour, as far as it is installed or could be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The flavour.
    pub flavour: Flavour,
    /// The machines that it is published for.
    pub platforms: Vec<Platform>,
    /// What [`install`](crate::install) would fetch here; nothing where the flavour is not
    /// published for this machine.
    pub available: Option<Available>,
    /// What lies in the cache, newest first.
    pub installed: Vec<Library>,
}

/// What [`install`](crate::install) would fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Available {
    /// The version of ONNX Runtime.
    pub version: Version,
    /// The packages, each as `name==version`.
    pub packages: Vec<String>,
    /// How many bytes they have together.
    pub download_size: u64,
}

/// Every flavour, with what of it is installed in `cache` and what this machine could install.
pub fn list(cache: &Path) -> Vec<Listing> {
    let platform = Platform::current();
    let installed = std::path::absolute(cache)
        .ok()
        .zip(platform)
        .map(|(cache, platform)| Cache::new(&cache).libraries(platform).0)
        .unwrap_or_default();
    Flavour::ALL
        .into_iter()
        .map(|flavour| listing(flavour, platform, &installed))
        .collect()
}

fn listing(flavour: Flavour, platform: Option<Platform>, installed: &[Library]) -> Listing {
    let sources = || SOURCES.iter().filter(|source| source.flavour == flavour);
    let mut platforms: Vec<Platform> = sources().map(|source| source.platform).collect();
    platforms.sort_unstable();
    platforms.dedup();
    let available = sources()
        .find(|source| Some(source.platform) == platform)
        .map(available);
    let is_one = |library: &&Library| library.flavour == Some(flavour);
    let installed = installed.iter().filter(is_one).cloned().collect();
    Listing {
        flavour,
        platforms,
        available,
        installed,
    }
}

fn available(source: &Source) -> Available {
    let packages = source.packages.iter();
    Available {
        version: source.version,
        packages: packages
            .map(|p| format!("{}=={}", p.name, p.version))
            .collect(),
        download_size: source.download_size(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flavour_is_listed_with_its_platforms() {
        let lines: Vec<String> = Flavour::ALL
            .into_iter()
            .map(|flavour| {
                let Listing {
                    platforms,
                    available,
                    ..
                } = listing(flavour, Some(Platform::LinuxX64), &[]);
                let platforms: Vec<_> = platforms.into_iter().map(Platform::name).collect();
                let available = available
                    .map(|a| format!("{} of {} bytes", a.packages.join(" "), a.download_size));
                format!(
                    "{flavour}: {} | {}",
                    platforms.join(" "),
                    available.unwrap_or_default()
                )
            })
            .collect();
        assert_eq!(
            lines.join("\n"),
            "\
cpu: linux-x64 linux-arm64 windows-x64 windows-arm64 macos-arm64 | onnxruntime==1.32.0 of 27780211 bytes
cuda: linux-x64 linux-arm64 windows-x64 | onnxruntime-gpu==1.31.1 nvidia-cuda-runtime==13.5.37 \
nvidia-cublas==13.10.0.20 nvidia-cufft==12.5.0.14 nvidia-curand==10.4.5.25 \
nvidia-cuda-nvrtc==13.5.37 nvidia-cudnn-cu13==9.28.1.4 of 1519552637 bytes
directml: windows-x64 windows-arm64 | \n\
coreml: macos-arm64 | \n\
openvino: linux-x64 windows-x64 | onnxruntime-openvino==1.24.1 of 84433207 bytes
webgpu: linux-x64 windows-x64 macos-arm64 | onnxruntime-webgpu==1.27.0 of 25163729 bytes"
        );
    }
}
