//! Builds of ONNX Runtime that one package file holds whole.

use super::{Package, Registry};

/// CPU.
pub(super) const CPU_LINUX_X64: Package = Package {
    registry: Registry::Python,
    name: "onnxruntime",
    version: "1.32.0",
    tag: "manylinux_2_28_x86_64",
    file: "onnxruntime-1.32.0-cp312-cp312-manylinux_2_28_x86_64.whl",
    size: 27_780_211,
    sha256: "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
    folder: "onnxruntime/capi",
    libraries: &[
        "libonnxruntime.so.1.32.0",
        "libonnxruntime_providers_shared.so",
    ],
};

/// CPU.
pub(super) const CPU_LINUX_ARM64: Package = Package {
    registry: Registry::Python,
    name: "onnxruntime",
    version: "1.32.0",
    tag: "manylinux_2_28_aarch64",
    file: "onnxruntime-1.32.0-cp312-cp312-manylinux_2_28_aarch64.whl",
    size: 23_196_724,
    sha256: "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054",
    folder: "onnxruntime/capi",
    libraries: &[
        "libonnxruntime.so.1.32.0",
        "libonnxruntime_providers_shared.so",
    ],
};

/// CPU.
pub(super) const CPU_WINDOWS_X64: Package = Package {
    registry: Registry::Python,
    name: "onnxruntime",
    version: "1.32.0",
    tag: "win_amd64",
    file: "onnxruntime-1.32.0-cp312-cp312-win_amd64.whl",
    size: 16_698_767,
    sha256: "efe7456952c243a05a53d5b8732953625144642c2f3989094277f6217f0c0c40",
    folder: "onnxruntime/capi",
    libraries: &["onnxruntime.dll", "onnxruntime_providers_shared.dll"],
};

/// CPU.
pub(super) const CPU_WINDOWS_ARM64: Package = Package {
    registry: Registry::Python,
    name: "onnxruntime",
    version: "1.32.0",
    tag: "win_arm64",
    file: "onnxruntime-1.32.0-cp312-cp312-win_arm64.whl",
    size: 16_030_610,
    sha256: "64d394c69d561af3efd4d4f49dcac8f11d0ce135a20701c16d53b74056cd4cf8",
    folder: "onnxruntime/capi",
    libraries: &["onnxruntime.dll", "onnxruntime_providers_shared.dll"],
};

/// CPU and CoreML.
pub(super) const MAC_ARM64: Package = Package {
    registry: Registry::Python,
    name: "onnxruntime",
    version: "1.32.0",
    tag: "macosx_14_0_arm64",
    file: "onnxruntime-1.32.0-cp312-cp312-macosx_14_0_arm64.whl",
    size: 22_519_308,
    sha256: "d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e",
    folder: "onnxruntime/capi",
    libraries: &["libonnxruntime.1.32.0.dylib"],
};

/// CPU and WebGPU.
pub(super) const NODE_LINUX_X64: Package = Package {
    registry: Registry::Node,
    name: "onnxruntime-node",
    version: "1.30.0",
    tag: "",
    file: "onnxruntime-node-1.30.0.tgz",
    size: 113_507_888,
    sha256: "6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75",
    folder: "package/bin/napi-v6/linux/x64",
    libraries: &["libonnxruntime.so.1"],
};

/// CPU.
pub(super) const NODE_LINUX_ARM64: Package = Package {
    registry: Registry::Node,
    name: "onnxruntime-node",
    version: "1.30.0",
    tag: "",
    file: "onnxruntime-node-1.30.0.tgz",
    size: 113_507_888,
    sha256: "6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75",
    folder: "package/bin/napi-v6/linux/arm64",
    libraries: &["libonnxruntime.so.1"],
};

/// CPU, DirectML and WebGPU.
pub(super) const NODE_WINDOWS_X64: Package = Package {
    registry: Registry::Node,
    name: "onnxruntime-node",
    version: "1.30.0",
    tag: "",
    file: "onnxruntime-node-1.30.0.tgz",
    size: 113_507_888,
    sha256: "6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75",
    folder: "package/bin/napi-v6/win32/x64",
    libraries: &[
        "onnxruntime.dll",
        "DirectML.dll",
        "dxcompiler.dll",
        "dxil.dll",
    ],
};

/// CPU, DirectML and WebGPU.
pub(super) const NODE_WINDOWS_ARM64: Package = Package {
    registry: Registry::Node,
    name: "onnxruntime-node",
    version: "1.30.0",
    tag: "",
    file: "onnxruntime-node-1.30.0.tgz",
    size: 113_507_888,
    sha256: "6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75",
    folder: "package/bin/napi-v6/win32/arm64",
    libraries: &[
        "onnxruntime.dll",
        "DirectML.dll",
        "dxcompiler.dll",
        "dxil.dll",
    ],
};

