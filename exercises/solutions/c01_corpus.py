"""Solutions to the exercises of chapter 01, From raw pages to documents."""


def similarity(left: str, right: str, size: int) -> float:
    """The Jaccard similarity of the word shingles of two texts.

    A shingle is a run of `size` words; words are what lies between spaces. Both texts have at
    least one shingle.
    """
    left_words, right_words = left.split(), right.split()
    ones = {tuple(left_words[i : i + size]) for i in range(len(left_words) - size + 1)}
    others = {tuple(right_words[i : i + size]) for i in range(len(right_words) - size + 1)}
    return len(ones & others) / len(ones | others)


def is_card_number(digits: str) -> bool:
    """Luhn's check: does this string of digits end in the right check digit?

    Counted from the right, every second digit is doubled (the last one is not), and a result above
    9 is lowered by 9. The sum of all must be a multiple of 10.
    """
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * 2 if place % 2 else int(digit)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def reason_to_reject(page: str, min_words: int, min_lines: int) -> str | None:
    """C4's rule for lines: why a page should go, or None if it may stay.

    A line counts if it has at least `min_words` words and ends in one of . ! ? " (spaces after that
    do not matter). A page with fewer than `min_lines` such lines goes, for the reason
    `"2 good lines, at least 3 needed"`, with the numbers found and wanted.
    """
    lines = [line.strip() for line in page.split("\n")]
    good = [each for each in lines if len(each.split()) >= min_words and each[-1] in '.!?"']
    if len(good) >= min_lines:
        return None
    return f"{len(good)} good lines, at least {min_lines} needed"


def minhash_estimate(
    left: set[int], right: set[int], multipliers: list[int], modulus: int
) -> float:
    """The Jaccard similarity of two sets of numbers, estimated without comparing the sets.

    Each multiplier `a` gives a hash function `a * x % modulus`. The estimate is the share of hash
    functions for which both sets have the same smallest value.
    """
    agree = 0
    for a in multipliers:
        smallest = min(a * x % modulus for x in left)
        agree += smallest == min(a * x % modulus for x in right)
    return agree / len(multipliers)


def held_out_tail(text: str) -> str:
    """The last 10 % of a text's bytes in UTF-8, to test on: never less, and no character cut.

    Where 10 % is not a whole number of bytes, it is rounded up. Where the cut would fall inside a
    character, that character belongs to the tail.
    """
    data = text.encode()
    cut = len(data) * 9 // 10
    while data[cut : cut + 1] and data[cut] & 0b1100_0000 == 0b1000_0000:
        cut -= 1
    return data[cut:].decode()


def mixing_shares(sizes: dict[str, int], temperature: float) -> dict[str, float]:
    """Each source's share of the mix: size^(1/temperature) over the sum of these."""
    weights = {name: size ** (1 / temperature) for name, size in sizes.items()}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
