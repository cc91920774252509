"""Text to tokens and back by the most probable pieces: the unigram language model tokenizer.

In: texts. Out: a tokenizer whose ids are the 256 bytes, then the pieces, most probable first, then
the special tokens. The one idea (Kudo 2018, arXiv 1804.10959): of all ways to write a word take the
most probable one; or draw one of them by its probability, so that a model which is trained on the
text sees many spellings of it. A character that is no piece is written as its UTF-8 bytes: so every
text comes back. `pieces` learns the probabilities. Left out: many processes.
"""

import json
import math
import random
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import chain
from operator import itemgetter
from pathlib import Path

from minillm.core.records import atomic_write
from minillm.tokenizer.alphabet import cut_at_spaces, split_words
from minillm.tokenizer.bytepair import SPECIAL_TOKENS, Remembered, TokenTable
from minillm.tokenizer.bytepair import check_special_tokens
from minillm.tokenizer.formats import SPLIT_STEP, added_tokens
from minillm.tokenizer.merges import count_words
from minillm.tokenizer.paths import (
    Arriving,
    best_path,
    edges_of_word,
    n_best_paths,
    sampled_path,
    sampled_way,
)
from minillm.tokenizer.pieces import UNKNOWN_PENALTY, learn_pieces


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class UnigramConfig:
    """`vocab_size` counts everything: the 256 bytes, the pieces and the special tokens."""

    vocab_size: int = 4096
    special_tokens: tuple[str, ...] = SPECIAL_TOKENS
    character_coverage: float = 0.9995

    def __post_init__(self) -> None:
        check_special_tokens(self.special_tokens)
        not_pieces = 256 + len(self.special_tokens)
        if self.vocab_size <= not_pieces:
            raise ValueError(
                f"vocab_size is {self.vocab_size}; give more than {not_pieces}: "
                f"the 256 bytes, the {len(self.special_tokens)} special tokens, and the pieces"
            )
        if not 0 < self.character_coverage <= 1:
            raise ValueError(
                f"character_coverage is {self.character_coverage}; give a share in (0, 1]"
            )


# package only
class UnigramTokenizer(TokenTable):
    """Encodes by the most probable pieces; for every text, `decode(encode(text)) == text`."""

    def __init__(
        self, vocabulary: Mapping[str, float], special_tokens: Iterable[str] = SPECIAL_TOKENS
    ) -> None:
        self.vocabulary = dict(vocabulary)
        if not self.vocabulary:
            raise ValueError("vocabulary is empty; give at least one piece and its log-probability")
        self.unknown = min(self.vocabulary.values()) - UNKNOWN_PENALTY
        self.longest = max(map(len, self.vocabulary))
        self.id_by_piece = {piece: 256 + index for index, piece in enumerate(self.vocabulary)}
        alphabet = [bytes([byte]) for byte in range(256)]
        super().__init__([*alphabet, *map(str.encode, self.vocabulary)], special_tokens)
        self._ids_of = Remembered(self._encode_part)

    def arriving(self, word: str) -> Arriving:
        """The lattice of one word."""
        return edges_of_word(word, self.vocabulary, self.longest, self.unknown)

    def ids_of(self, word: str, cuts: Sequence[int]) -> list[int]:
        """The ids of a word's pieces; a character that is no piece becomes its bytes."""
        ids: list[int] = []
        for begin, end in zip(cuts, cuts[1:], strict=False):
            piece = word[begin:end]
            known = self.id_by_piece.get(piece)
            ids += piece.encode() if known is None else [known]
        return ids

    def encode(self, text: str) -> list[int]:
        """The ids of a text. What looks like a special token in it is text, and stays text."""
        return [*chain.from_iterable(map(self._ids_of.__getitem__, cut_at_spaces(text)))]

    def _encode_part(self, part: str) -> tuple[int, ...]:
        words = split_words(part)
        if len(words) == 1:
            return tuple(self.ids_of(part, best_path(self.arriving(part))))
        return tuple(chain.from_iterable(map(self._ids_of.__getitem__, words)))

    def n_best(self, text: str, n: int) -> list[tuple[float, list[int]]]:
        """The n most probable ways to encode a text, each with its log-probability."""
        if n < 1:
            raise ValueError(f"n is {n}; give at least 1")
        ranked: list[tuple[float, list[int]]] = [(0.0, [])]
        for word in split_words(text):
            ways = n_best_paths(self.arriving(word), n)
            longer = (
                (score + log_p, ids + self.ids_of(word, cuts))
                for score, ids in ranked
                for log_p, cuts in ways
            )
            ranked = nlargest(n, longer, key=itemgetter(0))
        return ranked

    def sample(
        self, text: str, alpha: float, chance: random.Random, num_best: int | None = None
    ) -> list[int]:
        """Ids drawn with probability ∝ P(segmentation)^alpha: 0 draws evenly, ∞ is `encode`.

        Of all ways to write the text, or of its `num_best` most probable ones.
        """
        if not 0 <= alpha < math.inf:
            raise ValueError(f"alpha is {alpha}; give a number ≥ 0 (.1 to .5 are usual)")
        if num_best is not None:
            if num_best < 1:
                raise ValueError(f"num_best is {num_best}; give at least 1, or None for all ways")
            return sampled_way(self.n_best(text, num_best), alpha, chance)
        ids: list[int] = []
        for word in split_words(text):
            ids += self.ids_of(word, sampled_path(self.arriving(word), alpha, chance))
        return ids

    def save(self, path: Path) -> None:
        """Write a `tokenizer.json` of the type Unigram, which `tokenizers` loads too."""
        content = unigram_json(self.vocabulary, list(self.special_ids))
        atomic_write(path, json.dumps(content, ensure_ascii=False, indent=1))

    @classmethod
    def load(cls, path: Path) -> "UnigramTokenizer":
        """Read a file that `save` wrote; ValueError for another kind."""
        return cls(*read_unigram_json(path))


