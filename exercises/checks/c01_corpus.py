"""Exercises 01 · From raw pages to documents

Eleven small functions that decide what a model reads: how alike two texts are, whether a number may
be a card's, why a page should go, how to compare texts without reading them again, which part of a
text is never trained on, and how much of each source is read; then who has a thing in a story,
which language a line is in, what stands twice, whether a page may be used, and what many machines
decide together. They belong to [chapter 01](../notebooks/01_corpus.ipynb),
[01b](../notebooks/01b_story_world.ipynb), [01c](../notebooks/01c_story_world.ipynb),
[01e](../notebooks/01e_language_and_quality.ipynb), [01f](../notebooks/01f_duplicates.ipynb),
[01g](../notebooks/01g_collect.ipynb) and [01h](../notebooks/01h_many_machines.ipynb).
"""

from exercises.checks import crawls, dealing, telling
from exercises.engine import Exercise, Mistake, close
from exercises.solutions import c01_corpus as solutions


def single_words(left: str, right: str, size: int) -> float:
    return solutions.similarity(left, right, 1)


def one_shingle_too_few(left: str, right: str, size: int) -> float:
    one, other = left.split(), right.split()
    ones = {tuple(one[i : i + size]) for i in range(max(1, len(one) - size))}
    others = {tuple(other[i : i + size]) for i in range(max(1, len(other) - size))}
    return len(ones & others) / len(ones | others)


def share_of_the_smaller(left: str, right: str, size: int) -> float:
    one, other = left.split(), right.split()
    ones = {tuple(one[i : i + size]) for i in range(len(one) - size + 1)}
    others = {tuple(other[i : i + size]) for i in range(len(other) - size + 1)}
    return len(ones & others) / min(len(ones), len(others))


def counts_repeats(left: str, right: str, size: int) -> float:
    one, other = left.split(), right.split()
    ones = [tuple(one[i : i + size]) for i in range(len(one) - size + 1)]
    others = [tuple(other[i : i + size]) for i in range(len(other) - size + 1)]
    shared = sum(each in others for each in ones)
    return shared / (len(ones) + len(others) - shared)


def from_the_left(digits: str) -> bool:
    values = [int(digit) * (1 + place % 2) for place, digit in enumerate(digits)]
    return sum(value - 9 if value > 9 else value for value in values) % 10 == 0


def check_digit_doubled(digits: str) -> bool:
    values = [int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in values) % 10 == 0


def nine_not_taken_away(digits: str) -> bool:
    return sum(int(digit) * (1 + n % 2) for n, digit in enumerate(reversed(digits))) % 10 == 0


def more_than_the_limit(page: str, min_words: int, min_lines: int) -> str | None:
    lines = [line.strip() for line in page.split("\n")]
    good = [each for each in lines if len(each.split()) > min_words and each[-1] in '.!?"']
    if len(good) >= min_lines:
        return None
    return f"{len(good)} good lines, at least {min_lines} needed"


def full_stops_alone(page: str, min_words: int, min_lines: int) -> str | None:
    lines = [line.strip() for line in page.split("\n")]
    good = [each for each in lines if len(each.split()) >= min_words and each.endswith(".")]
    if len(good) >= min_lines:
        return None
    return f"{len(good)} good lines, at least {min_lines} needed"


def all_lines_count(page: str, min_words: int, min_lines: int) -> str | None:
    num_lines = len([line for line in page.split("\n") if line.strip()])
    return (
        None if num_lines >= min_lines else f"{num_lines} good lines, at least {min_lines} needed"
    )


def good_pages_have_a_reason_too(page: str, min_words: int, min_lines: int) -> str | None:
    return solutions.reason_to_reject(page, min_words, min_lines) or "good"


def all_minima_in_one_pot(
    left: set[int], right: set[int], multipliers: list[int], modulus: int
) -> float:
    ones = {min(a * x % modulus for x in left) for a in multipliers}
    others = {min(a * x % modulus for x in right) for a in multipliers}
    return len(ones & others) / len(ones | others)


def no_modulus(left: set[int], right: set[int], multipliers: list[int], modulus: int) -> float:
    agree = sum(min(a * x for x in left) == min(a * x for x in right) for a in multipliers)
    return agree / len(multipliers)


def first_function_alone(
    left: set[int], right: set[int], multipliers: list[int], modulus: int
) -> float:
    return solutions.minhash_estimate(left, right, multipliers[:1], modulus)


