"""Exports a checkpoint in transformers' layout as other programs do, for `janus validate` to be tested on.

    python export.py CHECKPOINT OUT [--strip] [--only split decoder genai]

OUT/split is the division into six graphs that transformers.js opens, and OUT/decoder a language model with ids in and
scores out, as Optimum has it: both by PyTorch's own exporter. OUT/genai is the transformer alone, written by
onnxruntime-genai's model builder. With --strip the weights that the checkpoint has are left out, and what is
left is small enough to be kept with the tests, which put them back: such an initializer has `checkpoint` for the place
of its bytes, and in its metadata the name of its `tensor` there, or of several that stand below one another, and
whether they are `transposed`.
"""

import argparse
import copy
import pathlib
import shutil
import subprocess
import sys
import tempfile

import onnx
import torch
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from torch.export import Dim
from transformers import DynamicCache, JanusForConditionalGeneration, LlamaForCausalLM

OPSET = 20
SMALLEST = 256  # bytes of a weight that is left out
LEFT_OUT = "checkpoint"  # what stands for its file


class PrepareInputsEmbeds(torch.nn.Module):
    """Words and pictures; a picture's rows take the places that a mask says."""

    def __init__(self, model):
        super().__init__()
        self.model = model.model

    def forward(self, input_ids, pixel_values, images_seq_mask, images_emb_mask):
        embeds = self.model.language_model.embed_tokens(input_ids)
        pictures = self.model.vision_model(pixel_values.flatten(0, 1)).last_hidden_state
        pictures = self.model.aligner(pictures).flatten(0, 1)
        rows = pictures[images_emb_mask.flatten()]
        return embeds.masked_scatter(images_seq_mask.unsqueeze(-1), rows)


class Decoder(torch.nn.Module):
    """The transformer, its cache handed in and out by concatenation; ids in and scores out, or neither."""

    def __init__(self, model, whole):
        super().__init__()
        self.language_model, self.head = model.model.language_model, model.lm_head if whole else None

    def forward(self, given, attention_mask, position_ids, past):
        cache = DynamicCache([tuple(layer) for layer in past])
        old = past[0][0].shape[2]
        new = given.shape[1]
        places = torch.arange(old + new)
        seen = places[None, :] <= (places[old:])[:, None]
        seen = seen[None, None] & attention_mask[:, None, None, :].to(torch.bool)
        mask = torch.where(seen, 0.0, torch.finfo(torch.float32).min)
        inputs = {"input_ids": given} if self.head else {"inputs_embeds": given}
        out = self.language_model(
            **inputs, attention_mask=mask, position_ids=position_ids, past_key_values=cache, use_cache=True
        )
        hidden = out.last_hidden_state
        present = [part for layer in cache.layers for part in (layer.keys, layer.values)]
        return (self.head(hidden) if self.head else hidden, *present)


class ImageDecode(torch.nn.Module):
    """Codes to pixels, channels first."""

    def __init__(self, model):
        super().__init__()
        self.vqmodel = model.model.vqmodel

    def forward(self, generated_tokens):
        return self.vqmodel.decode(generated_tokens)


class Embedding(torch.nn.Module):
    """Codes in the space of the language model."""

    def __init__(self, model):
        super().__init__()
        self.table, self.aligner = model.model.generation_embeddings, model.model.generation_aligner

    def forward(self, image_ids):
        return self.aligner(self.table(image_ids))


class Checkpoint:
    """Tensors of the checkpoint by their bytes, in 32 and in 16 bits, and as exporters turn and join them."""

    def __init__(self, model):
        self.known = {}
        state = model.state_dict()
        joined = {name: [name] for name in state}
        for name in state:
            if name.endswith("q_proj.weight") and "language_model" in name:
                parts = [name.replace("q_proj", part) for part in ("q_proj", "k_proj", "v_proj")]
                joined[",".join(parts)] = parts
        for name, parts in joined.items():
            tensor = torch.cat([state[part] for part in parts])
            for dtype in (torch.float32, torch.float16):
                self.known[tensor.to(dtype).contiguous().numpy().tobytes()] = (name, False)
                if tensor.dim() == 2:
                    self.known[tensor.T.to(dtype).contiguous().numpy().tobytes()] = (name, True)

    def strip(self, graph):
        """Leaves out the bytes of every weight that the checkpoint has."""
        for weight in graph.initializer:
            array = onnx.numpy_helper.to_array(weight)
            known = self.known.get(array.tobytes()) if array.nbytes >= SMALLEST else None
            if known is None:
                continue
            name, transposed = known
            weight.ClearField("raw_data")
            weight.data_location = onnx.TensorProto.EXTERNAL
            weight.external_data.add(key="location", value=LEFT_OUT)
            weight.metadata_props.add(key="tensor", value=name)
            if transposed:
                weight.metadata_props.add(key="transposed", value="true")


class Writer:
    """Exports by PyTorch, and writes."""

    def __init__(self, model, out, strip):
        self.out, self.checkpoint = out, Checkpoint(model) if strip else None

    def export(self, path, module, args, inputs, outputs, axes, optimize=False):
        program = torch.onnx.export(
            module.eval(), args, dynamo=True, opset_version=OPSET, input_names=inputs, output_names=outputs,
            dynamic_shapes=axes, optimize=optimize, verbose=False,
        )
        self.write(path, program.model_proto)

    def write(self, path, proto):
        path = self.out / path
        if self.checkpoint:
            self.checkpoint.strip(proto.graph)
            for part in [*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output]:
                # Where in Python a node is from, with paths of the machine.
                del part.metadata_props[:]
                part.doc_string = ""
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(proto, path)
        print(path, len(proto.graph.node), "nodes", path.stat().st_size, "bytes")


