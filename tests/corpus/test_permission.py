"""Whoever says no is heard: robots.txt, ai.txt, marks in pages and headers, notices in words."""

import random
import time
from urllib.robotparser import RobotFileParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.corpus import permission
from minillm.corpus.permission import (
    Rule,
    is_allowed,
    no_opt_out,
    opt_out_of,
    rules_for,
    site_allows,
    site_of,
)
from minillm.corpus.sources import Document, Rejection
from minillm.corpus.webarchive import read_pages, write_pages

ROBOTS = """\ufeff# comments
User-agent: *
Disallow: /private/   # not here
Allow: /private/open
Disallow: /*.pdf$
Disallow:

User-Agent: GPTBot
user-agent: CCBot
Disallow: /articles
sitemap: https://a.example/map
"""


def page(text: str = "<p>words</p>", url: str = "https://a.example/x") -> Document:
    return Document(url, text, "a.example", "web", "unknown", "en")


@pytest.mark.parametrize(
    ("agent", "path", "allowed"),
    [
        ("minillm", "/", True), ("minillm", "/private/x", False), ("minillm", "/private", True),
        ("minillm", "/private/open/x", True), ("minillm", "/a/b.pdf", False),
        ("minillm", "/a.pdf?page=2", True), ("minillm", "/articles/1", True),
        ("GPTBot", "/articles/1", False), ("gptbot", "/private/x", True),
        ("CCBot", "/articles", False), ("minillm", "", True),
        ("minillm", "/priv%61te/x", False), ("minillm", "/private/%6Fpen", True),
    ],
)  # fmt: skip
def test_the_longest_rule_that_fits_decides(agent, path, allowed):
    assert is_allowed(ROBOTS, agent, f"https://a.example{path}") is allowed


def test_where_two_rules_are_as_long_the_one_that_allows_wins():
    for lines in (("Allow: /a", "Disallow: /a"), ("Disallow: /a", "Allow: /a")):
        assert is_allowed("\n".join(("User-agent: *", *lines)), "x", "https://h/a")


def test_a_version_behind_an_agents_name_says_nothing():
    assert not is_allowed("User-agent: MiniLLM/1.0\nDisallow: /a", "minillm", "https://h/a")


def test_a_site_is_its_host_and_a_port_that_is_not_the_usual_one():
    step = site_allows({"a.example": ROBOTS})
    for url in ("https://A.example:443/private/x", "http://me@a.example.:80/private/x"):
        assert isinstance(step(page(url=url)), Rejection)
    assert isinstance(step(page(url="https://a.example:8080/private/x")), Document)


@pytest.mark.parametrize(
    ("host", "url"),
    [("A.Example", "https://a.example/private/x"), ("a.example.", "https://a.example/private/x"),
     ("a.example:443", "http://a.example:443/private/x"),
     ("[::1]:8080", "https://[::1]:8080/private/x"), ("[::1]", "https://[::1]/private/x")],
)  # fmt: skip
def test_a_host_is_found_however_it_is_written(host, url):
    assert isinstance(site_allows({host: ROBOTS})(page(url=url)), Rejection)
    site = site_of(url)
    assert site_of(f"//{site}") == site


@pytest.mark.parametrize(
    ("rule", "fitting", "others"),
    [
        ("/a%2Ab", ("/a*b", "/a%2ab", "/a*bc"), ("/axb", "/a%252Ab")),
        ("/a%24", ("/a$", "/a%24b"), ("/a", "/ab")),
        ("/a$b", ("/a$b", "/a%24bc"), ("/a", "/ab")),
        ("/a*b$", ("/ab", "/a*b", "/axxb"), ("/abc",)),
        ("/a%252A", ("/a%252Ab",), ("/a*", "/a%2A")),
        ("/é", ("/%C3%A9", "/%c3%a9x"), ("/e",)),
    ],
)
def test_a_sign_of_patterns_written_with_percent_stands_for_itself(rule, fitting, others):
    """RFC 9309, section 2.2.3."""
    robots = f"User-agent: *\nDisallow: {rule}"
    assert [each for each in fitting if is_allowed(robots, "x", f"https://h{each}")] == []
    assert [each for each in others if not is_allowed(robots, "x", f"https://h{each}")] == []


def test_an_encoded_sign_counts_as_it_is_written_and_others_as_one():
    """`/a?b=c` is as long as it looks, so that the longer rule wins."""
    robots = "User-agent: *\nAllow: /a?b=\nDisallow: /a*b=c"
    assert not is_allowed(robots, "x", "https://h/a?b=c")


