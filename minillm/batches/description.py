"""What a folder of shards says of itself: `shards.json`, written last and read first.

In: a folder. Out: how many tokens a file holds, of which type an id is, by which tokenizer, what
each split counts, and the SHA-256 of every file, so that a damaged one can be named. The one idea:
a folder without its description is not there, so shards exist whole or not at all. A description
that says `tokens_per_shard` alone is read too: its ids have two bytes and its files no hashes.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from minillm.core.records import file_sha256
from minillm.tokenizer.bytepair import Tokenizer

SPLITS = ("train", "validation")
DESCRIPTION = "shards.json"
REMEDY = "delete the folder to make the shards again"
NUM_IDS_BY_TYPE = {"uint16": 1 << 16, "uint32": 1 << 32}


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """The content of `shards.json`: counts by split, hashes by file name."""

    tokens_per_shard: int
    id_type: str = "uint16"
    tokenizer_sha256: str | None = None
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """As it stands in the file."""
        return json.dumps(asdict(self), indent=1).encode()


def id_type(vocab_size: int) -> str:
    """Two bytes an id where that is enough, else four: `uint16` up to 65,536 ids, then `uint32`."""
    for name, num_ids in NUM_IDS_BY_TYPE.items():
        if vocab_size <= num_ids:
            return name
    raise ValueError(
        f"vocab_size = {vocab_size:,}: a shard stores at most {NUM_IDS_BY_TYPE['uint32']:,} ids; "
        "train a tokenizer with fewer"
    )


def tokenizer_sha256(tokenizer: Tokenizer) -> str:
    """The hash of what each id stands for: equal for equal tokenizers, however they are stored."""
    digest = hashlib.sha256()
    for token_id in range(tokenizer.vocab_size):
        text = tokenizer.token_bytes(token_id)
        digest.update(len(text).to_bytes(4, "little") + text)
    return digest.hexdigest()


# package only
def require_file(path: Path) -> Path:
    """The path; FileNotFoundError if there is no such file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing, without it the shards cannot be read; {REMEDY}")
    return path


# package only
def read_description(folder: Path) -> Description:
    """What the folder says of its shards; ValueError where it does not say enough to read them."""
    path = require_file(folder / DESCRIPTION)
    try:
        content = json.loads(path.read_bytes())
        tokens_per_shard = content["tokens_per_shard"]
    except (ValueError, KeyError, TypeError):
        content, tokens_per_shard = {}, None
    if type(tokens_per_shard) is not int or tokens_per_shard < 1:
        raise ValueError(f"{path}: does not say tokens_per_shard, a positive count; {REMEDY}")
    try:
        description = Description(**content)
    except TypeError as error:
        raise ValueError(f"{path}: not a description of shards ({error}); {REMEDY}") from None
    if not isinstance(description.files, dict):
        raise ValueError(f"{path}: files is not a table of hashes by file name; {REMEDY}")
    if description.id_type not in list(NUM_IDS_BY_TYPE):
        choices = " or ".join(NUM_IDS_BY_TYPE)
        raise ValueError(f"{path}: id_type = {description.id_type!r}: must be {choices}; {REMEDY}")
    return description


def damaged_files(folder: Path, description: Description) -> list[str]:
    """The names of the files that are missing, or hold other bytes than were written."""
    return [
        name
        for name, expected in description.files.items()
        if not (folder / name).is_file() or file_sha256(folder / name) != expected
    ]


def verify_shards(folder: Path, tokenizer: Tokenizer | None = None) -> Description:
    """Read every byte again and compare; ValueError names the damaged files, or the tokenizer."""
    description = read_description(folder)
    if not description.files:
        raise ValueError(f"{folder / DESCRIPTION}: lists no hashes to compare with; {REMEDY}")
    if damaged := damaged_files(folder, description):
        raise ValueError(
            f"{folder}: {', '.join(damaged)}: not what was written; put back a copy, or {REMEDY}"
        )
    if tokenizer is not None and description.tokenizer_sha256 != tokenizer_sha256(tokenizer):
        raise ValueError(
            f"{folder}: encoded with another tokenizer than the one given; "
            f"give the one that the run has, or {REMEDY}"
        )
    return description


# package only
def map_ids(path: Path, num_tokens: int, description: Description) -> np.ndarray:
    """The ids of one file, mapped; ValueError where it has another size than the index says."""
    dtype = np.dtype(description.id_type)
    num_bytes, expected = require_file(path).stat().st_size, dtype.itemsize * num_tokens
    if num_bytes != expected:
        raise ValueError(
            f"{path}: {num_bytes:,} bytes found, {expected:,} expected "
            f"({num_tokens:,} tokens of {dtype.itemsize} bytes); {REMEDY}"
        )
    # a plain view of the map, because slices of np.memmap itself cost 5 µs each
    return np.asarray(np.memmap(path, dtype, mode="r"))
