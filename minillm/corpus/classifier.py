"""A learned yes or no about a text: logistic regression on hashed words, pairs and shapes.

In: texts and labels. Out: a `Classifier` that says how probably a text is bad, with a threshold
chosen on a precision-recall curve; two steps, for quality and for civility. The ideas: a text is
the counts of its words and pairs of words, in as many buckets as fit (Weinberger et al.,
arXiv:0902.2206), and of the shapes of three tokens in a row, which unknown words have too; AdaGrad
(Duchi et al. 2011) minimises the log loss. Left out: whatever needs more than neighbouring words.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from zlib import crc32

import numpy as np

import minillm
from minillm.core.records import atomic_write
from minillm.corpus.quality import PROSE, at_most
from minillm.corpus.signatures import mixed
from minillm.corpus.sources import Document, Rejection, Step

FOLDER = Path(minillm.__file__).parent.parent / "data" / "classifiers"
TOKEN = re.compile(r"\w+|[^\w\s]|\n")
# After a mark, with or without a quote, unless a small letter goes on: "Why?" asked Ben.
SENTENCE_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"”]))\s+(?![a-zß-ÿ])|\n")
SHORT_LETTERS = 3
NUM_FEATURES = 2**15
NUM_STEPS = 300
LEARNING_RATE = 0.5
# Half of this times the sum of the squared weights is added to the loss.
WEIGHT_DECAY = 1e-7
# Decided by the number that a rejection says; what lies beyond depends on the machine.
DECIDING_DIGITS = 4


def shape(token: str) -> str:
    """How a token looks: `the` → a, `bridge` → aa, `Anna` → A, `42` → 0, `?` → ?, `x1` → _."""
    if token.isdigit():
        return "0"
    if not token.isalpha():
        return token if len(token) == 1 else "_"
    if token.islower():
        return "a" if len(token) <= SHORT_LETTERS else "aa"
    return "A"


def run_hashes(hashes: np.ndarray, size: int) -> np.ndarray:
    """A hash of each run of `size` neighbours."""
    run = mixed(hashes + np.uint64(size))
    for offset in range(1, size):
        run = mixed(run[:-1] + hashes[offset:])
    return run


@dataclass(frozen=True, slots=True)
class Features:
    """The numbers that are not zero: text `row` has the value `value` in bucket `column`."""

    row: np.ndarray
    column: np.ndarray
    value: np.ndarray
    num_texts: int

    def margins(self, weights: np.ndarray, bias: float) -> np.ndarray:
        """w · x + b of each text."""
        return np.bincount(self.row, weights[self.column] * self.value, self.num_texts) + bias


def features(texts: Sequence[str]) -> Features:
    """Counts of words, pairs of words and triples of shapes by bucket, divided by their length."""
    split = [TOKEN.findall(text) for text in texts]
    text = np.repeat(np.arange(len(split)), [len(tokens) for tokens in split])
    tokens = [token for tokens in split for token in tokens]
    word_of = {token: crc32(token.lower().encode()) for token in set(tokens)}
    shape_of = {token: crc32(b"shape of " + shape(token).encode()) for token in word_of}
    words = np.array([word_of[token] for token in tokens], np.uint64)
    shapes = np.array([shape_of[token] for token in tokens], np.uint64)
    keys = []
    for hashes, size in ((words, 1), (words, 2), (shapes, 3)):
        last = min(size - 1, len(text))
        is_inside = text[last:] == text[: len(text) - last]
        bucket = run_hashes(hashes, size)[is_inside] % np.uint64(NUM_FEATURES)
        keys.append(text[last:][is_inside] * NUM_FEATURES + bucket.astype(np.int64))
    key, count = np.unique(np.concatenate(keys), return_counts=True)
    row, column = np.divmod(key, NUM_FEATURES)
    lengths = np.sqrt(np.bincount(row, count.astype(np.float64) ** 2, len(split)))
    return Features(row, column, count / lengths[row], len(split))


def sigmoid(margins: np.ndarray) -> np.ndarray:
    """1 / (1 + e^−m), without overflow."""
    return 0.5 * (1 + np.tanh(margins / 2))


def log_loss(
    weights: np.ndarray, bias: float, made: Features, labels: np.ndarray
) -> tuple[float, np.ndarray, float]:
    """Mean −log p(label) with the penalty, and its gradient for weights and bias."""
    margins = made.margins(weights, bias)
    loss = np.logaddexp(0, np.where(labels, -margins, margins)).mean()
    error = (sigmoid(margins) - labels) / made.num_texts
    gradient = np.bincount(made.column, error[made.row] * made.value, len(weights))
    penalty = WEIGHT_DECAY / 2 * float(weights @ weights)
    return float(loss) + penalty, gradient + WEIGHT_DECAY * weights, float(error.sum())


@dataclass(frozen=True, slots=True)
class Classifier:
    """Weights by bucket, and the probability from which on a text is called bad."""

    weights: np.ndarray
    bias: float
    threshold: float = 0.5

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """How probably each text is bad."""
        return sigmoid(features(texts).margins(self.weights, self.bias))

    def probability(self, text: str) -> float:
        """How probably a text is bad."""
        return float(self.probabilities([text])[0])


def train_classifier(texts: Sequence[str], is_bad: Sequence[bool]) -> Classifier:
    """Minimise the log loss by AdaGrad: each weight's step shrinks with its own past gradients."""
    labels = np.array(is_bad, float)
    if len(texts) != len(labels) or len(set(labels)) < 2:
        raise ValueError(
            f"is_bad has {int(labels.sum())} bad ones of {len(labels)}, for {len(texts)} texts;"
            " give one label for each text, and both kinds"
        )
    made = features(texts)
    weights, bias = np.zeros(NUM_FEATURES), 0.0
    squares, bias_squares = np.full(NUM_FEATURES, 1e-12), 1e-12
    for _ in range(NUM_STEPS):
        _, gradient, bias_gradient = log_loss(weights, bias, made, labels)
        squares += gradient**2
        bias_squares += bias_gradient**2
        weights -= LEARNING_RATE * gradient / np.sqrt(squares)
        bias -= LEARNING_RATE * bias_gradient / bias_squares**0.5
    return Classifier(weights.astype(np.float32), float(bias))


