//! The same tensors in the layout of the transformers library.

use super::tensor::Tensor;

/// Renames, splits and drops the tensors of the released layout, and keeps their order.
pub(super) fn tensors(released: Vec<Tensor>) -> Vec<Tensor> {
    released.into_iter().flat_map(convert).collect()
}

fn convert(tensor: Tensor) -> Vec<Tensor> {
    let Some(name) = name_of(&tensor.name) else {
        return Vec::new();
    };
    if name.contains(".qkv.") {
        let part = |(i, part)| tensor.third(name.replace(".qkv.", part), i);
        return [".q_proj.", ".k_proj.", ".v_proj."]
            .into_iter()
            .enumerate()
            .map(part)
            .collect();
    }
    let shape = match tensor.shape.as_slice() {
        // The position embedding is a table here, not a batch of one.
        [1, patches, width] => vec![*patches, *width],
        shape => shape.to_vec(),
    };
    vec![tensor.renamed(name, shape)]
}

/// The name in transformers, with `.qkv.` where three names would be; `None` if there is no such tensor.
fn name_of(released: &str) -> Option<String> {
    let (module, rest) = released.split_once('.')?;
    let name = match module {
        "language_model" => match rest.strip_prefix("model.") {
            Some(rest) => format!("model.language_model.{rest}"),
            None => rest.to_owned(),
        },
        "vision_model" => format!(
            "model.vision_model.{}",
            siglip(rest.strip_prefix("vision_tower.")?)?
        ),
        "aligner" => format!("model.aligner.{}", mlp_projector(rest)),
        "gen_aligner" => format!("model.generation_aligner.{}", mlp_projector(rest)),
        "gen_head" => {
            format!(
                "model.generation_head.{}",
                rest.replace("output_mlp_projector", "proj_out")
            )
        }
        "gen_embed" => format!("model.generation_embeddings.{rest}"),
        _ if rest == "quantize.codebook_used" => return None,
        _ => format!("model.vqmodel.{}", vq_tokenizer(rest)),
    };
    Some(name)
}

fn siglip(name: &str) -> Option<String> {
    let block = |rest: &str| {
        format!("encoder.layers.{rest}")
            .replace(".norm", ".layer_norm")
            .replace(".attn.proj.", ".self_attn.projection_layer.")
            .replace(".attn.", ".self_attn.")
    };
    let (module, rest) = name.split_once('.').unwrap_or((name, ""));
    match module {
        "pos_embed" => Some("embeddings.position_embedding.weight".to_owned()),
        "patch_embed" => Some(format!(
            "embeddings.{}",
            rest.replace("proj", "patch_embedding")
        )),
        "blocks" => Some(block(rest)),
        "norm" => Some(format!("post_layernorm.{rest}")),
        // The pooling head, which nothing computes with.
        _ => None,
    }
}

fn mlp_projector(name: &str) -> String {
    name.replace("layers.0", "fc1")
        .replace("layers.2", "hidden_layers.0")
}

fn vq_tokenizer(name: &str) -> String {
    name.replace("encoder.conv_blocks.", "encoder.down.")
        .replace("decoder.conv_blocks.", "decoder.up.")
        .replace(".res.", ".block.")
        .replace(".mid.0.", ".mid.block_1.")
        .replace(".mid.1.", ".mid.attn_1.")
        .replace(".mid.2.", ".mid.block_2.")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::ModelShape;
    use super::super::released;
    use crate::checkpoint::Checkpoint;

    /// The fixtures hold one model in both layouts, as the libraries wrote them: each tensor of the one must be found in
    /// the other where the conversion says.
    #[test]
    fn the_layouts_agree_on_a_real_pair() {
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/janus-tiny");
        let open = |layout| Checkpoint::open(&Path::new(fixtures).join(layout)).unwrap();
        let (official, ported) = (open("released"), open("transformers"));
        let tensors = super::tensors(released::tensors(&ModelShape::TINY));
        assert_eq!(tensors.len(), ported.len());
        for tensor in tensors {
            let part = ported.root().tensor(&tensor.name, &tensor.shape).unwrap();
            let shape = official.root().shape(&tensor.source).unwrap();
            let whole = official.root().tensor(&tensor.source, shape).unwrap();
            let mut expected = vec![0.0; tensor.len()];
            whole.read_f32_range(tensor.first, &mut expected).unwrap();
            assert_eq!(part.read_f32().unwrap(), expected, "{}", tensor.name);
        }
    }
}
