"""The files of a tokenizer: `tokenizer.json` for `tokenizers` and `transformers`; tiktoken's ranks.

In: merges and special tokens. Out: a file's content, and back. All else in a tokenizer.json follows
from these two, so reading checks that it does: a file of another kind is refused, not half
understood. A file of ranks has no merges; they follow from its order.
"""

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path

from minillm.tokenizer.alphabet import BYTE_BY_ID, CHARACTER_BY_BYTE, SPLIT_PATTERN, Merge
from minillm.tokenizer.alphabet import vocabulary

BYTE_BY_CHARACTER = {character: byte for byte, character in CHARACTER_BY_BYTE.items()}

BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": False,
}
SPLIT_STEP = {
    "type": "Split",
    "pattern": {"Regex": SPLIT_PATTERN},
    "behavior": "Isolated",
    "invert": False,
}
SPECIAL_FLAGS = {
    "single_word": False,
    "lstrip": False,
    "rstrip": False,
    "normalized": False,
    "special": True,
}
MODEL_OPTIONS = {
    "type": "BPE",
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": False,
}
# What decides the ids and the text. Not compared are padding, truncation and post_processor: other
# programs set them when they save, and this tokenizer does none of the three.
DECISIVE = ("normalizer", "pre_tokenizer", "decoder", "added_tokens")


# package only
def printable(token: bytes) -> str:
    """A token as the file writes it: one printable character per byte (a space is Ġ)."""
    return "".join(CHARACTER_BY_BYTE[byte] for byte in token)


# package only
def from_printable(part: str) -> bytes:
    """The inverse of `printable`; KeyError for a character that stands for no byte."""
    return bytes(BYTE_BY_CHARACTER[character] for character in part)


# package only
def added_tokens(special_tokens: Sequence[str], first_id: int) -> list[dict[str, object]]:
    """The special tokens as a tokenizer.json lists them."""
    return [
        {"id": token_id, "content": name, **SPECIAL_FLAGS}
        for token_id, name in enumerate(special_tokens, start=first_id)
    ]


# package only
def tokenizer_json(merges: Sequence[Merge], special_tokens: Sequence[str]) -> dict[str, object]:
    """The content of a tokenizer.json: split by the pattern, bytes as characters, ranked merges."""
    vocab = {printable(token): token_id for token, token_id in vocabulary(merges).items()}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens(special_tokens, first_id=len(vocab)),
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT_STEP, BYTE_LEVEL]},
        "post_processor": None,
        "decoder": BYTE_LEVEL,
        "model": {
            **MODEL_OPTIONS,
            "vocab": vocab,
            "merges": [[printable(left), printable(right)] for left, right in merges],
        },
    }


# package only
def read_tokenizer_json(path: Path) -> tuple[list[Merge], list[str]]:
    """Merges and special tokens of a file; ValueError unless they say all that the file says."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; make one with "
            "minillm tokenizer --text FILE --vocab-size 4096 --out DIR"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        merges = [
            (from_printable(left), from_printable(right))
            for left, right in content["model"]["merges"]
        ]
        if not set(chain.from_iterable(merges)) <= vocabulary(merges).keys():
            raise ValueError("a part of a merge is no token")
        special_tokens = [added["content"] for added in content["added_tokens"]]
        form = tokenizer_json(merges, special_tokens)
        is_same = all(content[key] == form[key] for key in DECISIVE) and all(
            content["model"].get(key, value) == value
            for key, value in form["model"].items()
            if key != "merges"
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: not a tokenizer.json of byte-level BPE ({type(error).__name__}: {error}); "
            "write it again with Tokenizer.save"
        ) from None
    if not is_same:
        raise ValueError(
            f"{path}: a tokenizer.json of another kind (its split pattern, normalizer, special "
            "tokens, options or order of ids differ); only what Tokenizer.save wrote can be read, "
            "as `minillm export --to hf` does"
        )
    return merges, special_tokens


def merge_of(token: bytes, ranks: Mapping[bytes, int]) -> Merge:
    """The two tokens that were merged to this one: what the rules learned before make of it.

    ValueError where they do not leave two.
    """
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        made = [ranks.get(left + right, len(ranks)) for left, right in pairwise(parts)]
        place = made.index(min(made))
        if made[place] >= ranks[token]:
            raise ValueError(f"no merge of earlier tokens makes the token {token!r}")
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    left, right = parts
    return left, right


# package only
def ranks_file(merges: Sequence[Merge]) -> str:
    """The content of a file of ranks, as tiktoken loads it: each token in base64, and its rank."""
    ranks = vocabulary(merges)
    return "".join(f"{b64encode(token).decode()} {rank}\n" for token, rank in ranks.items())


# package only
def read_ranks(path: Path) -> list[Merge]:
    """The merges behind a file of ranks; ValueError where there are none that make its tokens."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; Tokenizer.save_ranks writes one")
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        tokens = [b64decode(line.split()[0], validate=True) for line in lines]
        if [int(line.split()[1]) for line in lines] != list(range(len(lines))):
            raise ValueError("its ranks do not count 0, 1, 2 …")
        if tokens[:256] != [bytes([byte]) for byte in BYTE_BY_ID]:
            raise ValueError("its first 256 tokens are not the bytes in the order of GPT-2")
        ranks = {token: rank for rank, token in enumerate(tokens)}
        if len(ranks) < len(tokens):
            raise ValueError("a token stands in it twice")
        return [merge_of(token, ranks) for token in tokens[256:]]
    except (ValueError, IndexError, binascii.Error) as error:
        raise ValueError(
            f"{path}: not a file of ranks for byte-level BPE ({error}); give one that "
            "Tokenizer.save_ranks or tiktoken wrote"
        ) from None
