//! Settings that are damaged, out of range or of another model.

use std::fmt::Write;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::refusal;

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
                `…/config.json` is a model of type `llama`; those of the Janus family have `multi_modality` (as released) or `janus` (transformers)
            /model_type null
                `…/config.json`: `model_type` is missing
            /vision_gen_enc_config {"cls":"ShallowUViTEncoder"}
                `…/config.json` is a JanusFlow model: the SDXL VAE has to be given too
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

/// What is said of a file of which one field is set (or, with `null`, removed) in each case.
fn check_fields(file: &str, cases: &[(&str, &str, Value)], expected: &Expect) {
    let mut text = String::new();
    for (layout, pointer, value) in cases {
        let message = refusal(layout, |c| c.set(file, pointer, value.clone()));
        writeln!(text, "{pointer} {value}\n    {message}").unwrap();
    }
    expected.assert_eq(&text);
}
