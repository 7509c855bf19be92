"""What the model can do: drawings judged exactly, answers compared word for word.

`python evaluate.py --checkpoint checkpoint` measures a finished folder, drawings on decoded pictures.
"""

import argparse
import random
from collections import defaultdict

import torch

import codes
import settings
import text
from model import code_embeddings, image_features, picture_bytes, picture_tensor
from questions import QUESTIONS, random_question
from scenes import CATEGORIES, GENEVAL, random_drawing
from stage0_tokenizer import evaluate as tokenizer_scores
from world import assemble, read_tiles, scene_of, tiles_of


def by_length(rows):
    """Groups of equal length, so that nothing needs padding."""
    groups = defaultdict(list)
    for i, row in enumerate(rows):
        groups[len(row)].append(i)
    return groups.values()


def question_embeddings(model, rows, features):
    """Token embeddings of rows of equal length, the placeholders overwritten by what the encoder saw."""
    ids = torch.tensor(rows, device=model.device)
    return model.get_input_embeddings()(ids).masked_scatter((ids == text.PLACEHOLDER_ID)[..., None], features)


@torch.no_grad()
def draw(model, encoder, prompts, guidance=1.0, temperature=1.0, seed=0):
    """Samples image tokens [n, tokens]: logits = uncond + guidance * (cond - uncond)."""
    generator = torch.Generator(model.device).manual_seed(seed)
    rows = [encoder.drawing(prompt) for prompt in prompts]
    tokens = torch.zeros(len(rows), encoder.image_tokens, dtype=torch.long, device=model.device)
    for group in by_length(rows):
        ids = [rows[i] for i in group]
        if guidance != 1:
            ids = ids + [encoder.unconditional(row) for row in ids]
        step, cache = model.get_input_embeddings()(torch.tensor(ids, device=model.device)), None
        for t in range(encoder.image_tokens):
            out = model.model.language_model(inputs_embeds=step, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            logits = model.model.generation_head(out.last_hidden_state[:, -1])
            if guidance != 1:
                cond, uncond = logits.chunk(2)
                logits = uncond + guidance * (cond - uncond)
            chosen = torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=generator)
            tokens[torch.tensor(group, device=model.device), t] = chosen[:, 0]
            step = code_embeddings(model, chosen.repeat(len(ids) // len(group), 1))
    return tokens


@torch.no_grad()
def answer(model, encoder, questions, longest=40):
    """Greedy answers as text."""
    rows = [encoder.question(question.text) for question in questions]
    answers = [[] for _ in rows]
    for group in by_length(rows):
        pixels = picture_tensor(assemble([tiles_of(questions[i].scene) for i in group])).to(model.device)
        step = question_embeddings(model, [rows[i] for i in group], image_features(model, pixels))
        cache, open_rows = None, set(group)
        for _ in range(longest):
            out = model.model.language_model(inputs_embeds=step, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            chosen = model.lm_head(out.last_hidden_state[:, -1]).argmax(-1)
            for i, token in zip(group, chosen.tolist()):
                if token == text.EOS_ID:
                    open_rows.discard(i)
                elif i in open_rows:
                    answers[i].append(token)
            if not open_rows:
                break
            step = model.get_input_embeddings()(chosen[:, None])
    return [encoder.tokenizer.decode(ids).strip() for ids in answers]


def seen_in(model, tokens, decoded):
    """Scenes shown by tokens: by tile lookup, or read from the decoded pictures."""
    if not decoded:
        return [tiles and scene_of(tiles) for tiles in codes.tiles_from(tokens)]
    with torch.no_grad():
        pictures = torch.cat([model.model.vqmodel.decode(part) for part in tokens.split(64)])
    return [scene_of(tiles) for tiles in read_tiles(picture_bytes(pictures)).tolist()]


def drawing_scores(model, encoder, each=16, seed=3, decoded=False, held_out=False, categories=GENEVAL, **sampling):
    """Share of drawings right per category, and their mean."""
    rng = random.Random(seed)
    drawings = [random_drawing(rng, category, held_out) for category in categories for _ in range(each)]
    tokens = draw(model, encoder, [drawing.prompt for drawing in drawings], seed=seed, **sampling)
    scores = defaultdict(float)
    for drawing, scene in zip(drawings, seen_in(model, tokens, decoded)):
        scores[drawing.category] += drawing.wanted.accepts(scene) / each
    return {**scores, "drawing": sum(scores.values()) / len(categories)}


def answer_scores(model, encoder, each=16, seed=4, held_out=False):
    """Share of answers right per question type, and their mean."""
    rng = random.Random(seed)
    questions = [random_question(rng, kind, held_out) for kind in QUESTIONS for _ in range(each)]
    scores = defaultdict(float)
    for question, said in zip(questions, answer(model, encoder, questions)):
        scores["q_" + question.kind] += (said == question.answer) / each
    return {**scores, "answers": sum(scores.values()) / len(QUESTIONS)}


def load(folder, device="cpu"):
    """A finished folder, in fp32, with its own tokenizer file."""
    from tokenizers import Tokenizer
    from transformers import JanusForConditionalGeneration
    model = JanusForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval().to(device)
    tokens = model.config.vision_config.num_image_tokens
    return model, text.Encoder(Tokenizer.from_file(f"{folder}/tokenizer.json"), tokens)


def line(name, scores):
    print(f"{name:32s} " + " ".join(f"{key} {value:.3f}" for key, value in scores.items()), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", default="checkpoint")
    parser.add_argument("--each", type=int, default=100, help="prompts per category, questions per type")
    parser.add_argument("--sweep", action="store_true", help="all settings of guidance and temperature")
    parser.add_argument("--seed", type=int, default=101, help="of the prompts; training watches 3 and 4")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    model, encoder = load(options.checkpoint, options.device)
    each, seed = options.each, options.seed
    sampling = settings.load()["sampling"]
    default = dict(guidance=sampling["guidance"], temperature=sampling["temperature"])
    line("tokenizer", tokenizer_scores(model, count=each * 4, seed=seed))
    line("answers", answer_scores(model, encoder, each, seed))
    line("answers, held-out pair shown", answer_scores(model, encoder, each // 2, seed, held_out=True))
    line(f"drawing {default}", drawing_scores(model, encoder, each, seed, decoded=True, **default))
    others = [name for name in CATEGORIES if name not in GENEVAL]
    line("drawing, other forms", drawing_scores(
        model, encoder, each, seed, decoded=True, categories=others, **default))
    line("drawing, held-out pairs", drawing_scores(
        model, encoder, each // 2, seed, decoded=True, held_out=True,
        categories=["colours", "colour_attribution"], **default))
    for guidance in (1.0, 1.5, 2.0, 3.0, 5.0) if options.sweep else ():
        for temperature in (1.0, 0.7):
            scores = drawing_scores(
                model, encoder, each, seed, decoded=True, guidance=guidance, temperature=temperature)
            line(f"guidance {guidance} temperature {temperature}", scores)


if __name__ == "__main__":
    main()
