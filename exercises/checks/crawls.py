"""Exercises 01.9 and 01.10, which belong to notebooks 01f and 01g, with their wrong answers."""

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
    found = [
        shared(one[at:], other[to:])[: to - at if n == m else None]
        for n, one in enumerate(texts)
        for m, other in enumerate(texts[n:], n)
        for at in range(len(one))
        for to in range(at + 1 if n == m else 0, len(other))
    ]
    return max(sorted(found), key=len, default="")


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


# 01.10 may this page be used

Rules = list[tuple[str, str]]
Groups = dict[str, Rules]


def rules_for(groups: Groups, agent: str) -> Rules:
    """The rules that count for an agent, without those that say nothing."""
    by_name = {name.lower(): rules for name, rules in groups.items()}
    return [each for each in by_name.get(agent.lower(), by_name.get("*", [])) if each[1]]


def with_rules(rules: Rules, path: str, marks: str) -> bool:
    """The solution, with these rules for whoever asks."""
    return solutions.may_be_used({"*": rules}, "anybody", path, marks)


def first_rule_decides(groups: Groups, agent: str, path: str, marks: str) -> bool:
    fitting = [each for each in rules_for(groups, agent) if path.startswith(each[1])]
    return with_rules(fitting[:1], path, marks)


def any_disallow_forbids(groups: Groups, agent: str, path: str, marks: str) -> bool:
    rules = rules_for(groups, agent)
    return with_rules([each for each in rules if each[0] == "disallow"], path, marks)


def any_allow_allows(groups: Groups, agent: str, path: str, marks: str) -> bool:
    fitting = [each for each in rules_for(groups, agent) if path.startswith(each[1])]
    allows = [each for each in fitting if each[0] == "allow"]
    return with_rules(allows or fitting, path, marks)


def tie_forbids(groups: Groups, agent: str, path: str, marks: str) -> bool:
    fitting = [each for each in rules_for(groups, agent) if path.startswith(each[1])]
    longest = max((len(rule) for _, rule in fitting), default=0)
    decides = [each for each in fitting if len(each[1]) == longest]
    return with_rules([max(decides)] if decides else [], path, marks)


def rules_of_all_too(groups: Groups, agent: str, path: str, marks: str) -> bool:
    return with_rules(rules_for(groups, agent) + rules_for(groups, "*"), path, marks)


def case_of_the_name(groups: Groups, agent: str, path: str, marks: str) -> bool:
    return with_rules(groups.get(agent, groups.get("*", [])), path, marks)


def everybody_is_meant(groups: Groups, agent: str, path: str, marks: str) -> bool:
    return with_rules(rules_for(groups, "*"), path, marks)


def empty_rule_fits_all(groups: Groups, agent: str, path: str, marks: str) -> bool:
    by_name = {name.lower(): rules for name, rules in groups.items()}
    rules = by_name.get(agent.lower(), by_name.get("*", []))
    if any(path.startswith(rule) for _, rule in rules if rule):
        return with_rules(rules, path, marks)
    return with_rules([(verb, rule or "/") for verb, rule in rules], path, marks)


def silence_forbids(groups: Groups, agent: str, path: str, marks: str) -> bool:
    return with_rules([("disallow", "/"), *rules_for(groups, agent)], path, marks)


def robots_alone(groups: Groups, agent: str, path: str, marks: str) -> bool:
    return solutions.may_be_used(groups, agent, path, "")


def case_of_the_mark(groups: Groups, agent: str, path: str, marks: str) -> bool:
    words = [word for word in marks.split(",") if word.strip().islower()]
    return solutions.may_be_used(groups, agent, path, ",".join(words))


def mark_inside_a_word(groups: Groups, agent: str, path: str, marks: str) -> bool:
    found = any(mark in marks.lower() for mark in ("noai", "none"))
    return robots_alone(groups, agent, path, "") and not found


