"""Text to tokens and back: byte-level byte-pair encoding, trained on the run's own documents.

In: texts. Out: a `Tokenizer` whose ids are the 256 bytes, then a token per merge, then the special
tokens. The idea: start from bytes, so that every text can be written, and give the most frequent
pair of neighbours a token of its own, again and again (Gage 1994; inside words: Sennrich, Haddow
and Birch 2016, arXiv 1508.07909; over bytes: Radford et al. 2019). Many processes: `streaming`.
"""

import json
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from minillm.core.records import Artifact, Run, atomic_write, make_artifact
from minillm.corpus.pipeline import read_documents
from minillm.tokenizer.alphabet import Merge, cut_at_spaces, spell, split_words, vocabulary
from minillm.tokenizer.formats import ranks_file, read_ranks, read_tokenizer_json
from minillm.tokenizer.formats import tokenizer_json
from minillm.tokenizer.merges import count_words, learn_merges, merge_by_rank, merge_rules

END_OF_TEXT = "<|endoftext|>"
SPECIAL_TOKENS = (END_OF_TEXT, "<|im_start|>", "<|im_end|>", "<|pad|>")

# What is remembered of a text: enough for all frequent words; bounds, since texts have none.
MAX_REMEMBERED = 1 << 19
MAX_REMEMBERED_CHARACTERS = 64