def counts_characters(text: str) -> str:
    return text[len(text) * 9 // 10 :]


def rounded_down(text: str) -> str:
    data = text.encode()
    cut = len(data) - len(data) // 10
    while data[cut : cut + 1] and data[cut] & 0b1100_0000 == 0b1000_0000:
        cut -= 1
    return data[cut:].decode()


def cut_character_lost(text: str) -> str:
    data = text.encode()
    return data[len(data) * 9 // 10 :].decode(errors="ignore")


def sharpens(sizes: dict[str, int], temperature: float) -> dict[str, float]:
    return solutions.mixing_shares(sizes, 1 / temperature)


def leaves_weights_unscaled(sizes: dict[str, int], temperature: float) -> dict[str, float]:
    return {name: size ** (1 / temperature) for name, size in sizes.items()}


def divides_by_temperature(sizes: dict[str, int], temperature: float) -> dict[str, float]:
    total = sum(size / temperature for size in sizes.values())
    return {name: size / temperature / total for name, size in sizes.items()}


def divides_by_all_of_the_text(sizes: dict[str, int], temperature: float) -> dict[str, float]:
    total = sum(sizes.values()) ** (1 / temperature)
    return {name: size ** (1 / temperature) / total for name, size in sizes.items()}


EXERCISES = (
    Exercise(
        id="01.1",
        title="How alike are two texts?",
        question=(
            "A near copy shares most of its runs of words with the original. Cut both texts into "
            "all runs of `size` words and compute their Jaccard similarity, "
            "$|A \\cap B| / |A \\cup B|$."
        ),
        solution=solutions.similarity,
        cases=(
            ("the cat sat on the mat", "the cat sat on the mat", 2),
            ("the cat sat on the mat", "the cat sat on a mat", 2),
            ("a b c d e f", "c d e f a b", 3),
            ("a b a b a b", "b a b", 2),
            ("one two three", "four five six seven", 3),
            ("la la la la", "la la", 1),
        ),
        mistakes=(
            Mistake(
                "single words", "A run has `size` words; one word alone has no order.", single_words
            ),
            Mistake(
                "one shingle too few",
                "The last run begins at `len(words) - size`, and `range` leaves its end out.",
                one_shingle_too_few,
            ),
            Mistake(
                "the share of the smaller text",
                "Divide by the union. This one says 1.0 where a text lies inside a longer one.",
                share_of_the_smaller,
            ),
            Mistake("repeats are counted", "Jaccard is about sets: each run once.", counts_repeats),
        ),
        hints=(
            "How many runs of 2 words has a text of 6 words?",
            "`{tuple(words[i : i + size]) for i in range(len(words) - size + 1)}`",
        ),
        judge=close(1e-12),
    ),
    Exercise(
        id="01.2",
        title="A number that checks itself",
        question=(
            "Masking every long number would destroy dates and page numbers. A card's last digit "
            "is chosen so that Luhn's sum ends in 0, which nine of ten other numbers fail. Write "
            "the check."
        ),
        solution=solutions.is_card_number,
        cases=(
            ("79927398713",),
            ("79927398710",),
            ("18",),
            ("81",),
            ("0",),
            ("5",),
            ("59",),
            ("00",),
            ("0431199827490946",),
            ("4031199827490946",),
            ("1230",),
            ("2345678",),
            ("91",),
        ),  # fmt: skip
        mistakes=(
            Mistake(
                "counted from the left",
                "Count from the right: with an odd number of digits it makes a difference.",
                from_the_left,
            ),
            Mistake(
                "the check digit is doubled",
                "The last digit stays as it is; the one before it is doubled.",
                check_digit_doubled,
            ),
            Mistake(
                "nine is not taken away",
                "A doubled digit above 9 counts as the sum of its digits: 14 is 1 + 4 = 14 − 9.",
                nine_not_taken_away,
            ),
        ),
        hints=("`enumerate(reversed(digits))` counts from the right.", "Odd places are doubled."),
    ),
    Exercise(
        id="01.3",
        title="A rule that gives its reason",
        question=(
            "A step that throws pages away must say why, with what it found and what it wanted; "
            "nobody can mend a corpus from a count alone. Write C4's rule about lines that way."
        ),
        solution=solutions.reason_to_reject,
        cases=(
            ("Tom saw the big dog.\nIt ran!\nWhere did it go?", 4, 2),
            ("Home\nAbout\nContact", 1, 1),
            ('"Come here," she said.\n"No, I will not come"\nHe left.  \n', 3, 2),
            ("one two three.\none two three four.", 4, 1),
            ("a b c d?\na b c d!\na b c d.", 4, 3),
            ("", 1, 1),
            ("Menu and more menu and more\n\n\nA line.", 2, 2),
        ),
        mistakes=(
            Mistake("the limit itself is not enough", "At least means ≥.", more_than_the_limit),
            Mistake(
                "full stops alone",
                "A line may also end in ! or ? or a closing quote.",
                full_stops_alone,
            ),
            Mistake(
                "menus count too", "Count only lines that end like sentences.", all_lines_count
            ),
            Mistake(
                "good pages get a reason",
                "A page that may stay returns None.",
                good_pages_have_a_reason_too,
            ),
        ),
        hints=(
            "First collect the good lines; `line.strip()` takes the spaces at the end away.",
            "An empty line has no last character: ask for its words first.",
        ),
    ),
    Exercise(
        id="01.4",
        title="Similarity from the smallest hash",
        question=(
            "The smallest hash of the union belongs to the intersection with probability "
            "$|A \\cap B| / |A \\cup B|$. So let many hash functions vote. Write the estimate."
        ),
        solution=solutions.minhash_estimate,
        cases=(
            ({1, 2, 3}, {1, 2, 3}, [5, 7, 11], 101),
            ({1, 2, 3, 4}, {3, 4, 5, 6}, [29, 17, 53, 71, 83, 95], 101),
            (set(range(1, 30)), set(range(15, 45)), list(range(3, 97, 2)), 97),
            ({10, 20}, {30, 40}, [3, 9, 27, 81], 103),
            ({2, 8, 64}, {2, 8, 65}, [31, 33, 35, 37, 51, 66, 90], 127),
        ),
        mistakes=(
            Mistake(
                "all minima in one pot",
                "Compare function by function: a value of one function says nothing about another.",
                all_minima_in_one_pot,
            ),
            Mistake(
                "the modulus is missing",
                "Without it every multiplier keeps the order, and the smallest number always wins.",
                no_modulus,
            ),
            Mistake(
                "one function alone",
                "One vote says 0 or 1; use all multipliers.",
                first_function_alone,
            ),
        ),
        hints=("For one multiplier: has each set the same smallest value?", "Then the mean."),
        judge=close(1e-12),
    ),
    Exercise(
        id="01.5",
        title="What is never trained on",
        question=(
            "Scores on text that a model was trained on say nothing. Return the last 10 % of the "
            "text's bytes, at least; a character in which the cut falls belongs to the tail."
        ),
        solution=solutions.held_out_tail,
        cases=(
            ("a",),
            ("a" * 9,),
            ("a" * 10,),
            ("abcdefghijk",),
            ("é" * 10,),
            ("aé" * 7,),
            ("日本語のテキスト",),
            ("ab😀",),
            ("the last word is naïve é",),
            ("0123456789" * 3,),
        ),  # fmt: skip
        mistakes=(
            Mistake(
                "characters are counted",
                "Count bytes: `é` has two of them, `日` three, an emoji four.",
                counts_characters,
            ),
            Mistake("rounded down", "Never less than 10 %: 11 bytes hold out 2.", rounded_down),
            Mistake(
                "the cut character is lost",
                "Move the cut back to the first byte of the character instead of dropping it.",
                cut_character_lost,
            ),
        ),
        hints=(
            "`len(data) * 9 // 10` is where the tail begins, if no character is cut.",
            "In UTF-8 every byte of a character but the first looks like 10xxxxxx.",
        ),
    ),
    Exercise(
        id="01.6",
        title="How much of each source",
        question="A mix reads each source with a share that grows like size^(1/temperature); the "
        "shares add up to 1. With 900 and 100 characters and temperature 2 they are .75 and .25.",
        solution=solutions.mixing_shares,
        cases=(
            ({"large": 900, "small": 100}, 2.0),
            ({"large": 900, "small": 100}, 1.0),
            ({"a": 8, "b": 27, "c": 64}, 3.0),
            ({"only": 7}, 5.0),
            ({"even": 50, "odd": 50}, 2.0),
        ),
        mistakes=(
            Mistake(
                "the temperature is upside down",
                "The exponent is 1/temperature: a *higher* temperature evens the sources.",
                sharpens,
            ),
            Mistake(
                "the shares do not add up to 1",
                "Divide each weight by the sum of the weights.",
                leaves_weights_unscaled,
            ),
            Mistake(
                "the temperature cancels",
                "Divided by the same number, the shares stay as they were; it is an exponent.",
                divides_by_temperature,
            ),
            Mistake(
                "divides by the power of the sum",
                "Raise each size first, then add: the sum of roots is not the root of the sum.",
                divides_by_all_of_the_text,
            ),
        ),
        hints=(
            "First a weight for each source, then one sum, then the divisions.",
            "`size ** (1 / temperature)` is the weight.",
        ),
        judge=close(1e-9),
    ),
    *telling.EXERCISES,
    *crawls.EXERCISES,
    *dealing.EXERCISES,
)
