"""Which language a text is in: naive Bayes on hashed character n-grams, trained here.

In: lines with their languages; then any text. Out: an `Identifier`, which names a language and how
probable it is; the languages of a page, line by line; a step that keeps the languages asked for.
The ideas: each run of one to four letters is evidence for some languages and against others, and
evidence adds up (Cavnar and Trenkle 1994; Lui and Baldwin 2012); hashing makes of it a table that
never grows (Weinberger et al., arXiv:0902.2206); a text with too little evidence for any language
is in an unknown one. Left out: two languages within one line.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

import minillm
from minillm.core.records import atomic_write
from minillm.corpus.signatures import mixed
from minillm.corpus.sources import Document, Rejection, Step

MODEL_FILE = Path(minillm.__file__).parent.parent / "data" / "classifiers" / "language.npz"
UNKNOWN = "unknown"
LETTERS = re.compile(r"[^\W\d_]+")
MAX_GRAM_LETTERS = 4
NUM_BUCKETS = 2**15
# So much of each language's probability goes to n-grams that its lines do not show.
UNSEEN_SHARE = 0.05
# The last lines of each language do not train: on them the probabilities are calibrated.
CALIBRATION_SHARE = 0.2
TEMPERATURES = np.geomspace(1, 50, 60)
# So few known lines may be called unknown: one in two hundred.
STRANGE_SHARE = 0.005
# Longer texts say the same words again: their evidence a letter scatters no less.
INDEPENDENT_LETTERS = 100
LARGEST_CODE = 127
# The chance that the next line of a page is in another language.
SWITCH = 0.01
MIN_LETTERS = 20
MIN_SHARE = 0.8


def plain_letters(text: str) -> str:
    """The words in lower case with a space around each: `"L'eau!"` → `␣l␣eau␣`."""
    return f" {' '.join(LETTERS.findall(text.lower()))} "


def gram_buckets(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The buckets of the n-grams that begin at each character, `[4, characters]`; text lengths.

    All texts stand in a row; an n-gram that would leave its text is in bucket `NUM_BUCKETS`.
    """
    plain = [plain_letters(text) for text in texts]
    lengths = np.array([len(each) for each in plain])
    flat = np.frombuffer("".join(plain).encode("utf-32-le"), np.uint32).astype(np.uint64)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(flat))
    buckets = np.full((MAX_GRAM_LETTERS, len(flat)), NUM_BUCKETS)
    hashes = np.zeros(len(flat), np.uint64)
    for index in range(MAX_GRAM_LETTERS):
        hashes = mixed(hashes[: len(flat) - index] + flat[index:])
        is_inside = left[: len(hashes)] > index
        buckets[index, : len(hashes)][is_inside] = hashes[is_inside] % np.uint64(NUM_BUCKETS)
    return buckets, lengths


def gram_counts(lines: Sequence[str]) -> np.ndarray:
    """How often each bucket occurs in the lines."""
    buckets, _ = gram_buckets(lines)
    return np.bincount(buckets.ravel(), minlength=NUM_BUCKETS + 1)[:NUM_BUCKETS]


def evidence_table(counts_LB: np.ndarray) -> np.ndarray:
    """w[b, l] = log p(b | l) − its mean over the languages; p mixes counts with 1 / buckets."""
    share_LB = counts_LB / counts_LB.sum(axis=1, keepdims=True)
    log_p_LB = np.log((1 - UNSEEN_SHARE) * share_LB + UNSEEN_SHARE / NUM_BUCKETS)
    return (log_p_LB - log_p_LB.mean(axis=0)).T


