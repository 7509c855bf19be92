"""What transformers computes from the checkpoint, for tests: `python make_golden.py`.

Writes golden.safetensors (fp32): inputs beside the outputs of each part, names as in the other golden files.
`vq_tokens` follow the official definition (latent and codebook normalised). Writes greedy.json, what transformers'
`generate` says and draws without sampling, and greedy.png, the pictures asked about side by side.
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

import settings
from evaluate import draw, load, question_embeddings
from model import code_embeddings, hidden_states, image_features, picture_tensor, quantise
from questions import QUESTIONS, random_question
from scenes import GENEVAL, random_drawing
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


@torch.no_grad()
def greedy(model, encoder, guidance=1.5):
    """Questions with answers and prompts with image tokens, by transformers' generate; and the pictures asked about."""
    rng = random.Random(12)
    questions = [random_question(rng, kind) for kind in QUESTIONS]
    pictures = assemble([tiles_of(question.scene) for question in questions])
    answers, drawings = [], []
    for question, pixels in zip(questions, picture_tensor(pictures).split(1)):
        ids = torch.tensor([encoder.question(question.text)])
        said = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=pixels, generation_mode="text",
            do_sample=False, max_new_tokens=40)[0, ids.shape[1]:]
        text = encoder.tokenizer.decode(said.tolist(), skip_special_tokens=True).strip()
        answers.append({"question": question.text, "answer": text})
    for drawing in (random_drawing(rng, category) for category in GENEVAL):
        ids = torch.tensor([encoder.drawing(drawing.prompt)])
        tokens = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), generation_mode="image", do_sample=False,
            guidance_scale=guidance)
        drawings.append({"prompt": drawing.prompt, "tokens": tokens[0].tolist()})
    return {"guidance": guidance, "answers": answers, "drawings": drawings}, np.concatenate(list(pictures), 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", default=str(settings.HERE / "checkpoint"))
    parser.add_argument("--out", default=str(settings.HERE / "golden.safetensors"))
    options = parser.parse_args()
    model, encoder = load(options.checkpoint)
    said, pictures = greedy(model, encoder)
    folder = Path(options.out).parent
    (folder / "greedy.json").write_text(json.dumps(said, indent=1) + "\n")
    Image.fromarray(pictures).save(folder / "greedy.png", optimize=True)
    tensors = golden(model, encoder)
    save_file({name: value.contiguous() for name, value in tensors.items()}, options.out)
    Path(options.out).chmod(0o644)
    for name, value in tensors.items():
        print(name, list(value.shape), value.dtype)


if __name__ == "__main__":
    main()