SITE = {
    "*": [
        ("disallow", "/a"), ("allow", "/a/b"), ("disallow", "/same"), ("allow", "/same"),
        ("allow", "/shop/window"), ("disallow", "/shop"),
    ],
    "GPTBot": [("disallow", "/"), ("allow", "/open"), ("disallow", "/open/not")],
    "CCBot": [("disallow", "")],
}

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
    Exercise(
        id="01.10",
        title="May this page be used?",
        question=(
            "A text that can be fetched is not a text that may be used: the site's `robots.txt` "
            "and the page's own head are asked first ([01g](../notebooks/01g_collect.ipynb)). The "
            "longest rule that fits decides: under `disallow /a` and `allow /a/b` the page "
            "`/a/b/c` may be used, `/a/x` may not. An agent that has rules of its own follows "
            "these *alone*. A page marked `noai` or `none` is for nobody."
        ),
        solution=solutions.may_be_used,
        cases=(
            (SITE, "minillm", "/a/b/c", ""),
            (SITE, "minillm", "/a/x", "index, follow"),
            (SITE, "minillm", "/elsewhere", ""),
            (SITE, "minillm", "/shop/window/1", ""),
            (SITE, "minillm", "/same/page", ""),
            (SITE, "GPTBot", "/open/day", ""),
            (SITE, "GPTBot", "/open/not/now", ""),
            (SITE, "GPTBot", "/a/b/c", ""),
            (SITE, "gptbot", "/elsewhere", ""),
            (SITE, "CCBot", "/a/x", ""),
            (SITE, "ccBot", "/a/x", "noarchive"),
            (SITE, "CCBot", "/a/x", "index, noai"),
            (SITE, "CCBot", "/a/x", "NoAI"),
            (SITE, "CCBot", "/a/x", "max-preview:large, None"),
            (SITE, "CCBot", "/a/x", "nonexistent"),
            ({"ours": [("disallow", "/")]}, "theirs", "/", ""),
            ({}, "minillm", "/", ""),
        ),
        mistakes=(
            Mistake(
                "the first rule that fits decides",
                "The order in the file does not matter: the *longest* rule that fits is the most "
                "exact one.",
                first_rule_decides,
            ),
            Mistake(
                "what one rule forbids is forbidden",
                "A longer rule may allow a part of what a shorter one forbids.",
                any_disallow_forbids,
            ),
            Mistake(
                "what one rule allows is allowed",
                "A longer rule may forbid a part of what a shorter one allows.",
                any_allow_allows,
            ),
            Mistake(
                "forbids where two rules are as long",
                "RFC 9309: of two rules of the same length the one that allows is followed.",
                tie_forbids,
            ),
            Mistake(
                "adds the rules for everybody",
                "Who has a group of his own follows that group, and not `*` beside it.",
                rules_of_all_too,
            ),
            Mistake(
                "minds the case of an agent's name",
                "`gptbot` is GPTBot: compare both names in lower case.",
                case_of_the_name,
            ),
            Mistake(
                "asks the rules for everybody alone",
                "`*` is for those who are not named: look for the agent's own group first.",
                everybody_is_meant,
            ),
            Mistake(
                "an empty rule forbids everything",
                "`Disallow:` with nothing behind it forbids nothing, though every path begins with "
                "the empty string.",
                empty_rule_fits_all,
            ),
            Mistake(
                "what no rule names is forbidden",
                "Where no rule fits, robots.txt allows: `max` needs a default.",
                silence_forbids,
            ),
            Mistake(
                "does not hear the page itself",
                "robots.txt speaks of fetching. A page marked `noai` may be fetched, and not be "
                "trained on.",
                robots_alone,
            ),
            Mistake(
                "minds the case of a mark",
                "`NoAI` forbids as `noai` does: compare in lower case.",
                case_of_the_mark,
            ),
            Mistake(
                "finds a mark inside another word",
                "`nonexistent` is not `none`: cut at the commas, then compare whole words.",
                mark_inside_a_word,
            ),
        ),
        hints=(
            "Three questions: which group is for this agent, which of its rules decides, and does "
            "the page itself object?",
            "`max` over pairs (length of the rule, whether it allows): a pair with True is larger "
            "than one as long with False. What is its default?",
        ),
    ),
)