def test_a_file_is_parsed_once_for_all_agents_and_few_are_kept():
    permission.rules_by_agent.cache_clear()
    step = site_allows({"a.example": ROBOTS})
    for number in range(5):
        step(page(url=f"https://a.example/{number}"))
    assert permission.rules_by_agent.cache_info().misses == 1
    for number in range(200):
        is_allowed(f"User-agent: *\nDisallow: /{number}", "x", "https://h/")
    assert permission.rules_by_agent.cache_info().currsize <= 64


def test_groups_of_one_agent_are_joined_and_empty_files_allow():
    groups = ("User-agent: x\nDisallow: /a", "User-agent: y\nDisallow: /")
    robots = "\n\n".join((*groups, "User-agent: x\nDisallow: /b"))
    assert [rule.path for rule in rules_for(robots, "X")] == ["/a", "/b"]
    for text in ("", "rubbish", "Disallow: /", "User-agent: *\nDisallow:", groups[1]):
        assert is_allowed(text, "x", "https://h/a")


def simple_robots(chance: random.Random) -> str:
    """One group an agent, no wildcards, longer rules first: where stdlib and RFC 9309 agree."""
    lines = []
    for agent in chance.sample(["*", "GPTBot", "CCBot"], chance.randint(1, 3)):
        paths = chance.sample(["/", "/a", "/a/b", "/b", "/a/b/c", "/c.html"], chance.randint(1, 4))
        lines.append(f"User-agent: {agent}")
        for path in sorted(paths, key=len, reverse=True):
            lines.append(f"{chance.choice(['Allow', 'Disallow'])}: {path}")
        lines.append("")
    return "\n".join(lines)


def disagreements(num_files: int = 400) -> int:
    chance, found = random.Random(0), 0
    for _ in range(num_files):
        robots = simple_robots(chance)
        library = RobotFileParser()
        library.parse(robots.splitlines())
        for agent in ("GPTBot", "CCBot", "minillm"):
            for path in ("/", "/a", "/a/b/c", "/b/x", "/c.html", "/d"):
                url = f"https://h.example{path}"
                found += library.can_fetch(agent, url) != is_allowed(robots, agent, url)
    return found


def test_it_agrees_with_the_standard_library_where_that_follows_the_standard():
    assert disagreements() == 0


def test_a_parser_that_takes_the_first_group_is_seen_to_disagree(monkeypatch):
    first = permission.rules_for
    monkeypatch.setattr(permission, "rules_for", lambda robots, agent: first(robots, "*"))
    assert disagreements(50) > 0


def test_the_standard_library_alone_is_seen_to_miss_patterns():
    library = RobotFileParser()
    library.parse(["User-agent: *", "Disallow: /*.pdf$"])
    assert library.can_fetch("x", "https://h/a.pdf")
    assert not is_allowed("User-agent: *\nDisallow: /*.pdf$", "x", "https://h/a.pdf")


@given(st.text("ab*$/.", max_size=12), st.text("ab/.", max_size=12))
def test_a_pattern_fits_as_a_naive_matcher_says(pattern, path):
    def fits(pattern: str, rest: str) -> bool:
        if pattern == "$":
            return not rest
        if not pattern:
            return True
        if pattern[0] == "*":
            return any(fits(pattern[1:], rest[skip:]) for skip in range(len(rest) + 1))
        return bool(rest) and rest[0] == pattern[0] and fits(pattern[1:], rest[1:])

    assert Rule(pattern, False).fits(path) == fits(pattern, path)


def test_a_pattern_of_many_stars_takes_no_more_time_than_it_deserves():
    # by trying every place for every star this would take years
    assert not Rule("/" + "*a" * 30 + "b$", False).fits("/" + "a" * 5000)
    assert Rule("/" + "*a" * 30 + "b$", False).fits("/" + "a" * 5000 + "b")


def test_an_address_that_is_broken_is_a_rejection_and_no_error():
    rejection = site_allows({"a.example": ROBOTS})(page(url="http://[bad/x"))
    assert isinstance(rejection, Rejection) and rejection.reason == "no address"


def test_a_site_that_turns_an_ai_crawler_away_means_us_too():
    step = site_allows({"a.example": ROBOTS})
    rejection = step(page(url="https://a.example/articles/1"))
    assert isinstance(rejection, Rejection)
    assert (rejection.step, rejection.value) == ("permission", "GPTBot")
    assert rejection.reason == "robots.txt of a.example turns GPTBot away"
    assert isinstance(step(page(url="https://a.example/news")), Document)
    alone = site_allows({"a.example": ROBOTS}, agents=("minillm",))
    assert isinstance(alone(page(url="https://a.example/articles/1")), Document)