@dataclass(frozen=True, slots=True)
class Identifier:
    """Evidence for each language by bucket, in steps of `scale`, and what calibration found."""

    languages: tuple[str, ...]
    codes: np.ndarray
    scale: float
    temperature: float = 1.0
    typical: float = 0.0
    spread: float = float("inf")

    def scores(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The evidence of each text for each language, `[texts, languages]`; text lengths."""
        buckets, lengths = gram_buckets(texts)
        begins = np.cumsum(lengths) - lengths
        sums = sum(np.add.reduceat(self.codes[row], begins, dtype=np.int32) for row in buckets)
        return sums * self.scale, lengths

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """The probability of each language, if it is one of them: softmax(evidence / T)."""
        scores, _ = self.scores(texts)
        return np.exp(log_softmax(scores / self.temperature))

    def is_strange(self, scores: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Is the evidence a letter less than that of nearly all lines of known languages?"""
        least = self.typical - self.spread / np.sqrt(np.minimum(lengths, INDEPENDENT_LETTERS))
        return (scores.max(axis=1) / lengths < least) | (lengths <= 2)

    def identify_all(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """The most probable language of each text; `unknown` has the probability 0."""
        if not texts:
            return []
        scores, lengths = self.scores(texts)
        probable = np.exp(log_softmax(scores / self.temperature))
        best, strange = scores.argmax(axis=1), self.is_strange(scores, lengths)
        return [
            (UNKNOWN, 0.0) if is_strange else (self.languages[index], float(row[index]))
            for index, row, is_strange in zip(best, probable, strange, strict=True)
        ]

    def identify(self, text: str) -> tuple[str, float]:
        """The most probable language of a text, and its probability."""
        return self.identify_all([text])[0]


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """log(exp(s) / Σ exp(s)) along the last axis."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def calibrated(identifier: Identifier, lines: Sequence[str], true: Sequence[str]) -> Identifier:
    """The identifier with the temperature of least log loss on these lines, and what is strange."""
    scores, lengths = identifier.scores(lines)
    index = np.array([identifier.languages.index(language) for language in true])
    rows = np.arange(len(index))
    losses = [-log_softmax(scores / each)[rows, index].mean() for each in TEMPERATURES]
    evidence = scores.max(axis=1) / lengths
    draws = np.minimum(lengths, INDEPENDENT_LETTERS)
    shortfall = (evidence.mean() - evidence) * np.sqrt(draws)
    return replace(
        identifier,
        temperature=float(TEMPERATURES[np.argmin(losses)]),
        typical=float(evidence.mean()),
        spread=float(np.quantile(shortfall, 1 - STRANGE_SHARE)),
    )


def train_identifier(lines_by_language: Mapping[str, Sequence[str]]) -> Identifier:
    """Count n-grams in the first lines of each language, calibrate on its last ones."""
    if len(lines_by_language) < 2 or any(len(lines) < 2 for lines in lines_by_language.values()):
        sizes = {language: len(lines) for language, lines in lines_by_language.items()}
        raise ValueError(f"lines_by_language has {sizes}; give ≥ 2 languages with ≥ 2 lines each")
    counts, lines, true = [], [], []
    for language, spoken in sorted(lines_by_language.items()):
        cut = len(spoken) - max(1, round(CALIBRATION_SHARE * len(spoken)))
        counts.append(gram_counts(spoken[:cut]))
        lines += spoken[cut:]
        true += [language] * (len(spoken) - cut)
    table = evidence_table(np.array(counts))
    scale = float(np.abs(table).max() / LARGEST_CODE)
    codes = np.zeros((NUM_BUCKETS + 1, len(counts)), np.int8)
    codes[:NUM_BUCKETS] = np.round(table / scale)
    return calibrated(Identifier(tuple(sorted(lines_by_language)), codes, scale), lines, true)


# package only
def save_identifier(identifier: Identifier, path: Path) -> None:
    """One small file: the codes and what calibration found."""
    stream = io.BytesIO()
    numbers = (identifier.scale, identifier.temperature, identifier.typical, identifier.spread)
    languages = np.array(identifier.languages)
    np.savez_compressed(stream, codes=identifier.codes, languages=languages, numbers=numbers)
    atomic_write(path, stream.getvalue())


# package only
@lru_cache(2)
def load_identifier(path: Path = MODEL_FILE) -> Identifier:
    """The identifier in a file, by default the one that comes with the course."""
    if not path.is_file():
        raise FileNotFoundError(
            f"language identifier {path}: there is no such file; restore it with git, or make it"
            " again: python tools/classifiers.py"
        )
    with np.load(path, allow_pickle=False) as file:
        languages = tuple(file["languages"].tolist())
        return Identifier(languages, file["codes"], *map(float, file["numbers"]))


def best_path(scores: np.ndarray, switch: float = SWITCH) -> list[int]:
    """The most probable language of each line where languages seldom change (Viterbi 1967)."""
    num_languages = scores.shape[1]
    change = np.full((num_languages, num_languages), np.log(switch / max(1, num_languages - 1)))
    np.fill_diagonal(change, np.log(1 - switch))
    total, came_from = scores[0], []
    for row in scores[1:]:
        reached = total[:, None] + change
        came_from.append(reached.argmax(axis=0))
        total = reached.max(axis=0) + row
    path = [int(total.argmax())]
    for back in reversed(came_from):
        path.append(int(back[path[-1]]))
    return path[::-1]


def line_languages(text: str, identifier: Identifier) -> list[tuple[str, str]]:
    """(line, language) for each line of a page: a short line leans on those beside it."""
    lines = [line for line in text.split("\n") if LETTERS.search(line)]
    if not lines:
        return []
    scores, lengths = identifier.scores(lines)
    path = best_path(log_softmax(scores / identifier.temperature))
    strange = identifier.is_strange(scores, lengths)
    names = [UNKNOWN if odd else identifier.languages[index]
             for index, odd in zip(path, strange, strict=True)]  # fmt: skip
    return list(zip(lines, names, strict=True))


def num_letters(text: str) -> int:
    """How many letters a text has."""
    return sum(map(len, LETTERS.findall(text)))


def language_shares(text: str, identifier: Identifier) -> dict[str, float]:
    """The share of a page's letters in each language, the largest first."""
    letters: dict[str, int] = {}
    for line, language in line_languages(text, identifier):
        letters[language] = letters.get(language, 0) + num_letters(line)
    total = sum(letters.values())
    return {name: letters[name] / total for name in sorted(letters, key=letters.get, reverse=True)}


def has_words(document: Document) -> bool:
    """Whether a text is in a language that can be named: no program, and no few letters."""
    return document.kind != "code" and num_letters(document.text) >= MIN_LETTERS


def allowed_languages(
    languages: Sequence[str], identifier: Identifier | None = None, min_share: float = MIN_SHARE
) -> Step:
    """Make the step that rejects prose of which too little is in the languages asked for."""
    known = identifier or load_identifier()
    if not languages or (wrong := set(languages) - set(known.languages)):
        names = f"has {sorted(wrong)}" if languages else "is empty"
        raise ValueError(f"languages {names}; there are {', '.join(known.languages)}")

    def step(document: Document) -> Document | Rejection:
        if not has_words(document):
            return document
        shares = language_shares(document.text, known)
        allowed = sum(share for name, share in shares.items() if name in languages)
        if allowed >= min_share:
            main = max(languages, key=lambda each: shares.get(each, 0))
            return document if main == document.language else replace(document, language=main)
        reason = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        return Rejection.of(document, "language", reason, round(allowed, 3), min_share)

    return step
