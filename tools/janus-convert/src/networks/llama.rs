//! The autoregressive transformer (Janus-Pro, section 2.1: "unified autoregressive transformer"),
//! a Llama.
//!
//! ```text
//! inputs_embeds [b, s, H]
//!   │   ┌────────────────────────── × layers ───────────────────────────┐
//!   ├──►│ rms_norm ─► attention(rotary, past → present) ─► + ──┐        │
//!   │   │                                                      ▼        │
//!   │   │ rms_norm ─► down( silu(gate) · up ) ───────────────► +        │
//!   │   └───────────────────────────────────────────────────────────────┘
//!   └► rms_norm ─► hidden_states [b, s, H]
//! ```
//!
//! The cache is a buffer of the caller's, bound as past and as present: a step appends to it in
//! place. Rows may have different lengths, which `seqlens_k` states. In the standard's operators the
//! sizes are fixed, and the new keys and values are outputs: `fixed_attention`.

use janus_runtime::manifest::{LanguageConfig, Operators};
use janus_runtime::tensors;

use super::fixed_attention::FixedPositions;
use super::{BATCH, CAPACITY, SEQUENCE};
use crate::error::Result;
use crate::module::Module;
use crate::nn::{embedding, packed_projection, projection, rms_norm};
use crate::onnx::{
    CacheInputs, DType, GraphBuilder, GroupedQuery, Rotary, Sink, TensorData, Value, shape,
};
use crate::weight::encoded;

/// The language model's place in a checkpoint.
pub(crate) fn language_model_of<'c>(model: &Module<'c>) -> Module<'c> {
    model.at(["language_model.model", "model.language_model"])
}

/// `embed_tokens.onnx`: `input_ids [b, s]` → `inputs_embeds [b, s, H]`.
pub(crate) fn embed_tokens(g: &GraphBuilder, m: &Module<'_>, c: &LanguageConfig) -> Result<()> {
    let ids = g.input(tensors::INPUT_IDS, DType::I64, shape![BATCH, SEQUENCE]);
    let table = [c.vocab_size, c.hidden_size];
    let embeds = embedding(&m.at("embed_tokens"), ids, table)?;
    embeds.output_f32(tensors::INPUTS_EMBEDS);
    Ok(())
}

/// `language_model.onnx`: `inputs_embeds [b, s, H]` and the cache → `hidden_states [b, s, H]` and
/// the cache. `prefill.onnx` is the same in another precision, or for more positions; that of a bucket
/// is for a smaller cache.
pub(crate) fn language_model(g: &GraphBuilder, m: &Module<'_>, c: &LanguageConfig) -> Result<()> {
    let embeds = shape![BATCH, SEQUENCE, c.hidden_size];
    let embeds = g.input(tensors::INPUTS_EMBEDS, DType::F32, embeds);
    let mut x = embeds.narrow();
    let past = match g.operators() {
        Operators::Fused => Past::Fused(Positions::new(g, m, c)),
        Operators::Standard => Past::Fixed(FixedPositions::new(g, x.extent(1), c)),
    };

    let mut present = Vec::with_capacity(c.num_layers);
    for i in 0..c.num_layers {
        let layer = m.at("layers").at(i);
        let key_value;
        (x, key_value) = decoder_layer(&layer, x, (i, &past), c)?;
        present.push(key_value);
    }

    rms_norm(&m.at("norm"), x, c.rms_norm_eps)?.output_f32(tensors::HIDDEN_STATES);
    for (i, [key, value]) in present.into_iter().enumerate() {
        key.output(tensors::present_key(i));
        value.output(tensors::present_value(i));
    }
    Ok(())
}

fn decoder_layer<'g>(
    m: &Module<'_>,
    x: Value<'g>,
    past: (usize, &Past<'g>),
    c: &LanguageConfig,
) -> Result<(Value<'g>, [Value<'g>; 2])> {
    let _scope = x.graph().enter(m);

    let h = rms_norm(&m.at("input_layernorm"), x, c.rms_norm_eps)?;
    let (h, present) = attention(&m.at("self_attn"), h, past, c)?;
    let x = x + h;

    let h = rms_norm(&m.at("post_attention_layernorm"), x, c.rms_norm_eps)?;
    let h = swiglu(&m.at("mlp"), h, c.intermediate_size)?;
    Ok((x + h, present))
}

/// Causal attention over the cache and the new positions.
fn attention<'g>(
    m: &Module<'_>,
    x: Value<'g>,
    (layer, past): (usize, &Past<'g>),
    c: &LanguageConfig,
) -> Result<(Value<'g>, [Value<'g>; 2])> {
    let _scope = x.graph().enter(m);
    let (query, key_value) = (c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim);
    let parts = [
        ("q_proj", query),
        ("k_proj", key_value),
        ("v_proj", key_value),
    ];
    let parts = parts.map(|(name, out)| (m.at(name), out));
    let qkv = packed_projection(&format!("{m}.qkv_proj"), &parts, x)?;

    let [output, key, value] = match past {
        Past::Fused(positions) => {
            let rotary_inside = m.recipe().rotary_in_attention(c.head_dim);
            positions.attention(qkv, layer, rotary_inside, c)
        }
        Past::Fixed(positions) => positions.attention(qkv, layer, c),
    };
    Ok((
        projection(&m.at("o_proj"), output, c.hidden_size)?,
        [key, value],
    ))
}

