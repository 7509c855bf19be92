"""Stage 1: adaptors and image head only. Vision encoder, language model and tokenizer stand still."""

from stages import make_stage


def make(config, run):
    def trained(model):
        core = model.model
        return [core.aligner, core.generation_embeddings, core.generation_aligner, core.generation_head]

    return make_stage("stage1", "stage0_vision", config, run, trained)
