//! Graphs of the standard's operators in fixed sizes, as TensorRT, CoreML and OpenVINO want them: on the
//! CPU they compute what the others do.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;

use janus_llm::{Embeddings, Error, KvCache, LanguageModel};
use janus_pipeline::{ImageParams, Janus, Prompt, TextParams};
use janus_runtime::manifest::{DType, Dim, Operators};
use janus_runtime::{GraphKind, ModelDir, SessionOptions, TokenId};
use janus_tests::{
    assert_close, data, demo_checkpoint, demo_model, load_library, standard_model,
    standard_model_with, tiny_model,
};
use janus_validate::{check_structure, validate};

use crate::near::{assert_near_the_official_code, assert_near_the_reference};

fn tiny() -> PathBuf {
    standard_model(&data("janus-tiny/released"), None, "tiny")
}

fn flow() -> PathBuf {
    let folder = data("janusflow-tiny");
    let vae = Some(folder.join("sdxl-vae"));
    standard_model(&folder.join("released"), vae, "tiny-flow")
}

fn demo() -> PathBuf {
    standard_model(&demo_checkpoint(), None, "demo")
}

/// Sizes of caches of which small prompts and pictures use each.
const SIZES: [usize; 4] = [64, 128, 192, 512];

fn tiny_in_buckets() -> PathBuf {
    standard_model_with(&SIZES, &data("janus-tiny/released"), None, "tiny")
}

fn flow_in_buckets() -> PathBuf {
    let folder = data("janusflow-tiny");
    let vae = Some(folder.join("sdxl-vae"));
    standard_model_with(&SIZES, &folder.join("released"), vae, "tiny-flow")
}

fn demo_in_buckets() -> PathBuf {
    standard_model_with(&SIZES, &demo_checkpoint(), None, "demo")
}

