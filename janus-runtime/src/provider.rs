//! Where graphs run.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use ort::ep::cuda::ConvAlgorithmSearch;
use ort::ep::{self, ExecutionProviderDispatch};

use crate::error::{Error, Result};
use crate::library::library_path;

/// Where graphs run. Parses from and prints as `cpu`, `cuda`, `cuda:1`, `tensorrt:0`,
/// `directml:0`, `coreml`, `openvino`, `webgpu`.
///
/// Every build knows every name; one that the loaded library lacks gives
/// [`Error::ProviderNotInLibrary`] when a graph is opened.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExecutionProvider {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda {
        /// Index of the device.
        device: u32,
    },
    /// An NVIDIA GPU, through TensorRT.
    TensorRt {
        /// Index of the device.
        device: u32,
    },
    /// A GPU on Windows, through DirectX 12.
    DirectMl {
        /// Index of the adapter.
        device: u32,
    },
    /// Apple's accelerators.
    CoreMl,
    /// Intel's accelerators.
    OpenVino,
    /// A GPU, through Dawn.
    WebGpu,
}

const NAMES: &str = "cpu, cuda[:N], tensorrt[:N], directml[:N], coreml, openvino, webgpu";

impl ExecutionProvider {
    /// The provider as ONNX Runtime takes it, nothing for the CPU, which every session has.
    ///
    /// A provider that cannot be registered is an error, never a silent move to the CPU.
    pub(crate) fn dispatches(self) -> Result<Vec<ExecutionProviderDispatch>> {
        // Registration is only code: every build has all of it, the library decides what is real.
        let (available, dispatch) = match self {
            Self::Cpu => return Ok(Vec::new()),
            Self::Cuda { device } => {
                preload_beside_library();
                offer(cuda(device))
            }
            Self::TensorRt { device } => {
                preload_beside_library();
                offer(ep::TensorRT::default().with_device_id(device as i32))
            }
            Self::DirectMl { device } => {
                offer(ep::DirectML::default().with_device_id(device as i32))
            }
            Self::CoreMl => offer(ep::CoreML::default()),
            Self::OpenVino => offer(ep::OpenVINO::default()),
            Self::WebGpu => offer(ep::WebGPU::default()),
        };
        if !available {
            let library = library_path().map(Path::to_owned).unwrap_or_default();
            return Err(Error::ProviderNotInLibrary {
                provider: self,
                library,
            });
        }
        let mut dispatches = vec![dispatch.error_on_failure()];
        if let Self::TensorRt { device } = self {
            // TensorRT takes what it can, and CUDA what is left: both are the GPU asked for.
            dispatches.extend(Self::Cuda { device }.dispatches()?);
        }
        Ok(dispatches)
    }

    /// Providers of the same device that take what this one leaves.
    pub(crate) fn also_runs_on(self) -> &'static [&'static str] {
        match self {
            Self::TensorRt { .. } => &["CUDAExecutionProvider"],
            _ => &[],
        }
    }

    /// The name that ONNX Runtime has for it.
    pub fn runtime_name(self) -> &'static str {
        use ep::ExecutionProvider as _;
        match self {
            Self::Cpu => ep::CPU::NAME,
            Self::Cuda { .. } => ep::CUDA::NAME,
            Self::TensorRt { .. } => ep::TensorRT::NAME,
            Self::DirectMl { .. } => ep::DirectML::NAME,
            Self::CoreMl => ep::CoreML::NAME,
            Self::OpenVino => ep::OpenVINO::NAME,
            Self::WebGpu => ep::WebGPU::NAME,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda { .. } => "cuda",
            Self::TensorRt { .. } => "tensorrt",
            Self::DirectMl { .. } => "directml",
            Self::CoreMl => "coreml",
            Self::OpenVino => "openvino",
            Self::WebGpu => "webgpu",
        }
    }
}

/// CUDA as graphs need it: the sizes of convolutions are few, so that an exhaustive search for the
/// fastest kernel of each costs more than it gives; and products of 32-bit floats are those that the
/// reference computes, not TF32's of 10 bits.
fn cuda(device: u32) -> ep::CUDA {
    ep::CUDA::default()
        .with_device_id(device as i32)
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        .with_tf32(false)
}

/// Loads NVIDIA's libraries where they lie beside ONNX Runtime's, as `janus runtime install` puts them:
/// its provider looks for them in the system's directories alone.
fn preload_beside_library() {
    let Some(folder) = library_path().and_then(Path::parent) else {
        return;
    };
    let beside = |names: &[&str]| names.iter().all(|name| folder.join(name).is_file());
    let cuda = beside(ep::cuda::CUDA_DYLIBS).then_some(folder);
    let cudnn = beside(ep::cuda::CUDNN_DYLIBS).then_some(folder);
    if let Err(error) = ep::cuda::preload_dylibs(cuda, cudnn) {
        // The provider tells what it misses when it is registered.
        tracing::warn!("{error}");
    }
}

/// Whether the loaded library has a provider, and what registers it.
fn offer<P>(provider: P) -> (bool, ExecutionProviderDispatch)
where
    P: ep::ExecutionProvider + Into<ExecutionProviderDispatch>,
{
    (matches!(P::is_available(), Ok(true)), provider.into())
}

impl fmt::Display for ExecutionProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Cuda { device } | Self::TensorRt { device } | Self::DirectMl { device } => {
                write!(f, "{}:{device}", self.name())
            }
            _ => f.write_str(self.name()),
        }
    }
}

impl FromStr for ExecutionProvider {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::UnknownProvider {
            name: text.to_owned(),
            expected: NAMES,
        };
        let (name, device) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index.parse().map_err(|_| unknown())?)),
            None => (text, None),
        };
        let provider = match name {
            "cuda" => Self::Cuda {
                device: device.unwrap_or(0),
            },
            "tensorrt" => Self::TensorRt {
                device: device.unwrap_or(0),
            },
            "directml" => Self::DirectMl {
                device: device.unwrap_or(0),
            },
            "cpu" if device.is_none() => Self::Cpu,
            "coreml" if device.is_none() => Self::CoreMl,
            "openvino" if device.is_none() => Self::OpenVino,
            "webgpu" if device.is_none() => Self::WebGpu,
            _ => return Err(unknown()),
        };
        Ok(provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_parse_and_print() {
        for (text, printed) in [
            ("cpu", "cpu"),
            ("cuda", "cuda:0"),
            ("tensorrt:3", "tensorrt:3"),
            ("coreml", "coreml"),
        ] {
            assert_eq!(
                text.parse::<ExecutionProvider>().unwrap().to_string(),
                printed
            );
        }
        for text in ["gpu", "cuda:", "cuda:x", "cpu:1", "CUDA", ""] {
            assert!(text.parse::<ExecutionProvider>().is_err(), "{text}");
        }
    }
}
