"""Writes the finished model as a folder in transformers' layout: `python export.py --work DIR --out checkpoint`.

Weights are rounded to bf16 here, so every later measurement is of the file.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import JanusForConditionalGeneration

import settings
import text
from codes import SIDE
from model import build
from stages import tokenizer_for
from trainer import load_weights
from world import WORLD

CHAT_TEMPLATE = (
    "{{ '<｜begin▁of▁sentence｜>' }}"
    "{% for message in messages %}"
    "{{ '<|User|>: ' if message['role'] == 'user' else '<|Assistant|>: ' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{% if not loop.first %}{{ '\\n' }}{% endif %}{{ '<image_placeholder>' }}"
    "{% if not loop.last %}{{ '\\n' }}{% endif %}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{{ '\\n\\n' if message['role'] == 'user' else '<｜end▁of▁sentence｜>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|>:' }}{% endif %}")


def small_files(config):
    """Everything but config, weights and tokenizer."""
    size, sampling = WORLD["image_size"], config["sampling"]
    half = [0.5, 0.5, 0.5]
    return {
        "generation_config.json": {
            "bos_token_id": text.BOS_ID, "eos_token_id": text.EOS_ID, "pad_token_id": text.PAD_ID,
            "generation_kwargs": {"boi_token_id": text.BOI_ID}, "do_sample": True, "top_k": 0,
            "guidance_scale": sampling["guidance"], "temperature": sampling["temperature"]},
        "preprocessor_config.json": {
            "image_processor_type": "JanusImageProcessor", "image_size": size,
            "size": {"height": size, "width": size}, "min_size": 14, "resample": 3,
            "background_color": [127, 127, 127], "rescale_factor": 1 / 255, "image_mean": half, "image_std": half,
            "do_convert_rgb": True, "do_resize": True, "do_pad": True, "do_rescale": True, "do_normalize": True},
        "processor_config.json": {
            "processor_class": "JanusProcessor", "num_image_tokens": SIDE * SIDE, "use_default_system_prompt": False,
            "add_special_token": False, "ignore_id": -100, "image_tag": text.PLACEHOLDER, "mask_prompt": True,
            "sft_format": "deepseek"},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": text.BOS, "eos_token": text.EOS,
            "pad_token": text.PAD, "add_bos_token": True, "add_eos_token": False,
            "image_token": text.PLACEHOLDER, "boi_token": text.BOI, "eoi_token": text.EOI,
            "clean_up_tokenization_spaces": False,
            "model_max_length": config["language"]["max_positions"]},
        "special_tokens_map.json": {
            "bos_token": text.BOS, "eos_token": text.EOS, "pad_token": text.PAD,
            "additional_special_tokens": text.SPECIAL[3:]},
    }


def plain(config):
    """Without the keys that say nothing about this model."""
    general = ("_name_or_path", "architectures", "chunk_size_feed_forward", "dtype", "id2label", "is_encoder_decoder",
               "label2id", "output_attentions", "output_hidden_states", "problem_type", "return_dict")
    return {key: plain(value) if isinstance(value, dict) else value
            for key, value in config.items() if key not in general}


def export(model, tokenizer, config, out):
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():  # unit rows: the plain distance of transformers' encode then agrees with the cosine
        book = model.model.vqmodel.quantize.embedding.weight
        book.copy_(torch.nn.functional.normalize(book, dim=1))
    tensors = {name: value.to(torch.bfloat16).contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    written = plain(model.config.to_dict())
    written.update(architectures=["JanusForConditionalGeneration"], dtype="bfloat16")
    for name, content in {"config.json": written, **small_files(config)}.items():
        (out / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    (out / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    tokenizer.save(str(out / "tokenizer.json"))


def check(model, config, out):
    """The file read back by transformers: no tensor missing or left over, and the same logits."""
    loaded, report = JanusForConditionalGeneration.from_pretrained(
        out, dtype=torch.float32, output_loading_info=True)
    problems = {key: report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if report[key]}
    if problems:
        raise SystemExit(f"export: transformers reports {problems}")
    model.load_state_dict({name: value.to(torch.bfloat16).float() for name, value in model.state_dict().items()})
    model.eval(), loaded.eval()
    torch.manual_seed(0)
    tokens = SIDE * SIDE
    ids = torch.tensor([[text.BOS_ID, text.BOI_ID] + [text.PLACEHOLDER_ID] * tokens + list(range(4, 40))])
    pixels = torch.rand(1, 3, WORLD["image_size"], WORLD["image_size"]) * 2 - 1
    ids[0, 2 + tokens:][ids[0, 2 + tokens:] == text.PLACEHOLDER_ID] = text.EOI_ID
    with torch.no_grad():
        theirs = loaded(input_ids=ids, pixel_values=pixels)
        features = model.model.aligner(model.model.vision_model(pixel_values=pixels).last_hidden_state)
        words = model.get_input_embeddings()(ids)
        embeddings = words.masked_scatter((ids == text.PLACEHOLDER_ID)[..., None], features)
        hidden = model.model.language_model(inputs_embeds=embeddings, use_cache=False).last_hidden_state
        difference = (theirs.logits - model.lm_head(hidden)).abs().max().item()
        codes = torch.randint(0, config["tokenizer"]["codes"], (2, tokens))
        pictures = loaded.model.vqmodel.decode(codes) - model.model.vqmodel.decode(codes)
    print(f"export: logits differ by {difference:.1e}, pictures by {pictures.abs().max().item():.1e}")
    if difference > 1e-4 or pictures.abs().max() > 1e-4:
        raise SystemExit("export: the file is not the model")


def latest(work, name):
    """The weights a stage ended with, or the last checkpoint of one still running."""
    for suffix in (".done.pt", ".pt"):
        path = work / (name + suffix)
        if path.exists():
            return path
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--config", default=settings.HERE / "config.toml", type=Path)
    parser.add_argument("--out", default=str(settings.HERE / "checkpoint"))
    options = parser.parse_args()
    config = settings.load(options.config)
    model = build(config)
    stages = [latest(options.work, name) for name in ("stage3", "stage2", "stage1")]
    for path in (next(filter(None, stages)), latest(options.work, "stage0_tokenizer")):
        print(f"export: {path.name}")
        load_weights(model, path)
    export(model, tokenizer_for(config, options.work), config, options.out)
    check(model, config, options.out)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"export: {parameters:,} parameters, {sum(f.stat().st_size for f in Path(options.out).iterdir()):,} bytes")


if __name__ == "__main__":
    main()
