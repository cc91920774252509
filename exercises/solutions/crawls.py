"""Solutions of chapter 01 from 01.9 on: what a crawl holds. They belong to 01f, 01g and 01h."""


def longest_repeat(texts: list[str]) -> str:
    """The longest passage that stands at two places of the texts or more, "" if there is none.

    The two places may be in one text or in two, and may overlap: `longest_repeat(["banana"])` is
    "ana", at 1 and at 3. But a passage lies inside a text: `["ban", "ana", "nan"]` give "an". Of
    several that are as long, the first in the order of the alphabet.
    """
    suffixes = sorted(text[start:] for text in texts for start in range(len(text)))
    longest = ""
    for left, right in zip(suffixes, suffixes[1:]):
        length = 0
        while length < min(len(left), len(right)) and left[length] == right[length]:
            length += 1
        if length > len(longest):
            longest = left[:length]
    return longest
