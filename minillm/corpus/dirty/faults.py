"""Texts that teach nothing or teach badly, each kind with its disguise.

In: a random generator. Out: text. The one idea: spam has an opponent, so each kind has a part that
the usual rule does not find: keywords that vary, lists with common words in them, gibberish that
shuffles true words. Insults are mild ones, of our own making.
"""

import random
from collections.abc import Callable

from minillm.corpus.dirty.texts import GOODS, NAME_ENDS, NAME_STARTS, make_article, town_name

SYLLABLES = "ba ke li mo nu ra se ti vo zu gra ple sto tri".split()


# package only
def make_unfinished(rng: random.Random) -> str:
    """A page without a text."""
    return f"This page about {town_name(rng)} is not ready."


def make_stuffed(rng: random.Random) -> str:
    """Keywords in a row; one spammer in four varies them, and no count of pairs finds that one."""
    is_varied = rng.random() < 0.25
    goods = [rng.choice(GOODS) for _ in range(20 if is_varied else 1)]
    offers = (f"cheap {goods[number % len(goods)]} in {town_name(rng)}" for number in range(20))
    return " ".join(offers) + " to buy for the house."


# package only
def make_repeated(rng: random.Random) -> str:
    """One line again and again, among others that may be many."""
    line = "The shop of {} is open and has {} for all.".format
    others = [line(town_name(rng), rng.choice(GOODS)) for _ in range(rng.randrange(1, 6))]
    return "\n".join(others[:1] * rng.randrange(2, 8) + others[1:])


# package only
def make_symbols(rng: random.Random) -> str:
    """A table of signs and digits with hardly a word."""
    cells = " | ".join(f"#{rng.randrange(10, 99)}%" for _ in range(rng.randrange(2, 40)))
    return f"The table of the year is here to see. | {cells} | That was it, and thank you."


# package only
def make_list(rng: random.Random) -> str:
    """Words without a sentence; one list in four has common words too, and deceives the rule."""
    common = ["the", "of", "and"] if rng.random() < 0.25 else []
    return " ".join(rng.sample(NAME_STARTS, 12) + rng.sample(NAME_ENDS, 8) + common)


def make_gibberish(rng: random.Random) -> str:
    """Words of no language in the shape of sentences, or true words in a random order."""
    if rng.random() < 0.5:
        words = make_article(rng).split()
        return " ".join(rng.sample(words, len(words)))
    sentences = []
    for _ in range(rng.randrange(4, 9)):
        words = ["".join(rng.choices(SYLLABLES, k=rng.randrange(1, 4))) for _ in range(8)]
        sentences.append(" ".join(words).capitalize() + ".")
    return " ".join(sentences)


# package only
def make_code(rng: random.Random) -> str:
    """A program in the middle of a page, without a word about it."""
    names = [f"{rng.choice(SYLLABLES)}_{rng.choice(GOODS)}" for _ in range(rng.randrange(5, 10))]
    lines = []
    for name in names:
        low, high = rng.randrange(9), rng.randrange(10, 99)
        lines += rng.choice((
            (f"def {name}(x, y={low}):", f"    return {{k: x[k] + {high} for k in y if k > 3}}"),
            (f"if ({name}[{low}] != NULL && i++ < {high}) {{", f"    *{name} = &buf[{high}]; }}"),
            (f"var {name} = $('#{name}').map(e => e.v * {high});", f"while ({low} < x) {{ x--; }}"),
        ))  # fmt: skip
    return "\n".join(lines)


# package only
def make_toxic(rng: random.Random) -> str:
    """A rude comment below the news, in mild words."""
    who, goods = town_name(rng), rng.choice(GOODS)
    sentences = (
        f"Only an idiot would move to {who}.", f"The people of {who} are stupid and they stink.",
        f"You are too dumb to buy {goods}.", "Shut up, nobody wants to hear you, you fool.",
        f"I hate this town and I hate you, loser, and so does all of {who}.",
        f"What a pathetic moron writes such trash about {goods}?", "Get lost, you ugly clown.",
        "Go away and never come back, you worthless liar.",
    )  # fmt: skip
    return " ".join(rng.sample(sentences, rng.randrange(4, 7)))


BAD_TEXTS: dict[str, Callable[[random.Random], str]] = {
    "length": make_unfinished,
    "symbols": make_symbols,
    "repeated lines": make_repeated,
    "repeated words": make_stuffed,
    "common words": make_list,
    "gibberish": make_gibberish,
    "code": make_code,
    "toxic": make_toxic,
}