/// CPU, CoreML and WebGPU.
pub(super) const NODE_MAC_ARM64: Package = Package {
    registry: Registry::Node,
    name: "onnxruntime-node",
    version: "1.30.0",
    tag: "",
    file: "onnxruntime-node-1.30.0.tgz",
    size: 113_507_888,
    sha256: "6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75",
    folder: "package/bin/napi-v6/darwin/arm64",
    libraries: &["libonnxruntime.1.30.0.dylib"],
};

/// CPU and DirectML; older than the node package.
pub(super) const DIRECTML_WINDOWS_X64: Package = Package {
    registry: Registry::Python,
    name: "onnxruntime-directml",
    version: "1.24.4",
    tag: "win_amd64",
    file: "onnxruntime_directml-1.24.4-cp312-cp312-win_amd64.whl",
    size: 25_111_930,
    sha256: "f2ecb68b7b7b259d2ef3112ae760149f9b5a1e7c0fbb73d539da6250a648a614",
    folder: "onnxruntime/capi",
    libraries: &[
        "onnxruntime.dll",
        "DirectML.dll",
        "onnxruntime_providers_shared.dll",
    ],
};

/// CPU and OpenVINO, with OpenVINO 2025.4.1 itself.
pub(super) const OPENVINO_LINUX_X64: Package = Package {
    registry: Registry::Python,
    name: "onnxruntime-openvino",
    version: "1.24.1",
    tag: "manylinux_2_28_x86_64",
    file: "onnxruntime_openvino-1.24.1-cp312-cp312-manylinux_2_28_x86_64.whl",
    size: 84_433_207,
    sha256: "d617fac2f59a6ab5ea59a788c3e1592240a129642519aaeaa774761dfe35150e",
    folder: "onnxruntime/capi",
    libraries: &[
        "libonnxruntime.so.1.24.1",
        "libonnxruntime_providers_openvino.so",
        "libonnxruntime_providers_shared.so",
        "libopenvino.so.2541",
        "libopenvino_auto_plugin.so",
        "libopenvino_hetero_plugin.so",
        "libopenvino_intel_cpu_plugin.so",
        "libopenvino_intel_gpu_plugin.so",
        "libopenvino_intel_npu_plugin.so",
        "libopenvino_onnx_frontend.so.2541",
        "libtbb.so.12",
    ],
};

/// CPU and OpenVINO; the user provides OpenVINO itself.
pub(super) const OPENVINO_WINDOWS_X64: Package = Package {
    registry: Registry::Python,
    name: "onnxruntime-openvino",
    version: "1.24.1",
    tag: "win_amd64",
    file: "onnxruntime_openvino-1.24.1-cp312-cp312-win_amd64.whl",
    size: 13_658_075,
    sha256: "f186335a9c9b255633275290da7521d3d4d14c7773fee3127bfa040234d3fa5a",
    folder: "onnxruntime/capi",
    libraries: &[
        "onnxruntime.dll",
        "onnxruntime_providers_openvino.dll",
        "onnxruntime_providers_shared.dll",
    ],
};

/// CPU and WebGPU.
pub(super) const WEBGPU_LINUX_X64: Package = Package {
    registry: Registry::Python,
    name: "onnxruntime-webgpu",
    version: "1.27.0",
    tag: "manylinux_2_28_x86_64",
    file: "onnxruntime_webgpu-1.27.0-cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    size: 25_163_729,
    sha256: "fe5e49e00ad71bc667316d57670bfbf525438783d4a3468e0d337314ec985cbe",
    folder: "onnxruntime/capi",
    libraries: &[
        "libonnxruntime.so.1.27.0",
        "libonnxruntime_providers_shared.so",
    ],
};

/// CPU and WebGPU.
pub(super) const WEBGPU_WINDOWS_X64: Package = Package {
    registry: Registry::Python,
    name: "onnxruntime-webgpu",
    version: "1.27.0",
    tag: "win_amd64",
    file: "onnxruntime_webgpu-1.27.0-cp312-cp312-win_amd64.whl",
    size: 27_226_899,
    sha256: "7ef99275b13e8cb9584bd0db7a6f00ebf76095601eeccf7d34749b89ee991c19",
    folder: "onnxruntime/capi",
    libraries: &[
        "onnxruntime.dll",
        "dxcompiler.dll",
        "dxil.dll",
        "onnxruntime_providers_shared.dll",
    ],
};

/// CPU and WebGPU.
pub(super) const WEBGPU_MAC_ARM64: Package = Package {
    registry: Registry::Python,
    name: "onnxruntime-webgpu",
    version: "1.27.0",
    tag: "macosx_14_0_arm64",
    file: "onnxruntime_webgpu-1.27.0-cp312-cp312-macosx_14_0_arm64.whl",
    size: 24_081_620,
    sha256: "8e6c43281318283a31977ebe752e7b0454db9b2dc42c768ac88641952357196a",
    folder: "onnxruntime/capi",
    libraries: &["libonnxruntime.1.27.0.dylib"],
};
