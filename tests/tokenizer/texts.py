"""Texts to train on and to try: what tokenizers usually disagree about."""

import argparse
import ast
import inspect
import random
import sys
import typing
import unicodedata
from itertools import groupby

import regex
import tiktoken

from minillm.corpus.storyworld import tell_story

LINES = (
    "Ein Vögelchen saß im Schnee, und 1.234 Flocken fielen.\n",
    "Девочка нашла ключ, и мальчик сказал: «Спасибо!»\n",
    "女孩在市场上找到了一把钥匙。男孩很高兴。\n",
    "لقد وجدت الفتاة المفتاح في السوق.\n",
    "def add(left: int, right: int) -> int:\n    return left + right  # it's 2 + 2\n\n",
    "aaaa aaa aa a baaab abab ababab ======== ---- ....\n",
)

SCRIPTS = (
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "äöüßéèñçøåœſ",
    "абвгдежзийЖЩ",
    "αβγδεζΩ",
    "שלוםעברית",
    "مرحباسلام",
    "हिन्दीभाषा",
    "ภาษาไทย",
    "女孩在市场上找到了",
    "ひらがなカタカナ",
    "한국어말",
    "0123456789",
    "٠١٢٣४५६Ⅷ½²",
    " ",
    " \t\n\r",
    "\u00a0\u2003\u3000\u0085\u200b\ufeff",
    ".,;:!?-_/\\|",
    "()[]{}<>",
    "'’\"`´",
    "+*=^~@#$%&§°",
    "🙂😀👍🏽🇩🇪❤️👩\u200d👧",
    "\u0301\u0308\u0327",
    "".join(map(chr, range(32))) + "\x7f",
    "\ue000\uf8ff\U000f0000\U000ffffd\U00100000\U0010fffd",  # private use
    "\ufdd0\ufdef\ufffe\uffff\U0001fffe\U0009ffff\U000ffffe\U0010ffff",  # never characters
)

PHRASES = (
    "it's",
    "IT'S",
    "we'll",
    "WE'LL",
    "they've",
    "I'm",
    "you'd",
    "don't",
    "o’clock",
    "'ſ",
    "rock 'n' roll",
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|pad|>",
    "<|endoftext",
    "Once upon a time",
    "  \n\n  ",
    "\r\n\r\n",
    "   ",
    "\t\t",
    "1234567",
    "3.14159",
    "return x\n    ",
    "!!!???",
    "aaaaaaa",
    "=======",
    "\x00",
)

# Surrogates are no characters.
CODES = [code for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
LETTERS_AND_NUMBERS = r"[\p{L}\p{N}]"


def told_apart() -> set[int]:
    """The code points that `regex` calls a letter or a number and tiktoken does not, or vice versa.

    They are those of the newest version of Unicode, which one of them knows already: the same
    pattern splits them in two ways.
    """
    text = "".join(map(chr, CODES))
    by_byte = {bytes([byte]): byte for byte in range(256)}
    peer = tiktoken.Encoding(
        "letters", pat_str=LETTERS_AND_NUMBERS, mergeable_ranks=by_byte, special_tokens={}
    )
    theirs = peer.decode(peer.encode_ordinary(text))  # what does not match is dropped
    return set(map(ord, set(regex.findall(LETTERS_AND_NUMBERS, text)) ^ set(theirs)))


TOLD_APART = told_apart()
ALIKE = [code for code in CODES if code not in TOLD_APART]
PLANES = [list(codes) for _, codes in groupby(ALIKE, key=lambda code: code >> 16)]
ASSIGNED = [code for code in ALIKE if unicodedata.category(chr(code)) not in ("Cn", "Co")]


def training_texts(num_stories: int = 150) -> list[str]:
    """Stories of all levels, with other languages, code and long runs after them."""
    stories = [tell_story(seed, 1 + seed % 3).text + "\n" for seed in range(num_stories)]
    return stories + [line for line in LINES for _ in range(10)]


def larger_training_texts() -> list[str]:
    """The same and some of Python's own source code: enough for thousands of merges."""
    modules = (argparse, ast, inspect, typing)
    return training_texts() + [inspect.getsource(module) for module in modules]


def piece(chance: random.Random) -> str:
    """A phrase, a run of one script, any characters of Unicode, or code points of one plane."""
    kind = chance.random()
    if kind < 0.3:
        return chance.choice(PHRASES)
    if kind < 0.9:
        return "".join(chance.choices(chance.choice(SCRIPTS), k=chance.randint(1, 9)))
    codes = ASSIGNED if kind < 0.95 else chance.choice(PLANES)
    return "".join(map(chr, chance.choices(codes, k=chance.randint(1, 4))))


def fuzz_strings(count: int, seed: int = 0) -> list[str]:
    """Strings that mix scripts, signs, spaces, control characters and names of special tokens."""
    chance = random.Random(seed)
    return ["".join(piece(chance) for _ in range(chance.randint(0, 12))) for _ in range(count)]
