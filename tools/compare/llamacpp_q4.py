"""llama.cpp: the language model of Janus-Pro as GGUF Q4_0 (text head Q6_K, as its quantiser does), built natively.

Called through the C functions of llama-cpp-python, so that sequences share one batch as in guided generation.
"""

import ctypes
import importlib.metadata

import gguf
import llama_cpp
import numpy

import checkpoint
import measure

POSITIONS = 1024  # of each sequence; also the tokens of one call at most


def export(source, work):
    """Checkpoint to bf16 GGUF to Q4_0 by llama.cpp's own quantiser."""
    path = work / "llamacpp-q4_0.gguf"
    if path.exists():
        return path
    work.mkdir(parents=True, exist_ok=True)
    wide, partial = work / "llamacpp-bf16.gguf", work / "llamacpp-q4_0.partial"
    write_gguf(source, wide)
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0
    if llama_cpp.llama_model_quantize(bytes(wide), bytes(partial), ctypes.byref(options)):
        raise SystemExit(f"llama.cpp could not quantise {wide}")
    wide.unlink()
    partial.rename(path)
    return path


def write_gguf(source, path):
    shape = checkpoint.HYPER_PARAMETERS
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(shape["num_hidden_layers"])
    writer.add_context_length(shape["max_position_embeddings"])
    writer.add_embedding_length(shape["hidden_size"])
    writer.add_feed_forward_length(shape["intermediate_size"])
    writer.add_head_count(shape["num_attention_heads"])
    writer.add_head_count_kv(shape["num_key_value_heads"])
    writer.add_rope_dimension_count(shape["head_dim"])
    writer.add_rope_freq_base(shape["rope_theta"])
    writer.add_layer_norm_rms_eps(shape["rms_norm_eps"])
    writer.add_vocab_size(shape["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, shape["num_hidden_layers"])
    file = numpy.memmap(source / "model.safetensors", numpy.uint8, "r")
    for name, dtype, dimensions, begin, size in checkpoint.language_tensors(source):
        if dtype != "BF16":
            raise SystemExit(f"{name}: {dtype}, expected BF16")
        words = file[begin : begin + size].view(numpy.uint16).reshape(dimensions)
        target = names.get_name(name, try_suffixes=(".weight",))
        if len(dimensions) == 1:
            writer.add_tensor(target, (words.astype(numpy.uint32) << 16).view(numpy.float32))
            continue
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            words = interleaved(words, shape["num_attention_heads"])
        writer.add_tensor(target, words.view(numpy.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def interleaved(weight, heads):
    """Rows of each head from rotate-half order to llama.cpp's order of neighbouring pairs."""
    rows, columns = weight.shape
    pairs = weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2)
    return numpy.ascontiguousarray(pairs).reshape(rows, columns)


class LanguageModel:
    """One context with a cache of its own for each sequence."""

    def __init__(self, path, threads):
        self.model = llama_cpp.llama_model_load_from_file(bytes(path), llama_cpp.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"llama.cpp could not load {path}")
        self.threads = threads
        self.context = None
        self.batch = llama_cpp.llama_batch_init(POSITIONS, 0, 1)
        self.length = 0

    def open(self, batch):
        if self.context:
            llama_cpp.llama_free(self.context)
        options = llama_cpp.llama_context_default_params()
        options.n_ctx = batch * POSITIONS
        options.n_seq_max = batch
        options.n_batch = POSITIONS
        options.n_threads = options.n_threads_batch = self.threads
        self.context = llama_cpp.llama_init_from_model(self.model, options)
        if not self.context:
            raise SystemExit(f"llama.cpp could not make a context of {batch} x {POSITIONS} positions")
        self.memory = llama_cpp.llama_get_memory(self.context)

    def prefill(self, ids):
        llama_cpp.llama_memory_clear(self.memory, False)
        self._run([(token, position, 0, position == len(ids) - 1) for position, token in enumerate(ids)])
        self.length = len(ids)

    def fork(self, batch):
        for sequence in range(1, batch):
            llama_cpp.llama_memory_seq_cp(self.memory, 0, sequence, -1, -1)

    def step(self, ids):
        self._run([(token, self.length, sequence, True) for sequence, token in enumerate(ids)])
        self.length += 1

    def _run(self, tokens):
        """Tokens as (number, position, sequence, whether the text head is wanted)."""
        batch = self.batch
        batch.n_tokens = len(tokens)
        for i, (token, position, sequence, wanted) in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, wanted
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
        if llama_cpp.llama_decode(self.context, batch):
            raise SystemExit("llama_decode failed")
        llama_cpp.llama_synchronize(self.context)


def main():
    arguments = measure.parser(__doc__).parse_args()
    llama_cpp.llama_log_set(QUIET, ctypes.c_void_p())
    path = export(arguments.checkpoint, arguments.work)
    if arguments.prepare:
        return
    version = f"llama-cpp-python {importlib.metadata.version('llama-cpp-python')}"
    report = measure.Report(arguments, "llama.cpp", version, "Q4_0, text head Q6_K")
    report.put(build=llama_cpp.llama_print_system_info().decode().strip())
    load, model = measure.seconds(LanguageModel, path, arguments.threads)
    report.put(load_s=load)
    measure.measure_language(report, model)
    report.print()


QUIET = llama_cpp.llama_log_callback(lambda level, text, data: None)

if __name__ == "__main__":
    main()
