//! What an export is for: an execution provider, and the operators that it has.

use std::fmt;
use std::str::FromStr;

use janus_runtime::manifest::{Activations, DType, Operators};

/// An execution provider that an export is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Target {
    /// The processor.
    #[default]
    Cpu,
    /// NVIDIA GPUs.
    Cuda,
    /// NVIDIA GPUs, through TensorRT.
    TensorRt,
    /// GPUs on Windows, through DirectX 12.
    DirectMl,
    /// Apple's accelerators.
    CoreMl,
    /// Intel's accelerators.
    OpenVino,
    /// GPUs, through Dawn.
    WebGpu,
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 7] = [
        Self::Cpu,
        Self::Cuda,
        Self::TensorRt,
        Self::DirectMl,
        Self::CoreMl,
        Self::OpenVino,
        Self::WebGpu,
    ];

    /// The name on the command line: that of the provider.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::DirectMl => "directml",
            Self::CoreMl => "coreml",
            Self::OpenVino => "openvino",
            Self::WebGpu => "webgpu",
        }
    }

    /// The operators of its graphs in a precision.
    ///
    /// ONNX Runtime's own attention takes 32-bit floats, ragged rows and several positions after a
    /// past on the CPU alone. CUDA's takes 16-bit floats only, DirectML's no rotary tables and no
    /// second piece of a prompt, WebGPU's one length for all rows (and on subgroups of four lanes it
    /// is wrong); TensorRT, CoreML and OpenVINO have none: they get the standard's operators in fixed
    /// sizes.
    pub fn operators(self, dtype: DType) -> Operators {
        match self {
            Self::Cpu => Operators::Fused,
            Self::Cuda if self.activations(dtype) != Activations::Fp32 => Operators::Fused,
            Self::Cuda
            | Self::TensorRt
            | Self::DirectMl
            | Self::CoreMl
            | Self::OpenVino
            | Self::WebGpu => Operators::Standard,
        }
    }

    /// What its graphs compute in, in a precision: 16 bits where a provider is at its best in them.
    pub fn activations(self, dtype: DType) -> Activations {
        match (self, dtype) {
            (Self::Cuda, DType::Fp16) => Activations::Fp16,
            (Self::Cuda, DType::Bf16) => Activations::Bf16,
            _ => Activations::Fp32,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|target| target.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!(
                "there is no target `{}`; there are {names}",
                name.escape_debug()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for target in Target::ALL {
            assert_eq!(target.name().parse(), Ok(target));
        }
        assert!("gpu".parse::<Target>().is_err());
    }
}
