"""The text tokenizer and rows of token ids. JanusFlow's roles are plain words; Janus-Pro's are special tokens."""

import functools

import text
from text import BOI, BOI_ID, BOS, BOS_ID, EOI, EOI_ID, EOS, EOS_ID, PAD, PLACEHOLDER, PLACEHOLDER_ID
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

BEGIN_OF_GENERATION = "<｜begin▁of▁generation｜>"  # part of the released vocabulary; the time takes its place
SPECIAL = [BOS, EOS, PAD, BOI, EOI, PLACEHOLDER, BEGIN_OF_GENERATION]
ROLES = {text.USER: "User", text.ASSISTANT: "Assistant"}


def plain(sentence):
    """The sentence with JanusFlow's roles."""
    for role, word in ROLES.items():
        sentence = sentence.replace(role, word)
    return sentence


def build(vocabulary):
    """A byte-level BPE learned on the sentences of the world; every word ends as one token. Deterministic."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    parts = (part for sentence in text.sentences() for part in plain(sentence).split(PLACEHOLDER) if part)
    tokenizer.train_from_iterator(parts, trainer)
    return tokenizer


class Encoder:
    """Rows of token ids, exactly as they are written at inference."""

    def __init__(self, tokenizer, image_tokens):
        self.tokenizer, self.image_tokens = tokenizer, image_tokens

    @functools.lru_cache(1 << 16)  # noqa: B019 - one encoder lives as long as its process
    def ids(self, sentence):
        return self.tokenizer.encode(plain(sentence), add_special_tokens=False).ids

    def drawing(self, prompt):
        """A prompt; the time and the latent follow."""
        return [BOS_ID] + self.ids(text.drawing_text(prompt))

    def picture(self):
        """How every question begins: the ids up to the end of the picture."""
        before, _ = text.question_text("").split(PLACEHOLDER)
        return [BOS_ID] + self.ids(before) + [BOI_ID] + [PLACEHOLDER_ID] * self.image_tokens + [EOI_ID]

    def asked(self, question):
        """What follows the picture."""
        return self.ids(text.question_text(question).split(PLACEHOLDER)[1])

    def answer(self, answer):
        return self.ids(" " + answer) + [EOS_ID]

    def said(self, ids):
        return self.tokenizer.decode(ids).strip()
