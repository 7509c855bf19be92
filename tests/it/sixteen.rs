//! Graphs that compute in 16 bits, as CUDA's attention wants them. The CPU has kernels for 16-bit floats,
//! so what they compute is compared there; it has none for bfloat16, and says so.

use std::ops::ControlFlow;
use std::path::PathBuf;

use janus_pipeline::{Janus, Prompt, TextParams};
use janus_runtime::manifest::{Activations, DType, ElementType};
use janus_runtime::{Error, ExecutionProvider, GraphKind, ModelDir, SessionOptions, tensors};
use janus_tests::{cuda_model, data, demo_checkpoint, demo_model, load_library};
use janus_validate::{check_placement, check_structure};

use crate::near::{assert_near_the_official_code, assert_near_the_reference};

fn tiny(dtype: DType) -> PathBuf {
    cuda_model(&data("janus-tiny/released"), None, "tiny", dtype)
}

fn flow(dtype: DType) -> PathBuf {
    let folder = data("janusflow-tiny");
    let vae = Some(folder.join("sdxl-vae"));
    cuda_model(&folder.join("released"), vae, "tiny-flow", dtype)
}

fn demo(dtype: DType) -> PathBuf {
    cuda_model(&demo_checkpoint(), None, "demo", dtype)
}

fn exports() -> Vec<PathBuf> {
    let of = |dtype| [tiny(dtype), flow(dtype), demo(dtype)];
    [DType::Fp16, DType::Bf16]
        .into_iter()
        .flat_map(of)
        .collect()
}

#[test]
fn the_cache_is_as_narrow_as_what_is_computed() {
    for path in exports() {
        let model = ModelDir::open(&path).unwrap();
        let manifest = model.manifest();
        let (activations, float) = match manifest.converter.dtype {
            DType::Fp16 => (Activations::Fp16, ElementType::F16),
            _ => (Activations::Bf16, ElementType::Bf16),
        };
        assert_eq!(manifest.converter.activations, activations);
        let report = check_structure(&model, &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(report.passed(), "{report}");
        let decoder = &manifest.graphs[&GraphKind::LanguageModel];
        let specs = decoder.inputs.iter().chain(&decoder.outputs);
        let (cache, others): (Vec<_>, Vec<_>) =
            specs.partition(|spec| spec.name.contains("key") || spec.name.contains("value"));
        assert_eq!(cache.len(), 4 * manifest.language.num_layers);
        assert!(cache.iter().all(|spec| spec.dtype == float));
        assert!(others.iter().all(|spec| spec.dtype != float));
        assert_eq!(cache[0].name, tensors::past_key(0));
    }
}

#[test]
fn every_heavy_node_has_a_kernel_on_cuda() {
    for path in exports() {
        let model = ModelDir::open(path).unwrap();
        let report = check_placement(&model, "cuda".parse().unwrap()).unwrap();
        assert!(report.passed(), "{report}");
    }
}

#[test]
fn sixteen_bits_are_near_the_official_code() {
    assert_near_the_official_code([tiny(DType::Fp16), flow(DType::Fp16)], 5e-3);
}

#[test]
fn sixteen_bits_are_near_thirty_two() {
    assert_near_the_reference(&demo(DType::Fp16), &demo_model());
}

/// A second question about the same picture takes the picture's keys and values from the first one's.
#[test]
fn a_narrow_cache_is_copied_and_cut_back() {
    load_library();
    let model = ModelDir::open(demo(DType::Fp16)).unwrap();
    let params = TextParams {
        max_new_tokens: 8,
        sampling: janus_llm::Sampling::Greedy,
    };
    let say = |janus: &mut Janus, text: &str| {
        let question = Prompt::new().user(text);
        let mut stream = janus.generate_text(&question, &params).unwrap();
        stream.by_ref().for_each(|piece| drop(piece.unwrap()));
        stream.tokens().to_vec()
    };
    let open = || Janus::from_dir(&model, &SessionOptions::default()).unwrap();
    let mut after_another = open();
    say(&mut after_another, "what colour is the circle?");
    let second = say(&mut after_another, "what colour is the square?");
    assert_eq!(second, say(&mut open(), "what colour is the square?"));
}

#[test]
fn the_cpu_has_no_attention_in_bfloat16() {
    load_library();
    let model = ModelDir::open(tiny(DType::Bf16)).unwrap();
    let report = check_placement(&model, ExecutionProvider::Cpu).unwrap();
    assert!(!report.passed(), "{report}");
    let opened = model.graph(GraphKind::LanguageModel, &SessionOptions::default());
    assert!(matches!(opened, Err(Error::OpenGraph { .. })), "{opened:?}");
}
