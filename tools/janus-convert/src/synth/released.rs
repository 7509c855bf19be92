//! The tensors of a released checkpoint, in the order of the official code's modules.

use super::flow;
use super::shape::{DrawingShape, LanguageShape, ModelShape, VisionShape, VqShape};
use super::tensor::Tensor;
use super::values::Init;

/// Every tensor of a checkpoint of this shape, in the layout that DeepSeek released.
pub(super) fn tensors(shape: &ModelShape) -> Vec<Tensor> {
    let ModelShape {
        language, vision, ..
    } = shape;
    listed(|root| match &shape.drawing {
        DrawingShape::Tokens(vq) => network(root, language, vision, vq),
        DrawingShape::Flow(shape) => flow::network(root, language, vision, shape),
    })
}

/// The tensors that a network adds.
pub(super) fn listed(network: impl FnOnce(Module<'_>)) -> Vec<Tensor> {
    let mut all = List::default();
    network(Module {
        list: &mut all,
        path: String::new(),
    });
    all.0
}

fn network(mut root: Module<'_>, language: &LanguageShape, vision: &VisionShape, vq: &VqShape) {
    let hidden = language.hidden;
    siglip(root.at("vision_model.vision_tower"), vision);
    mlp_projector(root.at("aligner"), vision.width, hidden);
    vq_tokenizer(root.at("gen_vision_model"), vq);
    mlp_projector(root.at("gen_aligner"), vq.embedding, hidden);
    root.linear("gen_head.output_mlp_projector", hidden, hidden);
    root.linear("gen_head.vision_head", vq.codebook, hidden);
    root.tensor(
        "gen_embed.weight",
        &[vq.codebook, vq.embedding],
        Init::Spread(0.5),
    );
    llama(root.at("language_model"), language);
}

pub(super) fn siglip(mut tower: Module<'_>, shape: &VisionShape) {
    let width = shape.width;
    tower.tensor(
        "pos_embed",
        &[1, shape.patches(), width],
        Init::Spread(0.02),
    );
    tower.conv("patch_embed.proj", width, 3, shape.patch);
    for block in 0..shape.blocks {
        let mut block = tower.at(&format!("blocks.{block}"));
        block.norm("norm1", width);
        block.linear("attn.qkv", 3 * width, width);
        block.linear("attn.proj", width, width);
        block.norm("norm2", width);
        block.linear("mlp.fc1", 4 * width, width);
        block.linear("mlp.fc2", width, 4 * width);
    }
    tower.norm("norm", width);

    let mut pool = tower.at("attn_pool");
    pool.tensor("latent", &[1, 1, width], Init::Spread(0.02));
    pool.linear("q", width, width);
    pool.linear("kv", 2 * width, width);
    pool.linear("proj", width, width);
    pool.norm("norm", width);
    pool.linear("mlp.fc1", 4 * width, width);
    pool.linear("mlp.fc2", width, 4 * width);
}

fn mlp_projector(mut aligner: Module<'_>, from: usize, to: usize) {
    aligner.linear("layers.0", to, from);
    aligner.linear("layers.2", to, to);
}

pub(super) fn llama(mut model: Module<'_>, shape: &LanguageShape) {
    let LanguageShape {
        hidden,
        layers,
        intermediate,
        vocabulary,
        ..
    } = *shape;
    model.tensor(
        "model.embed_tokens.weight",
        &[vocabulary, hidden],
        Init::Spread(0.5),
    );
    for layer in 0..layers {
        let mut layer = model.at(&format!("model.layers.{layer}"));
        for projection in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            layer.matrix(&format!("self_attn.{projection}"), hidden, hidden);
        }
        layer.matrix("mlp.gate_proj", intermediate, hidden);
        layer.matrix("mlp.up_proj", intermediate, hidden);
        layer.matrix("mlp.down_proj", hidden, intermediate);
        layer.scale("input_layernorm", hidden);
        layer.scale("post_attention_layernorm", hidden);
    }
    model.scale("model.norm", hidden);
    model.matrix("lm_head", vocabulary, hidden);
}

/// Residual blocks of a level of the encoder; the decoder has one more.
const RES_BLOCKS: usize = 2;
/// What residual blocks call the convolution of their shortcut.
const SHORTCUT: &str = "nin_shortcut";

fn vq_tokenizer(mut vq: Module<'_>, shape: &VqShape) {
    let VqShape {
        latent,
        embedding,
        codebook,
        codebook_used,
        ..
    } = *shape;
    vq_encoder(vq.at("encoder"), shape);
    vq_decoder(vq.at("decoder"), shape);
    vq.tensor(
        "quantize.embedding.weight",
        &[codebook, embedding],
        Init::Spread(1.0),
    );
    vq.tensor("quantize.codebook_used", &[codebook_used], Init::Zero);
    vq.conv("quant_conv", embedding, latent, 1);
    vq.conv("post_quant_conv", latent, embedding, 1);
}

