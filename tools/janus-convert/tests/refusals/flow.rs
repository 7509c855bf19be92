//! JanusFlow checkpoints and VAEs that are not converted, and what is said of them.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use expect_test::{Expect, expect};
use janus_convert::{ConvertOptions, Recipe, convert};
use janus_runtime::manifest::{DType, Family};
use serde_json::{Value, json};

use crate::common::{Altered, Tensor, chain};

const VAE_CONFIG: &str = "../vae/config.json";
const VAE_WEIGHTS: &str = "../vae/diffusion_pytorch_model.safetensors";

/// Converts an altered copy with its VAE; it must fail, leave nothing, and say why.
#[track_caller]
fn refusal(alter: impl FnOnce(&Altered)) -> String {
    let checkpoint = Altered::flow();
    alter(&checkpoint);
    let options = ConvertOptions {
        vae: Some(checkpoint.vae()),
        ..ConvertOptions::default()
    };
    said(&checkpoint, &options)
}

#[track_caller]
fn said(checkpoint: &Altered, options: &ConvertOptions) -> String {
    let result = convert(&checkpoint.released(), &checkpoint.out(), options);
    let around = checkpoint.around();
    assert!(around.is_empty(), "{result:?} left {around:?}");
    let mut message = result.map_or_else(|error| chain(&error), |_| "it was converted".to_owned());
    let places = [(checkpoint.released(), "…"), (checkpoint.vae(), "…vae")];
    for (place, name) in places {
        let place = place.canonicalize().unwrap().display().to_string();
        message = message.replace(&place, name);
    }
    message
}

#[track_caller]
fn check_fields(file: &str, cases: &[(&str, Value)], expected: &Expect) {
    let mut found = String::new();
    for (pointer, value) in cases {
        let message = refusal(|c| c.set(file, pointer, value.clone()));
        writeln!(found, "{pointer} {value}\n    {message}").unwrap();
    }
    expected.assert_eq(&found);
}