def decoder(writer, model, path, whole):
    config = model.config.text_config
    rows, old, new = 2, 5, 3
    shape = (rows, config.num_key_value_heads, old, config.head_dim)
    past = [(torch.randn(shape), torch.randn(shape)) for _ in range(config.num_hidden_layers)]
    given = torch.randint(0, config.vocab_size, (rows, new)) if whole else torch.randn(rows, new, config.hidden_size)
    args = (given, torch.ones(rows, old + new, dtype=torch.int64), torch.arange(old, old + new).repeat(rows, 1), past)
    axes = ({0: Dim.DYNAMIC, 1: Dim.DYNAMIC},) * 3 + ([({0: Dim.DYNAMIC, 2: Dim.DYNAMIC},) * 2 for _ in past],)
    layers = range(len(past))
    inputs = ["input_ids" if whole else "inputs_embeds", "attention_mask", "position_ids"]
    inputs += [f"past_key_values.{i}.{part}" for i in layers for part in ("key", "value")]
    outputs = ["logits" if whole else "last_hidden_state"]
    outputs += [f"present.{i}.{part}" for i in layers for part in ("key", "value")]
    writer.export(path, Decoder(model, whole), args, inputs, outputs, axes)


def split(writer, model):
    config, folder, d = model.config, pathlib.Path("split/onnx"), Dim.DYNAMIC
    vision, vocabulary, codebook = config.vision_config, config.text_config.vocab_size, config.vq_config.num_embeddings
    tokens, side, length = vision.num_image_tokens, vision.image_size, 2 * vision.num_image_tokens + 5
    places = torch.zeros(2, length, dtype=torch.bool)
    places[:, 1 : 1 + 2 * tokens] = True
    given = (
        torch.randint(0, vocabulary, (2, length)), torch.randn(2, 2, 3, side, side), places,
        torch.ones(2, 2, tokens, dtype=torch.bool),
    )
    names = ["input_ids", "pixel_values", "images_seq_mask", "images_emb_mask"]
    axes = ({0: d, 1: d},) * 4
    path = folder / "prepare_inputs_embeds.onnx"
    writer.export(path, PrepareInputsEmbeds(model), given, names, ["inputs_embeds"], axes)
    decoder(writer, model, folder / "language_model.onnx", False)

    states, rows = torch.randn(2, 7, config.text_config.hidden_size), ({0: d, 1: d},)
    for head, name in [(model.lm_head, "lm_head"), (model.model.generation_head, "gen_head")]:
        writer.export(folder / f"{name}.onnx", head, (states,), ["hidden_states"], ["logits"], rows)
    half = copy.deepcopy(model.lm_head).half()
    writer.export(folder / "lm_head_fp16.onnx", half, (states.half(),), ["hidden_states"], ["logits"], rows)
    folded = torch.onnx.export(
        model.lm_head, (states,), dynamo=True, opset_version=OPSET, input_names=["hidden_states"],
        output_names=["logits"], dynamic_shapes=rows, optimize=True, verbose=False,
    )
    quantizer = MatMulNBitsQuantizer(folded.model_proto, bits=4, block_size=32, is_symmetric=True)
    quantizer.process()
    writer.write(folder / "lm_head_q4.onnx", quantizer.model.model)

    codes = torch.randint(0, codebook, (2, 7))
    writer.export(folder / "gen_img_embeds.onnx", Embedding(model), (codes,), ["image_ids"], ["inputs_embeds"], rows)
    codes = torch.randint(0, codebook, (2, config.vq_config.num_patches**2))
    writer.export(
        folder / "image_decode.onnx", ImageDecode(model), (codes,), ["generated_tokens"], ["decoded_image"], ({0: d},)
    )


def genai(writer, model, precision):
    """The transformer, by the model builder of onnxruntime-genai.

    Without its head: 0.18.0 takes a projection for it that has as many rows as the vocabulary, which the demo model's
    MLP has, and joins it to the first layer.
    """
    with tempfile.TemporaryDirectory() as work:
        llama = LlamaForCausalLM(model.config.text_config)
        llama.model.load_state_dict(model.model.language_model.state_dict())
        llama.lm_head.load_state_dict(model.lm_head.state_dict())
        llama.save_pretrained(f"{work}/llama")
        for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            shutil.copy(pathlib.Path(model.name_or_path) / file, f"{work}/llama")
        command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", f"{work}/llama"]
        command += ["-o", f"{work}/built", "-p", precision, "-e", "cpu", "-c", f"{work}/cache", "--extra_options"]
        command += ["exclude_embeds=true", "exclude_lm_head=true"]
        subprocess.run(command, check=True)
        writer.write(pathlib.Path("genai/model.onnx"), onnx.load(f"{work}/built/model.onnx"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--strip", action="store_true", help="leave out the weights that the checkpoint has")
    parser.add_argument("--only", nargs="+", choices=("split", "decoder", "genai"), default=("split", "decoder", "genai"))
    parser.add_argument("--precision", default="fp32", choices=("fp32", "int4"), help="of genai")
    args = parser.parse_args()
    torch.manual_seed(0)
    model = JanusForConditionalGeneration.from_pretrained(
        args.checkpoint, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    writer = Writer(model, args.out, args.strip)
    if "split" in args.only:
        split(writer, model)
    if "decoder" in args.only:
        decoder(writer, model, pathlib.Path("decoder/model.onnx"), True)
    if "genai" in args.only:
        genai(writer, model, args.precision)


if __name__ == "__main__":
    with torch.no_grad():
        main()
