"""A true sentence against a false one: does the model know what has just been told?

In: stories. Out: `Pair`s: the story so far, the sentence that follows, and the same sentence with a
name, a thing or a place changed so that it *contradicts* what was told, as the checker says. The
idea is BLiMP's (Warstadt et al., arXiv:1912.00582): no generation and no judge; a model that
understood finds the true one likelier. On request also pairs of grammar, where a verb or a pronoun
disagrees with its subject, and of order, where the false sentence is one of later on, an effect
before its cause. Left out: pairs that differ in more than one thing.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from minillm.corpus.storyworld import Story, check_story
from minillm.corpus.storyworld.sentences import split_sentences
from minillm.corpus.storyworld.wide.words import EVERY_SPOT, EVERY_THING
from minillm.corpus.storyworld.words import SEX, SPOTS, THINGS
from minillm.evaluate.likelihood import Likelihood, fits, likelihoods
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer

CHANGES = ("name", "thing", "place")
# made only where they are asked for: see `pairs_of`
GRAMMAR_CHANGES = ("verb", "pronoun")
ORDER_CHANGES = ("order",)
OTHER_NUMBER = {"was": "were", "were": "was", "is": "are", "are": "is", "am": "are"}
OTHER_SEX = {"he": "she", "she": "he"}


@dataclass(frozen=True, slots=True)
class Pair:
    """What was told, what follows, and what cannot follow."""

    id: str
    level: int
    change: str
    context: str
    true: str
    false: str


def reworded(text: str, words: dict[str, str]) -> str:
    """The text with whole words replaced, all at once: names can be swapped."""
    return re.sub(r"[A-Za-z]+", lambda match: words.get(match.group(), match.group()), text)


def names_in(text: str) -> list[str]:
    """The names of a text, each once, in order."""
    return [word for word in dict.fromkeys(re.findall(r"[A-Z][a-z]+", text)) if word in SEX]


def other_names(sentence: str, told: str, rng: random.Random) -> str | None:
    """Two names change places; a single one becomes another of the story's."""
    here, known = names_in(sentence), names_in(told)
    if len(here) == 2:
        return reworded(sentence, {here[0]: here[1], here[1]: here[0]})
    others = [name for name in known if name not in here]
    if len(here) != 1 or not others:
        return None
    return reworded(sentence, {here[0]: rng.choice(others)})


def other_thing(sentence: str, told: str, rng: random.Random) -> str | None:
    """A thing becomes another of the story's, else one of the same use."""
    here = [word for word in re.findall(r"[a-z]+", sentence) if word in EVERY_THING]
    if len(set(here)) != 1:
        return None
    known = [word for word in dict.fromkeys(re.findall(r"[a-z]+", told)) if word in EVERY_THING]
    others = [word for word in known if word != here[0]]
    things = THINGS if here[0] in THINGS else EVERY_THING
    alike = [word for word in things if things[word].use == things[here[0]].use]
    others = others or [word for word in alike if word != here[0]]
    return reworded(sentence, {here[0]: rng.choice(others)}) if others else None


def other_place(sentence: str, told: str, rng: random.Random) -> str | None:
    """A spot becomes another one."""
    here = [spot for spot in sorted(EVERY_SPOT) if spot in sentence]
    if len(here) != 1:
        return None
    spots = SPOTS if here[0] in SPOTS else EVERY_SPOT
    others = sorted(spot for spot in spots if spot != here[0])
    return sentence.replace(here[0], rng.choice(others))


CHANGE = {"name": other_names, "thing": other_thing, "place": other_place}


def contradicts(told: str, sentence: str) -> bool:
    """Is the sentence readable, and does it, alone, contradict what was told?"""
    *before, last = check_story(f"{told} {sentence}").sentences
    is_fine = all(each.readable and each.contradiction is None for each in before)
    return is_fine and last.readable and last.contradiction is not None


# package only
def other_verb_form(sentence: str, told: str, rng: random.Random) -> str | None:
    """A form of "be" gets the other number: "Tom and Mia was". The checker reads both alike."""
    found = list(re.finditer(rf"\b({'|'.join(OTHER_NUMBER)})\b", sentence))
    if not found:
        return None
    verb = rng.choice(found)
    return sentence[: verb.start()] + OTHER_NUMBER[verb.group()] + sentence[verb.end() :]


# package only
def other_pronoun(sentence: str, told: str, rng: random.Random) -> str | None:
    """Who goes on with "and she" gets the other sex: "he" is then nobody in the sentence."""
    pronoun = re.search(r"(?<=and |but | so )(?:he|she)\b", sentence)
    if pronoun is None:
        return None
    return sentence[: pronoun.start()] + OTHER_SEX[pronoun.group()] + sentence[pronoun.end() :]


# package only
def known_already(sentence: str, told: str, rng: random.Random) -> str | None:
    """A sentence of later on, if it names all whom it means, and nobody and nothing unknown."""
    words = re.findall(r"[A-Za-z]+", sentence)
    people = [word for word in words if word in SEX or word.lower() in OTHER_SEX]
    named = {word for word in words if word in SEX or word in EVERY_THING}
    is_named = not people or people[0] in SEX
    return sentence if is_named and named <= set(re.findall(r"[A-Za-z]+", told)) else None


CHANGE |= {"verb": other_verb_form, "pronoun": other_pronoun, "order": known_already}


def pairs_of(story: Story, rng: random.Random, changes: Sequence[str] = CHANGES) -> list[Pair]:
    """At most one pair of each change, at a place drawn by lot; the checker agrees with each.

    It does not judge the form of a verb. "order" takes the false sentence from later on.
    """
    if unknown := [change for change in changes if change not in CHANGE]:
        raise ValueError(f"changes = {unknown}: unknown; choose from {tuple(CHANGE)}")
    pairs = []
    first, end = len(split_sentences(story.opening)), len(story.sentences)
    for change in changes:
        places = [
            (place, source) for place in range(first, end)
            for source in (range(place + 1, end) if change == "order" else (place,))
        ]  # fmt: skip
        rng.shuffle(places)
        for place, source in places:
            told, sentence = " ".join(story.sentences[:place]), story.sentences[place]
            false = CHANGE[change](story.sentences[source], told, rng)
            if false is None or change != "verb" and not contradicts(told, false):
                continue
            identity = f"{story.level}/{story.seed}/{change}"
            pairs.append(Pair(identity, story.level, change, told, f" {sentence}", f" {false}"))
            break
    return pairs


# package only
def pair_likelihoods(
    model: Transformer, tokenizer: Tokenizer, pairs: Sequence[Pair]
) -> list[tuple[Likelihood, Likelihood]]:
    """log p of the true and of the false sentence of each pair."""
    texts = [(pair.context, each) for pair in pairs for each in (pair.true, pair.false)]
    found = likelihoods(model, tokenizer, texts)
    return list(zip(found[::2], found[1::2], strict=True))


def prefers_true(true: Likelihood, false: Likelihood, *, by_length: bool = True) -> bool:
    """Is the true sentence likelier: per byte (`acc_norm`), or as a whole (`acc`)?"""
    if by_length:
        return true.per_byte > false.per_byte
    return true.logprob > false.logprob


# package only
def fitting(model: Transformer, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs that the model can see whole."""
    longest = [pair.context + max(pair.true, pair.false, key=len) for pair in pairs]
    # a few bytes to spare: the longer text is not always the one of more tokens
    return [
        pair for pair, text in zip(pairs, longest, strict=True)
        if fits(model, tokenizer, f"{text} . . .")
    ]  # fmt: skip
