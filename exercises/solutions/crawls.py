"""Solutions of chapter 01, 01.9 and 01.10: what a crawl holds. They belong to 01f and 01g."""


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


def may_be_used(
    groups: dict[str, list[tuple[str, str]]], agent: str, path: str, marks: str
) -> bool:
    """Whether an agent may use a page, by its site's robots.txt and by the marks in its head.

    `groups` holds the rules of robots.txt, ("allow" or "disallow", beginning of a path), by the
    agent that they are for; "*" is for whoever has no group of his own. Names of agents agree in
    any case. Of the rules that fit the path the longest decides, of two as long the one that
    allows; a rule of "" says nothing, and where no rule fits, all is allowed. `marks`, words with
    commas between them, forbid the page if one is `noai` or `none`, in any case.

    With `{"*": [("disallow", "/a"), ("allow", "/a/b")]}` anybody may use `/a/b/c`, and not `/a/x`.
    """
    rules_by_name = {name.lower(): rules for name, rules in groups.items()}
    rules = rules_by_name.get(agent.lower(), rules_by_name.get("*", []))
    fitting = [(len(rule), verb == "allow") for verb, rule in rules if path.startswith(rule)]
    is_allowed = max((found for found in fitting if found[0] > 0), default=(0, True))[1]
    words = {word.strip().lower() for word in marks.split(",")}
    return is_allowed and words.isdisjoint(("noai", "none"))
