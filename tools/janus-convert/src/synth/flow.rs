//! The tensors of JanusFlow, and of the VAE that it draws into.

use super::released::{Module, llama, siglip};
use super::shape::{FlowShape, LanguageShape, VaeShape, VisionShape};
use super::values::Init;

/// Side of the depthwise kernels.
const KERNEL: usize = 7;
/// How much wider a ConvNeXt block is within.
const FACTOR: usize = 4;
/// Residual blocks of a level of the VAE's encoder; the decoder has one more.
const RES_BLOCKS: usize = 2;
/// What residual blocks call the convolution of their shortcut.
const SHORTCUT: &str = "conv_shortcut";

pub(super) fn network(
    mut root: Module<'_>,
    language: &LanguageShape,
    vision: &VisionShape,
    flow: &FlowShape,
) {
    let (hidden, width) = (language.hidden, flow.width);
    root.tensor("beg_of_und_embed", &[1, hidden], Init::Spread(0.5));
    siglip(root.at("vision_und_enc_model.vision_tower"), vision);
    root.linear("vision_und_enc_aligner", hidden, vision.width);
    encoder(root.at("vision_gen_enc_model"), flow, hidden);
    root.linear("vision_gen_enc_aligner", hidden, width);
    root.scale("vision_gen_dec_aligner_norm", hidden);
    root.linear("vision_gen_dec_aligner", width, hidden);
    decoder(root.at("vision_gen_dec_model"), flow, hidden);
    llama(root.at("language_model"), language);
}

fn encoder(mut encoder: Module<'_>, flow: &FlowShape, hidden: usize) {
    encoder.linear("time_embed.linear_1", hidden, flow.width);
    encoder.linear("time_embed.linear_2", hidden, hidden);
    encoder.conv("in_conv", flow.width, flow.vae.latent, flow.patch);
    middle(encoder, flow.blocks, flow.width, hidden);
}

fn decoder(mut decoder: Module<'_>, flow: &FlowShape, hidden: usize) {
    let channels = 2 * flow.width;
    decoder.scale("input_norm", flow.width);
    let mut out = decoder.at("out_convs.0");
    out.scale("norm", channels);
    out.conv(
        "unpatch_conv",
        flow.vae.latent * flow.patch.pow(2),
        channels,
        1,
    );
    middle(decoder, flow.blocks, channels, hidden);
}

/// ConvNeXt blocks that are told the time.
fn middle(mut network: Module<'_>, blocks: usize, channels: usize, hidden: usize) {
    let wide = FACTOR * channels;
    for block in 0..blocks {
        let mut block = network.at(&format!("mid_block.res_blocks.{block}"));
        let fan_in = KERNEL * KERNEL;
        let kernel = [channels, 1, KERNEL, KERNEL];
        block.tensor("depthwise.weight", &kernel, Init::Weight { fan_in });
        block.tensor("depthwise.bias", &[channels], Init::Spread(0.02));
        block.scale("norm", channels);
        block.linear("channelwise_linear_1", wide, channels);
        let response = [1, 1, 1, wide];
        block.tensor("channelwise_norm.weight", &response, Init::Spread(0.02));
        block.tensor("channelwise_norm.bias", &response, Init::Spread(0.02));
        block.linear("channelwise_linear_2", channels, wide);
        block.linear("cond_embeds_mapper", 2 * channels, hidden);
    }
}

/// The VAE, encoder and decoder, in the names of diffusers.
pub(super) fn vae(mut root: Module<'_>, shape: &VaeShape) {
    vae_encoder(root.at("encoder"), shape);
    vae_decoder(root.at("decoder"), shape);
    // Mean and variance of each channel.
    let moments = 2 * shape.latent;
    root.conv("quant_conv", moments, moments, 1);
    root.conv("post_quant_conv", shape.latent, shape.latent, 1);
}

fn vae_encoder(mut encoder: Module<'_>, shape: &VaeShape) {
    let mut channels = shape.channels[0];
    encoder.conv("conv_in", channels, 3, 3);
    for (level, &width) in shape.channels.iter().enumerate() {
        let mut block = encoder.at(&format!("down_blocks.{level}"));
        for i in 0..RES_BLOCKS {
            block.res_block(&format!("resnets.{i}"), channels, width, SHORTCUT);
            channels = width;
        }
        if level + 1 < shape.channels.len() {
            block.conv("downsamplers.0.conv", channels, channels, 3);
        }
    }
    vae_middle(encoder.at("mid_block"), channels);
    encoder.norm("conv_norm_out", channels);
    encoder.conv("conv_out", 2 * shape.latent, channels, 3);
}

fn vae_decoder(mut decoder: Module<'_>, shape: &VaeShape) {
    let mut channels = shape.channels[shape.channels.len() - 1];
    decoder.conv("conv_in", channels, shape.latent, 3);
    vae_middle(decoder.at("mid_block"), channels);
    for (i, &width) in shape.channels.iter().rev().enumerate() {
        let mut block = decoder.at(&format!("up_blocks.{i}"));
        for res in 0..=RES_BLOCKS {
            block.res_block(&format!("resnets.{res}"), channels, width, SHORTCUT);
            channels = width;
        }
        if i + 1 < shape.channels.len() {
            block.conv("upsamplers.0.conv", channels, channels, 3);
        }
    }
    decoder.norm("conv_norm_out", channels);
    decoder.conv("conv_out", 3, channels, 3);
}

fn vae_middle(mut middle: Module<'_>, channels: usize) {
    middle.res_block("resnets.0", channels, channels, SHORTCUT);
    let mut attention = middle.at("attentions.0");
    attention.norm("group_norm", channels);
    for projection in ["to_q", "to_k", "to_v", "to_out.0"] {
        attention.linear(projection, channels, channels);
    }
    middle.res_block("resnets.1", channels, channels, SHORTCUT);
}