fn vq_encoder(mut encoder: Module<'_>, shape: &VqShape) {
    let mut channels = shape.channels;
    encoder.conv("conv_in", channels, 3, 3);
    for level in 0..=shape.last() {
        let mut block = encoder.at(&format!("conv_blocks.{level}"));
        for i in 0..RES_BLOCKS {
            block.res_block(&format!("res.{i}"), channels, shape.level(level), SHORTCUT);
            channels = shape.level(level);
            if level == shape.last() {
                block.attention(&format!("attn.{i}"), channels);
            }
        }
        if level != shape.last() {
            block.conv("downsample.conv", channels, channels, 3);
        }
    }
    middle(&mut encoder, channels);
    encoder.norm("norm_out", channels);
    encoder.conv("conv_out", shape.latent, channels, 3);
}

fn vq_decoder(mut decoder: Module<'_>, shape: &VqShape) {
    let mut channels = shape.level(shape.last());
    decoder.conv("conv_in", channels, shape.latent, 3);
    middle(&mut decoder, channels);
    // The blocks are numbered from the lowest resolution up, the levels from full resolution down.
    for (block, level) in (0..=shape.last()).rev().enumerate() {
        let mut block = decoder.at(&format!("conv_blocks.{block}"));
        for i in 0..=RES_BLOCKS {
            block.res_block(&format!("res.{i}"), channels, shape.level(level), SHORTCUT);
            channels = shape.level(level);
            if level == shape.last() {
                block.attention(&format!("attn.{i}"), channels);
            }
        }
        if level != 0 {
            block.conv("upsample.conv", channels, channels, 3);
        }
    }
    decoder.norm("norm_out", channels);
    decoder.conv("conv_out", 3, channels, 3);
}

fn middle(vq: &mut Module<'_>, channels: usize) {
    vq.res_block("mid.0", channels, channels, SHORTCUT);
    vq.attention("mid.1", channels);
    vq.res_block("mid.2", channels, channels, SHORTCUT);
}

#[derive(Default)]
pub(super) struct List(Vec<Tensor>);

/// A place in the network to which modules are added.
pub(super) struct Module<'a> {
    list: &'a mut List,
    path: String,
}

impl Module<'_> {
    pub(super) fn at(&mut self, step: &str) -> Module<'_> {
        Module {
            path: self.name_of(step),
            list: self.list,
        }
    }

    pub(super) fn tensor(&mut self, name: &str, shape: &[usize], init: Init) {
        let name = self.name_of(name);
        self.list.0.push(Tensor::new(name, shape.to_vec(), init));
    }

    pub(super) fn linear(&mut self, name: &str, to: usize, from: usize) {
        self.matrix(name, to, from);
        self.bias(name, to);
    }

    /// A linear layer without bias.
    pub(super) fn matrix(&mut self, name: &str, to: usize, from: usize) {
        self.tensor(
            &format!("{name}.weight"),
            &[to, from],
            Init::Weight { fan_in: from },
        );
    }

    pub(super) fn conv(&mut self, name: &str, to: usize, from: usize, kernel: usize) {
        let fan_in = from * kernel * kernel;
        let shape = [to, from, kernel, kernel];
        self.tensor(&format!("{name}.weight"), &shape, Init::Weight { fan_in });
        self.bias(name, to);
    }

    pub(super) fn norm(&mut self, name: &str, width: usize) {
        self.scale(name, width);
        self.bias(name, width);
    }

    /// A norm without bias.
    pub(super) fn scale(&mut self, name: &str, width: usize) {
        self.tensor(&format!("{name}.weight"), &[width], Init::Scale);
    }

    fn bias(&mut self, name: &str, width: usize) {
        self.tensor(&format!("{name}.bias"), &[width], Init::Spread(0.02));
    }

    pub(super) fn res_block(&mut self, name: &str, from: usize, to: usize, shortcut: &str) {
        let mut block = self.at(name);
        block.norm("norm1", from);
        block.conv("conv1", to, from, 3);
        block.norm("norm2", to);
        block.conv("conv2", to, to, 3);
        if from != to {
            block.conv(shortcut, to, from, 1);
        }
    }

    fn attention(&mut self, name: &str, channels: usize) {
        let mut block = self.at(name);
        block.norm("norm", channels);
        for projection in ["q", "k", "v", "proj_out"] {
            block.conv(projection, channels, channels, 1);
        }
    }

    fn name_of(&self, step: &str) -> String {
        if self.path.is_empty() {
            step.to_owned()
        } else {
            format!("{}.{step}", self.path)
        }
    }
}
