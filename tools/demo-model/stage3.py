"""Stage 3: instruction tuning. The vision encoder is trained too; the tokenizer stays as it is."""

from stages import make_stage


def make(config, run):
    def trained(model):
        core = model.model
        return [core.vision_model, core.aligner, core.generation_embeddings, core.generation_aligner,
                core.generation_head, core.language_model, model.lm_head]

    return make_stage("stage3", "stage2", config, run, trained)
