"""Before and after on one kind of traffic: is a new model better where the world has moved?

In: two models and the same conversations. Out: for each model bits per byte and right answers, and
the change between the two with its interval, conversation by conversation. The one idea: a *slice*
is a part of the traffic that is scored on its own, because an average over all of it hides what a
model gains here and loses there. The same stories are asked in old words and in drifted ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minillm.align.chat import Message, chat_replies, chat_tokens
from minillm.align.instructions import ANSWER_TOKENS, question_prompt
from minillm.corpus.storyworld import tell_story
from minillm.evaluate.intervals import Estimate, bootstrap_ratio, paired_difference
from minillm.evaluate.items import one_question
from minillm.evaluate.likelihood import bits, document_nats
from minillm.evaluate.questions import normal_form
from minillm.model.transformer import Transformer
from minillm.monitor.feedback import FIRST_SLICE_SEED
from minillm.monitor.population import OFFICE, in_other_words
from minillm.tokenizer.bytepair import Tokenizer

# what a slice's stories are told in: the words of training, or those the users moved to
SLICES: dict[str, Mapping[str, str]] = {"old": {}, "drifted": OFFICE}


# package only
@dataclass(frozen=True, slots=True)
class Asked:
    """One conversation of a slice: a story with a question, and the answer that is right."""

    prompt: Message
    answer: str


# package only
@dataclass(frozen=True, slots=True)
class SliceScores:
    """What one model made of a slice, conversation by conversation."""

    bits: tuple[float, ...]
    num_bytes: tuple[int, ...]
    is_right: tuple[bool, ...]

    @property
    def bits_per_byte(self) -> float:
        return sum(self.bits) / sum(self.num_bytes)


# package only
@dataclass(frozen=True, slots=True)
class SliceChange:
    """After − before on a slice: bits a byte, as a fraction of before, and answers right."""

    bits_per_byte: Estimate
    fraction: Estimate
    right: Estimate


def slice_conversations(
    name: str, count: int, max_tokens: int, tokenizer: Tokenizer
) -> list[Asked]:
    """The same held-out stories in every slice, told in its words; one question each."""
    asked = []
    for at in range(count):
        story = tell_story(FIRST_SLICE_SEED + at, 1)
        versions = []
        for words in SLICES.values():
            question = one_question(story)
            text, ask, answer = (
                in_other_words(each, words) for each in (story.text, question.text, question.answer)
            )
            versions.append(Asked(question_prompt(text, ask), answer))
        # a story is asked in all words or in none, so that slices can be compared
        if all(len(tokens_of(each, tokenizer)) <= max_tokens for each in versions):
            asked.append(versions[list(SLICES).index(name)])
    return asked


# package only
def tokens_of(asked: Asked, tokenizer: Tokenizer) -> list[int]:
    """The whole conversation as ids."""
    return chat_tokens([asked.prompt, Message("assistant", asked.answer)], tokenizer)[0]


def slice_scores(
    model: Transformer, tokenizer: Tokenizer, conversations: Sequence[Asked]
) -> SliceScores:
    """How surprised the model is by each conversation, and whether it answers right, greedily."""
    rows = [tokens_of(each, tokenizer) for each in conversations]
    nats = document_nats(model, rows, model.config.context_length)
    texts = [each.prompt.content + each.answer for each in conversations]
    replies = chat_replies(
        model, tokenizer, [[each.prompt] for each in conversations],
        max_tokens=ANSWER_TOKENS, temperature=0.0,
    )  # fmt: skip
    return SliceScores(
        bits=tuple(bits(each) for each in nats),
        num_bytes=tuple(len(text.encode()) for text in texts),
        is_right=tuple(
            normal_form(reply) == normal_form(each.answer)
            for reply, each in zip(replies, conversations, strict=True)
        ),
    )


def slice_change(after: SliceScores, before: SliceScores) -> SliceChange:
    """Pair by pair: what makes a conversation hard is the same for both, and cancels."""
    difference = np.subtract(after.bits, before.bits)
    return SliceChange(
        bits_per_byte=bootstrap_ratio(difference, before.num_bytes),
        fraction=bootstrap_ratio(difference, before.bits),
        right=paired_difference(after.is_right, before.is_right),
    )
