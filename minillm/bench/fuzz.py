"""Awkward strings: what tokenizers usually disagree about, over all planes of Unicode.

In: a number and a seed. Out: strings that mix scripts, signs, spaces, control characters, names of
special tokens, private use and what no character is. The tests and the bench try the same ones.
Left out are the code points of a Unicode so new that one library knows it and another does not.
"""

import random
import sys
import unicodedata
from functools import cache
from itertools import groupby

import regex

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

LETTERS_AND_NUMBERS = r"[\p{L}\p{N}]"


# package only
@cache
def code_points() -> list[int]:
    """All of Unicode; surrogates are no characters."""
    return [code for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]


# package only
@cache
def told_apart() -> frozenset[int]:
    """The code points that `regex` calls a letter or a number and tiktoken does not, or vice versa.

    They are those of the newest version of Unicode, which one of them knows already: the same
    pattern splits them in two ways.
    """
    import tiktoken

    text = "".join(map(chr, code_points()))
    by_byte = {bytes([byte]): byte for byte in range(256)}
    peer = tiktoken.Encoding(
        "letters", pat_str=LETTERS_AND_NUMBERS, mergeable_ranks=by_byte, special_tokens={}
    )
    theirs = peer.decode(peer.encode_ordinary(text))  # what does not match is dropped
    return frozenset(map(ord, set(regex.findall(LETTERS_AND_NUMBERS, text)) ^ set(theirs)))


# package only
@cache
def drawn_from() -> tuple[list[int], list[list[int]]]:
    """The assigned characters, and the code points of each plane; of all that are split alike."""
    alike = [code for code in code_points() if code not in told_apart()]
    planes = [list(codes) for _, codes in groupby(alike, key=lambda code: code >> 16)]
    return [code for code in alike if unicodedata.category(chr(code)) not in ("Cn", "Co")], planes


# package only
def fuzz_piece(chance: random.Random) -> str:
    """A phrase, a run of one script, any characters of Unicode, or code points of one plane."""
    kind = chance.random()
    if kind < 0.3:
        return chance.choice(PHRASES)
    if kind < 0.9:
        return "".join(chance.choices(chance.choice(SCRIPTS), k=chance.randint(1, 9)))
    assigned, planes = drawn_from()
    codes = assigned if kind < 0.95 else chance.choice(planes)
    return "".join(map(chr, chance.choices(codes, k=chance.randint(1, 4))))


# package only
def fuzz_strings(count: int, seed: int = 0) -> list[str]:
    """So many strings of up to 12 pieces each; the same seed gives the same strings."""
    chance = random.Random(seed)
    return [
        "".join(fuzz_piece(chance) for _ in range(chance.randint(0, 12))) for _ in range(count)
    ]
