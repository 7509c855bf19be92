"""The language model of a Janus-Pro checkpoint (deepseek-ai's layout) as a Llama checkpoint of its own.

Peers that know no Janus read this. Weights keep their type and bytes; only names change.
"""

import json
import shutil
import struct

PREFIX = "language_model."
COPIED = 64 << 20  # bytes at a time
HYPER_PARAMETERS = {
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "head_dim": 128,
    "vocab_size": 102400,
    "max_position_embeddings": 16384,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
}


def language_tensors(directory):
    """(name without prefix, dtype, shape, first byte, bytes) of every tensor of the language model, in file order."""
    with open(directory / "model.safetensors", "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    tensors = []
    for name, entry in header.items():
        if name.startswith(PREFIX):
            begin, end = entry["data_offsets"]
            tensors.append((name.removeprefix(PREFIX), entry["dtype"], entry["shape"], 8 + length + begin, end - begin))
    if not tensors:
        raise SystemExit(f"{directory}: no tensors under {PREFIX}: is it deepseek-ai's layout?")
    return sorted(tensors, key=lambda tensor: tensor[3])


def write_llama(source, directory):
    """Writes the Llama checkpoint unless it is there."""
    if (directory / "config.json").exists():
        return directory
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(source / name, directory / name)
    copy_tensors(source, directory / "model.safetensors")
    config = HYPER_PARAMETERS | {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "bos_token_id": 100000,
        "eos_token_id": 100001,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
    (directory / "config.json").write_text(json.dumps(config, indent=2))
    return directory


def copy_tensors(source, path):
    tensors = language_tensors(source)
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, dtype, shape, _, size in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(source / "model.safetensors", "rb") as reader, open(path, "wb") as writer:
        writer.write(struct.pack("<Q", len(text)) + text)
        for _, _, _, begin, size in tensors:
            reader.seek(begin)
            for left in range(size, 0, -COPIED):
                writer.write(reader.read(min(left, COPIED)))
