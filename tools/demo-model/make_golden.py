"""What transformers computes from the checkpoint, for tests: `python make_golden.py`.

Writes golden.safetensors (fp32): inputs beside the outputs of each part, names as in the other golden files.
`vq_tokens` follow the official definition (latent and codebook normalised).
"""

import argparse
import random
from pathlib import Path

import torch
from safetensors.torch import save_file

import settings
from evaluate import draw, load
from model import code_embeddings, hidden_states, image_features, picture_tensor, quantise
from questions import random_question
from rows import question_embeddings
from scenes import random_drawing
from world import assemble, tiles_of


@torch.no_grad()
def golden(model, encoder):
    rng = random.Random(11)
    question = random_question(rng, "caption")
    pixels = picture_tensor(assemble([tiles_of(question.scene)]))
    ids, forced = encoder.question(question.text), encoder.answer(question.answer)
    features = image_features(model, pixels)
    embeddings = question_embeddings(model, [ids], features)
    tail = model.get_input_embeddings()(torch.tensor([forced]))
    answered = model.lm_head(hidden_states(model, torch.cat([embeddings, tail], 1)))

    drawing = random_drawing(rng, "colour_attribution")
    prompt = encoder.drawing(drawing.prompt)
    tokens = draw(model, encoder, [drawing.prompt] * 2, guidance=2.0, seed=5)
    rows = torch.tensor([prompt] * 2 + [encoder.unconditional(prompt)] * 2)
    words = model.get_input_embeddings()(rows)
    seen = code_embeddings(model, tokens).repeat(2, 1, 1)[:, :-1]
    hidden = hidden_states(model, torch.cat([words, seen], 1))[:, len(prompt) - 1:]
    cond, uncond = model.model.generation_head(hidden).chunk(2)

    scenes = picture_tensor(assemble([tiles_of(random_question(rng).scene) for _ in range(2)]))
    return {
        "pixel_values": pixels, "image_embeds": features,
        "text_input_ids": torch.tensor([ids]), "text_inputs_embeds": embeddings,
        "text_logits": model.lm_head(hidden_states(model, embeddings)),
        "text_forced_ids": torch.tensor([forced]), "text_forced_logits": answered[:, len(ids) - 1:],
        "image_prompt_ids": torch.tensor(prompt), "image_forced_tokens": tokens,
        "image_forced_logits_cond": cond, "image_forced_logits_uncond": uncond,
        "image_forced_logits_cfg5": uncond + 5 * (cond - uncond),
        "decoded_pixels": model.model.vqmodel.decode(tokens),
        "vq_pixels": scenes, "vq_tokens": quantise(model, scenes).argmax(-1)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", default=str(settings.HERE / "checkpoint"))
    parser.add_argument("--out", default=str(settings.HERE / "golden.safetensors"))
    options = parser.parse_args()
    tensors = golden(*load(options.checkpoint))
    save_file({name: value.contiguous() for name, value in tensors.items()}, options.out)
    Path(options.out).chmod(0o644)
    for name, value in tensors.items():
        print(name, list(value.shape), value.dtype)


if __name__ == "__main__":
    main()