/// `down( silu(gate(x)) · up(x) )`
fn swiglu<'g>(m: &Module<'_>, x: Value<'g>, width: usize) -> Result<Value<'g>> {
    let _scope = x.graph().enter(m);
    let parts = ["gate_proj", "up_proj"].map(|name| (m.at(name), width));
    let gate_up = packed_projection(&format!("{m}.gate_up_proj"), &parts, x)?;
    let [gate, up] = gate_up.split([width; 2]);
    projection(&m.at("down_proj"), gate.silu() * up, x.extent(-1))
}

/// What every layer reads beside its input.
enum Past<'g> {
    Fused(Positions<'g>),
    Fixed(FixedPositions<'g>),
}

/// Where each row stands, and the angles of its positions; for any number of rows and positions.
struct Positions<'g> {
    rotary: Rotary<'g>,
    seqlens_k: Value<'g>,
    total_sequence_length: Value<'g>,
}

impl<'g> Positions<'g> {
    fn new(g: &'g GraphBuilder, m: &Module<'_>, c: &LanguageConfig) -> Self {
        let [cos, sin] = [f64::cos, f64::sin].map(|f| RotaryTable::new(c, f, g.float()));
        let dims = [c.context_length, c.head_dim / 2];
        Self {
            rotary: Rotary {
                position_ids: g.input(tensors::POSITION_IDS, DType::I64, shape![BATCH, SEQUENCE]),
                cos: g.weight(format!("{m}.rotary_emb.cos"), g.float(), &dims, cos),
                sin: g.weight(format!("{m}.rotary_emb.sin"), g.float(), &dims, sin),
            },
            seqlens_k: g.input(tensors::SEQLENS_K, DType::I32, shape![BATCH]),
            total_sequence_length: g.input(tensors::TOTAL_SEQUENCE_LENGTH, DType::I32, shape![]),
        }
    }

    /// Attention of the new positions `[b, s, queries, keys and values]`, and the cache after it.
    fn attention(
        &self,
        qkv: Value<'g>,
        layer: usize,
        rotary_inside: bool,
        c: &LanguageConfig,
    ) -> [Value<'g>; 3] {
        let cache = self.cache(qkv.graph(), layer, c);
        let sizes = GroupedQuery {
            num_heads: c.num_heads,
            num_kv_heads: c.num_kv_heads,
            head_dim: c.head_dim,
        };
        if rotary_inside {
            return qkv.group_query_attention(None, cache, Some(self.rotary), sizes);
        }
        let (query, key_value) = (c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim);
        let [q, k, v] = qkv.split([query, key_value, key_value]);
        let q = q.rotary_embedding(self.rotary);
        let k = k.rotary_embedding(self.rotary);
        q.group_query_attention(Some([k, v]), cache, None, sizes)
    }

    /// The inputs of the attention of layer `i`.
    fn cache(&self, g: &'g GraphBuilder, i: usize, c: &LanguageConfig) -> CacheInputs<'g> {
        let shape = shape![BATCH, c.num_kv_heads, CAPACITY, c.head_dim];
        CacheInputs {
            past_key: g.input(tensors::past_key(i), g.float(), shape.clone()),
            past_value: g.input(tensors::past_value(i), g.float(), shape),
            seqlens_k: self.seqlens_k,
            total_sequence_length: self.total_sequence_length,
        }
    }
}

/// `f(position · theta^(−2i / d))` for every position and `i` below `d / 2`: a table
/// `[positions, d / 2]`.
struct RotaryTable {
    positions: usize,
    frequencies: Vec<f64>,
    f: fn(f64) -> f64,
    dtype: DType,
}

impl RotaryTable {
    fn new(c: &LanguageConfig, f: fn(f64) -> f64, dtype: DType) -> Self {
        let exponent = |i: usize| -2.0 * i as f64 / c.head_dim as f64;
        let frequencies = (0..c.head_dim / 2)
            .map(|i| c.rope_theta.powf(exponent(i)))
            .collect();
        Self {
            positions: c.context_length,
            frequencies,
            f,
            dtype,
        }
    }
}

impl TensorData for RotaryTable {
    fn write(&self, sink: &mut Sink<'_>) -> Result<()> {
        const ROWS: usize = 1024;
        for first in (0..self.positions).step_by(ROWS) {
            let positions = first..(first + ROWS).min(self.positions);
            let angles = positions
                .flat_map(|position| self.frequencies.iter().map(move |f| position as f64 * f));
            let values = angles.map(|angle| (self.f)(angle) as f32);
            sink(&encoded(&values.collect::<Vec<_>>(), self.dtype))?;
        }
        Ok(())
    }
}