def train_unigram(texts: Iterable[str], config: UnigramConfig) -> UnigramTokenizer:
    """Learn a tokenizer; texts too few for `vocab_size` give a smaller one and a warning."""
    word_counts = count_words(texts)
    if not word_counts:
        raise ValueError("the texts are empty; give at least one character to learn from")
    num_pieces = config.vocab_size - 256 - len(config.special_tokens)
    vocabulary = learn_pieces(word_counts, num_pieces, config.character_coverage)
    if len(vocabulary) < num_pieces:
        warnings.warn(
            f"vocab_size is {config.vocab_size}, but this text has only {len(vocabulary)} pieces: "
            "the tokenizer stays smaller; give more text for more",
            stacklevel=2,
        )
    return UnigramTokenizer(vocabulary, config.special_tokens)


# package only
def unigram_json(
    vocabulary: Mapping[str, float], special_tokens: Sequence[str]
) -> dict[str, object]:
    """The content of the file: the same split as for BPE, then bytes and pieces with their log P.

    The form wants an id for unknown characters. No text gets it, since all have bytes: any will do.
    """
    entries: list[list[object]] = [[f"<0x{byte:02X}>", 0.0] for byte in range(256)]
    entries += [[piece, log_p] for piece, log_p in vocabulary.items()]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens(special_tokens, first_id=len(entries)),
        "normalizer": None,
        "pre_tokenizer": SPLIT_STEP,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": entries, "byte_fallback": True},
    }


# package only
def read_unigram_json(path: Path) -> tuple[dict[str, float], list[str]]:
    """Pieces and special tokens of a file; ValueError unless they say all that the file says."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; write one with UnigramTokenizer.save")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        vocabulary = {piece: float(log_p) for piece, log_p in content["model"]["vocab"][256:]}
        special_tokens = [added["content"] for added in content["added_tokens"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: not a tokenizer.json of type Unigram ({type(error).__name__}: {error}); "
            "write it again with UnigramTokenizer.save"
        ) from None
    if content != unigram_json(vocabulary, special_tokens):
        raise ValueError(
            f"{path}: a tokenizer.json of another kind (its split pattern, bytes, special tokens "
            "or options differ); only what UnigramTokenizer.save wrote can be read"
        )
    return vocabulary, special_tokens
