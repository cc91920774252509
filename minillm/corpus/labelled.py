"""Texts whose quality is known because of how they are made: kinds of dirt, and what to learn from.

In: a random generator and words. Out: a text of one kind of dirt, or labelled examples of all. The
idea: a classifier learns its examples, so the test must have other words and other good text than
training, and whole kinds of dirt that training has never seen. Left out: dirt that only a person
would notice, such as untruth.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CONSONANTS, VOWELS = "bcdfghklmnprstvwz", "aeiou"
OFFERS = "cheap best buy discount free top online sale deals offer".split()
MENUS = (
    "Home", "About us", "Contact", "Sign in", "Register", "Search", "Help", "Terms of use", "News",
    "Privacy policy", "Sitemap", "Careers", "Newsletter", "Products", "Blog", "Gallery", "FAQ",
    "Log out", "My account", "Archive", "Share", "Print", "Next", "Previous", "Read more", "Tags",
)  # fmt: skip
NOTICES = (
    "This website uses cookies to improve your experience.", "Accept all cookies",
    "Click here to subscribe to our newsletter.", "All rights reserved.",
    "Follow us on social media",
    "Your browser does not support this feature.", "Please enable scripts to view this page.",
    "You must be logged in to post a comment.", "Page not found.", "Leave a reply",
    "Enter your e-mail address to get updates.", "Terms and conditions apply.",
    "Posted by admin in General.", "No comments yet.", "Powered by our own shop system.",
)  # fmt: skip


# package only
def made_up_word(rng: random.Random) -> str:
    """Letters that can be spoken and mean nothing."""
    return "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.randrange(1, 5)))


# package only
def gibberish(words: Sequence[str], rng: random.Random) -> str:
    """Made-up words in the shape of sentences."""
    sentences = []
    for _ in range(rng.randrange(3, 9)):
        said = [made_up_word(rng) for _ in range(rng.randrange(4, 13))]
        sentences.append(" ".join(said).capitalize() + rng.choice((".", ".", "?", "!")))
    return " ".join(sentences)


# package only
def word_salad(words: Sequence[str], rng: random.Random) -> str:
    """True words in a random order, with full stops where they fall."""
    said = [rng.choice(words) for _ in range(rng.randrange(30, 120))]
    return " ".join(word + rng.choice(("", "", "", "", ".", ",")) for word in said)


# package only
def stuffing(words: Sequence[str], rng: random.Random) -> str:
    """Keywords in a row, to please a search engine."""
    goods = rng.sample(sorted(set(words)), rng.randrange(1, 6))
    offers = rng.sample(OFFERS, rng.randrange(1, 4))
    separator = rng.choice((" ", " ", ", ", " - ", "\n"))
    pieces = [f"{rng.choice(offers)} {rng.choice(goods)}" for _ in range(rng.randrange(10, 40))]
    return separator.join(pieces)


# package only
def word_list(words: Sequence[str], rng: random.Random) -> str:
    """Words and names without a sentence."""
    chosen = [rng.choice(words) for _ in range(rng.randrange(15, 60))]
    shown = [word.capitalize() for word in chosen] if rng.random() < 0.6 else chosen
    return rng.choice((" ", "\n", ", ", " | ", " · ")).join(shown)


# package only
def boilerplate(words: Sequence[str], rng: random.Random) -> str:
    """Menus and notices, and no text between them."""
    menu = rng.sample(MENUS, rng.randrange(4, 12))
    notices = rng.sample(NOTICES, rng.randrange(2, 7))
    lines = [*menu, *notices] if rng.random() < 0.5 else [" | ".join(menu), *notices]
    return rng.choice(("\n", "\n", " ")).join(lines)


# package only
def table(words: Sequence[str], rng: random.Random) -> str:
    """Rows of numbers and signs, with a heading."""
    separator = rng.choice((" | ", "\t", ";", "  ", " # "))
    rows = [separator.join(rng.sample(sorted(set(words)), 3)).title()]
    for _ in range(rng.randrange(4, 20)):
        cells = (f"{rng.randrange(10_000)}", f"{rng.random() * 100:.1f}%", f"-{rng.randrange(99)}")
        rows.append(separator.join(cells))
    return "\n".join(rows)


# package only
def code(words: Sequence[str], rng: random.Random) -> str:
    """Lines of no program in particular, in the manner of several languages."""
    lines = []
    for _ in range(rng.randrange(5, 20)):
        one, two, number = rng.choice(words).lower(), rng.choice(words).lower(), rng.randrange(100)
        lines.append(rng.choice((
            f"import {one}.{two} as {two[:2]}", f"def {one}_{two}(self, {one}=None):",
            f"    return self.{one}[{number}] + {two}({one})",
            f"for (int i = 0; i < {number}; i++) {{",
            f"    {one}->{two} = ({number} << 2) | 0x{number:x};", "}",
            f"var {one} = {{'{two}': {number}}};",
            f".{one}-{two} {{ margin: {number}px; }}", f"<div class=\"{one}\"><a href=\"#{two}\">",
            f"SELECT {one}, COUNT(*) FROM {two} WHERE id > {number};",
            f"if {one} is None: raise {two}",
            f"echo ${one.upper()} | grep -v {two} > /dev/null", f"  - {one}: [{number}, {two}]",
        )))  # fmt: skip
    return "\n".join(lines)


DIRT: dict[str, Callable[[Sequence[str], random.Random], str]] = {
    "gibberish": gibberish,
    "word salad": word_salad,
    "stuffing": stuffing,
    "list": word_list,
    "boilerplate": boilerplate,
    "table": table,
    "code": code,
}


# package only
@dataclass(frozen=True, slots=True)
class Example:
    """A text, the kind it is of, and whether it is bad."""

    text: str
    kind: str
    is_bad: bool


# package only
def words_for(texts: Sequence[str]) -> list[str]:
    """The words without a mark, as often as they occur: what dirt is made of."""
    return [word for text in texts for word in text.split() if word.isalpha()]


# package only
def labelled(texts: Sequence[str], seed: int, kinds: Sequence[str] = tuple(DIRT)) -> list[Example]:
    """The good texts, and as many bad ones of these kinds, made from the same words."""
    rng = random.Random(f"labelled {seed}")
    words = words_for(texts)
    examples = [Example(text, "good", False) for text in texts]
    for number in range(len(texts)):
        kind = kinds[number % len(kinds)]
        examples.append(Example(DIRT[kind](words, rng), kind, True))
    return examples
