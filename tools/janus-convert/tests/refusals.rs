//! Checkpoints that are not converted, and what is said of them.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::fmt::Write;
use std::fs;

use common::{Alteration, Altered, Tensor, chain};
use expect_test::{Expect, expect};
use janus_convert::{ConvertOptions, convert};
use serde_json::{Value, json};

/// Converts an altered copy; it must fail, leave nothing, and say why.
#[track_caller]
fn refusal(layout: &str, alter: impl FnOnce(&Altered)) -> String {
    let checkpoint = Altered::copy(layout);
    alter(&checkpoint);
    let result = convert(
        &checkpoint.released(),
        &checkpoint.out(),
        &ConvertOptions::default(),
    );
    assert!(
        checkpoint.around().is_empty(),
        "{result:?} left {:?}",
        checkpoint.around()
    );
    let message = result.map_or_else(|error| chain(&error), |_| "it was converted".to_owned());
    let place = checkpoint
        .released()
        .canonicalize()
        .unwrap()
        .display()
        .to_string();
    message.replace(&place, "…")
}

#[track_caller]
fn check(layout: &str, alter: impl FnOnce(&Altered), expected: &str) {
    assert_eq!(refusal(layout, alter), expected);
}

#[test]
fn tensors() {
    let scale = || Tensor {
        dtype: "BF16".to_owned(),
        shape: vec![1],
        bytes: vec![0; 2],
    };
    check(
        "released",
        |c| {
            c.tensors(|t| drop(t.remove("language_model.model.norm.weight")));
        },
        "tensor `language_model.model.norm.weight` is missing",
    );
    check(
        "transformers",
        |c| {
            c.tensors(|t| drop(t.remove("model.vision_model.encoder.layers.1.mlp.fc2.bias")));
        },
        "tensor `model.vision_model.encoder.layers.1.mlp.fc2.bias` is missing",
    );
    check(
        "released",
        |c| {
            c.tensors(|t| drop(t.insert("language_model.scale".to_owned(), scale())));
        },
        "1 tensors of the checkpoint were not used: `language_model.scale`",
    );
    check(
        "released",
        |c| {
            c.tensors(|t| t.get_mut("gen_head.vision_head.bias").unwrap().shape = vec![64, 2]);
        },
        "tensor `gen_head.vision_head.bias` has shape [64, 2]; it should be [128]",
    );
    check(
        "released",
        |c| {
            c.tensors(|t| "I16".clone_into(&mut t.get_mut("aligner.layers.0.bias").unwrap().dtype));
        },
        "tensor `aligner.layers.0.bias` has type I16; weights are F32, F16 or BF16",
    );
    check(
        "released",
        |c| {
            c.tensors(|t| {
                let conv = t
                    .get_mut("gen_vision_model.decoder.conv_in.weight")
                    .unwrap();
                conv.shape = vec![0, 32, 3, 3];
                conv.bytes.clear();
            });
        },
        "tensor `gen_vision_model.decoder.conv_in.weight` has shape [0, 32, 3, 3]; axis 0 should be 1 or more",
    );
}

/// Gives tensors whose names begin with `from` names that begin with `to`.
fn rename(checkpoint: &Altered, from: &str, to: &str) {
    checkpoint.tensors(|tensors| {
        let names: Vec<_> = tensors
            .keys()
            .filter(|name| name.starts_with(from))
            .cloned()
            .collect();
        for name in names {
            let tensor = tensors.remove(&name).unwrap();
            tensors.insert(name.replacen(from, to, 1), tensor);
        }
    });
}

