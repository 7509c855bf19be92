"""Stage 2: everything but the vision encoder and the tokenizer, on drawings and questions together."""

from stages import make_stage


def make(config, run):
    def trained(model):
        core = model.model
        return [core.aligner, core.generation_embeddings, core.generation_aligner, core.generation_head,
                core.language_model, model.lm_head]

    return make_stage("stage2", "stage1", config, run, trained)
