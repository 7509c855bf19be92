"""Writes the finished model in the released layout of JanusFlow, and its VAE in that of diffusers.

    python export.py --work DIR --out checkpoint

Weights are rounded to bf16 here. Of the VAE only the decoder is written: a model that draws needs no encoder.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from shared import HERE, load_config  # first: it finds the demo model's modules

import text
from loop import load
from janusflow import JanusFlow
from language import SPECIAL
from stage2_flow import scaled_latents, tokenizer_for
from vae import AutoencoderKL
from world import CELLS, WORLD


def latest(work, name):
    """The average of a finished stage, or of the last checkpoint of one still running, without its other parts."""
    for suffix, key in ((".done.pt", "model"), (".pt", "average")):
        path = Path(work) / (name + suffix)
        if path.exists():
            print(f"export: {path.name}")
            return load(path)[key]
    raise SystemExit(f"export: nothing is there of {name}")


def part(state, prefix):
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def model_config(config):
    width, flow = config["language"]["width"], config["flow"]
    blocks = {"block_out_channels": [flow["channels"]], "layers_in_middle": flow["blocks"], "hidden_size": width}
    latent = config["vae"]["latent_channels"]
    return {
        "architectures": ["MultiModalityCausalLM"], "model_type": "multi_modality", "torch_dtype": "bfloat16",
        "vision_und_enc_config": {
            "cls": "CLIPVisionTower", "model_type": "vision_und_enc",
            "params": {"image_size": WORLD["image_size"], "model_name": "siglip_demo", "select_feature": "same",
                       "select_layer": -1}},
        "vision_gen_enc_config": {
            "cls": "ShallowUViTEncoder", "model_type": "vision_gen_enc",
            "params": {"input_channels": latent, "stride": 2, "kernel_size": 2, "padding": 0, **blocks}},
        "vision_gen_dec_config": {
            "cls": "ShallowUViTDecoder", "model_type": "vision_gen_dec",
            "params": {"in_channels": flow["channels"], "out_channels": latent, "upsamples": 1, **blocks}},
        "language_config": {
            "model_type": "llama", "hidden_size": width, "intermediate_size": config["language"]["intermediate"],
            "num_hidden_layers": config["language"]["layers"], "num_attention_heads": config["language"]["heads"],
            "num_key_value_heads": config["language"]["heads"], "vocab_size": config["language"]["vocabulary"],
            "max_position_embeddings": config["language"]["max_positions"]},
    }


def vae_config(config, factor):
    settings = config["vae"]
    levels = len(settings["channels"])
    return {
        "_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": settings["channels"],
        "down_block_types": ["DownEncoderBlock2D"] * levels, "up_block_types": ["UpDecoderBlock2D"] * levels,
        "force_upcast": True, "in_channels": 3, "out_channels": 3, "latent_channels": settings["latent_channels"],
        "latents_mean": None, "latents_std": None, "layers_per_block": settings["layers_per_block"],
        "mid_block_add_attention": True, "norm_num_groups": 32, "sample_size": WORLD["image_size"],
        "scaling_factor": factor, "shift_factor": None, "use_post_quant_conv": True, "use_quant_conv": True}


def small_files(config):
    """Everything but configuration, weights and tokenizer."""
    half = [0.5, 0.5, 0.5]
    return {
        "generation_config.json": {"guidance_scale": config["sampling"]["guidance"]},
        "preprocessor_config.json": {
            "background_color": [127, 127, 127], "do_normalize": True, "image_mean": half, "image_std": half,
            "image_size": WORLD["image_size"], "image_processor_type": "VLMImageProcessor", "min_size": 14,
            "processor_class": "VLChatProcessor", "rescale_factor": 1 / 255},
        "processor_config.json": {
            "add_special_token": False, "ignore_id": -100, "image_tag": text.PLACEHOLDER, "mask_prompt": True,
            "num_image_tokens": len(CELLS), "processor_class": "VLChatProcessor", "sft_format": "deepseek",
            "use_default_system_prompt": False},
        "special_tokens_map.json": {
            "bos_token": text.BOS, "eos_token": text.EOS, "pad_token": text.PAD,
            "additional_special_tokens": SPECIAL[3:]},
        "tokenizer_config.json": {
            "tokenizer_class": "LlamaTokenizerFast", "bos_token": text.BOS, "eos_token": text.EOS,
            "pad_token": text.PAD, "add_bos_token": True, "add_eos_token": False,
            "model_max_length": config["language"]["max_positions"]},
    }


def write(path, tensors):
    save_file({name: value.to(torch.bfloat16).contiguous() for name, value in tensors.items()}, path,
              metadata={"format": "pt"})
    path.chmod(0o644)


def write_json(path, content):
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", required=True)
    parser.add_argument("--out", default=str(HERE / "checkpoint"))
    options = parser.parse_args()
    config, out = load_config(), Path(options.out)
    (out / "vae").mkdir(parents=True, exist_ok=True)

    janus = part(latest(options.work, "stage2_flow"), "janus.")
    JanusFlow(config).load_state_dict(janus)  # none missing, none left over, all of the shapes that config.json says
    write(out / "model.safetensors", janus)
    vae = part(latest(options.work, "stage1_vae"), "vae.")
    settings = config["vae"]
    AutoencoderKL(settings["channels"], settings["layers_per_block"], settings["latent_channels"]).load_state_dict(vae)
    decoder = {name: value for name, value in vae.items() if name.startswith(("decoder.", "post_quant_conv."))}
    write(out / "vae" / "diffusion_pytorch_model.safetensors", decoder)

    _, factor = scaled_latents(options.work)
    write_json(out / "config.json", model_config(config))
    write_json(out / "vae" / "config.json", vae_config(config, factor))
    for name, content in small_files(config).items():
        write_json(out / name, content)
    tokenizer_for(config, options.work).save(str(out / "tokenizer.json"))
    files = [path for path in out.rglob("*") if path.is_file()]
    print(f"export: {sum(map(torch.numel, janus.values())):,} parameters and {sum(map(torch.numel, decoder.values())):,} "
          f"of the VAE decoder, {sum(path.stat().st_size for path in files):,} bytes")


if __name__ == "__main__":
    main()