#[test]
fn structures() {
    let cases = [
        ("vision_model.vision_tower.blocks.0.", "elsewhere."),
        (
            "vision_model.vision_tower.blocks.1.",
            "vision_model.vision_tower.blocks.2.",
        ),
        (
            "gen_vision_model.decoder.conv_blocks.0.",
            "gen_vision_model.decoder.conv_blocks.9.",
        ),
        (
            "gen_vision_model.decoder.conv_blocks.4.",
            "gen_vision_model.decoder.conv_blocks.9.",
        ),
        (
            "gen_vision_model.decoder.conv_blocks.3.res.0.nin_shortcut.",
            "elsewhere.",
        ),
        (
            "gen_vision_model.encoder.conv_blocks.0.downsample.",
            "elsewhere.",
        ),
        ("gen_aligner.layers.0.", "gen_aligner.layers.1."),
    ];
    let mut text = String::new();
    for (from, to) in cases {
        let message = refusal("released", |c| rename(c, from, to));
        writeln!(text, "{from} → {to}\n    {message}").unwrap();
    }
    expect![[r#"
        vision_model.vision_tower.blocks.0. → elsewhere.
            tensor `vision_model.vision_tower.blocks.0.mlp.fc1.weight` is missing
        vision_model.vision_tower.blocks.1. → vision_model.vision_tower.blocks.2.
            12 tensors of the checkpoint were not used: `vision_model.vision_tower.blocks.2.attn.proj.bias`, `vision_model.vision_tower.blocks.2.attn.proj.weight`, `vision_model.vision_tower.blocks.2.attn.qkv.bias`, `vision_model.vision_tower.blocks.2.attn.qkv.weight`, `vision_model.vision_tower.blocks.2.mlp.fc1.bias`, …
        gen_vision_model.decoder.conv_blocks.0. → gen_vision_model.decoder.conv_blocks.9.
            `gen_vision_model.decoder` has 0 levels; it should have 1 or more, between which 64 pixels can be halved
        gen_vision_model.decoder.conv_blocks.4. → gen_vision_model.decoder.conv_blocks.9.
            64 tensors of the checkpoint were not used: `gen_vision_model.decoder.conv_blocks.3.upsample.conv.bias`, `gen_vision_model.decoder.conv_blocks.3.upsample.conv.weight`, `gen_vision_model.decoder.conv_blocks.9.res.0.conv1.bias`, `gen_vision_model.decoder.conv_blocks.9.res.0.conv1.weight`, `gen_vision_model.decoder.conv_blocks.9.res.0.conv2.bias`, …
        gen_vision_model.decoder.conv_blocks.3.res.0.nin_shortcut. → elsewhere.
            tensor `gen_vision_model.decoder.conv_blocks.3.res.0.nin_shortcut.weight` is missing
        gen_vision_model.encoder.conv_blocks.0.downsample. → elsewhere.
            tensor `gen_vision_model.encoder.conv_blocks.0.downsample.conv.weight` is missing
        gen_aligner.layers.0. → gen_aligner.layers.1.
            `…/config.json`: `gen_aligner_config.params.depth` is 2, but the weights have 0 linear layers
    "#]].assert_eq(&text);
}

/// What is said of a file of which one field is set (or, with `null`, removed) in each case.
fn check_fields(file: &str, cases: &[(&str, &str, Value)], expected: &Expect) {
    let mut text = String::new();
    for (layout, pointer, value) in cases {
        let message = refusal(layout, |c| c.set(file, pointer, value.clone()));
        writeln!(text, "{pointer} {value}\n    {message}").unwrap();
    }
    expected.assert_eq(&text);
}

#[test]
fn the_language_model() {
    let cases = [
        ("num_hidden_layers", json!(0)),
        ("num_hidden_layers", json!("12")),
        ("num_hidden_layers", json!(3.7)),
        ("num_hidden_layers", json!(1_000_000_000)),
        ("num_hidden_layers", json!(true)),
        ("num_hidden_layers", json!(1)),
        ("num_hidden_layers", json!(3)),
        ("num_attention_heads", json!(7)),
        ("num_key_value_heads", json!(3)),
        ("num_key_value_heads", json!(8)),
        ("head_dim", json!(12)),
        ("head_dim", json!(16)),
        ("vocab_size", json!(641)),
        ("vocab_size", json!(300)),
        ("rms_norm_eps", json!(0)),
        ("rms_norm_eps", json!(10)),
        ("rope_theta", json!(0)),
        ("rope_scaling", json!({"type": "linear", "factor": 2})),
        ("rope_scaling", json!({"rope_type": "yarn"})),
        ("hidden_act", json!("gelu")),
        ("attention_bias", json!(true)),
        ("mlp_bias", json!(true)),
        ("model_type", json!("mixtral")),
        ("logits_scaling", json!(8)),
        ("quantization_config", json!({"quant_method": "awq"})),
    ];
    let pointers = cases.map(|(key, value)| (format!("/language_config/{key}"), value));
    let cases = pointers
        .each_ref()
        .map(|(key, value)| ("released", key.as_str(), value.clone()));
    check_fields(
        "config.json",
        &cases,
        &expect![[r#"
            /language_config/num_hidden_layers 0
                `…/config.json`: `language_config.num_hidden_layers` is 0; it should be a whole number, 1 to 1024
            /language_config/num_hidden_layers "12"
                `…/config.json`: `language_config.num_hidden_layers` is "12"; it should be a whole number, 1 to 1024
            /language_config/num_hidden_layers 3.7
                `…/config.json`: `language_config.num_hidden_layers` is 3.7; it should be a whole number, 1 to 1024
            /language_config/num_hidden_layers 1000000000
                `…/config.json`: `language_config.num_hidden_layers` is 1000000000; it should be a whole number, 1 to 1024
            /language_config/num_hidden_layers true
                `…/config.json`: `language_config.num_hidden_layers` is true; it should be a whole number, 1 to 1024
            /language_config/num_hidden_layers 1
                9 tensors of the checkpoint were not used: `language_model.model.layers.1.input_layernorm.weight`, `language_model.model.layers.1.mlp.down_proj.weight`, `language_model.model.layers.1.mlp.gate_proj.weight`, `language_model.model.layers.1.mlp.up_proj.weight`, `language_model.model.layers.1.post_attention_layernorm.weight`, …
            /language_config/num_hidden_layers 3
                tensor `language_model.model.layers.2.input_layernorm.weight` is missing
            /language_config/num_attention_heads 7
                `…/config.json`: `language_config.num_key_value_heads` is 4; it should be a divisor of num_attention_heads = 7
            /language_config/num_key_value_heads 3
                `…/config.json`: `language_config.num_key_value_heads` is 3; it should be a divisor of num_attention_heads = 4
            /language_config/num_key_value_heads 8
                `…/config.json`: `language_config.num_key_value_heads` is 8; it should be a whole number, 1 to 4
            /language_config/head_dim 12
                `…/config.json`: `language_config.head_dim` is 12; it should be a multiple of 8
            /language_config/head_dim 16
                tensor `language_model.model.layers.0.self_attn.q_proj.weight` has shape [96, 96]; it should be [64, 96]
            /language_config/vocab_size 641
                `…/config.json`: `language_config.vocab_size` is 641, but the weights have 640 rows in the embedding table
            /language_config/vocab_size 300
                `…/config.json`: `language_config.vocab_size` is 300, but the weights have 640 rows in the embedding table
            /language_config/rms_norm_eps 0
                `…/config.json`: `language_config.rms_norm_eps` is 0; it should be a number, 1e-12 to 0.01
            /language_config/rms_norm_eps 10
                `…/config.json`: `language_config.rms_norm_eps` is 10; it should be a number, 1e-12 to 0.01
            /language_config/rope_theta 0
                `…/config.json`: `language_config.rope_theta` is 0; it should be a number, 1.0 to 1000000000000.0
            /language_config/rope_scaling {"factor":2,"type":"linear"}
                `…/config.json`: `language_config.rope_scaling.type` is "linear"; it should be "default"; nothing else is supported
            /language_config/rope_scaling {"rope_type":"yarn"}
                `…/config.json`: `language_config.rope_scaling.rope_type` is "yarn"; it should be "default"; nothing else is supported
            /language_config/hidden_act "gelu"
                `…/config.json`: `language_config.hidden_act` is "gelu"; it should be "silu"; nothing else is supported
            /language_config/attention_bias true
                `…/config.json`: `language_config.attention_bias` is true; it should be false; nothing else is supported
            /language_config/mlp_bias true
                `…/config.json`: `language_config.mlp_bias` is true; it should be false; nothing else is supported
            /language_config/model_type "mixtral"
                `…/config.json`: `language_config.model_type` is "mixtral"; it should be "llama"; nothing else is supported
            /language_config/logits_scaling 8
                `…/config.json`: `language_config.logits_scaling` is 8, of which nothing is known
            /language_config/quantization_config {"quant_method":"awq"}
                `…/config.json`: `language_config.quantization_config` is {"quant_method":"awq"}; it should be absent; it is not supported
        "#]],
    );
}

#[test]
fn the_other_networks() {
    let cases = [
        ("released", "/model_type", json!("llama")),
        ("released", "/model_type", json!(null)),
        (
            "released",
            "/vision_gen_enc_config",
            json!({"cls": "ShallowUViTEncoder"}),
        ),
        (
            "released",
            "/quantization_config",
            json!({"quant_method": "awq"}),
        ),
        ("released", "/residual_multiplier", json!(0.5)),
        ("released", "/vision_config/params/image_size", json!(65)),
        ("released", "/vision_config/params/image_size", json!(32)),
        ("released", "/vision_config/params/image_size", json!(null)),
        (
            "released",
            "/vision_config/params/model_name",
            json!("clip_large"),
        ),
        (
            "released",
            "/vision_config/params/pixel_mean",
            json!([0.5, 0.5, 0.5]),
        ),
        ("released", "/aligner_config/params/depth", json!(3)),
        (
            "released",
            "/aligner_config/params/projector_type",
            json!("linear"),
        ),
        (
            "released",
            "/gen_vision_config/params/image_token_size",
            json!(64),
        ),
        ("released", "/gen_vision_config/params/n_embed", json!(16)),
        (
            "transformers",
            "/vision_config/num_attention_heads",
            json!(3),
        ),
        ("transformers", "/vision_config/num_hidden_layers", json!(3)),
        ("transformers", "/vision_config/use_qk_norm", json!(true)),
        (
            "transformers",
            "/vision_config/hidden_act",
            json!("gelu_pytorch_tanh"),
        ),
        ("transformers", "/vision_config/layer_norm_eps", json!(-1)),
        (
            "transformers",
            "/vision_config/num_image_tokens",
            json!(576),
        ),
        ("transformers", "/image_token_id", json!(100_581)),
        ("transformers", "/vq_config/num_patches", json!(8)),
        ("transformers", "/vq_config/double_latent", json!(true)),
        ("transformers", "/vq_config/num_hidden_layers", json!(1)),
        (
            "transformers",
            "/text_config/rope_parameters/rope_type",
            json!("yarn"),
        ),
        (
            "transformers",
            "/text_config/rope_parameters/partial_rotary_factor",
            json!(0.5),
        ),
    ];
    check_fields(
        "config.json",
        &cases,
        &expect![[r#"
            /model_type "llama"
                `…/config.json` is a model of type `llama`; Janus and Janus-Pro have `multi_modality` (as released) or `janus` (transformers)
            /model_type null
                `…/config.json`: `model_type` is missing
            /vision_gen_enc_config {"cls":"ShallowUViTEncoder"}
                `…/config.json` is a JanusFlow model; this version converts Janus and Janus-Pro
            /quantization_config {"quant_method":"awq"}
                `…/config.json`: `quantization_config` is {"quant_method":"awq"}; it should be absent; it is not supported
            /residual_multiplier 0.5
                `…/config.json`: `residual_multiplier` is 0.5, of which nothing is known
            /vision_config/params/image_size 65
                `…/config.json`: `vision_config.params.image_size` is 65; it should be a multiple of the patches, which are 16 wide
            /vision_config/params/image_size 32
                tensor `vision_model.vision_tower.pos_embed` has shape [1, 16, 128]; it should be [1, 4, 128]
            /vision_config/params/image_size null
                `…/config.json`: `vision_config.params.image_size` is missing
            /vision_config/params/model_name "clip_large"
                `…/config.json`: `vision_config.params.model_name` is clip_large; it should be a SigLIP model
            /vision_config/params/pixel_mean [0.5,0.5,0.5]
                `…/config.json`: `vision_config.params.pixel_mean` is [0.5,0.5,0.5]; it should be absent; it is not supported
            /aligner_config/params/depth 3
                `…/config.json`: `aligner_config.params.depth` is 3, but the weights have 2 linear layers
            /aligner_config/params/projector_type "linear"
                `…/config.json`: `aligner_config.params.projector_type` is "linear"; it should be "mlp_gelu"; nothing else is supported
            /gen_vision_config/params/image_token_size 64
                `…/config.json`: `gen_vision_config.params.image_token_size` is 64, but the weights have 128 rows in the codebook
            /gen_vision_config/params/n_embed 16
                `…/config.json`: `gen_vision_config.params.n_embed` is 16, but the weights have 8 columns in the codebook
            /vision_config/num_attention_heads 3
                `…/config.json`: `vision_config.num_attention_heads` is 3; it should be a divisor of the width, 128
            /vision_config/num_hidden_layers 3
                `…/config.json`: `vision_config.num_hidden_layers` is 3, but the weights have 2 blocks
            /vision_config/use_qk_norm true
                `…/config.json`: `vision_config.use_qk_norm` is true; it should be false; nothing else is supported
            /vision_config/hidden_act "gelu_pytorch_tanh"
                `…/config.json`: `vision_config.hidden_act` is "gelu_pytorch_tanh"; it should be "gelu"; nothing else is supported
            /vision_config/layer_norm_eps -1
                `…/config.json`: `vision_config.layer_norm_eps` is -1; it should be a number, 1e-12 to 0.01
            /vision_config/num_image_tokens 576
                `…/config.json`: `vision_config.num_image_tokens` is 576, but the weights have 16 patches in a picture
            /image_token_id 100581
                `…/config.json`: `image_token_id` is 100581, but `<image_placeholder>` is 5 in the tokenizer
            /vq_config/num_patches 8
                `…/config.json`: `vq_config.num_patches` is 8, but the weights have 4 rows in the grid of image tokens
            /vq_config/double_latent true
                `…/config.json`: `vq_config.double_latent` is true; it should be false; nothing else is supported
            /vq_config/num_hidden_layers 1
                `…/config.json`: `vq_config.num_hidden_layers` is 1, but the weights have 2 linear layers
            /text_config/rope_parameters/rope_type "yarn"
                `…/config.json`: `text_config.rope_parameters.rope_type` is "yarn"; it should be "default"; nothing else is supported
            /text_config/rope_parameters/partial_rotary_factor 0.5
                `…/config.json`: `text_config.rope_parameters.partial_rotary_factor` is 0.5, of which nothing is known
        "#]],
    );
}

#[test]
fn pictures_in_a_prompt() {
    let cases = [("released", "/num_image_tokens", json!(576))];
    check_fields(
        "processor_config.json",
        &cases,
        &expect![[r#"
        /num_image_tokens 576
            `…/processor_config.json`: `num_image_tokens` is 576, but the weights have 16 patches in a picture
    "#]],
    );
}

#[cfg(unix)]
#[test]
fn links_and_pipes() {
    use std::os::unix::fs::symlink;
    let cases: [(&str, Alteration<'_>); 3] = [
        ("a link to a file elsewhere", &|c| {
            fs::write(c.released().with_file_name("secret"), "of another user").unwrap();
            symlink("../secret", c.released().join("LICENSE")).unwrap();
        }),
        ("a link to a directory", &|c| {
            fs::remove_file(c.released().join("config.json")).unwrap();
            symlink(".", c.released().join("config.json")).unwrap();
        }),
        ("a device", &|c| {
            fs::remove_file(c.released().join("config.json")).unwrap();
            symlink("/dev/zero", c.released().join("config.json")).unwrap();
        }),
    ];
    let mut text = String::new();
    for (case, alter) in cases {
        let checkpoint = Altered::copy("released");
        alter(&checkpoint);
        let options = ConvertOptions::default();
        let error = convert(&checkpoint.released(), &checkpoint.out(), &options).unwrap_err();
        let place = checkpoint.released().canonicalize().unwrap();
        let place = place.parent().unwrap().display().to_string();
        writeln!(text, "{case}\n    {}", chain(&error).replace(&place, "…")).unwrap();
        assert!(!checkpoint.out().exists());
    }
    expect![[r#"
        a link to a file elsewhere
            `LICENSE` is a link to `…/secret`, outside of the checkpoint's directory; put a copy in its place
        a link to a directory
            `config.json` is a directory, a pipe or a device, not a regular file
        a device
            `config.json` is a link to `/dev/zero`, outside of the checkpoint's directory; put a copy in its place
    "#]].assert_eq(&text);
}

#[test]
fn the_preparation_of_pictures() {
    let cases = [
        ("released", "/image_size", json!(0)),
        ("released", "/image_size", json!(1_000_000)),
        ("released", "/image_size", json!(96)),
        ("released", "/image_size", json!(null)),
        ("released", "/image_mean", json!([0.5, 0.5])),
        ("released", "/image_mean", json!([127.5, 127.5, 127.5])),
        ("released", "/image_mean", json!(null)),
        ("released", "/image_std", json!([0.5, 0.5, 0.0])),
        ("released", "/rescale_factor", json!(0)),
        ("released", "/min_size", json!(65)),
        ("transformers", "/resample", json!(2)),
        ("transformers", "/do_pad", json!(false)),
        ("transformers", "/size/height", json!(48)),
    ];
    check_fields(
        "preprocessor_config.json",
        &cases,
        &expect![[r#"
        /image_size 0
            `…/preprocessor_config.json`: `image_size` is 0; it should be a whole number, 1 to 8192
        /image_size 1000000
            `…/preprocessor_config.json`: `image_size` is 1000000; it should be a whole number, 1 to 8192
        /image_size 96
            `…/preprocessor_config.json`: `image_size` is 96, but the vision encoder takes 64
        /image_size null
            `…/preprocessor_config.json`: `image_size` is missing
        /image_mean [0.5,0.5]
            `…/preprocessor_config.json`: `image_mean` is [0.5,0.5]; it should be three numbers, 0.0 to 1.0
        /image_mean [127.5,127.5,127.5]
            `…/preprocessor_config.json`: `image_mean` is [127.5,127.5,127.5]; it should be three numbers, 0.0 to 1.0
        /image_mean null
            `…/preprocessor_config.json`: `image_mean` is missing
        /image_std [0.5,0.5,0.0]
            `…/preprocessor_config.json`: `image_std` is [0.5,0.5,0.0]; it should be three numbers, 0.001 to 1000.0
        /rescale_factor 0
            `…/preprocessor_config.json`: `rescale_factor` is 0; it should be a number, 1e-6 to 1.0
        /min_size 65
            `…/preprocessor_config.json`: `min_size` is 65; it should be a whole number, 1 to 64
        /resample 2
            `…/preprocessor_config.json`: `resample` is 2; it should be 3; nothing else is supported
        /do_pad false
            `…/preprocessor_config.json`: `do_pad` is false; it should be true; nothing else is supported
        /size/height 48
            `…/preprocessor_config.json`: `size.height` is 48, but the vision encoder takes 64
    "#]],
    );
}

#[test]
fn files() {
    let path =
        |name: &'static str| move |c: &Altered| fs::remove_file(c.released().join(name)).unwrap();
    let cases: [(&str, Alteration<'_>); 16] = [
        ("no weights", &path("model.safetensors")),
        ("no configuration", &path("config.json")),
        ("no preparation", &path("preprocessor_config.json")),
        ("no tokenizer", &path("tokenizer.json")),
        ("an empty file", &|c| c.write("config.json", b"")),
        ("a list", &|c| c.write("config.json", b"[]")),
        ("a byte order mark", &|c| {
            c.write("config.json", b"\xef\xbb\xbf{}")
        }),
        ("a key twice", &|c| {
            c.write("config.json", br#"{"a": {"b": 1, "b": 2}}"#)
        }),
        ("deep", &|c| c.write("config.json", &[b'['; 100_000])),
        ("large", &|c| c.write("config.json", &[b' '; 2 << 20])),
        ("no special token", &|c| {
            let text = fs::read_to_string(c.released().join("tokenizer.json")).unwrap();
            c.write(
                "tokenizer.json",
                text.replace("<｜▁pad▁｜>", "<pad>").as_bytes(),
            );
        }),
        ("an id twice", &|c| {
            c.write(
                "tokenizer.json",
                br#"{"model": {"vocab": {"a": 1, "b": 1}}}"#,
            );
        }),
        ("an id without an embedding", &|c| {
            c.write("tokenizer.json", br#"{"model": {"vocab": {"a": 640}}}"#);
        }),
        ("an id that is no number", &|c| {
            c.write("tokenizer.json", br#"{"model": {"vocab": {"a": -1}}}"#);
        }),
        ("a token twice", &|c| {
            c.write(
                "tokenizer.json",
                br#"{"model": {"vocab": {"a": 1, "a": 2}}}"#,
            );
        }),
        ("an added token without text", &|c| {
            let tokens = br#"{"added_tokens": [{"id": 3, "content": ""}], "model": {"vocab": {}}}"#;
            c.write("tokenizer.json", tokens);
        }),
    ];
    let mut text = String::new();
    for (case, alter) in cases {
        writeln!(text, "{case}\n    {}", refusal("released", alter)).unwrap();
    }
    expect![[r#"
        no weights
            no weights in `…`: expected model.safetensors, model.safetensors.index.json, diffusion_pytorch_model.safetensors, pytorch_model.bin, pytorch_model.bin.index.json, diffusion_pytorch_model.bin
        no configuration
            cannot read `…/config.json`: NotFound
        no preparation
            cannot read `…/preprocessor_config.json`: NotFound
        no tokenizer
            cannot read `…/tokenizer.json`: NotFound
        an empty file
            cannot parse `…/config.json`: EOF while parsing a value at line 1 column 0
        a list
            cannot parse `…/config.json`: a list is not an object
        a byte order mark
            cannot parse `…/config.json`: expected value at line 1 column 1
        a key twice
            cannot parse `…/config.json`: key `b` is there twice at line 1 column 22
        deep
            cannot parse `…/config.json`: recursion limit exceeded at line 1 column 128
        large
            `…/config.json` is larger than 1048576 bytes
        no special token
            `…/tokenizer.json` has no token `<｜▁pad▁｜>`
        an id twice
            `…/tokenizer.json`: `id` is 1 for two tokens; it should be another for each
        an id without an embedding
            `…/tokenizer.json`: `id` is 640 for one token; it should be below the model's vocab_size = 640
        an id that is no number
            cannot parse `…/tokenizer.json`: invalid value: integer `-1`, expected u32 at line 1 column 28
        a token twice
            cannot parse `…/tokenizer.json`: key `a` is there twice at line 1 column 36
        an added token without text
            `…/tokenizer.json`: `content` is empty in added token 3; it should be a text
    "#]].assert_eq(&text);
}
