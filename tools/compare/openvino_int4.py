"""OpenVINO: the language model of Janus-Pro, int4 group 128 symmetric, exported by optimum-intel, run by OpenVINO.

The text head and the embeddings are int8, which is optimum-intel's own choice. The exported graph computes the text
head for every position; as OpenVINO GenAI does when it loads a model, it is cut to the last position here.
"""

import importlib.metadata
import shutil

import numpy
import openvino
from openvino import opset13

import checkpoint
import measure


def export(source, work):
    """The int4 model, exported once. Needs torch; running it does not."""
    directory = work / "openvino-int4"
    if (directory / "openvino_model.xml").exists():
        return directory
    from optimum.intel import OVModelForCausalLM, OVWeightQuantizationConfig

    llama = checkpoint.write_llama(source, work / "llama")
    shutil.rmtree(directory, ignore_errors=True)
    config = OVWeightQuantizationConfig(bits=4, group_size=128, sym=True, ratio=1.0)
    model = OVModelForCausalLM.from_pretrained(llama, export=True, compile=False, quantization_config=config)
    model.save_pretrained(directory)
    return directory


class LanguageModel:
    """The stateful graph: the cache lives in the request, `beam_idx` says which sequence continues which."""

    def __init__(self, directory, threads):
        core = openvino.Core()
        graph = core.read_model(directory / "openvino_model.xml")
        cut_to_last_position(graph)
        options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        self.request = core.compile_model(graph, "CPU", options).create_infer_request()
        self.length = 0
        self.parents = numpy.zeros(1, numpy.int32)

    def open(self, batch):  # the request finds room as it goes
        self.request.reset_state()

    def prefill(self, ids):
        self.request.reset_state()
        self.length = 0
        self.parents = numpy.zeros(1, numpy.int32)
        return self._run(numpy.array([ids], numpy.int64))

    def fork(self, batch):
        self.parents = numpy.zeros(batch, numpy.int32)

    def step(self, ids):
        logits = self._run(numpy.array(ids, numpy.int64)[:, None])
        self.parents = numpy.arange(len(ids), dtype=numpy.int32)
        return logits

    def _run(self, ids):
        batch, count = ids.shape
        positions = numpy.arange(self.length, self.length + count, dtype=numpy.int64)
        self.length += count
        self.request.infer(
            {
                "input_ids": ids,
                "attention_mask": numpy.ones((batch, self.length), numpy.int64),
                "position_ids": numpy.tile(positions, (batch, 1)),
                "beam_idx": self.parents,
            },
            share_inputs=True,
        )
        return self.request.get_output_tensor(0).data[:, -1]


def cut_to_last_position(graph):
    """Puts a gather of the last position, [batch, count, hidden] to [batch, 1, hidden], before the text head."""
    head = graph.output("logits").get_node().input_value(0).get_node()
    while head.get_type_name() != "MatMul":
        head = head.input_value(0).get_node()
    last = opset13.gather(head.input_value(0), opset13.constant([-1], dtype=numpy.int64), opset13.constant(1))
    head.input(0).replace_source_output(last.output(0))
    graph.validate_nodes_and_infer_types()


def main():
    arguments = measure.parser(__doc__).parse_args()
    directory = export(arguments.checkpoint, arguments.work)
    if arguments.prepare:
        return
    version = f"openvino {openvino.__version__.split('-')[0]}, optimum-intel {importlib.metadata.version('optimum-intel')}"
    report = measure.Report(arguments, "OpenVINO", version, "int4 group 128 symmetric, head and embeddings int8")
    load, model = measure.seconds(LanguageModel, directory, arguments.threads)
    report.put(load_s=load)
    measure.measure_language(report, model)
    report.print()


if __name__ == "__main__":
    main()
