//! Where graphs run.

use std::fmt;
use std::str::FromStr;

use ort::ep;
use ort::memory::AllocationDevice;

use crate::contract::tensors;
use crate::error::{Error, Result};

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
    /// What is wrong with the provider's kernel for an operator, where one is known to be.
    ///
    /// WebGPU's attention is wrong on devices whose subgroups have four lanes (1.27, and by less 1.30).
    pub fn wrong_kernel(self, op_type: &str) -> Option<&'static str> {
        match (self, op_type) {
            (Self::WebGpu, "GroupQueryAttention" | "MultiHeadAttention") => {
                Some("it is wrong on subgroups of four lanes")
            }
            _ => None,
        }
    }

    /// Providers of the same device that take what this one leaves.
    pub(crate) fn also_runs_on(self) -> &'static [&'static str] {
        match self {
            Self::TensorRt { .. } => &["CUDAExecutionProvider"],
            _ => &[],
        }
    }

    /// The memory that it works in and its index, where that is not the host's and graphs can be bound
    /// to it.
    pub(crate) fn memory(self) -> Option<(AllocationDevice<'static>, i32)> {
        match self {
            Self::Cuda { device } => Some((AllocationDevice::CUDA, device as i32)),
            Self::WebGpu => Some((AllocationDevice::WEBGPU_BUFFER, 0)),
            _ => None,
        }
    }

    /// Its setting that has graphs captured, `0` or `1`, where it has one.
    pub(crate) fn capture_setting(self) -> Option<&'static str> {
        match self {
            Self::Cuda { .. } => Some("enable_cuda_graph"),
            Self::TensorRt { .. } => Some("trt_cuda_graph_enable"),
            Self::WebGpu => Some("enableGraphCapture"),
            _ => None,
        }
    }

    /// Whether its kernels read an input of the transformer on the host. CUDA's attention does so with
    /// the total length, by which it chooses how it starts: a captured graph starts it the same way
    /// for ever.
    pub(crate) fn reads_on_host(self, tensor: &str) -> bool {
        matches!(self, Self::Cuda { .. }) && tensor == tensors::TOTAL_SEQUENCE_LENGTH
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
