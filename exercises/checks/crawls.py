"""Exercises of chapter 01 from 01.9 on, which belong to 01f to 01h, with their wrong answers."""

from exercises.engine import Exercise, Mistake
from exercises.solutions import crawls as solutions

# 01.9 the longest passage that stands twice


def shared(left: str, right: str) -> str:
    length = 0
    while length < min(len(left), len(right)) and left[length] == right[length]:
        length += 1
    return left[:length]


def suffixes_of(texts: list[str]) -> list[str]:
    return [text[start:] for text in texts for start in range(len(text))]


def longest_shared(pairs: list[tuple[str, str]]) -> str:
    """Of the longest passages that pairs of suffixes share, the first in the alphabet."""
    found = sorted(shared(left, right) for left, right in pairs)
    return max(found, key=len, default="")


def with_itself(texts: list[str]) -> str:
    return longest_shared([(each, each) for each in suffixes_of(texts)])


def unsorted_neighbours(texts: list[str]) -> str:
    suffixes = suffixes_of(texts)
    return longest_shared(list(zip(suffixes, suffixes[1:])))


def across_the_border(texts: list[str]) -> str:
    return solutions.longest_repeat(["".join(texts)])


def each_text_alone(texts: list[str]) -> str:
    return max(sorted(solutions.longest_repeat([text]) for text in texts), key=len, default="")


def two_texts_only(texts: list[str]) -> str:
    return longest_shared(
        [
            (left, right)
            for index, text in enumerate(texts)
            for left in suffixes_of([text])
            for right in suffixes_of(texts[index + 1 :])
        ]
    )


def without_overlap(texts: list[str]) -> str:
    places = [(text, start) for text in texts for start in range(len(text))]
    found = [
        shared(one[at:], other[to:])[: to - at if n == m else None]
        for n, one in enumerate(texts)
        for m, other in enumerate(texts[n:], n)
        for at in range(len(one))
        for to in range(at + 1 if n == m else 0, len(other))
    ]
    return max(sorted(found), key=len, default="") if places else ""


def never_the_whole_suffix(texts: list[str]) -> str:
    suffixes = sorted(suffixes_of(texts))
    pairs = zip(suffixes, suffixes[1:])
    return longest_shared([(one[: min(len(one), len(other)) - 1], other) for one, other in pairs])


def last_of_the_longest(texts: list[str]) -> str:
    suffixes = sorted(suffixes_of(texts))
    found = [shared(left, right) for left, right in zip(suffixes, suffixes[1:])]
    return max(reversed(found), key=len, default="")


def first_in_the_text(texts: list[str]) -> str:
    longest = longest_length(texts)
    repeats = [each[:longest] for each in suffixes_of(texts) if len(each) >= longest]
    return next((each for each in repeats if repeats.count(each) > 1), "")


def longest_length(texts: list[str]) -> int:
    return len(solutions.longest_repeat(texts))


EXERCISES = (
    Exercise(
        id="01.9",
        title="The longest passage that stands twice",
        question=(
            "Two articles quote one licence in the middle: no whole line is shared, and yet a page "
            "of text is there twice. Sort all **suffixes**, the rest of a text from each place on, "
            "like a dictionary: whatever begins alike stands together, so the longest passage that "
            "stands twice is at the beginning of two *neighbours* "
            "([01f](../notebooks/01f_duplicates.ipynb)). Find it. For `[\"banana\"]` the suffixes "
            "in order are a, ana, anana, banana, na, nana; ana and anana share `ana`."
        ),
        solution=solutions.longest_repeat,
        cases=(
            (["banana"],),
            (["ban", "ana", "nan"],),
            (["the licence says", "see the licence", "nothing"],),
            (["abcabc", "xabcy"],),
            (["aaaa"],),
            (["to do is to be", "be", "to be is to do"],),
            (["xy", "zxyz"],),
            (["yes no", "no yes no?"],),
            (["zq zq", "bk bk"],),
            (["abc", "def"],),
            (["one page"],),
            (["", "o"],),
            ([],),
        ),
        mistakes=(
            Mistake(
                "compares a suffix with itself",
                "Everything is equal to itself: the passage must begin at two *different* places.",
                with_itself,
            ),
            Mistake(
                "compares neighbours in the text",
                "Suffixes that begin one letter apart seldom begin alike. Sort them: then what "
                "begins alike stands together.",
                unsorted_neighbours,
            ),
            Mistake(
                "crosses the border of two texts",
                "Joined without a mark, the end of one text and the beginning of the next read "
                "like a passage that nobody wrote. Take the suffixes of each text by itself.",
                across_the_border,
            ),
            Mistake(
                "looks into each text by itself",
                "What is quoted stands in *another* text: sort the suffixes of all texts together.",
                each_text_alone,
            ),
            Mistake(
                "looks for two different texts",
                "A passage may stand twice in one text as well.",
                two_texts_only,
            ),
            Mistake(
                "lets no passages overlap",
                "`ana` stands in banana at 1 and at 3; that they share a letter does not matter.",
                without_overlap,
            ),
            Mistake(
                "stops before the last letter",
                "The shorter neighbour may be the beginning of the longer, as ana is of anana: "
                "compare all of its letters.",
                never_the_whole_suffix,
            ),
            Mistake(
                "takes the last of the longest",
                "Of equally long passages the first in the order stays: only a *longer* one takes "
                "its place.",
                last_of_the_longest,
            ),
            Mistake(
                "takes the first in the text",
                "Of equally long passages the first in the order of the alphabet, whatever the "
                "order of the texts.",
                first_in_the_text,
            ),
        ),
        hints=(
            "`sorted` puts all suffixes of all texts in order, and `zip` gives the neighbours.",
            "Count the equal letters at the beginning of two neighbours; stop at the end of the "
            "shorter.",
        ),
    ),
)
