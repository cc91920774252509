"""Who is mentioned in a corpus, and how: counts of words for people, and of what stands by them.

In: documents. Out: counts, which add up over the parts of a corpus, and what of two counts differs
surely. The idea: a model repeats the company that words keep, so that company is counted. Left out:
what is meant: a word is counted, not a person, and *her* is his and him; occupations of several
(*nurses*), whose pronoun is *they*; and names are those of whoever has a capital and speaks:
*London called* and *said Father* are taken for such.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from minillm.corpus.duplicates import WORD
from minillm.corpus.sources import Document

# Of whom a text speaks, by the words that say it; her is his and him.
PAIRS = (
    "she / he", "her hers / him his", "girl girls / boy boys", "woman women / man men",
    "mother mothers / father fathers", "daughter daughters / son sons", "queen queens / king kings",
)  # fmt: skip
NUM_SHOWN_WORDS = 8
# Who speaks or is asked is a person: a capital in mid-sentence, beside one of these.
SAYING = "said|says|asked|asks|cried|called|replied|answered|whispered|shouted|thought|explained"
# Of Latin, Greek and Cyrillic: patterns know no class of capitals.
CAPITAL = f"[{''.join(filter(str.isupper, map(chr, range(0x530))))}]"
NAME = rf"{CAPITAL}[^\W\d_]+(?:-{CAPITAL}[^\W\d_]+)*"
SPOKEN = re.compile(rf"\b(?:{SAYING}) ({NAME})\b|(?<=[\w,;] )({NAME})(?= (?:{SAYING})\b)")
# Capitals beside such a verb that name nobody: a sentence or a quotation begins, or it is a day.
NO_NAMES = frozenset(
    "All An And Another Any Are As At Both But By Can Come Could Did Do Does Each Every Everybody"
    " Everyone For From Go Good Had Has Have He Hello Her Here His How If In Into Is It Its Just"
    " Let Look Many Maybe Most My Never No Nobody None Not Nothing Now Of Oh Okay On One Only Or"
    " Other Others Our People Perhaps Please She Should So Some Somebody Someone Something"
    " Sometimes Still Stop Such Thank Thanks That The Their Them Then There These They This Those"
    " To Two Wait Was We Well Were What When Where Which Who Whose Why With Would Yes Yet You Your"
    " Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
)
# Whose it is, or a verb cut short: the queen's, she'll, he'd.
SHORTENED = re.compile(r"'(?:s|d|ll|ve|re|m)$", re.IGNORECASE)
# Some countries with their peoples: not all that there are.
PLACES = (
    "America American Americans", "Brazil Brazilian Brazilians", "Britain British",
    "China Chinese", "Egypt Egyptian Egyptians", "England English", "Ethiopia Ethiopian Ethiopians",
    "France French", "Germany German Germans", "Greece Greek Greeks", "India Indian Indians",
    "Iran Iranian Iranians", "Ireland Irish", "Israel Israeli Israelis", "Italy Italian Italians",
    "Japan Japanese", "Kenya Kenyan Kenyans", "Mexico Mexican Mexicans",
    "Nigeria Nigerian Nigerians", "Poland Polish Poles", "Russia Russian Russians",
    "Spain Spanish", "Turkey Turkish Turks", "Ukraine Ukrainian Ukrainians",
)  # fmt: skip
COUNTRY = {word: names.split()[0] for names in PLACES for word in names.split()}
WORK = frozenset(
    "artist baker builder chef cook dancer doctor driver engineer farmer judge king lawyer nurse"
    " pilot poet priest queen sailor scientist secretary singer soldier teacher writer".split()
)
GENDER = dict.fromkeys(("she", "her", "hers", "herself"), "she")
GENDER |= dict.fromkeys(("he", "him", "his", "himself"), "he")
# A pronoun so many words after an occupation is taken to mean whoever has it.
MAX_PRONOUN_WORDS = 10


def by_pair(counts: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """The counts of words, added up on each side of each pair."""
    found = {}
    for pair in PAIRS:
        left, right = (side.split() for side in pair.split(" / "))
        found[pair] = sum(counts.get(w, 0) for w in left), sum(counts.get(w, 0) for w in right)
    return found


def bare_words(text: str) -> list[str]:
    """The words of a text without what an apostrophe adds: `the queen’s hat`, `she'll`."""
    return [SHORTENED.sub("", word) for word in WORD.findall(text.replace("’", "'"))]


def words_after(words: Sequence[str], word: str) -> Counter[str]:
    """What stands directly after a word: for `she` and `he`, mostly what they do."""
    pairs = zip(words, words[1:], strict=False)
    return Counter(after for before, after in pairs if before == word)


def log_odds(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, float]:
    """How much more a word belongs to the left than to the right, in standard errors.

    Log-odds with both sides together as prior (Monroe, Colaresi and Quinn 2008, equations 16–22);
    0 where a side has no other word.
    """
    prior, scores = Counter(left) + Counter(right), {}
    for word, prior_count in prior.items():
        counts = [side.get(word, 0) + prior_count for side in (left, right)]
        sides = [sum(side.values()) + prior.total() for side in (left, right)]
        others = [total - count for total, count in zip(sides, counts, strict=True)]
        scores[word] = 0.0
        if all(others):
            odds = np.log(counts[0] / others[0]) - np.log(counts[1] / others[1])
            scores[word] = float(odds / np.sqrt(1 / counts[0] + 1 / counts[1]))
    return scores


def names_of(text: str) -> list[str]:
    """Who speaks in a text, or is asked, by name: `and Ella said`, `asked Tom`; not `He said`."""
    found = (before or after for after, before in SPOKEN.findall(text))
    return [name for name in found if name not in NO_NAMES]


def places_of(words: Sequence[str]) -> list[str]:
    """The countries among words, also by their peoples, as often as they are named."""
    return [COUNTRY[word] for word in words if word in COUNTRY]


def work_of(words: Sequence[str]) -> list[str]:
    """Each occupation with the first pronoun soon after it: `nurse / she`, or `nurse / neither`."""
    found = []
    for place, word in enumerate(words):
        if word in WORK:
            after = words[place + 1 : place + 1 + MAX_PRONOUN_WORDS]
            genders = (GENDER[each] for each in after if each in GENDER)
            found.append(f"{word} / {next(genders, 'neither')}")
    return found


# package only
def mentioned(documents: Iterable[Document]) -> dict[str, Counter[str]]:
    """All counts of who is mentioned and how, which add up over the parts of a corpus."""
    names = ("words", "after she", "after he", "names", "places", "work")
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    said = {word for pair in PAIRS for word in pair.split()}
    for each in documents:
        words = bare_words(each.text)
        lower = [word.lower() for word in words]
        counts["words"].update(word for word in lower if word in said)
        counts["after she"].update(words_after(lower, "she"))
        counts["after he"].update(words_after(lower, "he"))
        counts["names"].update(names_of(each.text))
        counts["places"].update(places_of(words))
        counts["work"].update(work_of(lower))
    return counts


# package only
def representation(counts: Mapping[str, Mapping[str, int]]) -> dict[str, object]:
    """What the card says of people, from these counts."""
    scores = log_odds(counts["after she"], counts["after he"])
    ranked = sorted(scores, key=lambda word: (-scores[word], word))
    hers = [word for word in ranked if scores[word] > 0][:NUM_SHOWN_WORDS]
    his = [word for word in reversed(ranked) if scores[word] < 0][:NUM_SHOWN_WORDS]
    names = sorted(counts["names"], key=lambda name: (-counts["names"][name], name))
    places = sorted(counts["places"], key=lambda place: (-counts["places"][place], place))
    work = sorted({pair.split(" / ")[0] for pair in counts["work"]})
    sides = ("she", "he", "neither")
    return {
        "num_names": len(names),
        "names": {name: counts["names"][name] for name in names[:NUM_SHOWN_WORDS]},
        "places": {place: counts["places"][place] for place in places},
        "work": {
            each: [counts["work"].get(f"{each} / {side}", 0) for side in sides] for each in work
        },
        "mentions": by_pair(counts["words"]),
        "after_she": {word: round(scores[word], 1) for word in hers},
        "after_he": {word: round(-scores[word], 1) for word in his},
    }
