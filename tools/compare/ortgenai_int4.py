"""onnxruntime-genai: the language model of Janus-Pro as its model builder writes it, int4 block 32, accuracy level 4.

Run by ONNX Runtime itself: tensors bound once, and one buffer per layer for keys and values that the graph reads and
writes in place, which is what onnxruntime-genai does; its own interface cannot start from a forked cache.
"""

import importlib.metadata
import shutil
import subprocess
import sys

import numpy
import onnxruntime

import checkpoint
import measure

POSITIONS = 1024
SHAPE = checkpoint.HYPER_PARAMETERS


def export(source, work):
    """The int4 graph, built once. Needs torch and transformers; running it does not."""
    directory, partial = work / "ortgenai-int4", work / "ortgenai-partial"
    if directory.exists():
        return directory
    llama = checkpoint.write_llama(source, work / "llama")
    shutil.rmtree(partial, ignore_errors=True)
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
    command += ["-i", llama, "-o", partial, "-p", "int4", "-e", "cpu", "-c", work / "ortgenai-cache"]
    command += ["--extra_options", "block_size=32", "accuracy_level=4", "prune_lm_head=true"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    shutil.rmtree(work / "ortgenai-cache", ignore_errors=True)
    partial.rename(directory)
    return directory


class LanguageModel:
    """One session; the cache [batch, heads, POSITIONS, width] of every layer is both past and present."""

    def __init__(self, directory, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(directory / "model.onnx", options, ["CPUExecutionProvider"])
        self.cache_names = [i.name for i in self.session.get_inputs() if i.name.startswith("past_key_values.")]
        first = next(i for i in self.session.get_inputs() if i.name == self.cache_names[0])
        self.cache_type = numpy.float16 if first.type == "tensor(float16)" else numpy.float32
        self.inputs = {i.name for i in self.session.get_inputs()}
        self.buffers, self.caches = {}, {}
        self.length = 0

    def open(self, batch):
        self.buffers, self.caches = {}, {}
        shape = (batch, SHAPE["num_key_value_heads"], POSITIONS, SHAPE["head_dim"])
        self.buffers = {name: numpy.zeros(shape, self.cache_type) for name in self.cache_names}
        self._use(1)

    def prefill(self, ids):
        self._use(1)
        self.length = 0
        self._run(numpy.array([ids], numpy.int64))

    def fork(self, batch):
        for buffer in self.buffers.values():
            buffer[1:batch] = buffer[:1]
        self._use(batch)

    def step(self, ids):
        self._run(numpy.array(ids, numpy.int64)[:, None])

    def _use(self, batch):
        """The first `batch` sequences of the buffers as the tensors that the graph sees."""
        wrap = onnxruntime.OrtValue.ortvalue_from_numpy
        self.caches = {name: wrap(buffer[:batch]) for name, buffer in self.buffers.items()}

    def _run(self, ids):
        batch, count = ids.shape
        self.length += count
        binding = self.session.io_binding()
        binding.bind_cpu_input("input_ids", ids)
        binding.bind_cpu_input("attention_mask", numpy.ones((batch, self.length), numpy.int64))
        if "position_ids" in self.inputs:
            positions = numpy.arange(self.length - count, self.length, dtype=numpy.int64)
            binding.bind_cpu_input("position_ids", numpy.tile(positions, (batch, 1)))
        for name, cache in self.caches.items():
            binding.bind_ortvalue_input(name, cache)
            binding.bind_ortvalue_output(name.replace("past_key_values", "present"), cache)
        binding.bind_output("logits")
        self.session.run_with_iobinding(binding)
        return binding.get_outputs()[-1]


def main():
    arguments = measure.parser(__doc__).parse_args()
    directory = export(arguments.checkpoint, arguments.work)
    if arguments.prepare:
        return
    builder = importlib.metadata.version("onnxruntime-genai")
    version = f"onnxruntime-genai {builder} builder, onnxruntime {onnxruntime.__version__}"
    report = measure.Report(arguments, "onnxruntime-genai", version, "int4 block 32, accuracy level 4")
    load, model = measure.seconds(LanguageModel, directory, arguments.threads)
    report.put(load_s=load)
    measure.measure_language(report, model)
    report.print()


if __name__ == "__main__":
    main()
