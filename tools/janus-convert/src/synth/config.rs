//! The JSON files beside the weights.

use serde_json::{Map, Value, json};

use super::Layout;
use super::shape::{DrawingShape, FlowShape, LanguageShape, ModelShape, VaeShape, VqShape};
use super::tokenizer::{self, ADDED};

/// Every file but the weights, by name, in the order of the names.
pub(super) fn files(shape: &ModelShape, layout: Layout) -> Vec<(&'static str, Value)> {
    let mut files = match (layout, &shape.drawing) {
        (Layout::Released, _) | (_, DrawingShape::Flow(_)) => vec![
            ("config.json", config(shape)),
            ("preprocessor_config.json", released_preprocessor(shape)),
            ("processor_config.json", released_processor(shape)),
        ],
        (Layout::Transformers, DrawingShape::Tokens(vq)) => vec![
            ("config.json", transformers_config(shape, vq)),
            ("generation_config.json", generation_config(shape)),
            ("preprocessor_config.json", transformers_preprocessor(shape)),
            ("processor_config.json", transformers_processor(shape)),
        ],
    };
    files.push(("special_tokens_map.json", special_tokens_map()));
    files.push(("tokenizer.json", tokenizer::tokenizer(&shape.tokens)));
    files.push(("tokenizer_config.json", tokenizer_config(shape)));
    files
}

fn config(shape: &ModelShape) -> Value {
    match &shape.drawing {
        DrawingShape::Tokens(vq) => released_config(shape, vq),
        DrawingShape::Flow(flow) => flow_config(shape, flow),
    }
}

fn part(class: &str, kind: &str, params: Value) -> Value {
    json!({ "cls": class, "model_type": kind, "params": params })
}

fn vision_params(shape: &ModelShape) -> Value {
    json!({
        "image_size": shape.vision.image_size,
        "model_name": shape.vision.model_name,
        "select_feature": "same",
        "select_layer": -1,
    })
}

fn flow_config(shape: &ModelShape, flow: &FlowShape) -> Value {
    let hidden = shape.language.hidden;
    json!({
        "architectures": ["MultiModalityCausalLM"],
        "model_type": "multi_modality",
        "torch_dtype": "bfloat16",
        "transformers_version": "4.33.1",
        "vision_und_enc_config":
            part("CLIPVisionTower", "vision_und_enc", vision_params(shape)),
        "vision_gen_enc_config": part("ShallowUViTEncoder", "vision_gen_enc", json!({
            "block_out_channels": [flow.width],
            "hidden_size": hidden,
            "input_channels": flow.vae.latent,
            "kernel_size": flow.patch,
            "layers_in_middle": flow.blocks,
            "padding": 0,
            "stride": flow.patch,
        })),
        "vision_gen_dec_config": part("ShallowUViTDecoder", "vision_gen_dec", json!({
            "block_out_channels": [flow.width],
            "hidden_size": hidden,
            "in_channels": flow.width,
            "layers_in_middle": flow.blocks,
            "out_channels": flow.vae.latent,
            "upsamples": 1,
        })),
        "language_config": partial_language_config(&shape.language),
    })
}

/// `config.json` of the VAE.
pub(super) fn vae_config(shape: &VaeShape) -> Value {
    let levels = shape.channels.len();
    json!({
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "block_out_channels": shape.channels,
        "down_block_types": vec!["DownEncoderBlock2D"; levels],
        "force_upcast": true,
        "in_channels": 3,
        "latent_channels": shape.latent,
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "out_channels": 3,
        "sample_size": shape.sample_size,
        "scaling_factor": 0.13025,
        "up_block_types": vec!["UpDecoderBlock2D"; levels],
    })
}

fn released_config(shape: &ModelShape, vq: &VqShape) -> Value {
    let ModelShape {
        language, vision, ..
    } = shape;
    let projector = |kind: &str, from: usize| {
        let params = json!({
            "depth": 2,
            "input_dim": from,
            "n_embed": language.hidden,
            "projector_type": "mlp_gelu",
        });
        part("MlpProjector", kind, params)
    };
    json!({
        "architectures": ["MultiModalityCausalLM"],
        "model_type": "multi_modality",
        "torch_dtype": "bfloat16",
        "transformers_version": "4.33.1",
        "vision_config": part("CLIPVisionTower", "vision", vision_params(shape)),
        "aligner_config": projector("aligner", vision.width),
        "gen_vision_config": part(vq.class, "gen_vision", json!({
            "image_token_size": vq.codebook,
            "n_embed": vq.embedding,
        })),
        "gen_aligner_config": projector("gen_aligner", vq.embedding),
        "gen_head_config": part("vision_head", "gen_head", json!({
            "image_token_embed": language.hidden,
            "image_token_size": vq.codebook,
            "n_embed": language.hidden,
        })),
        "language_config": partial_language_config(language),
    })
}