#[test]
fn settings_of_the_flow() {
    let cases = [
        ("/vision_gen_enc_config/params/input_channels", json!(3)),
        ("/vision_gen_enc_config/params/kernel_size", json!(7)),
        ("/vision_gen_enc_config/params/stride", json!(4)),
        ("/vision_gen_enc_config/params/padding", json!(3)),
        (
            "/vision_gen_enc_config/params/block_out_channels",
            json!([64]),
        ),
        ("/vision_gen_enc_config/params/layers_in_middle", json!(3)),
        ("/vision_gen_enc_config/params/hidden_size", json!(2048)),
        ("/vision_gen_enc_config/params/norm_eps", json!(1)),
        ("/vision_gen_enc_config/params/norm_eps", json!(1e-5)),
        ("/vision_gen_enc_config/params/use_mid_block", json!(false)),
        ("/vision_gen_enc_config/params/dilation", json!(2)),
        ("/vision_gen_dec_config/params/in_channels", json!(768)),
        ("/vision_gen_dec_config/params/out_channels", json!(3)),
        ("/vision_gen_dec_config/params/upsamples", json!(2)),
        ("/vision_gen_dec_config/params/layers_in_middle", json!("2")),
        ("/vision_und_enc_config/params/image_size", json!(null)),
        ("/vision_und_enc_config/params/image_size", json!(80)),
        ("/vision_und_enc_config", json!(null)),
        ("/language_config/hidden_size", json!(128)),
    ];
    check_fields(
        "config.json",
        &cases,
        &expect![[r#"
        /vision_gen_enc_config/params/input_channels 3
            `…/config.json`: `vision_gen_enc_config.params.input_channels` is 3, but the weights have 4 channels of a latent
        /vision_gen_enc_config/params/kernel_size 7
            `…/config.json`: `vision_gen_enc_config.params.kernel_size` is 7, but the weights have 2 columns in the kernel of `in_conv`
        /vision_gen_enc_config/params/stride 4
            `…/config.json`: `vision_gen_enc_config.params.stride` is 4, but the weights have 2 columns in the kernel of `in_conv`
        /vision_gen_enc_config/params/padding 3
            `…/config.json`: `vision_gen_enc_config.params.padding` is 3; it should be 0; nothing else is supported
        /vision_gen_enc_config/params/block_out_channels [64]
            `…/config.json`: `vision_gen_enc_config.params.block_out_channels` is [64]; it should be [32]; nothing else is supported
        /vision_gen_enc_config/params/layers_in_middle 3
            `…/config.json`: `vision_gen_enc_config.params.layers_in_middle` is 3, but the weights have 2 blocks in the encoder
        /vision_gen_enc_config/params/hidden_size 2048
            `…/config.json`: `vision_gen_enc_config.params.hidden_size` is 2048, but the weights have 96 columns in the time embedding
        /vision_gen_enc_config/params/norm_eps 1
            `…/config.json`: `vision_gen_enc_config.params.norm_eps` is 1; it should be a number, 1e-12 to 0.01
        /vision_gen_enc_config/params/norm_eps 0.00001
            `…/config.json`: `vision_gen_dec_config.params.norm_eps` is 0.000001; it should be 0.00001, as in the encoder
        /vision_gen_enc_config/params/use_mid_block false
            `…/config.json`: `vision_gen_enc_config.params.use_mid_block` is false; it should be true; nothing else is supported
        /vision_gen_enc_config/params/dilation 2
            `…/config.json`: `vision_gen_enc_config.params.dilation` is 2, of which nothing is known
        /vision_gen_dec_config/params/in_channels 768
            `…/config.json`: `vision_gen_dec_config.params.in_channels` is 768, but the weights have 32 outputs of `vision_gen_dec_aligner`
        /vision_gen_dec_config/params/out_channels 3
            `…/config.json`: `vision_gen_dec_config.params.out_channels` is 3, but the weights have 4 channels of a latent
        /vision_gen_dec_config/params/upsamples 2
            `…/config.json`: `vision_gen_dec_config.params.upsamples` is 2; it should be 1; nothing else is supported
        /vision_gen_dec_config/params/layers_in_middle "2"
            `…/config.json`: `vision_gen_dec_config.params.layers_in_middle` is "2"; it should be a whole number, 0 to 16777216
        /vision_und_enc_config/params/image_size null
            `…/config.json`: `vision_und_enc_config.params.image_size` is missing
        /vision_und_enc_config/params/image_size 80
            tensor `vision_und_enc_model.vision_tower.pos_embed` has shape [1, 16, 128]; it should be [1, 25, 128]
        /vision_und_enc_config null
            `…/config.json`: `vision_und_enc_config.params.image_size` is missing
        /language_config/hidden_size 128
            `…/config.json`: `language_config.hidden_size` is 128, but the weights have 96 columns in the embedding table
    "#]],
    );
}

#[test]
fn settings_of_the_vae() {
    let cases = [
        ("/_class_name", json!("AutoencoderTiny")),
        ("/act_fn", json!("gelu")),
        ("/latent_channels", json!(16)),
        ("/latents_mean", json!([0.0, 0.0, 0.0, 0.0])),
        ("/mid_block_add_attention", json!(false)),
        ("/norm_num_groups", json!(16)),
        ("/scaling_factor", json!(null)),
        ("/scaling_factor", json!(0)),
        ("/shift_factor", json!(0.1)),
        ("/up_block_types", json!(["AttnUpDecoderBlock2D"])),
        ("/use_post_quant_conv", json!(false)),
        ("/gain", json!(2)),
    ];
    check_fields(
        VAE_CONFIG,
        &cases,
        &expect![[r#"
        /_class_name "AutoencoderTiny"
            `…vae/config.json`: `_class_name` is "AutoencoderTiny"; it should be "AutoencoderKL"; nothing else is supported
        /act_fn "gelu"
            `…vae/config.json`: `act_fn` is "gelu"; it should be "silu"; nothing else is supported
        /latent_channels 16
            `…vae/config.json`: `latent_channels` is 16, but the weights have 4 channels of a latent
        /latents_mean [0.0,0.0,0.0,0.0]
            `…vae/config.json`: `latents_mean` is [0.0,0.0,0.0,0.0]; it should be absent; it is not supported
        /mid_block_add_attention false
            `…vae/config.json`: `mid_block_add_attention` is false; it should be true; nothing else is supported
        /norm_num_groups 16
            `…vae/config.json`: `norm_num_groups` is 16; it should be 32; nothing else is supported
        /scaling_factor null
            `…vae/config.json`: `scaling_factor` is missing
        /scaling_factor 0
            `…vae/config.json`: `scaling_factor` is 0; it should be a number, 1e-6 to 1000000.0
        /shift_factor 0.1
            `…vae/config.json`: `shift_factor` is 0.1; it should be absent; it is not supported
        /up_block_types ["AttnUpDecoderBlock2D"]
            `…vae/config.json`: `up_block_types` is ["AttnUpDecoderBlock2D"]; it should be ["UpDecoderBlock2D","UpDecoderBlock2D","UpDecoderBlock2D","UpDecoderBlock2D"]; nothing else is supported
        /use_post_quant_conv false
            `…vae/config.json`: `use_post_quant_conv` is false; it should be true; nothing else is supported
        /gain 2
            `…vae/config.json`: `gain` is 2, of which nothing is known
    "#]],
    );
}

#[test]
fn tensors() {
    let tensor = |shape: &[usize]| Tensor {
        dtype: "BF16".to_owned(),
        shape: shape.to_vec(),
        bytes: vec![0; 2 * shape.iter().product::<usize>()],
    };
    let of_flow: [(&str, Option<Tensor>); 8] = [
        ("beg_of_und_embed", None),
        ("vision_gen_enc_model.time_embed.linear_1.bias", None),
        (
            "vision_gen_enc_model.in_conv.weight",
            Some(tensor(&[32, 4, 16, 16])),
        ),
        (
            "vision_gen_enc_model.in_conv.weight",
            Some(tensor(&[32, 3, 2, 2])),
        ),
        ("vision_gen_enc_model.in_conv.weight", Some(tensor(&[32]))),
        (
            "vision_gen_dec_model.input_norm.weight",
            Some(tensor(&[64])),
        ),
        (
            "vision_gen_dec_model.mid_block.res_blocks.1.channelwise_norm.weight",
            Some(tensor(&[256])),
        ),
        (
            "vision_gen_dec_model.out_convs.1.norm.weight",
            Some(tensor(&[4])),
        ),
    ];
    let of_vae: [(&str, Option<Tensor>); 5] = [
        ("post_quant_conv.weight", None),
        ("decoder.mid_block.attentions.0.to_out.0.bias", None),
        ("decoder.up_blocks.2.resnets.0.conv_shortcut.weight", None),
        ("decoder.conv_norm_out.weight", Some(tensor(&[48]))),
        ("decoder.extra.weight", Some(tensor(&[4]))),
    ];
    let mut found = String::new();
    let files = std::iter::repeat_n("model.safetensors", of_flow.len())
        .chain(std::iter::repeat_n(VAE_WEIGHTS, of_vae.len()));
    for (file, (name, tensor)) in files.zip(of_flow.into_iter().chain(of_vae)) {
        let what = match &tensor {
            Some(tensor) => format!("{:?}", tensor.shape),
            None => "absent".to_owned(),
        };
        let message = refusal(|c| {
            c.tensors_of(file, |tensors| {
                match tensor {
                    Some(tensor) => tensors.insert(name.to_owned(), tensor),
                    None => tensors.remove(name),
                };
            });
        });
        writeln!(found, "{name} {what}\n    {message}").unwrap();
    }
    expect![[r#"
        beg_of_und_embed absent
            tensor `beg_of_und_embed` is missing
        vision_gen_enc_model.time_embed.linear_1.bias absent
            tensor `vision_gen_enc_model.time_embed.linear_1.bias` is missing
        vision_gen_enc_model.in_conv.weight [32, 4, 16, 16]
            `…/config.json`: `vision_gen_enc_config.params.kernel_size` is 2, but the weights have 16 columns in the kernel of `in_conv`
        vision_gen_enc_model.in_conv.weight [32, 3, 2, 2]
            `…/config.json`: `vision_gen_enc_config.params.input_channels` is 4, but the weights have 3 channels of a latent
        vision_gen_enc_model.in_conv.weight [32]
            tensor `vision_gen_enc_model.in_conv.weight` has shape [32]; axis 1 should be 1 or more
        vision_gen_dec_model.input_norm.weight [64]
            tensor `vision_gen_dec_model.input_norm.weight` has shape [64]; it should be [32]
        vision_gen_dec_model.mid_block.res_blocks.1.channelwise_norm.weight [256]
            tensor `vision_gen_dec_model.mid_block.res_blocks.1.channelwise_norm.weight` has shape [256]; it should be [1, 1, 1, 256]
        vision_gen_dec_model.out_convs.1.norm.weight [4]
            1 tensors of the checkpoint were not used: `vision_gen_dec_model.out_convs.1.norm.weight`
        post_quant_conv.weight absent
            tensor `post_quant_conv.weight` is missing
        decoder.mid_block.attentions.0.to_out.0.bias absent
            tensor `decoder.mid_block.attentions.0.to_out.0.bias` is missing
        decoder.up_blocks.2.resnets.0.conv_shortcut.weight absent
            tensor `decoder.up_blocks.2.resnets.0.conv_shortcut.weight` is missing
        decoder.conv_norm_out.weight [48]
            tensor `decoder.conv_norm_out.weight` has shape [48]; it should be [32]
        decoder.extra.weight [4]
            1 tensors of the checkpoint were not used: `decoder.extra.weight`
    "#]].assert_eq(&found);
}

/// A VAE whose tensors have other names is recognised, not half converted.
#[test]
fn names_of_other_layouts() {
    let renamed = |from: &'static str, to: &'static str| {
        refusal(|c| {
            c.tensors_of(VAE_WEIGHTS, |tensors| {
                let tensor = tensors.remove(from).unwrap();
                tensors.insert(to.to_owned(), tensor);
            });
        })
    };
    let query = "decoder.mid_block.attentions.0.to_q.weight";
    let norm = "decoder.mid_block.resnets.0.norm1.weight";
    let found = [
        renamed(query, "decoder.mid_block.attentions.0.query.weight"),
        renamed(norm, "decoder.mid.block_1.norm1.weight"),
        refusal(|c| {
            let file = c.vae().join("diffusion_pytorch_model.safetensors");
            fs::rename(file, c.vae().join("sdxl_vae.safetensors")).unwrap();
        }),
        refusal(|c| {
            fs::remove_file(c.vae().join("diffusion_pytorch_model.safetensors")).unwrap();
        }),
        refusal(|c| fs::remove_file(c.vae().join("config.json")).unwrap()),
    ];
    expect![[r#"
        `…vae` has the tensor names of an early version of diffusers; what is read is a VAE in diffusers' layout, `diffusion_pytorch_model.safetensors`
        `…vae` has the tensor names of the original latent diffusion code; what is read is a VAE in diffusers' layout, `diffusion_pytorch_model.safetensors`
        `…vae` has the tensor names of `sdxl_vae.safetensors`, the original latent diffusion code; what is read is a VAE in diffusers' layout, `diffusion_pytorch_model.safetensors`
        no weights in `…vae`: expected model.safetensors, model.safetensors.index.json, diffusion_pytorch_model.safetensors, pytorch_model.bin, pytorch_model.bin.index.json, diffusion_pytorch_model.bin
        cannot read `…vae/config.json`: NotFound
    "#]].assert_eq(&(found.join("\n") + "\n"));
}

#[test]
fn a_vae_and_a_family_have_to_fit() {
    let checkpoint = Altered::flow();
    let with = |vae: Option<PathBuf>, family| ConvertOptions {
        vae,
        family,
        ..ConvertOptions::default()
    };
    let vae = || Some(checkpoint.vae());
    let of_tokens = |options: &ConvertOptions| {
        let other = Altered::copy("released");
        let result = convert(&other.released(), &other.out(), options);
        let place = other.released().canonicalize().unwrap();
        let message = result.unwrap_err().to_string();
        message.replace(&place.display().to_string(), "…")
    };
    let found = [
        said(&checkpoint, &with(None, None)),
        said(&checkpoint, &with(vae(), Some(Family::Janus))),
        said(
            &checkpoint,
            &with(Some(checkpoint.vae().join("none")), None),
        ),
        of_tokens(&with(vae(), None)),
        of_tokens(&with(None, Some(Family::JanusFlow))),
    ];
    let found = found.map(|text| text.replace(&checkpoint.vae().display().to_string(), "…vae"));
    expect![[r#"
        `…/config.json` is a JanusFlow model: the SDXL VAE has to be given too
        `…/config.json` is the configuration of another model than janus
        cannot read `…vae/none`: NotFound
        `…/config.json` is not a JanusFlow model: it has no use for a VAE
        `…/config.json` is the configuration of another model than janus-flow
    "#]]
    .assert_eq(&(found.join("\n") + "\n"));
}

/// Rules of a recipe for the other models of the family may go unused, misspelled ones may not.
#[test]
fn recipes_serve_the_whole_family() {
    let checkpoint = Altered::flow();
    for dtype in [DType::Fp32, DType::Fp16, DType::Q8, DType::Q4, DType::Q4f16] {
        let options = ConvertOptions {
            vae: Some(checkpoint.vae()),
            replace: true,
            ..ConvertOptions::in_precision(dtype)
        };
        convert(&checkpoint.released(), &checkpoint.out(), &options).unwrap();
    }
    fs::remove_dir_all(checkpoint.out()).unwrap();
    let recipe = |rule: &str| {
        let text = format!("dtype = 'fp32'\n[weights]\n'*' = 'fp32'\n{rule}");
        let options = ConvertOptions {
            vae: Some(checkpoint.vae()),
            recipe: Recipe::parse("mine.toml".as_ref(), &text).unwrap(),
            ..ConvertOptions::default()
        };
        said(&checkpoint, &options)
    };
    let found = [
        recipe("'vision_gen_enc_modle' = 'fp16'"),
        recipe("'vae.encoder' = 'fp16'"),
        recipe("'vision_gen_dec_model.mid_block' = 'int8/32'"),
    ];
    expect![[r#"
        the recipe's rule for `vision_gen_enc_modle` is for no weight of this model
        the recipe's rule for `vae.encoder` is for no weight of this model
        the recipe stores `vision_gen_dec_model.mid_block.res_blocks.0.depthwise` as int8/32; it can be fp32 or fp16
    "#]].assert_eq(&(found.join("\n") + "\n"));
}
