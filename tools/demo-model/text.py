"""The text tokenizer: a byte-level BPE learned on the sentences of the world."""

import random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from questions import random_question
from scenes import random_drawing

BOS, EOS, PAD, BOI, EOI, PLACEHOLDER, USER, ASSISTANT = SPECIAL = [
    "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>", "<begin_of_image>",
    "<end_of_image>", "<image_placeholder>", "<|User|>", "<|Assistant|>"]
BOS_ID, EOS_ID, PAD_ID, BOI_ID, EOI_ID, PLACEHOLDER_ID, USER_ID, ASSISTANT_ID = range(len(SPECIAL))


def sentences(count=20000, seed=0):
    """Text of the world in the form it will be read in."""
    rng = random.Random(seed)
    for _ in range(count):
        yield drawing_text(random_drawing(rng).prompt)
        question = random_question(rng)
        yield question_text(question.text) + " " + question.answer


def build(vocabulary):
    """Learns the merges; every word of the world ends as one token. Deterministic."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator((part for text in sentences() for part in plain_parts(text)), trainer)
    return tokenizer


def plain_parts(text):
    """The text between special tokens, which is all that the merges may see."""
    for special in SPECIAL:
        text = text.replace(special, "\0")
    return [part for part in text.split("\0") if part]


def drawing_text(prompt):
    return f"{USER}: {prompt}\n\n{ASSISTANT}:"


def question_text(question):
    return f"{USER}: {PLACEHOLDER}\n{question}\n\n{ASSISTANT}:"


class Encoder:
    """Rows of token ids, exactly as they are written at inference."""

    def __init__(self, tokenizer, image_tokens):
        self.tokenizer = tokenizer
        self.image_tokens = image_tokens

        self.known = {}

    def ids(self, text):
        """A fresh list; texts repeat, so they are encoded once."""
        if text not in self.known:
            self.known[text] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return list(self.known[text])

    def drawing(self, prompt):
        return [BOS_ID] + self.ids(drawing_text(prompt)) + [BOI_ID]

    def unconditional(self, row):
        """The row without its prompt: every position but the first and the last becomes a pad."""
        return [row[0]] + [PAD_ID] * (len(row) - 2) + [row[-1]]

    def picture(self):
        """How every question begins: the ids up to the end of the picture."""
        return ([BOS_ID] + self.ids(question_text("").split(PLACEHOLDER)[0])
                + [BOI_ID] + [PLACEHOLDER_ID] * self.image_tokens + [EOI_ID])

    def placeholders(self):
        """Where in `picture` the image tokens begin."""
        return self.picture().index(PLACEHOLDER_ID)

    def asked(self, question):
        """What follows the picture."""
        return self.ids(question_text(question).split(PLACEHOLDER)[1])

    def question(self, question):
        return self.picture() + self.asked(question)

    def answer(self, answer):
        return self.ids(" " + answer) + [EOS_ID]