def check_special_tokens(names: tuple[str, ...]) -> None:
    """ValueError unless the names differ, none is empty, and the end of a text is among them."""
    if END_OF_TEXT not in names or "" in names or len(set(names)) < len(names):
        raise ValueError(
            f"special_tokens is {names}; give distinct names with {END_OF_TEXT} among them"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerConfig:
    """`vocab_size` counts everything: the 256 bytes, the merges and the special tokens."""

    vocab_size: int = 4096
    special_tokens: tuple[str, ...] = SPECIAL_TOKENS
    max_characters: int | None = None

    def __post_init__(self) -> None:
        check_special_tokens(self.special_tokens)
        smallest = 256 + len(self.special_tokens)
        if self.vocab_size < smallest:
            raise ValueError(
                f"vocab_size is {self.vocab_size}; give at least {smallest}, "
                f"room for the 256 bytes and the {len(self.special_tokens)} special tokens"
            )
        if self.max_characters is not None and self.max_characters < 1:
            raise ValueError(
                f"max_characters is {self.max_characters}; give a number ≥ 1, or None for all"
            )


class TokenTable:
    """The bytes that each id stands for, special tokens last: all that decoding needs."""

    def __init__(self, tokens: Iterable[bytes], special_tokens: Iterable[str]) -> None:
        self._token_by_id = list(tokens)
        begin = len(self._token_by_id)
        self.special_ids = {name: begin + index for index, name in enumerate(special_tokens)}
        self._token_by_id += [name.encode("utf-8") for name in self.special_ids]

    @property
    def vocab_size(self) -> int:
        """The number of ids: bytes, longer tokens and special tokens."""
        return len(self._token_by_id)

    @property
    def end_of_text(self) -> int:
        """The id of the mark between documents."""
        return self.special_ids[END_OF_TEXT]

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that a token stands for; a special token stands for its name."""
        if not 0 <= token_id < self.vocab_size:
            raise ValueError(
                f"token id is {token_id}; this tokenizer has 0 to {self.vocab_size - 1}: "
                "decode with the tokenizer that encoded"
            )
        return self._token_by_id[token_id]

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of the tokens, joined."""
        return b"".join(self.token_bytes(token_id) for token_id in ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; bytes that are no character (or half of one) are shown as �."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")


class Remembered(dict[str, tuple[int, ...]]):
    """Ids by text; those of a text that it does not hold are made, and remembered if it is short.

    When it is full it forgets everything: what is frequent comes back at once.
    """

    def __init__(self, make: Callable[[str], tuple[int, ...]]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, text: str) -> tuple[int, ...]:
        ids = self._make(text)
        if len(text) <= MAX_REMEMBERED_CHARACTERS:
            if len(self) >= MAX_REMEMBERED:
                self.clear()
            self[text] = ids
        return ids


class Tokenizer(TokenTable):
    """A table that can also encode; for every text, `decode(encode(text)) == text`."""

    def __init__(
        self, merges: Iterable[Merge], special_tokens: Iterable[str] = SPECIAL_TOKENS
    ) -> None:
        self.merges = list(merges)
        super().__init__(vocabulary(self.merges), special_tokens)
        self._rank, self._rules = merge_rules(self.merges)
        self._ids_of = Remembered(self._encode_piece)

    def encode(self, text: str) -> list[int]:
        """The ids of a text. What looks like a special token in it is text, and stays text."""
        return [*chain.from_iterable(map(self._ids_of.__getitem__, cut_at_spaces(text)))]

    def _encode_piece(self, piece: str) -> tuple[int, ...]:
        words = split_words(piece)
        if len(words) == 1:
            return tuple(map(ord, merge_by_rank(spell(piece), self._rank, self._rules)))
        return tuple(chain.from_iterable(map(self._ids_of.__getitem__, words)))

    def save(self, path: Path) -> None:
        """Write a `tokenizer.json`, which `tokenizers` and `transformers` load too."""
        content = tokenizer_json(self.merges, list(self.special_ids))
        atomic_write(path, json.dumps(content, ensure_ascii=False, indent=1))

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read a file that `save` wrote; ValueError for another kind."""
        return cls(*read_tokenizer_json(path))

    def save_ranks(self, path: Path) -> None:
        """Write the tokens in order as tiktoken's `load_tiktoken_bpe` reads them, without marks."""
        atomic_write(path, ranks_file(self.merges))

    @classmethod
    def load_ranks(cls, path: Path) -> "Tokenizer":
        """Read such a file; the special tokens come after its last one."""
        return cls(read_ranks(path))


def evenly_spaced(texts: list[str], max_characters: int) -> list[str]:
    """Every n-th text, so that about `max_characters` are left, from all parts of the corpus."""
    step = max(1, math.ceil(sum(map(len, texts)) / max_characters))
    return [text[:max_characters] for text in texts[::step]]


def train_tokenizer(texts: Iterable[str], config: TokenizerConfig) -> Tokenizer:
    """Learn a tokenizer; texts too few for `vocab_size` give a smaller one and a warning."""
    texts = list(texts)
    if config.max_characters is not None:
        texts = evenly_spaced(texts, config.max_characters)
    word_counts = count_words(texts)
    if not word_counts:
        raise ValueError("the texts are empty; give at least one character to learn from")
    merges = learn_merges(word_counts, config.vocab_size - len(config.special_tokens))
    tokenizer = Tokenizer(merges, config.special_tokens)
    if tokenizer.vocab_size < config.vocab_size:
        warnings.warn(
            f"vocab_size is {config.vocab_size}, but with {tokenizer.vocab_size} ids each word of "
            "this text is one token already: the tokenizer stays smaller; give more text for more",
            stacklevel=2,
        )
    return tokenizer


# package only
def write_tokenizer(config: TokenizerConfig, documents: Path, folder: Path) -> dict[str, float]:
    """Train on the training documents, measure on the validation documents (if there are any)."""
    tokenizer = train_tokenizer([each.text for each in read_documents(documents, "train")], config)
    tokenizer.save(folder / "tokenizer.json")
    num_bytes = num_tokens = 0
    for document in read_documents(documents, "validation"):
        num_bytes += len(document.text.encode())
        num_tokens += len(tokenizer.encode(document.text))
    return {
        "vocab_size": tokenizer.vocab_size,
        "num_merges": len(tokenizer.merges),
        "validation_bytes_per_token": round(num_bytes / num_tokens, 3) if num_tokens else 0.0,
    }


# package only
def tokenizer_summary(figures: dict[str, float]) -> str:
    """One line for a person."""
    words = f"{figures['vocab_size']:,} tokens"
    per_token = figures["validation_bytes_per_token"]
    return f"{words}, {per_token:.2f} bytes each on unseen documents" if per_token else words


# package only
def make_tokenizer(config: TokenizerConfig, run: Run) -> Artifact:
    """The tokenizer stage: learn from a run's training documents, leave `tokenizer.json`."""
    documents = run.artifact("documents")
    return make_artifact(
        run,
        "tokenizer",
        config=config,
        parents=[documents],
        code=("minillm.tokenizer",),
        write=lambda folder: write_tokenizer(config, documents.path, folder),
        summary=tokenizer_summary,
    )