def precision_recall_curve(
    probabilities: np.ndarray, is_bad: Sequence[bool]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(thresholds, precision, recall) of "bad from the threshold on", the highest first."""
    thresholds = np.unique(probabilities)[::-1]
    bad = probabilities[np.array(is_bad, bool)]
    found, right = (
        len(some) - np.searchsorted(np.sort(some), thresholds) for some in (probabilities, bad)
    )
    return thresholds, right / found, right / len(bad)


def chosen_threshold(
    probabilities: np.ndarray, is_bad: Sequence[bool], least_precision: float
) -> float:
    """The threshold of most recall among those that are precise enough."""
    thresholds, precision, recall = precision_recall_curve(probabilities, is_bad)
    enough = precision >= least_precision
    if not enough.any():
        raise ValueError(
            f"least_precision is {least_precision}; on these texts at most {precision.max():.3f}"
            " can be had: ask for less, or train on more"
        )
    best = thresholds[enough][np.argmax(recall[enough])]
    # halfway to the next lower one, so that rounding decides nothing
    lower = probabilities[probabilities < best]
    return float((best + lower.max(initial=0.0)) / 2)


# package only
def save_classifier(classifier: Classifier, path: Path) -> None:
    """One small file; weights in 16 bits."""
    stream = io.BytesIO()
    numbers = np.array((classifier.bias, classifier.threshold))
    np.savez_compressed(stream, weights=classifier.weights.astype(np.float16), numbers=numbers)
    atomic_write(path, stream.getvalue())


# package only
@lru_cache(4)
def load_classifier(name: str, folder: Path = FOLDER) -> Classifier:
    """A classifier that comes with the course: `quality` or `civility`."""
    path = folder / f"{name}.npz"
    if not path.is_file():
        raise FileNotFoundError(
            f"classifier {path}: there is no such file; restore it with git, or make it again:"
            " python tools/classifiers.py"
        )
    with np.load(path, allow_pickle=False) as file:
        return Classifier(file["weights"].astype(np.float32), *map(float, file["numbers"]))


# A break after so many characters came where the line was full, and not where a sentence ended.
WRAPPED = re.compile(r"(?<=[^\n]{50})\n[ \t]*(?=\S)")
HEADING = re.compile(r"^[ \t]*\S+(?:[ \t]+\S+)?(?<![.!?\"”])[ \t]*$", re.MULTILINE)


def spoken_text(document: Document) -> str:
    """The text with a sentence a line; of plain text, cut lines joined and headings left out.

    The lines of a page are blocks, and stay. A heading is one or two words without a mark: one word
    says too little for the classifier, which has learned from sentences.
    """
    if document.kind in PROSE:
        return document.text
    return HEADING.sub("", WRAPPED.sub(" ", document.text))


def is_english_page(document: Document) -> bool:
    """Whether the quality classifier looks at a text: it has learned from such pages alone."""
    return document.kind in PROSE and document.language == "en"


def good_enough(classifier: Classifier | None = None, threshold: float | None = None) -> Step:
    """Make the step that rejects a page which the quality classifier calls bad."""
    known = classifier or load_classifier("quality")
    limit = known.threshold if threshold is None else threshold

    def step(document: Document) -> Document | Rejection:
        if not is_english_page(document):
            return document
        value = round(known.probability(document.text), DECIDING_DIGITS)
        return at_most(document, "quality", value, limit)

    return step


def sentences(text: str) -> list[str]:
    """The sentences of a text that hold a letter."""
    parts = [part.strip() for part in SENTENCE_END.split(text)]
    return [part for part in parts if any(map(str.isalpha, part))]


def rudest(text: str, classifier: Classifier) -> tuple[float, str]:
    """The highest probability of a text's sentences, and that sentence; 0 without sentences."""
    said = sentences(text)
    if not said:
        return 0.0, ""
    probabilities = classifier.probabilities(said)
    worst = int(probabilities.argmax())
    return float(probabilities[worst]), said[worst]


def is_in_english(document: Document) -> bool:
    """Whether the civility classifier looks at a text: a program insults nobody."""
    return document.kind != "code" and document.language == "en"


def civil_enough(classifier: Classifier | None = None, threshold: float | None = None) -> Step:
    """Make the step that rejects prose with a sentence that is probably an insult."""
    known = classifier or load_classifier("civility")
    limit = known.threshold if threshold is None else threshold

    def step(document: Document) -> Document | Rejection:
        if not is_in_english(document):
            return document
        value, sentence = rudest(spoken_text(document), known)
        value = round(value, DECIDING_DIGITS)
        if value <= limit:
            return document
        return Rejection.of(document, "civility", f"insult: {sentence}", value, limit)

    return step
