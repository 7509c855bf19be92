//! Tensors and structures that are not those of a Janus.

use std::fmt::Write;

use expect_test::expect;

use crate::common::{Altered, Tensor};
use crate::{check, refusal};

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
