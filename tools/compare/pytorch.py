"""PyTorch: transformers' JanusForConditionalGeneration, in bf16 or fp32, from a checkpoint in transformers' layout.

Images are drawn by the library's own loop (`generate` with `generation_mode="image"`). Its cache has the length of the
whole image from the first step on and every step attends to all of it, so a step takes as long at the beginning as at
the end: 24 steps are timed and multiplied. The whole image is drawn as well if that promises less than four minutes.
The VQ decoder is kept in fp32, to PyTorch's advantage: bf16 convolutions without AVX512 take minutes for an image.
"""

import statistics
import time

import torch
import transformers
from transformers import DynamicCache, JanusForConditionalGeneration

import measure

BOS, BOI = 100000, 100016
PROMPT_TOKENS = 64
WARM_UP, STEPS = 4, 24
LONGEST_IMAGE = 240.0  # seconds


class LanguageModel:
    """The text side, its cache growing by concatenation as `generate` has it."""

    def __init__(self, model):
        self.model = model
        self.cache = None

    def open(self, batch):
        self.cache = None

    def prefill(self, ids):
        self.cache = DynamicCache()
        return self._run(torch.tensor([ids]))

    def fork(self, batch):
        self.cache.batch_repeat_interleave(batch)

    def step(self, ids):
        return self._run(torch.tensor(ids)[:, None])

    def _run(self, ids):
        out = self.model.model.language_model(input_ids=ids, past_key_values=self.cache, use_cache=True)
        return self.model.lm_head(out.last_hidden_state[:, -1])


def draw(model, image_tokens):
    """Draws `image_tokens` tokens of an image; the seconds each took, the first one with the prefill, and the tokens."""
    ids = torch.tensor([[BOS, *measure.token_ids(PROMPT_TOKENS - 2), BOI]])
    model.model.vision_model.config.num_image_tokens = image_tokens
    embed, ends = model.prepare_embeddings_for_image_generation, []

    def embed_and_note(tokens):
        ends.append(time.perf_counter())
        return embed(tokens)

    model.prepare_embeddings_for_image_generation = embed_and_note
    try:
        start = time.perf_counter()
        tokens = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            generation_mode="image",
            do_sample=True,
            guidance_scale=measure.GUIDANCE,
            max_length=PROMPT_TOKENS + measure.IMAGE_TOKENS,
        )
    finally:
        model.prepare_embeddings_for_image_generation = embed
    return [end - begin for begin, end in zip([start, *ends], ends)], tokens


def measure_image(report, model):
    times, _ = draw(model, 1 + WARM_UP + (8 if report.quick else STEPS))
    prefill, step = times[0], statistics.median(times[1 + WARM_UP :])
    tokens = torch.tensor([[token % measure.CODES for token in measure.token_ids(measure.IMAGE_TOKENS)]])
    vq_decode, _ = measure.seconds(model.decode_image_tokens, tokens)
    report_image(report, prefill, step, step * (measure.IMAGE_TOKENS - 1), vq_decode, extrapolated=True)
    if not report.quick and report.fields["image"]["total_s"] < LONGEST_IMAGE:
        report.put(image_extrapolated=report.fields["image"])
        times, tokens = draw(model, measure.IMAGE_TOKENS)
        vq_decode, _ = measure.seconds(model.decode_image_tokens, tokens)
        steps = times[1:]
        report_image(report, times[0], statistics.median(steps), sum(steps), vq_decode, extrapolated=False)
    report.put_peak("image")


def report_image(report, prefill, step, steps, vq_decode, extrapolated):
    report.put(
        image={
            "prompt_tokens": PROMPT_TOKENS,
            "prefill_s": prefill,
            "step_s": step,
            "steps_s": steps,
            "vq_decode_s": vq_decode,
            "total_s": prefill + steps + vq_decode,
            "extrapolated": extrapolated,
        }
    )


def main():
    parser = measure.parser(__doc__)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    arguments = parser.parse_args()
    if arguments.prepare:
        return
    torch.set_num_threads(arguments.threads)
    torch.set_grad_enabled(False)
    version = f"torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}"
    report = measure.Report(arguments, "PyTorch", version, f"{arguments.precision}, VQ decoder fp32")
    dtype = torch.bfloat16 if arguments.precision == "bf16" else torch.float32
    load, model = measure.seconds(lambda: JanusForConditionalGeneration.from_pretrained(arguments.checkpoint, dtype=dtype))
    report.put(load_s=load)
    model.model.vqmodel.float()
    if "image" in report.only:
        measure_image(report, model)
    measure.measure_language(report, LanguageModel(model))
    report.print()


if __name__ == "__main__":
    main()
