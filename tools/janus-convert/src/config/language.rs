//! The sizes of the language model.

use janus_runtime::manifest::LanguageConfig;
use serde_json::json;

use super::HARMLESS;
use super::json::Section;
use crate::error::Result;

/// Sizes beyond these are damage; they are the reader's limits too.
const MAX_LAYERS: usize = 1024;
const MAX_WIDTH: usize = 262_144;
const MAX_VOCABULARY: usize = 4_000_000;
const MAX_CONTEXT: usize = 4_000_000;

/// Numbers that are read below.
const KNOWN: &[&str] = &[
    "head_dim",
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "rms_norm_eps",
    "rope_theta",
    "vocab_size",
];

/// Reads the configuration of a Llama. Released ones leave out what equals the defaults of
/// transformers' `LlamaConfig`, which are the numbers here.
pub(super) fn read(section: &Section<'_>) -> Result<LanguageConfig> {
    refuse_other_networks(section)?;
    let size = |key: &str, most: usize| section.size(key, 1..=most);
    let hidden_size = size("hidden_size", MAX_WIDTH)?.unwrap_or(4096);
    let num_heads = size("num_attention_heads", MAX_WIDTH)?.unwrap_or(32);
    let num_kv_heads = match section.has("num_key_value_heads") {
        true => size("num_key_value_heads", num_heads)?.unwrap_or(num_heads),
        false => num_heads,
    };
    if !num_heads.is_multiple_of(num_kv_heads) {
        let expected = format!("a divisor of num_attention_heads = {num_heads}");
        return Err(section.unfit("num_key_value_heads", num_kv_heads, expected));
    }
    Ok(LanguageConfig {
        hidden_size,
        intermediate_size: size("intermediate_size", MAX_WIDTH)?.unwrap_or(11008),
        num_layers: size("num_hidden_layers", MAX_LAYERS)?.unwrap_or(32),
        num_heads,
        num_kv_heads,
        head_dim: head_dim(section, hidden_size, num_heads)?,
        vocab_size: size("vocab_size", MAX_VOCABULARY)?.unwrap_or(32000),
        context_length: size("max_position_embeddings", MAX_CONTEXT)?.unwrap_or(2048),
        rope_theta: rope_theta(section)?,
        rms_norm_eps: section
            .number("rms_norm_eps", 1e-12..=1e-2)?
            .unwrap_or(1e-6) as f32,
    })
}

/// Width of a head: stated, or what the heads share. The attention kernel takes multiples of 8.
fn head_dim(section: &Section<'_>, hidden_size: usize, num_heads: usize) -> Result<usize> {
    let stated = match section.has("head_dim") {
        true => section.size("head_dim", 1..=MAX_WIDTH)?,
        false => None,
    };
    if stated.is_none() && !hidden_size.is_multiple_of(num_heads) {
        let expected = format!("a multiple of num_attention_heads = {num_heads}");
        return Err(section.unfit("hidden_size", hidden_size, expected));
    }
    let head_dim = stated.unwrap_or(hidden_size / num_heads);
    if !head_dim.is_multiple_of(8) {
        return Err(section.unfit("head_dim", head_dim, "a multiple of 8".to_owned()));
    }
    Ok(head_dim)
}

/// Base of the rotary frequencies, under its names before and since transformers 5.
fn rope_theta(section: &Section<'_>) -> Result<f64> {
    let parameters = section.section("rope_parameters")?;
    let scaling = section.section("rope_scaling")?;
    for rope in [&parameters, &scaling] {
        rope.expect("rope_type", &json!("default"))?;
        rope.expect("type", &json!("default"))?;
        rope.refuse_unknown_numbers(&[&["rope_theta"]])?;
    }
    let range = 1.0..=1e12;
    let stated = match parameters.number("rope_theta", range.clone())? {
        None => section.number("rope_theta", range)?,
        stated => stated,
    };
    Ok(stated.unwrap_or(10000.0))
}

/// Refuses settings that make another network of it.
fn refuse_other_networks(section: &Section<'_>) -> Result<()> {
    section.expect("model_type", &json!("llama"))?;
    section.expect("hidden_act", &json!("silu"))?;
    section.expect("attention_bias", &json!(false))?;
    section.expect("mlp_bias", &json!(false))?;
    section.refuse("quantization_config")?;
    section.refuse_unknown_numbers(&[KNOWN, HARMLESS])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::json::Document;

    #[test]
    fn what_is_left_out_has_the_defaults_of_llama() {
        let dir = tempfile::tempdir().unwrap();
        let partial = json!({
            "model_type": "llama",
            "max_position_embeddings": 16384,
            "num_hidden_layers": 30,
            "torch_dtype": "bfloat16",
            "vocab_size": 102_400,
        });
        std::fs::write(dir.path().join("config.json"), partial.to_string()).unwrap();
        let document = Document::read(dir.path(), "config.json").unwrap();
        let expected = LanguageConfig {
            hidden_size: 4096,
            intermediate_size: 11008,
            num_layers: 30,
            num_heads: 32,
            num_kv_heads: 32,
            head_dim: 128,
            vocab_size: 102_400,
            context_length: 16384,
            rope_theta: 10000.0,
            rms_norm_eps: 1e-6,
        };
        assert_eq!(read(&document.root()).unwrap(), expected);
    }
}