def test_a_site_that_cannot_be_asked_is_left_alone_and_one_without_a_file_is_not():
    step = site_allows({"down.example": None})
    assert "could not be asked" in step(page(url="https://down.example/")).reason
    for url in ("https://other.example/", "no address", "installed/torch/LICENSE"):
        assert isinstance(step(page(url=url)), Document)


def test_ai_txt_has_the_same_form():
    step = site_allows({"a.example": "User-Agent: *\nDisallow: *.html\nDisallow: /art/"}, "ai.txt")
    assert step(page(url="https://a.example/x.html")).reason.startswith("ai.txt of a.example")
    assert isinstance(step(page(url="https://a.example/x")), Document)


OPT_OUTS = (
    '<meta name="robots" content="noai, noindex">', "<META NAME=Robots CONTENT='index, NOAI'>",
    '<meta content="noai" name="robots">', '<meta name="robots" content="none"/>',
    '<meta name="GPTBot" content="noindex">', '<meta name=tdm-reservation content=1>',
    '<meta name="tdm-reservation" content="1">', '<meta name="ai-training" content="no">',
    '<meta property="dcterms.rights" content="No training of AI models.">',
    '<meta name="copyright" content="Not for text and data mining">',
    '<meta http-equiv="X-Robots-Tag" content="minillm: noai">',
    '<meta name="robots"\n content="&#110;oai">',
)  # fmt: skip
NO_OPT_OUTS = (
    "", '<meta name="robots" content="index, follow">', '<meta name="tdm-reservation" content="0">',
    '<meta name="description" content="noai">', '<meta name="robots" content="max-snippet:50">',
    '<meta name="author" content="No training here">', '<meta name="ai-training" content="yes">',
    '<meta name="copyright" content="Free to use for training">',
    "<p>The robots noai, noindex.</p>", '<meta name="googlebot-news" content="noindex">',
    "<p>All rights reserved. No cats were trained.</p>",
)  # fmt: skip


@pytest.mark.parametrize("mark", OPT_OUTS)
def test_a_mark_in_the_head_is_a_rejection_with_its_words(mark):
    rejection = no_opt_out(page(f"<html><head>{mark}</head><p>words</p>"))
    assert isinstance(rejection, Rejection)
    assert rejection.step == "permission" and rejection.reason.startswith("opt-out, ")


@pytest.mark.parametrize("mark", NO_OPT_OUTS)
def test_other_marks_are_none(mark):
    assert isinstance(no_opt_out(page(f"<html><head>{mark}</head><p>words</p>")), Document)


def test_a_search_for_the_word_alone_is_seen_to_be_wrong_both_ways():
    found = ["noai" in mark for mark in (*OPT_OUTS, *NO_OPT_OUTS)]
    truth = [True] * len(OPT_OUTS) + [False] * len(NO_OPT_OUTS)
    assert any(f and not t for f, t in zip(found, truth, strict=True))
    assert any(t and not f for f, t in zip(found, truth, strict=True))


@pytest.mark.parametrize(
    ("notice", "is_reserved"),
    [
        ("All rights are reserved, including those for text and data mining, AI training.", True),
        ("This work may not be used in any manner to train AI systems.", True),
        ("All rights reserved.", False),
        ("Dogs may not be used to train cats.", False),
        ("We used the data to train models.", False),
    ],
)
def test_a_notice_in_words_counts_in_every_kind_of_text(notice, is_reserved):
    paper = Document("p", f"A paper.\n\n{notice}\n", "s", "paper", "unknown", "en")
    assert isinstance(no_opt_out(paper), Rejection) == is_reserved


def test_headers_of_an_archive_are_heard(tmp_path):
    heads = ({}, {"X-Robots-Tag": "noai"}, {"TDM-Reservation": "1"}, {"x-robots-tag": "all"})
    date = {"WARC-Date": "2026-01-01T00:00:00Z"}
    pages = [(f"https://a.example/{n}", b"<p>w", head | date) for n, head in enumerate(heads)]
    write_pages(tmp_path / "a.warc.gz", pages)
    results = [no_opt_out(each) for each in read_pages(tmp_path / "a.warc.gz")]
    assert [isinstance(each, Document) for each in results] == [True, False, False, True]
    assert results[1].value == "robots: noai"


def test_a_page_of_many_tags_takes_no_time():
    began = time.process_time()
    assert opt_out_of("<meta " * 200_000) is None
    assert opt_out_of("<meta name=robots " * 50_000) is None
    assert time.process_time() - began < 5
