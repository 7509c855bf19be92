//! Whole conversions: what comes out, and that it is the same every time.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use common::{Alteration, Altered, tiny, tiny_flow};
use expect_test::expect_file;
use janus_convert::{ConvertOptions, Error, Stage, convert, convert_with_progress, listing};
use janus_runtime::manifest::{DType, Family, Layout};
use janus_runtime::{GraphKind, Manifest};
use serde_json::{Value, json};

/// Every file of a directory.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|e| {
            (
                e.file_name().into_string().unwrap(),
                fs::read(e.path()).unwrap(),
            )
        })
        .collect()
}

#[test]
fn every_layout_and_container_gives_the_same_graphs() {
    let dir = tempfile::tempdir().unwrap();
    let exports = ["released", "released-bin", "transformers"].map(|layout| {
        let out = dir.path().join(layout);
        convert(&tiny(layout), &out, &ConvertOptions::default()).unwrap();
        contents(&out)
    });
    for (name, bytes) in exports[0].iter().filter(|(name, _)| name.contains(".onnx")) {
        assert_eq!(
            exports[1].get(name),
            Some(bytes),
            "{name} from pytorch_model.bin"
        );
        assert_eq!(
            exports[2].get(name),
            Some(bytes),
            "{name} from the transformers layout"
        );
    }
}

#[test]
fn the_same_checkpoint_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let exports = ["one", "another"].map(|name| {
        let out = dir.path().join(name);
        convert(&tiny("released"), &out, &ConvertOptions::default()).unwrap();
        contents(&out)
    });
    assert!(exports[0] == exports[1]);
}

#[test]
fn the_nodes_of_every_graph() {
    let dir = tempfile::tempdir().unwrap();
    for (dtype, listings) in [
        (DType::Fp32, "fp32"),
        (DType::Fp16, "fp16"),
        (DType::Q4, "q4"),
    ] {
        let out = dir.path().join(listings);
        let options = ConvertOptions::in_precision(dtype);
        let manifest = convert(&tiny("released"), &out, &options).unwrap();
        for (kind, entry) in &manifest.graphs {
            // The VQ tokenizer is the same in all of them.
            if dtype != DType::Fp32 && matches!(kind, GraphKind::VqDecoder | GraphKind::VqEncoder) {
                continue;
            }
            let text = listing(&out.join(&entry.file)).unwrap();
            expect_file![format!("listings/{listings}/{kind}.txt")].assert_eq(&text);
        }
    }
}

#[test]
fn the_nodes_of_every_graph_of_a_flow() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("flow");
    let options = ConvertOptions {
        vae: Some(tiny_flow("sdxl-vae")),
        ..ConvertOptions::default()
    };
    let manifest = convert(&tiny_flow("released"), &out, &options).unwrap();
    for kind in [
        GraphKind::VisionEncoder,
        GraphKind::FlowEncoder,
        GraphKind::FlowDecoder,
        GraphKind::VaeDecoder,
    ] {
        let text = listing(&out.join(&manifest.graphs[&kind].file)).unwrap();
        expect_file![format!("listings/flow/{kind}.txt")].assert_eq(&text);
    }
}

#[test]
fn attention_turns_heads_of_a_multiple_of_16_itself() {
    let checkpoint = Altered::copy("released");
    checkpoint.set(
        "config.json",
        "/language_config/num_attention_heads",
        json!(3),
    );
    checkpoint.set(
        "config.json",
        "/language_config/num_key_value_heads",
        json!(3),
    );
    let options = ConvertOptions::default();
    convert(&checkpoint.released(), &checkpoint.out(), &options).unwrap();
    let text = listing(&checkpoint.out().join("language_model.onnx")).unwrap();
    expect_file!["listings/fp32/language_model.heads-of-32.txt"].assert_eq(&text);
}

#[test]
fn the_manifest_says_what_is_there() {
    let checkpoint = Altered::copy("transformers");
    checkpoint.write("LICENSE-MODEL", b"terms");
    checkpoint.write("license.txt", b"more terms");
    let manifest = convert(
        &checkpoint.released(),
        &checkpoint.out(),
        &ConvertOptions::default(),
    )
    .unwrap();

    assert_eq!(Manifest::read(&checkpoint.out()).unwrap(), manifest);
    assert_eq!(manifest.source.layout, Layout::Transformers);
    let (sources, files) = (&manifest.source.files, &manifest.files);
    let source = fs::metadata(checkpoint.released().join("model.safetensors")).unwrap();
    assert_eq!(sources["model.safetensors"].bytes, source.len());
    let mut there = contents(&checkpoint.out());
    there.remove("manifest.json");
    assert!(files.keys().eq(there.keys()), "{files:?}");
    assert!(
        files
            .iter()
            .all(|(name, entry)| there[name].len() as u64 == entry.bytes)
    );
    assert_eq!(there["LICENSE-MODEL"], b"terms");
    assert_eq!(there["license.txt"], b"more terms");
    assert_eq!(manifest.language.context_length, 512);
    assert_eq!(
        (manifest.tokens.pad, manifest.tokens.tokenizer_size),
        (2, 372)
    );
    assert_eq!(manifest.vision.background, [127; 3]);
}

