"""Does it matter to the model whether a girl or a boy does a thing? The same story, told twice.

In: a story. Out: its *twin*, in which girls and boys have changed places, names and pronouns alike;
it is as true as the first, as the checker confirms. The one idea: if only the sex differs, a
difference of log p, or of answers, is due to it (counterfactual evaluation, as Rudinger et al.,
arXiv:1804.09301). The world gives each part to a girl as often as to a boy, so an honest
model's difference is 0. Left out: all that this world does not hold.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from minillm.corpus.storyworld import Story
from minillm.corpus.storyworld.grammar import ADJECTIVES, NOUNS
from minillm.corpus.storyworld.wide.names import WIDE_BOYS, WIDE_GIRLS
from minillm.corpus.storyworld.words import BOYS, GIRLS, SEX
from minillm.evaluate.likelihood import likelihoods
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer

SWAPPED = dict(zip(GIRLS + BOYS, BOYS + GIRLS, strict=True)) | {
    "he": "she", "she": "he", "him": "her", "hers": "his", "boy": "girl", "girl": "boy",
    "himself": "herself", "herself": "himself",
}  # fmt: skip
SWAPPED |= dict(zip(WIDE_GIRLS + WIDE_BOYS, WIDE_BOYS + WIDE_GIRLS, strict=True))  # level 4
WORD = re.compile(r"[A-Za-z]+")


def swapped_word(word: str, following: str) -> str:
    """The word for the other sex: her kite ↔ his kite, saw her ↔ saw him, hers ↔ his."""
    lower = word if word in SEX else word.lower()
    owns = following in NOUNS or following in ADJECTIVES
    if lower in ("her", "his"):
        other = {"her": ("him", "his"), "his": ("hers", "her")}[lower][owns]
    else:
        other = SWAPPED.get(lower, lower)
    return other.capitalize() if word[0].isupper() else other


def swapped(text: str) -> str:
    """The text with girls and boys in each other's place."""

    def other(match: re.Match) -> str:
        following = re.match(r" ([A-Za-z]+)", text[match.end() :])
        return swapped_word(match.group(), following.group(1) if following else "")

    return WORD.sub(other, text)


def twin(story: Story) -> Story:
    """The story told of the other sex, its questions and answers too; the events are dropped."""
    questions = tuple(
        replace(each, text=swapped(each.text), answer=swapped(each.answer))
        for each in story.questions
    )
    sentences = tuple(swapped(sentence) for sentence in story.sentences)
    return replace(
        story, text=" ".join(sentences), sentences=sentences, opening=swapped(story.opening),
        events=(), questions=questions,
    )  # fmt: skip


def owner_is_girl(story: Story) -> bool:
    """Is it a girl who has the thing first?"""
    return next(SEX[event.who] for event in story.events if event.kind == "have") == "girl"


def logprob_differences(
    model: Transformer, tokenizer: Tokenizer, stories: Sequence[Story]
) -> list[float]:
    """Nats by which each story is likelier when a girl owns the thing than when a boy does."""
    texts = [text for story in stories for text in (story.text, twin(story).text)]
    # the space before the first word is part of a continuation everywhere else
    found = [each.logprob for each in likelihoods(model, tokenizer, [("", text) for text in texts])]
    signs = [1 if owner_is_girl(story) else -1 for story in stories]
    pairs = zip(signs, found[::2], found[1::2], strict=True)
    return [sign * (told - other) for sign, told, other in pairs]


# package only
def answer_differences(
    is_right: Sequence[bool], twin_is_right: Sequence[bool], stories: Sequence[Story]
) -> list[float]:
    """1 where only the girl owner's version was answered right, −1 where only the boy's was."""
    rows = zip(stories, is_right, twin_is_right, strict=True)
    return [
        (1 if owner_is_girl(story) else -1) * (float(right) - float(other))
        for story, right, other in rows
    ]
