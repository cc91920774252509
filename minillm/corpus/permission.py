"""Whether a text may be trained on: what its site and the page itself say, each as a step.

In: a `Document` whose id is an address, or whose text is a page. Out: the same, or a `Rejection`
with the words that forbid it. The ideas: the longest rule that fits an address decides, and where
two are as long, the one that allows (RFC 9309); and a site that turns the known AI crawlers away
means us too. Signs: robots.txt, ai.txt, meta robots, TDM reservation (W3C TDMRep), a notice in
words. Left out: signs inside pictures, terms of use on another page.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from string import punctuation
from urllib.parse import quote, unquote, urlsplit

from minillm.corpus.sources import Document, Rejection, Step

# What stands for itself in a path; the signs of patterns and a percent sign are written as %2A.
PLAIN_SIGNS = "".join(sign for sign in punctuation if sign not in "%*$")
# Whoever names one of these in robots.txt speaks of training, whatever our own name is.
AGENTS = ("minillm", "GPTBot", "CCBot", "Google-Extended", "ClaudeBot", "Applebot-Extended")
OPT_OUT_WORDS = frozenset(("noai", "noindex", "none", "notrain", "noml"))
RESERVED = frozenset(("1", "true", "yes"))
META = re.compile(r"<meta\b[^>]{0,2000}>", re.IGNORECASE)
ATTRIBUTE = re.compile(r"([a-zA-Z:-]{1,40})\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
HEAD_CHARACTERS = 200_000
ROBOTS_FILE = "robots.txt"  # also the name of the mark that a reader of archives gives a page
DEFAULT_PORTS = {"http": 80, "https": 443}
RIGHTS_NAMES = frozenset(
    "rights copyright license licence usage dc.rights dcterms.rights ai-training tdm-policy".split()
)
# The form of words that publishers put below their texts.
RESERVATION = re.compile(
    r"\brights?\s+(?:are\s+|is\s+)?reserved,?\s+including[^.]{0,80}"
    r"\b(?:text\s+and\s+data\s+mining|AI\s+training|training\s+of)\b"
    r"|\bmay\s+not\s+be\s+used[^.]{0,60}\bto\s+train\b[^.]{0,40}\b(?:models?|AI|systems?)\b",
    re.IGNORECASE,
)
NO_TRAINING = re.compile(
    r"\b(?:no|not|never|without|prohibit\w*|forbid\w*)\b[^.]{0,80}?"
    r"\b(?:train(?:ing)?|machine learning|data mining|tdm)\b|" + RESERVATION.pattern,
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of robots.txt: a pattern of paths, and whether they are allowed."""

    path: str
    is_allowed: bool

    def fits(self, path: str) -> bool:
        """`*` stands for anything, a `$` at the end for the end; else the beginning must agree."""
        pattern, at_end = (self.path[:-1], r"\Z") if self.path.endswith("$") else (self.path, "")
        if not path.startswith(pattern.partition("*")[0]):
            return False  # before a pattern is made of it
        first, *others = map(re.escape, pattern.split("*"))
        # the first place for a part is the best one, so (?>…) tries no other: stars cost little
        ahead = "".join(f"(?>.*?{part})" for part in others[:-1])
        last = "".join(f".*?{part}" for part in others[-1:])
        return re.match(first + ahead + last + at_end, path, re.DOTALL) is not None


def one_spelling(path: str) -> str:
    """A path in the one spelling that is compared: `/%61*` and `/a%2a` are `/a%2A`."""
    return quote(unquote(path), PLAIN_SIGNS, errors="replace")


def one_pattern(path: str) -> str:
    """A rule's path in that spelling, its `*` and a `$` at the end still signs of a pattern."""
    body, at_end = (path[:-1], "$") if path.endswith("$") else (path, "")
    return "*".join(map(one_spelling, body.split("*"))) + at_end


@lru_cache(maxsize=64)  # of files, which can be long
def rules_by_agent(robots: str) -> dict[str, tuple[Rule, ...]]:
    """The rules of a file by the agent that its groups name, in lower case."""
    rules: dict[str, list[Rule]] = {}
    agents: list[str] = []
    is_open = False  # whether the lines that name a group's agents still go on
    for line in robots.lstrip("\ufeff").splitlines():
        name, colon, value = line.partition("#")[0].partition(":")
        name, value = name.strip().lower(), value.strip()
        if name == "user-agent" and colon:
            named = value.lower().partition("/")[0].strip()  # a version says nothing
            agents = [*agents, named] if is_open else [named]
            rules.setdefault(named, [])
            is_open = True
        elif name in ("allow", "disallow") and colon:
            is_open = False
            if value:
                for each in agents:
                    rules[each].append(Rule(one_pattern(value), name == "allow"))
    return {name: tuple(each) for name, each in rules.items()}