#[test]
fn the_family_is_told_by_the_best_evidence() {
    type Case<'a> = (&'a str, Alteration<'a>, Option<Family>, Family, &'a str);
    let cases: [Case<'_>; 6] = [
        (
            "tokens",
            &|_| {},
            None,
            Family::JanusPro,
            "`<|User|>` is a token of it",
        ),
        (
            "caller",
            &|_| {},
            Some(Family::Janus),
            Family::Janus,
            "the caller says so",
        ),
        (
            "name",
            &|c| {
                c.set(
                    "config.json",
                    "/_name_or_path",
                    json!("deepseek-ai/Janus-1.3B"),
                );
            },
            None,
            Family::Janus,
            "its name contains `janus-1.3b`",
        ),
        (
            "template before name",
            &|c| {
                c.set(
                    "config.json",
                    "/_name_or_path",
                    json!("deepseek-ai/Janus-1.3B"),
                );
                c.write("chat_template.jinja", b"{{ '<|User|>: ' }}");
            },
            None,
            Family::JanusPro,
            "the chat template in `chat_template.jinja` has `<|User|>`",
        ),
        (
            "a base model's template says nothing",
            &|c| {
                c.set(
                    "tokenizer_config.json",
                    "/chat_template",
                    json!("{{ 'User: ' }}"),
                );
            },
            None,
            Family::JanusPro,
            "`<|User|>` is a token of it",
        ),
        (
            "nothing",
            &|c| {
                let path = c.released().join("tokenizer.json");
                let text = fs::read_to_string(path)
                    .unwrap()
                    .replace("<|User|>", "<|user|>");
                c.write("tokenizer.json", text.as_bytes());
            },
            None,
            Family::Janus,
            "nothing names it, and `<|User|>` is no token of it",
        ),
    ];
    for (case, alter, family, expected, evidence) in cases {
        let checkpoint = Altered::copy("released");
        alter(&checkpoint);
        let options = ConvertOptions {
            family,
            ..ConvertOptions::default()
        };
        let manifest = convert(&checkpoint.released(), &checkpoint.out(), &options).unwrap();
        assert_eq!(manifest.family, expected, "{case}");
        let note = format!("taken for {expected}: {evidence}");
        assert_eq!(manifest.source.notes, [note], "{case}");
        let user = if expected == Family::Janus {
            "User"
        } else {
            "<|User|>"
        };
        assert_eq!(manifest.chat.user, user, "{case}");
    }
}

#[test]
fn settings_beside_the_weights_are_taken() {
    let checkpoint = Altered::copy("transformers");
    checkpoint.set("generation_config.json", "/guidance_scale", json!(2));
    checkpoint.set("generation_config.json", "/temperature", json!(0.5));
    checkpoint.set(
        "processor_config.json",
        "/use_default_system_prompt",
        json!(false),
    );
    let options = ConvertOptions::default();
    let manifest = convert(&checkpoint.released(), &checkpoint.out(), &options).unwrap();
    assert_eq!(manifest.generation.guidance_scale, 2.0);
    assert_eq!(manifest.generation.temperature, 0.5);
    assert_eq!(manifest.chat.system_prompt, "");
}

#[test]
fn the_preparation_may_be_in_the_processor() {
    let checkpoint = Altered::copy("transformers");
    let file = checkpoint.released().join("preprocessor_config.json");
    let preparation: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    checkpoint.set("processor_config.json", "/image_processor", preparation);
    fs::remove_file(file).unwrap();
    let options = ConvertOptions::default();
    let manifest = convert(&checkpoint.released(), &checkpoint.out(), &options).unwrap();
    assert_eq!(manifest.vision.image_std, [0.5; 3]);
    assert!(manifest.files.contains_key("processor_config.json"));
}

#[test]
fn what_is_passed_over_is_noted() {
    let checkpoint = Altered::copy("released");
    checkpoint.set(
        "config.json",
        "/auto_map",
        json!({"AutoModel": "modeling.Model"}),
    );
    checkpoint.set("config.json", "/torch_dtype", json!("float16"));
    checkpoint.set("config.json", "/language_config/logits_scaling", json!(1));
    let options = ConvertOptions {
        allow_unknown: true,
        ..ConvertOptions::default()
    };
    let manifest = convert(&checkpoint.released(), &checkpoint.out(), &options).unwrap();
    let notes = [
        "taken for janus-pro: `<|User|>` is a token of it",
        "`config.json` names code in `auto_map`; it is not run",
        "`config.json` says float16; the weights are BF16",
        "`config.json` says language_config.logits_scaling = 1; nothing is known of it",
    ];
    assert_eq!(manifest.source.notes, notes);
}

#[test]
fn a_model_without_a_text_head_uses_its_embedding_table() {
    let checkpoint = Altered::copy("released");
    checkpoint.tensors(|tensors| {
        tensors.remove("language_model.lm_head.weight").unwrap();
    });
    let options = ConvertOptions::default();
    let refused = convert(&checkpoint.released(), &checkpoint.out(), &options).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "tensor `language_model.lm_head.weight` is missing"
    );

    checkpoint.set(
        "config.json",
        "/language_config/tie_word_embeddings",
        json!(true),
    );
    convert(&checkpoint.released(), &checkpoint.out(), &options).unwrap();
    let weights = listing(&checkpoint.out().join("lm_head.onnx")).unwrap();
    assert!(
        weights.contains("embed_tokens.weight f32 [96, 640]"),
        "{weights}"
    );
}