#[test]
fn graphs_have_standard_operators_and_fixed_sizes() {
    for path in [tiny(), flow(), demo(), tiny_in_buckets()] {
        let model = ModelDir::open(&path).unwrap();
        assert_eq!(model.manifest().converter.operators, Operators::Standard);
        let report = check_structure(&model, &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(report.passed(), "{report}");
        for (&kind, entry) in &model.manifest().graphs {
            let graph = janus_onnx::read(&path.join(&entry.file)).unwrap();
            for node in &graph.graph().node {
                assert_eq!(node.domain(), "", "{kind}: {}", node.name());
                // Those that ONNX Runtime added to the standard domain, those too new for some, and
                // those of which shaders have only a rough idea.
                let own = [
                    "SimplifiedLayerNormalization",
                    "Gelu",
                    "ReduceL2",
                    "Sin",
                    "Cos",
                ];
                assert!(!own.contains(&node.op_type()), "{kind}: {}", node.name());
            }
            let mut dims = entry.inputs.iter().flat_map(|spec| &spec.shape);
            let is_fixed = dims.all(|dim| matches!(dim, Dim::Fixed(_)));
            // The table of words has rows for prompts of any length.
            assert_eq!(is_fixed, kind != GraphKind::EmbedTokens, "{kind}");
        }
    }
}

#[test]
fn they_compute_what_the_official_code_does() {
    assert_near_the_official_code([tiny(), flow()], 1e-5);
    assert_near_the_official_code([tiny_in_buckets(), flow_in_buckets()], 1e-5);
}

#[test]
fn they_equal_the_fused_graphs() {
    assert_near_the_reference(&tiny(), &tiny_model("released", DType::Fp32));
    assert_near_the_reference(&demo(), &demo_model());
    let report = assert_near_the_reference(&demo_in_buckets(), &demo_model());
    let graphs: Vec<_> = report.graphs.iter().map(|row| row.graph).collect();
    for kind in [
        GraphKind::LanguageModelBucket(192),
        GraphKind::LanguageModel,
    ] {
        assert!(graphs.contains(&kind), "{report}");
    }
}

#[test]
fn they_draw_and_say_the_same_tokens() {
    load_library();
    let options = SessionOptions::default();
    let folders = [demo_model(), demo(), demo_in_buckets()];
    let folders = folders.map(|path| ModelDir::open(path).unwrap());
    let mut models = folders
        .each_ref()
        .map(|folder| Janus::from_dir(folder, &options).unwrap());
    for (seed, prompt, tokens) in [
        (1, "a red circle", 12),
        (2, &"a green shield above a yellow arch ".repeat(5), 80),
    ] {
        let drawn = models.each_mut().map(|janus| {
            let params = ImageParams {
                images: 2,
                ..janus.image_params(seed)
            };
            let mut stream = janus.generate_image_tokens(prompt, &params).unwrap();
            stream.by_ref().for_each(|step| drop(step.unwrap()));
            stream.rows().to_vec()
        });
        let said = models.each_mut().map(|janus| {
            let question = Prompt::new().user("what colour is the circle?");
            let params = TextParams {
                max_new_tokens: tokens,
                sampling: janus_llm::Sampling::random(1.0, seed),
            };
            let mut stream = janus.generate_text(&question, &params).unwrap();
            stream.by_ref().for_each(|piece| drop(piece.unwrap()));
            stream.tokens().to_vec()
        });
        for model in 1..models.len() {
            assert_eq!(drawn[model], drawn[0], "{prompt}");
            assert_eq!(said[model], said[0], "{prompt}");
        }
    }
    // Sequences of each of two buckets were among them.
    let opened = folders[2].placements();
    for kind in [64, 128].map(GraphKind::LanguageModelBucket) {
        assert!(opened.contains_key(&kind), "{kind}");
    }
}

#[test]
fn every_size_of_cache_has_two_graphs_of_the_same_weights() {
    for (path, expected) in [
        (tiny(), vec![256, 512]),
        (tiny_in_buckets(), SIZES.to_vec()),
        (demo(), vec![256]),
        (demo_in_buckets(), vec![64, 128, 192, 256]),
        (tiny_model("released", DType::Fp32), Vec::new()),
    ] {
        let model = ModelDir::open(&path).unwrap();
        let manifest = model.manifest();
        assert_eq!(manifest.cache_sizes(), expected, "{}", path.display());
        let files = manifest.files.keys();
        let stored = files.filter(|file| {
            let of = |form: &str| file.starts_with(form) && file.ends_with(".data");
            of("language_model") || of("prefill")
        });
        assert_eq!(stored.count(), 1, "{}", path.display());
        for &size in &expected {
            let kinds = match size == manifest.language.context_length {
                true => [GraphKind::LanguageModel, GraphKind::Prefill],
                false => [
                    GraphKind::LanguageModelBucket(size),
                    GraphKind::PrefillBucket(size),
                ],
            };
            for kind in kinds {
                let entry = &manifest.graphs[&kind];
                assert_eq!(entry.data.as_deref(), Some("language_model.onnx.data"));
                let past = entry.inputs.iter().find(|it| it.name.ends_with("0.key"));
                assert_eq!(past.unwrap().shape[2], Dim::Fixed(size), "{kind}");
            }
        }
    }
}

/// A prompt in one pass and `steps` positions after it, in a cache with room for so many.
fn hidden(
    llm: &mut LanguageModel,
    prompt: &Embeddings,
    room: usize,
    steps: usize,
) -> (KvCache, Vec<ndarray::Array2<f32>>) {
    let mut cache = llm.new_cache(1, room).unwrap();
    let first = prompt.positions() - steps;
    let pieces = (first..prompt.positions()).map(|at| at..at + 1);
    let pieces = std::iter::once(0..first).chain(pieces);
    let found = pieces.map(|piece| {
        llm.forward(&prompt.slice(piece), &mut cache)
            .unwrap()
            .last()
    });
    let found = found.collect();
    (cache, found)
}

#[test]
fn a_sequence_is_the_same_in_every_bucket_and_opens_no_other() {
    load_library();
    let options = SessionOptions::default();
    let open = |path| LanguageModel::open(&ModelDir::open(path).unwrap(), &options).unwrap();
    let mut fused = open(tiny_model("released", DType::Fp32));
    let ids: Vec<_> = (0..130).map(|i| TokenId((i * 11 + 3) % 300)).collect();
    let prompt = fused.embed_text(&ids).unwrap();
    for (positions, room, size) in [
        (40, 40, 64),
        (40, 64, 64),
        (40, 65, 128),
        (128, 128, 128),
        (40, 129, 192),
        (130, 130, 192),
        (130, 193, 512),
    ] {
        let prompt = prompt.slice(0..positions);
        let model = ModelDir::open(tiny_in_buckets()).unwrap();
        let mut llm = LanguageModel::open(&model, &options).unwrap();
        let (cache, found) = hidden(&mut llm, &prompt, room, 2);
        assert_eq!((cache.capacity(), cache.lengths()[0]), (size, positions));
        let (_, expected) = hidden(&mut fused, &prompt, room, 2);
        for (found, expected) in found.iter().zip(&expected) {
            let what = format!("{positions} positions in {size}");
            assert_close(&what, found.view(), expected.view(), 1e-5);
        }
        let opened: BTreeSet<_> = model.placements().into_keys().collect();
        let of_size = match size {
            512 => [GraphKind::LanguageModel, GraphKind::Prefill],
            _ => [
                GraphKind::LanguageModelBucket(size),
                GraphKind::PrefillBucket(size),
            ],
        };
        assert_eq!(opened, of_size.into(), "{positions} positions in {room}");
    }
    let too_long = open(tiny_in_buckets()).new_cache(1, 513);
    assert!(matches!(too_long, Err(Error::CacheSize { .. })));
}

#[test]
fn a_prefix_of_one_bucket_goes_on_in_another() {
    load_library();
    let model = ModelDir::open(tiny_in_buckets()).unwrap();
    let mut llm = LanguageModel::open(&model, &SessionOptions::default()).unwrap();
    let ids: Vec<_> = (0..78).map(|i| TokenId((i * 7 + 5) % 300)).collect();
    let prompt = llm.embed_text(&ids).unwrap();
    for (from, to) in [(64, 192), (128, 64), (512, 128)] {
        let (prefix, _) = hidden(&mut llm, &prompt.slice(0..40), from, 1);
        let mut moved = llm.new_cache(2, to).unwrap();
        moved.copy_row(1, &prefix, 0).unwrap();
        assert_eq!((moved.capacity(), moved.lengths()), (to, &[0, 40][..]));
        let mut one = llm.new_cache(1, to).unwrap();
        one.copy_row(0, &moved, 1).unwrap();
        let last = prompt.slice(40..41);
        let found = llm.forward(&last, &mut one).unwrap().last();
        let (_, expected) = hidden(&mut llm, &prompt.slice(0..41), to, 1);
        let what = format!("{from} to {to}");
        assert_close(&what, found.view(), expected[1].view(), 1e-6);
    }
}

/// The official code's numbers are compared in every cache that holds the sequence.
#[test]
fn validation_runs_every_bucket() {
    load_library();
    let model = ModelDir::open(tiny_in_buckets()).unwrap();
    let golden = data("janus-tiny/golden.safetensors");
    let report = validate(&model, &SessionOptions::default(), &golden, None).unwrap();
    for name in [
        "text_logits",
        "text_forced_logits",
        "image_forced_logits_cond",
    ] {
        let rows = report.rows.iter().filter(|row| row.name == name);
        let caches: Vec<_> = rows.map(|row| row.cache.unwrap()).collect();
        assert!(SIZES.ends_with(&caches) && caches.len() >= 3, "{report}");
    }
    let graphs = report.rows.iter().flat_map(|row| &row.graphs);
    let graphs: BTreeSet<_> = graphs.map(String::as_str).collect();
    for graph in [
        "language_model_64",
        "language_model_128",
        "language_model_192",
        "language_model",
    ] {
        assert!(graphs.contains(graph), "{report}");
    }
    assert!(report.passed(), "{report}");
}
