"""The unigram tokenizer against SentencePiece, and against byte-pair encoding, on the same text.

Text in five languages from the pinned sources, a quarter of it to learn from and a twentieth held
out. Twice the words are the same for both: words between spaces, which SentencePiece makes itself
from the lines; and words of GPT-4's pattern, given to it with their counts and with our seeds,
since those it finds in such a list are poor. One function scores both lists of pieces, each with
its own log-probabilities, made to sum to one; and again at equal settings ("alike"): both from our
seeds, both with SentencePiece's last cut, their probabilities fitted by the same last steps. A
ratio of log-likelihoods below one means that ours makes the text more probable. The vocabularies
of all have the same size.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from minillm.bench.measuring import median_seconds
from minillm.bench.pieces import (
    fitted,
    ours_with_its_last_cut,
    sentencepiece_of_lines,
    sentencepiece_of_words,
)
from minillm.corpus.sources import Document, known_sources, read_source
from minillm.tokenizer.alphabet import split_words
from minillm.tokenizer.bytepair import SPECIAL_TOKENS, TokenizerConfig, train_tokenizer
from minillm.tokenizer.merges import count_words
from minillm.tokenizer.pieces import Vocabulary, alphabet, learn_pieces, log_likelihoods
from minillm.tokenizer.unigram import UnigramConfig, train_unigram

SOURCES = ("encyclopaedia", "recipes", "plays", "bible")
LANGUAGES = ("en", "de", "fr", "es", "da")
EVERY_TRAINING, EVERY_HELD_OUT = 4, 20
NUM_PIECES = 8000
REPEATS = 3
# How a word is written where a line is a word: SentencePiece's own sign for the space, and others.
SIGNS = str.maketrans({" ": "▁", "\n": "⏎", "\t": "⇥", "\r": "␍"})
EXAMPLES = (
    " misunderstanding", " unbelievable", " friendship", " rediscovered", " internationally",
    " impossibilité", " gouvernement", " nacionalidad", " descubrimiento", " Zwiebelringe",
)  # fmt: skip
MOST_TOKENS = 6

Encode = Callable[[str], list[int]]


# package only
def written(word: str) -> str:
    """A word in signs that can stand on a line."""
    return word.translate(SIGNS)


# package only
def read_documents() -> list[Document]:
    """All documents of the sources, in their order."""
    sources = known_sources()
    return [each for name in SOURCES for each in read_source(sources[name], LANGUAGES)]


# package only
def pattern_words(texts: Iterable[str]) -> Counter[str]:
    """How often each word of the pattern occurs, in signs."""
    return Counter({written(word): count for word, count in count_words(texts).items()})


# package only
def spaced_words(texts: Iterable[str]) -> Counter[str]:
    """How often each word between spaces occurs, as SentencePiece writes it."""
    return Counter(f"▁{word}" for text in texts for word in text.split())


# package only
def likelihood_figures(
    name: str, words: Mapping[str, int], ours: Vocabulary, theirs: Vocabulary
) -> dict[str, float]:
    """Log-likelihoods in nats over all segmentations and over the best alone, and their ratios."""
    figures = {}
    scores = zip(log_likelihoods(words, ours), log_likelihoods(words, theirs), strict=True)
    for kind, (our_value, their_value) in zip(("marginal", "best"), scores, strict=True):
        figures[f"{name}_{kind}_nats_ours"] = our_value
        figures[f"{name}_{kind}_nats_sentencepiece"] = their_value
        figures[f"{name}_{kind}_ratio"] = our_value / their_value
    return figures


# package only
def bytes_per_token(documents: Sequence[Document], encode: Encode) -> dict[str, float]:
    """By source and language."""
    num_bytes: Counter[str] = Counter()
    num_tokens: Counter[str] = Counter()
    for each in documents:
        name = f"{each.source} {each.language}"
        num_bytes[name] += len(each.text.encode())
        num_tokens[name] += len(encode(each.text))
    return {name: round(num_bytes[name] / num_tokens[name], 3) for name in num_bytes}


# package only
def tokens_per_word(
    documents: Sequence[Document], encode: Encode
) -> tuple[dict[str, float], dict[str, float]]:
    """Fertility by language, and the share of words with 1, 2 … tokens; words are of letters."""
    lengths: dict[str, Counter[int]] = {}
    for each in documents:
        counts = lengths.setdefault(each.language, Counter())
        for word in split_words(each.text):
            if word.strip().isalpha():
                counts[min(len(encode(word)), MOST_TOKENS)] += 1
    all_lengths = sum(lengths.values(), Counter())
    fertility = {
        language: round(sum(n * times for n, times in counts.items()) / counts.total(), 3)
        for language, counts in lengths.items()
    }
    names = [*map(str, range(1, MOST_TOKENS)), f"{MOST_TOKENS}+"]
    shares = (all_lengths[n] / all_lengths.total() for n in range(1, MOST_TOKENS + 1))
    return fertility, dict(zip(names, (round(share, 4) for share in shares), strict=True))


# package only
def comparison(
    documents: Sequence[Document], tokenizers: Mapping[str, object]
) -> dict[str, dict[str, object]]:
    """How each tokenizer writes the held-out documents."""
    figures: dict[str, dict[str, object]] = {}
    for name, tokenizer in tokenizers.items():
        fertility, shares = tokens_per_word(documents, tokenizer.encode)
        tokens = [tokenizer.token_bytes(i) for i in range(256, tokenizer.vocab_size)]
        lengths = Counter(len(each) for each in tokens[: -len(SPECIAL_TOKENS)])
        figures |= {
            f"{name}_bytes_per_token": bytes_per_token(documents, tokenizer.encode),
            f"{name}_tokens_per_word": fertility,
            f"{name}_share_of_words_by_tokens": shares,
            f"{name}_tokens_by_bytes": {str(size): lengths[size] for size in sorted(lengths)},
            f"{name}_examples": {
                word: "|".join(tokenizer.decode([i]) for i in tokenizer.encode(word))
                for word in EXAMPLES
            },
        }
    return figures


# package only
def against_sentencepiece(
    training: Sequence[str], held_out: Sequence[str], num_pieces: int, repeats: int
) -> dict[str, float]:
    """Seconds of learning, and log-likelihoods on what was learned from and on what was not."""
    spaced, pattern = spaced_words(training), pattern_words(training)
    learners = {
        "spaced_ours": lambda: learn_pieces(spaced, num_pieces),
        "spaced_sentencepiece": lambda: sentencepiece_of_lines(training, num_pieces),
        "pattern_ours": lambda: learn_pieces(pattern, num_pieces),
        "pattern_sentencepiece": lambda: sentencepiece_of_words(pattern, num_pieces),
    }
    pieces: dict[str, Vocabulary] = {}
    actions = {
        name: lambda name=name, learn=learn: pieces.update({name: learn()})
        for name, learn in learners.items()
    }
    seconds = median_seconds(actions, repeats)
    from_our_seeds = {
        "spaced": sentencepiece_of_words(spaced, num_pieces),
        "pattern": pieces["pattern_sentencepiece"],
    }
    figures = {f"{name}_seconds": value for name, value in seconds.items()}
    for name, words, unseen in (
        ("spaced", spaced, spaced_words(held_out)),
        ("pattern", pattern, pattern_words(held_out)),
    ):
        both = pieces[f"{name}_ours"], pieces[f"{name}_sentencepiece"]
        known = set(alphabet(words, 1.0))
        shared = {word: count for word, count in unseen.items() if set(word) <= known}
        figures[f"{name}_seconds_ratio"] = (
            seconds[f"{name}_ours"] / seconds[f"{name}_sentencepiece"]
        )
        figures |= likelihood_figures(f"{name}_training", words, *both)
        figures |= likelihood_figures(f"{name}_held_out", shared, *both)
        theirs = fitted(words, from_our_seeds[name])
        alike = ours_with_its_last_cut(words, num_pieces), theirs
        figures |= likelihood_figures(f"{name}_alike_training", words, *alike)
        figures |= likelihood_figures(f"{name}_alike_held_out", shared, *alike)
        figures[f"{name}_held_out_words_left_out"] = unseen.total() - sum(shared.values())
    return figures


# package only
def compare(documents: Sequence[Document], num_pieces: int, repeats: int) -> dict[str, object]:
    """All figures: times and likelihoods, then unigram beside BPE on the held-out documents."""
    training, held_out = documents[::EVERY_TRAINING], documents[1::EVERY_HELD_OUT]
    texts, unseen = ([each.text for each in part] for part in (training, held_out))
    size = 256 + num_pieces + len(SPECIAL_TOKENS)
    tokenizers = {
        "bpe": train_tokenizer(texts, TokenizerConfig(vocab_size=size)),
        "unigram": train_unigram(texts, UnigramConfig(vocab_size=size)),
    }
    return {
        "training_bytes": sum(len(text.encode()) for text in texts),
        "held_out_bytes": sum(len(text.encode()) for text in unseen),
        "pieces": num_pieces,
        **against_sentencepiece(texts, unseen, num_pieces, repeats),
        **comparison(held_out, tokenizers),
    }


# package only
def measure() -> dict[str, object]:
    """`minillm bench unigram`."""
    return compare(read_documents(), NUM_PIECES, REPEATS)
