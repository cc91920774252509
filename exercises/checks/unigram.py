"""Exercise 02.8, which belongs to notebook 02b, with its wrong answers."""

import math
from collections.abc import Callable, Iterator

from exercises.engine import Exercise, Mistake
from exercises.solutions import unigram as solutions

LogP = dict[str, float]


def all_cuts(word: str, log_p: LogP) -> Iterator[list[str]]:
    """Every way to cut a word into pieces and characters that are none."""
    if not word:
        yield []
    for end in range(1, len(word) + 1):
        if word[:end] in log_p or end == 1:
            yield from ([word[:end], *rest] for rest in all_cuts(word[end:], log_p))


def best_by(
    score: Callable[[list[float]], float], word: str, log_p: LogP, unknown: float
) -> list[str]:
    cuts = all_cuts(word, log_p)
    return max(cuts, key=lambda cut: score([log_p.get(piece, unknown) for piece in cut]))


def piece_by_piece(key: Callable[[str], float], word: str, log_p: LogP) -> list[str]:
    """At each place the piece that is best by itself."""
    pieces = []
    while word:
        known = [word[:end] for end in range(1, len(word) + 1) if word[:end] in log_p]
        pieces.append(max(known, key=key, default=word[0]))
        word = word[len(pieces[-1]) :]
    return pieces


def longest_first(word: str, log_p: LogP, unknown: float) -> list[str]:
    return piece_by_piece(len, word, log_p)


def most_probable_next(word: str, log_p: LogP, unknown: float) -> list[str]:
    return piece_by_piece(log_p.__getitem__, word, log_p)


def fewest_pieces(word: str, log_p: LogP, unknown: float) -> list[str]:
    return best_by(lambda scores: -len(scores), word, log_p, unknown)


def adds_probabilities(word: str, log_p: LogP, unknown: float) -> list[str]:
    return best_by(lambda scores: sum(map(math.exp, scores)), word, log_p, unknown)


def best_mean(word: str, log_p: LogP, unknown: float) -> list[str]:
    return best_by(lambda scores: sum(scores) / max(1, len(scores)), word, log_p, unknown)


def least_probable(word: str, log_p: LogP, unknown: float) -> list[str]:
    return best_by(lambda scores: -sum(scores), word, log_p, unknown)


def loses_the_unknown(word: str, log_p: LogP, unknown: float) -> list[str]:
    return [piece for piece in solutions.best_cut(word, log_p, unknown) if piece in log_p]


def gives_up_on_the_word(word: str, log_p: LogP, unknown: float) -> list[str]:
    pieces = solutions.best_cut(word, log_p, unknown)
    return pieces if all(piece in log_p for piece in pieces) else [word]


def unknown_of_any_length(word: str, log_p: LogP, unknown: float) -> list[str]:
    parts = {word[i:j] for i in range(len(word)) for j in range(i + 1, len(word) + 1)}
    return solutions.best_cut(word, dict.fromkeys(parts, unknown) | log_p, unknown)


def from_the_end(word: str, log_p: LogP, unknown: float) -> list[str]:
    return solutions.best_cut(word, log_p, unknown)[::-1]


def one_piece_a_place(word: str, log_p: LogP, unknown: float) -> list[str]:
    ends = range(1, len(word) + 1)
    return [solutions.best_cut(word[:end], log_p, unknown)[-1] for end in ends]


HAND = {"a": -1.2, "b": -1.6, "ab": -0.7}
HELP = {
    "u": -5.0, "n": -4.5, "h": -4.6, "e": -3.0, "l": -4.0, "p": -4.8, "f": -4.9,
    "un": -2.5, "unh": -3.6, "hen": -9.5, "help": -3.1, "ful": -2.8, "el": -3.3, "pf": -6.2,
    "he": -1.9,
}  # fmt: skip

EXERCISES = (
    Exercise(
        id="02.8",
        title="The best way to cut a word",
        question=(
            "Pieces with probabilities allow many ways to write a word "
            "([02b](../notebooks/02b_unigram.ipynb)); the tokenizer takes the most probable one. "
            "Going through all ways takes forever, but the best way to a place ends with *some* "
            "piece, and before that piece lies the best way to its beginning: so keep, for each "
            "place from left to right, the best score and where its last piece begins (Viterbi's "
            "algorithm), and walk back from the end. With `ab` at −0.7, `a` at −1.2 and `b` at "
            "−1.6, `ab` `ab` has −1.4 and is the best of four ways to write `abab`."
        ),
        solution=solutions.best_cut,
        cases=(
            ("abab", HAND, -10.0),
            ("babb", HAND, -10.0),
            ("unhelpful", HELP, -12.0),
            ("unhelp", HELP, -12.0),
            ("helpful", HELP, -12.0),
            ("xab", HAND, -10.0),
            ("abxyzab", HAND, -10.0),
            ("help!", HELP, -12.0),
            ("hen", HELP, -12.0),
            ("unhelpfulunhelp", HELP, -12.0),
            ("", HAND, -10.0),
        ),
        mistakes=(
            Mistake(
                "takes the longest piece first",
                "`unh` leaves `elp` behind, which is dear. What is best depends on the rest of the "
                "word: compare whole ways.",
                longest_first,
            ),
            Mistake(
                "takes the most probable piece next",
                "A probable piece may force improbable ones after it; compare sums over whole "
                "ways.",
                most_probable_next,
            ),
            Mistake(
                "takes the fewest pieces",
                "Few pieces are often probable, but not always: the sum of `log_p` decides.",
                fewest_pieces,
            ),
            Mistake(
                "adds probabilities",
                "All pieces must come, so their probabilities are *multiplied*, and only their "
                "logarithms are added. Sums of probabilities reward many pieces.",
                adds_probabilities,
            ),
            Mistake(
                "compares the mean of a piece",
                "Every further piece makes a word less probable; a mean hides it.",
                best_mean,
            ),
            Mistake(
                "takes the least probable way",
                "Logarithms of probabilities are negative: the best is the largest, nearest to 0.",
                least_probable,
            ),
            Mistake(
                "loses what no piece covers",
                "A character that is no piece still belongs to the word: it stands by itself, for "
                "`unknown`.",
                loses_the_unknown,
            ),
            Mistake(
                "gives up on a word with an unknown character",
                "One strange character costs its own place; the rest is cut as ever.",
                gives_up_on_the_word,
            ),
            Mistake(
                "an unknown stretch costs one character",
                "`unknown` is for a single character: a longer stretch that is no piece is not "
                "allowed at all.",
                unknown_of_any_length,
            ),
            Mistake(
                "comes back from end to beginning",
                "Walking back finds the last piece first: turn the list round.",
                from_the_end,
            ),
            Mistake(
                "keeps a piece for every place",
                "Most places lie inside a piece of the best way. Begin at the end and jump to "
                "where its piece begins, and so on.",
                one_piece_a_place,
            ),
        ),
        hints=(
            "Two lists with an entry for each place, 0 to len(word): the best score up to there, "
            "and where the last piece of that way begins.",
            "`best[begin] + log_p[word[begin:end]]` for every begin before an end; −∞ where that "
            "is no piece, `unknown` where it is one character.",
        ),
    ),
)
