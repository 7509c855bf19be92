//! Execution providers, registered with what our graphs want of each.

mod core_ml;

use std::path::Path;

use ort::ep::cuda::{CUDA_DYLIBS, CUDNN_DYLIBS, ConvAlgorithmSearch};
use ort::ep::webgpu::PreferredLayout;
use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProviderDispatch};

use crate::error::{Error, Result};
use crate::library::library_path;
use crate::manifest::{Dim, GraphEntry};
use crate::provider::ExecutionProvider;
use crate::session::SessionOptions;

/// The provider of `options` as ONNX Runtime takes it, for a graph; nothing for the CPU, which every
/// session has.
///
/// A provider that cannot be registered is an error, never a silent move to the CPU.
pub(crate) fn dispatches(
    options: &SessionOptions,
    graph: &GraphEntry,
) -> Result<Vec<ExecutionProviderDispatch>> {
    use ExecutionProvider as P;
    let cache = options.cache.as_deref();
    // Registration is only code: every build has all of it, the library decides what is real.
    let (available, dispatch) = match options.provider {
        P::Cpu => {
            refuse_settings(options)?;
            return Ok(Vec::new());
        }
        P::Cuda { device } => {
            preload_beside_library();
            offer(set(cuda(device), options))
        }
        P::TensorRt { device } => {
            preload_beside_library();
            offer(set(tensor_rt(device, graph, cache), options))
        }
        P::DirectMl { device } => {
            refuse_settings(options)?;
            offer(ep::DirectML::default().with_device_id(device as i32))
        }
        P::CoreMl => {
            core_ml::check_settings(options)?;
            offer(set(core_ml::provider(cache), options))
        }
        P::OpenVino => offer(set(open_vino(cache), options)),
        P::WebGpu => offer(set(web_gpu(), options)),
    };
    if !available {
        return Err(Error::ProviderNotInLibrary {
            provider: options.provider,
            library: library_path().map(Path::to_owned).unwrap_or_default(),
        });
    }
    let mut dispatches = vec![dispatch.error_on_failure()];
    if let P::TensorRt { device } = options.provider {
        // TensorRT takes what it can, and CUDA what is left: both are the GPU asked for.
        dispatches.push(cuda(device).build().error_on_failure());
    }
    Ok(dispatches)
}

/// CUDA: the sizes of convolutions are few, so that an exhaustive search for the fastest kernel of each
/// costs more than it gives; and products of 32-bit floats are those that the reference computes, not
/// TF32's of 10 bits.
fn cuda(device: u32) -> ep::CUDA {
    ep::CUDA::default()
        .with_device_id(device as i32)
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        .with_tf32(false)
}

/// TensorRT: engines take minutes to build, so they are kept; and one is for a range of sizes, which has
/// to be stated for every input whose size is not fixed.
fn tensor_rt(device: u32, graph: &GraphEntry, cache: Option<&Path>) -> ep::TensorRT {
    let mut ep = ep::TensorRT::default().with_device_id(device as i32);
    if let Some(cache) = cache {
        ep = ep
            .with_engine_cache(true)
            .with_engine_cache_path(cache.display())
            .with_timing_cache(true)
            .with_timing_cache_path(cache.display());
    }
    let [least, usual, most] = [1, 64, 4096].map(|extent| profile(graph, extent));
    if least.is_empty() {
        return ep;
    }
    ep.with_profile_min_shapes(least)
        .with_profile_opt_shapes(usual)
        .with_profile_max_shapes(most)
}

/// `input:1x64,..` for every input with an axis of any size, which is given this one; the first axis,
/// that of rows and pictures, is one.
fn profile(graph: &GraphEntry, extent: usize) -> String {
    let any = |dim: &Dim| matches!(dim, Dim::Named(_));
    let inputs = graph
        .inputs
        .iter()
        .filter(|spec| spec.shape.iter().any(any));
    let shape = |shape: &[Dim]| {
        let axes = shape.iter().enumerate().map(|(axis, dim)| match dim {
            Dim::Fixed(extent) => extent.to_string(),
            Dim::Named(_) if axis == 0 => "1".to_owned(),
            Dim::Named(_) => extent.to_string(),
        });
        axes.collect::<Vec<_>>().join("x")
    };
    let told = inputs.map(|spec| format!("{}:{}", spec.name, shape(&spec.shape)));
    told.collect::<Vec<_>>().join(",")
}

/// OpenVINO: compiled models are kept.
fn open_vino(cache: Option<&Path>) -> ep::OpenVINO {
    match cache {
        Some(cache) => ep::OpenVINO::default().with_cache_dir(cache.display()),
        None => ep::OpenVINO::default(),
    }
}

/// WebGPU: in the layout of our graphs. Where the provider turns them into its own, ONNX Runtime's
/// record of who runs what has nothing but the transposes that were put in.
fn web_gpu() -> ep::WebGPU {
    ep::WebGPU::default().with_preferred_layout(PreferredLayout::NCHW)
}

/// The provider with what a user set.
fn set<P: ArbitrarilyConfigurableExecutionProvider>(provider: P, options: &SessionOptions) -> P {
    let settings = options.settings.iter();
    settings.fold(provider, |provider, (key, value)| {
        provider.with_arbitrary_config(key, value)
    })
}

/// Fails if there are settings for a provider that has none.
fn refuse_settings(options: &SessionOptions) -> Result<()> {
    match options.settings.keys().next() {
        Some(key) => Err(Error::ProviderSetting {
            provider: options.provider,
            key: key.clone(),
        }),
        None => Ok(()),
    }
}

/// Loads NVIDIA's libraries where they lie beside ONNX Runtime's, as `janus runtime install` puts them:
/// its provider looks for them in the system's directories alone.
fn preload_beside_library() {
    let Some(folder) = library_path().and_then(Path::parent) else {
        return;
    };
    let beside = |names: &[&str]| names.iter().all(|name| folder.join(name).is_file());
    let cuda = beside(CUDA_DYLIBS).then_some(folder);
    let cudnn = beside(CUDNN_DYLIBS).then_some(folder);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{ElementType, TensorSpec};

    #[test]
    fn a_profile_states_every_size() {
        let spec = |name: &str, shape: Vec<Dim>| TensorSpec {
            name: name.to_owned(),
            dtype: ElementType::F32,
            shape,
        };
        let any = |name: &str| Dim::Named(name.to_owned());
        let graph = GraphEntry {
            file: String::new(),
            data: None,
            inputs: vec![
                spec("ids", vec![any("batch"), any("sequence")]),
                spec("fixed", vec![Dim::Fixed(1), Dim::Fixed(8)]),
                spec(
                    "embeds",
                    vec![Dim::Fixed(1), any("sequence"), Dim::Fixed(8)],
                ),
            ],
            outputs: Vec::new(),
        };
        assert_eq!(profile(&graph, 64), "ids:1x64,embeds:1x64x8");
        let settings = [("device_type".to_owned(), "GPU".to_owned())];
        let options = SessionOptions {
            settings: settings.into(),
            ..SessionOptions::default()
        };
        let error = dispatches(&options, &graph).err().map(|e| e.to_string());
        assert_eq!(error.as_deref(), Some("`cpu` has no setting `device_type`"));
    }
}
