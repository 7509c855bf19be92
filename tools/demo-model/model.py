"""The model: transformers' JanusForConditionalGeneration at our sizes, with a start that suits them."""

import math
from functools import partial

import torch
from torch import nn
from transformers import JanusConfig, JanusForConditionalGeneration

import codes
import text
from world import WORLD


def janus_config(config):
    tokenizer, vision, language = config["tokenizer"], config["vision"], config["language"]
    side = WORLD["image_size"] // tokenizer["patch"]
    return JanusConfig(
        image_token_id=text.PLACEHOLDER_ID, tie_word_embeddings=False,
        text_config=dict(
            model_type="llama", vocab_size=language["vocabulary"], hidden_size=language["hidden"],
            intermediate_size=language["intermediate"], num_hidden_layers=language["layers"],
            num_attention_heads=language["heads"], num_key_value_heads=language["heads"],
            head_dim=language["hidden"] // language["heads"], rms_norm_eps=1e-6,
            max_position_embeddings=language["max_positions"], tie_word_embeddings=False,
            bos_token_id=text.BOS_ID, eos_token_id=text.EOS_ID, pad_token_id=text.PAD_ID,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
        vision_config=dict(
            hidden_size=vision["hidden"], num_hidden_layers=vision["layers"],
            num_attention_heads=vision["heads"], image_size=WORLD["image_size"],
            patch_size=tokenizer["patch"], num_image_tokens=side * side,
            projection_dim=language["hidden"], depth=2, mlp_ratio=4.0),
        vq_config=dict(
            base_channels=tokenizer["base_channels"], channel_multiplier=tokenizer["channel_multiplier"],
            num_res_blocks=tokenizer["num_res_blocks"], latent_channels=tokenizer["latent_channels"],
            embed_dim=tokenizer["embed_dim"], num_embeddings=tokenizer["codes"], num_patches=side,
            projection_dim=language["hidden"], image_token_embed_dim=language["hidden"],
            num_hidden_layers=2))


def build(config):
    """A fresh model with seeded weights."""
    torch.manual_seed(config["optimiser"]["seed"])
    model = JanusForConditionalGeneration(janus_config(config)).float()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            # Xavier instead of the library's 0.02: at these widths 0.02 nearly silences a layer.
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d) and ".vqmodel." in name:
            module.reset_parameters()  # the usual convolution start
    core = model.model
    patches = core.vision_model.embeddings
    nn.init.normal_(patches.patch_embedding.weight, std=1 / math.sqrt(patches.patch_embedding.weight[0].numel()))
    nn.init.zeros_(patches.patch_embedding.bias)
    with torch.no_grad():
        patches.position_embedding.weight.copy_(0.5 * sine_cosine(patches.position_embedding.weight.shape))
        core.language_model.embed_tokens.weight.normal_(std=0.2)
        model.lm_head.weight.mul_(0.3)
        # The image head starts composed of the attributes of the codes (see codes.py).
        # The generation embedding is a table of its own: it starts from
        # the codebook at unit variance, because 0.02 would make all image inputs nearly zero.
        head = core.generation_head.vision_head.weight
        head.copy_(codes.composed(*head.shape) / math.sqrt(head.shape[1]))
        book = core.vqmodel.quantize.embedding.weight
        book.copy_(codes.starting_codebook(*book.shape))
        core.generation_embeddings.weight.copy_(book * math.sqrt(book.shape[1]))
    for layer in core.language_model.layers:
        for module in (layer.self_attn.o_proj, layer.mlp.down_proj):
            module.register_forward_hook(partial(dropped, config["language"]["dropout"]))
    return model


def dropped(share, module, inputs, output):
    """Dropout of what a layer adds, while it trains."""
    return nn.functional.dropout(output, share, module.training) if share else output


def sine_cosine(shape):
    """Two-dimensional sine-cosine positions [patches, width]: a quarter of the width each."""
    patches, width = shape
    side = math.isqrt(patches)
    frequencies = 10.0 ** (-torch.arange(width // 4) / (width // 4))
    row, column = torch.arange(patches) // side, torch.arange(patches) % side
    angles = [(place[:, None] + 1.0) * frequencies for place in (row, column)]
    return torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], dim=1)


def picture_tensor(pictures):
    """Bytes [n, 48, 48, 3], array or tensor, to what the model reads: [n, 3, 48, 48] in -1 .. 1."""
    return torch.as_tensor(pictures).permute(0, 3, 1, 2).float() / 255 * 2 - 1


def picture_bytes(pixels):
    """The model's pixels back to bytes, truncated as the official code does."""
    return ((pixels + 1) / 2 * 255).clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()


def image_features(model, pixels):
    """Vision encoder and aligner: [n, tokens, hidden]."""
    return model.model.aligner(model.model.vision_model(pixel_values=pixels).last_hidden_state)


def code_embeddings(model, codes):
    """What the language model reads for an image token."""
    return model.model.generation_aligner(model.model.generation_embeddings(codes))


def hidden_states(model, embeddings, allowed=None, positions=None):
    """The language model after its last norm; causal, so padding on the right changes nothing before it.

    `allowed` [n, length, length] says instead which positions (columns) a position (row) sees, `positions` [n, length]
    how far each is from the start.
    """
    mask = None if allowed is None else allowed[:, None]
    return model.model.language_model(
        inputs_embeds=embeddings, attention_mask=mask, position_ids=positions, use_cache=False).last_hidden_state


def quantise(model, pixels):
    """Codes by the official definition: the largest cosine of latent and codebook row."""
    vq = model.model.vqmodel
    latent = nn.functional.normalize(vq.quant_conv(vq.encoder(pixels)), dim=1)
    book = nn.functional.normalize(vq.quantize.embedding.weight, dim=1)
    return torch.einsum("bdhw,nd->bhwn", latent, book).flatten(1, 2)
