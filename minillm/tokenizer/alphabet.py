"""Before any merge: text is cut into words, and words are written as bytes.

In: text. Out: words as strings of *symbols*, one character per token: `chr(id)`. The 256 bytes are
the first tokens, in the order of the printable stand-ins that GPT-2 gave them: so ties in training
fall as in Hugging Face's trainer, and a single byte has the id it has in GPT-2 and GPT-4.
"""

import re
from collections.abc import Iterable

import regex

# The split pattern of GPT-4 (cl100k) and Llama 3. No merge crosses a boundary between two words.
SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLIT = regex.compile(SPLIT_PATTERN)
# A space that whitespace or nothing follows, and where to cut a text that has one. Python's own
# `re` is quicker than `regex`; its whitespace holds some signs more, so that there are fewer cuts.
WIDE_SPACE = re.compile(r" (?!\S)")
NARROW_START = re.compile(r"(?= \S)")
MARK = "\0"

# The two parts of a merged token.
Merge = tuple[bytes, bytes]


def split_words(text: str) -> list[str]:
    """The text cut into words, numbers, signs and spaces; joined, they are the text again."""
    is_plain = text[1:].isalpha() and (text[0] == " " or text[0].isalpha())
    return [text] if is_plain else SPLIT.findall(text)


def cut_at_spaces(text: str) -> list[str]:
    """The text cut before spaces, into pieces that have the words of the text in the same order.

    A word begins at every space, save where whitespace or nothing follows it: there is no cut.
    """
    if MARK in text or WIDE_SPACE.search(text):
        return NARROW_START.split(text)
    return text.replace(" ", MARK + " ").split(MARK)


def byte_characters() -> dict[int, str]:
    """Each byte's printable stand-in, in the order of the ids (the ByteLevel alphabet)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    shifted = {byte: chr(256 + index) for index, byte in enumerate(others)}
    return {byte: chr(byte) for byte in printable} | shifted


CHARACTER_BY_BYTE = byte_characters()
BYTE_BY_ID = bytes(CHARACTER_BY_BYTE)
ID_BY_BYTE = bytes(BYTE_BY_ID.index(byte) for byte in range(256))


def spell(word: str) -> str:
    """A word as symbols, one per byte: the symbol of a token is `chr` of its id."""
    return word.encode("utf-8").translate(ID_BY_BYTE).decode("latin-1")


def vocabulary(merges: Iterable[Merge]) -> dict[bytes, int]:
    """The id of every token: single bytes, then what each merge makes, in the order of learning."""
    ids = {bytes([byte]): index for index, byte in enumerate(BYTE_BY_ID)}
    for left, right in merges:
        ids.setdefault(left + right, len(ids))
    return ids