/// The configuration of the language model without what equals the defaults of transformers' `LlamaConfig`: this is how
/// it was released.
fn partial_language_config(shape: &LanguageShape) -> Value {
    const DEFAULTS: [(&str, usize); 7] = [
        ("hidden_size", 4096),
        ("intermediate_size", 11008),
        ("num_hidden_layers", 32),
        ("num_attention_heads", 32),
        ("num_key_value_heads", 32),
        ("vocab_size", 32000),
        ("max_position_embeddings", 2048),
    ];
    let sizes = [
        shape.hidden,
        shape.intermediate,
        shape.layers,
        shape.heads,
        shape.heads,
        shape.vocabulary,
        shape.context,
    ];
    let mut config = Map::from_iter([
        ("model_type".to_owned(), json!("llama")),
        ("torch_dtype".to_owned(), json!("bfloat16")),
    ]);
    for ((name, default), size) in DEFAULTS.into_iter().zip(sizes) {
        if size != default {
            config.insert(name.to_owned(), json!(size));
        }
    }
    Value::Object(config)
}

fn released_preprocessor(shape: &ModelShape) -> Value {
    json!({
        "background_color": [127, 127, 127],
        "do_normalize": true,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "VLMImageProcessor",
        "image_size": shape.vision.image_size,
        "image_std": [0.5, 0.5, 0.5],
        "min_size": 14,
        "processor_class": "VLChatProcessor",
        "rescale_factor": 1.0 / 255.0,
    })
}

fn released_processor(shape: &ModelShape) -> Value {
    json!({
        "add_special_token": false,
        "ignore_id": -100,
        "image_tag": "<image_placeholder>",
        "mask_prompt": true,
        "num_image_tokens": shape.vision.patches(),
        "processor_class": "VLChatProcessor",
        "sft_format": "deepseek",
    })
}

fn transformers_config(shape: &ModelShape, vq: &VqShape) -> Value {
    let ModelShape {
        language,
        vision,
        tokens,
        ..
    } = shape;
    json!({
        "architectures": ["JanusForConditionalGeneration"],
        "dtype": "bfloat16",
        "image_token_id": tokens.image_placeholder,
        "model_type": "janus",
        "text_config": {
            "attention_bias": false,
            "bos_token_id": tokens.bos,
            "eos_token_id": tokens.eos,
            "head_dim": language.hidden / language.heads,
            "hidden_act": "silu",
            "hidden_size": language.hidden,
            "intermediate_size": language.intermediate,
            "max_position_embeddings": language.context,
            "mlp_bias": false,
            "model_type": "llama",
            "num_attention_heads": language.heads,
            "num_hidden_layers": language.layers,
            "num_key_value_heads": language.heads,
            "pad_token_id": tokens.pad,
            "rms_norm_eps": 1e-6,
            "rope_parameters": { "rope_theta": 10000.0, "rope_type": "default" },
            "tie_word_embeddings": false,
            "vocab_size": language.vocabulary,
        },
        "tie_word_embeddings": false,
        "vision_config": {
            "attention_bias": true,
            "depth": 2,
            "hidden_act": "gelu",
            "hidden_size": vision.width,
            "image_size": vision.image_size,
            "layer_norm_eps": 1e-6,
            "mlp_ratio": 4.0,
            "model_type": "janus_vision_model",
            "num_attention_heads": vision.heads,
            "num_channels": 3,
            "num_hidden_layers": vision.blocks,
            "num_image_tokens": vision.patches(),
            "patch_size": vision.patch,
            "projection_dim": language.hidden,
            "use_qk_norm": false,
        },
        "vq_config": {
            "base_channels": vq.channels,
            "channel_multiplier": vq.multipliers,
            "double_latent": false,
            "embed_dim": vq.embedding,
            "hidden_act": "gelu",
            "image_token_embed_dim": language.hidden,
            "in_channels": 3,
            "latent_channels": vq.latent,
            "model_type": "janus_vqgan",
            "num_embeddings": vq.codebook,
            "num_hidden_layers": 2,
            "num_patches": vision.image_size / vision.patch,
            "num_res_blocks": 2,
            "out_channels": 3,
            "projection_dim": language.hidden,
        },
    })
}

fn generation_config(shape: &ModelShape) -> Value {
    json!({
        "bos_token_id": shape.tokens.bos,
        "eos_token_id": shape.tokens.eos,
        "generation_kwargs": { "boi_token_id": shape.tokens.begin_of_image },
        "pad_token_id": shape.tokens.pad,
        "use_cache": true,
    })
}

fn transformers_preprocessor(shape: &ModelShape) -> Value {
    let side = shape.vision.image_size;
    json!({
        "do_convert_rgb": true,
        "do_normalize": true,
        "do_pad": true,
        "do_rescale": true,
        "do_resize": true,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "JanusImageProcessor",
        "image_std": [0.5, 0.5, 0.5],
        "min_size": 14,
        "resample": 3,
        "rescale_factor": 1.0 / 255.0,
        "size": { "height": side, "width": side },
    })
}

fn transformers_processor(shape: &ModelShape) -> Value {
    json!({
        "num_image_tokens": shape.vision.patches(),
        "processor_class": "JanusProcessor",
        "use_default_system_prompt": true,
    })
}

fn special_tokens_map() -> Value {
    json!({
        "additional_special_tokens": ADDED,
        "bos_token": tokenizer::BOS,
        "eos_token": tokenizer::EOS,
        "pad_token": tokenizer::PAD,
    })
}

fn tokenizer_config(shape: &ModelShape) -> Value {
    json!({
        "add_bos_token": true,
        "add_eos_token": false,
        "bos_token": tokenizer::BOS,
        "eos_token": tokenizer::EOS,
        "model_max_length": shape.language.context,
        "pad_token": tokenizer::PAD,
        "tokenizer_class": "LlamaTokenizer",
    })
}