def rules_for(robots: str, agent: str) -> tuple[Rule, ...]:
    """The rules of the groups that name an agent; without such a group those for `*`."""
    found = rules_by_agent(robots)
    return found.get(agent.lower(), found.get("*", ()))


def is_allowed(robots: str, agent: str, url: str) -> bool:
    """Whether an agent may fetch an address: the longest rule that fits decides; none allows."""
    parts = urlsplit(url)
    path = one_spelling((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    fitting = [rule for rule in rules_for(robots, agent) if rule.fits(path)]
    return not fitting or max((len(rule.path), rule.is_allowed) for rule in fitting)[1]


def site_of(address: str) -> str:
    """Host and port of an address, without the port that its scheme has anyway: `a.example`.

    ValueError for a broken address.
    """
    parts = urlsplit(address)
    host = (parts.hostname or "").removesuffix(".")
    host = f"[{host}]" if ":" in host else host
    usual = parts.port in (None, DEFAULT_PORTS.get(parts.scheme))
    return host if usual else f"{host}:{parts.port}"


def site_allows(
    text_by_host: Mapping[str, str | None], file: str = ROBOTS_FILE, agents: Sequence[str] = AGENTS
) -> Step:
    """Make the step that asks a site's robots.txt (or ai.txt, of the same form) for each agent.

    A host is named with a port only if that is not its scheme's own. One that is not listed has no
    such file and allows all; None: it could not be asked, which forbids all.
    """
    text_by_site = {site_of(f"//{host}"): text for host, text in text_by_host.items()}

    def step(document: Document) -> Document | Rejection:
        try:
            host = site_of(document.id)
        except ValueError as error:
            return Rejection.of(document, "permission", "no address", str(error), "an address")
        if not host or host not in text_by_site:
            return document
        said = text_by_site[host]
        if said is None:
            reason = f"{host} could not be asked for its {file}"
            return Rejection.of(document, "permission", reason, "no answer", file)
        for agent in agents:
            if not is_allowed(said, agent, document.id):
                reason = f"{file} of {host} turns {agent} away"
                return Rejection.of(document, "permission", reason, agent, file)
        return document

    return step


def head_marks(page: str) -> Iterator[tuple[str, str]]:
    """(name, content) of each `meta` tag of a page, in lower case."""
    for tag in META.findall(page[:HEAD_CHARACTERS]):
        values = {
            name.lower(): unescape(double or single or bare)
            for name, double, single, bare in ATTRIBUTE.findall(tag)
        }
        name = values.get("name") or values.get("property") or values.get("http-equiv") or ""
        yield name.strip().lower(), values.get("content", "").strip().lower()


def opt_out_of(page: str, agents: Sequence[str] = AGENTS) -> str | None:
    """The mark of a page that forbids its use, or None: `robots: noai`, `tdm-reservation: 1`."""
    robots_names = {"robots", "x-robots-tag", *map(str.lower, agents)}
    for name, content in head_marks(page):
        words = {word.rpartition(":")[2].strip() for word in content.split(",")}
        if name in robots_names and words & OPT_OUT_WORDS:
            return f"{name}: {content}"
        if name == ROBOTS_FILE and content:
            return content
        if name == "tdm-reservation" and content in RESERVED:
            return f"{name}: {content}"
        if name == "ai-training" and content in ("no", "false", "0", "disallow", "notallowed"):
            return f"{name}: {content}"
        if name in RIGHTS_NAMES and NO_TRAINING.search(content):
            return f"{name}: {content}"
    return None


# package only
def no_opt_out(document: Document) -> Document | Rejection:
    """Step: a page whose head forbids training on it is rejected; so is a text that says so."""
    mark = opt_out_of(document.text) if document.kind == "web" else None
    if mark is None and (found := RESERVATION.search(document.text)):
        mark = f"notice: {' '.join(found[0].split())}"
    if mark is None:
        return document
    return Rejection.of(document, "permission", f"opt-out, {mark}", mark, "no opt-out")