#[test]
fn a_value_beyond_16_bits_is_refused_and_one_that_is_no_number_is_noted() {
    let name = "language_model.model.layers.1.mlp.up_proj.weight";
    let with = |value: half::bf16| {
        let checkpoint = Altered::copy("released");
        checkpoint.tensors(|tensors| {
            tensors.get_mut(name).unwrap().bytes[..2].copy_from_slice(&value.to_le_bytes());
        });
        checkpoint
    };
    let options = ConvertOptions::in_precision(DType::Fp16);

    let checkpoint = with(half::bf16::from_f32(131_072.0));
    let refused = convert(&checkpoint.released(), &checkpoint.out(), &options).unwrap_err();
    let expected = format!(
        "tensor `{name}` has the value 1.31072e5, which 16-bit floats cannot hold; convert with fp32"
    );
    assert_eq!(refused.to_string(), expected);
    assert!(checkpoint.around().is_empty(), "{:?}", checkpoint.around());

    let checkpoint = with(half::bf16::NAN);
    let manifest = convert(&checkpoint.released(), &checkpoint.out(), &options).unwrap();
    let note = format!("tensor `{name}` has 1 values that are not finite");
    assert!(
        manifest.source.notes.contains(&note),
        "{:?}",
        manifest.source.notes
    );
}

#[test]
fn an_export_is_replaced_only_on_request() {
    let checkpoint = Altered::copy("released");
    let (released, out) = (checkpoint.released(), checkpoint.out());
    let keep = ConvertOptions::default();
    let replace = ConvertOptions {
        replace: true,
        ..keep.clone()
    };
    convert(&released, &out, &keep).unwrap();
    fs::write(out.join("manifest.json"), "an older one").unwrap();
    assert!(matches!(
        convert(&released, &out, &keep),
        Err(Error::OutputExists { .. })
    ));

    convert(&released, &out, &replace).unwrap();
    assert!(Manifest::read(&out).is_ok());
    assert_eq!(checkpoint.around(), ["export"]);

    fs::remove_file(out.join("manifest.json")).unwrap();
    assert!(matches!(
        convert(&released, &out, &replace),
        Err(Error::NotAnExport { .. })
    ));
}

#[test]
fn an_export_does_not_touch_its_checkpoint() {
    let checkpoint = Altered::copy("released");
    let options = ConvertOptions {
        replace: true,
        ..ConvertOptions::default()
    };
    let released = checkpoint.released();
    fs::write(released.parent().unwrap().join("manifest.json"), "{}").unwrap();
    for out in [
        released.clone(),
        released.join("a/b"),
        released.parent().unwrap().to_owned(),
    ] {
        let refused = convert(&released, &out, &options);
        assert!(
            matches!(refused, Err(Error::OutputInCheckpoint { .. })),
            "{out:?}: {refused:?}"
        );
    }
}

#[test]
fn a_cancelled_conversion_leaves_nothing() {
    let checkpoint = Altered::copy("released");
    let out = checkpoint.out().join("new/directories");
    let options = ConvertOptions::default();
    for cancelled in [Stage::Hashing, Stage::Writing(GraphKind::GenHead)] {
        let mut last = 0;
        let result =
            convert_with_progress(&checkpoint.released(), &out, &options, &mut |progress| {
                assert!(progress.done >= last && progress.done <= progress.total);
                last = progress.done;
                if progress.stage == cancelled {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
        assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
        assert!(checkpoint.around().is_empty(), "{:?}", checkpoint.around());
    }
}

#[test]
fn one_conversion_at_a_time_and_none_stumbles_over_a_killed_one() {
    let checkpoint = Altered::copy("released");
    let (released, out) = (checkpoint.released(), checkpoint.out());
    let options = ConvertOptions::default();
    let killed = out.with_file_name(".export.partial-1");
    fs::create_dir(&killed).unwrap();
    fs::write(killed.join("vq_encoder.onnx"), "half of it").unwrap();

    convert_with_progress(&released, &out, &options, &mut |_| {
        let other = convert(&released, &out, &options);
        assert!(
            matches!(other, Err(Error::OutputLocked { .. })),
            "{other:?}"
        );
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(checkpoint.around(), ["export"]);
}

#[test]
fn an_export_that_was_being_replaced_comes_back() {
    let checkpoint = Altered::copy("released");
    let (released, out) = (checkpoint.released(), checkpoint.out());
    convert(&released, &out, &ConvertOptions::default()).unwrap();
    fs::rename(&out, out.with_file_name(".export.replaced-1")).unwrap();

    let refused = convert(&released, &out, &ConvertOptions::default());
    assert!(
        matches!(refused, Err(Error::OutputExists { .. })),
        "{refused:?}"
    );
    assert!(Manifest::read(&out).is_ok());
}
