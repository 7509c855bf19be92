//! Graphs of the standard's operators in fixed sizes, as TensorRT, CoreML and OpenVINO want them: on the
//! CPU they compute what the others do.

use std::ops::ControlFlow;
use std::path::PathBuf;

use janus_pipeline::{ImageParams, Janus, Prompt, TextParams};
use janus_runtime::manifest::{DType, Dim, Operators};
use janus_runtime::{GraphKind, ModelDir, SessionOptions};
use janus_tests::{data, demo_checkpoint, demo_model, load_library, standard_model, tiny_model};
use janus_validate::check_structure;

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

#[test]
fn graphs_have_standard_operators_and_fixed_sizes() {
    for path in [tiny(), flow(), demo()] {
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
}

#[test]
fn they_equal_the_fused_graphs() {
    assert_near_the_reference(&tiny(), &tiny_model("released", DType::Fp32));
    assert_near_the_reference(&demo(), &demo_model());
}

#[test]
fn they_draw_and_say_the_same_tokens() {
    load_library();
    let options = SessionOptions::default();
    let open = |path: PathBuf| Janus::from_dir(&ModelDir::open(path).unwrap(), &options).unwrap();
    let mut models = [open(demo_model()), open(demo())];
    for seed in [1, 2] {
        let drawn = models.each_mut().map(|janus| {
            let params = ImageParams {
                images: 2,
                ..janus.image_params(seed)
            };
            let mut stream = janus
                .generate_image_tokens("a red circle", &params)
                .unwrap();
            stream.by_ref().for_each(|step| drop(step.unwrap()));
            stream.rows().to_vec()
        });
        assert_eq!(drawn[0], drawn[1]);
        let said = models.each_mut().map(|janus| {
            let question = Prompt::new().user("what colour is the circle?");
            let params = TextParams {
                max_new_tokens: 12,
                sampling: janus_llm::Sampling::random(1.0, seed),
            };
            let mut stream = janus.generate_text(&question, &params).unwrap();
            stream.by_ref().for_each(|piece| drop(piece.unwrap()));
            stream.tokens().to_vec()
        });
        assert_eq!(said[0], said[1]);
    }
}
