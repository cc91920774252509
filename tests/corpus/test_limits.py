"""The limit of a rule on a curve: by hand, against a search of all, published ones untouched."""

import math
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.corpus import limits, quality
from minillm.corpus.dirty import DirtyPage, make_dirty_web
from minillm.corpus.limits import RULES, chosen_limit, compare_limits, figures_at, judged
from minillm.corpus.sources import Rejection

VALUES, IS_BAD = (1, 2, 3, 4, 5, 6), (False, False, True, False, True, True)


@cache
def pages(seed: int) -> tuple[DirtyPage, ...]:
    return tuple(make_dirty_web(400, seed))


def test_figures_and_limits_by_hand():
    # above 2 lie 3, 4, 5 and 6, of which three are bad
    assert figures_at(VALUES, IS_BAD, 2, "above") == (3 / 4, 1.0, 6 / 7)
    assert figures_at(VALUES, IS_BAD, 2, "below") == (0.0, 0.0, 0.0)
    assert chosen_limit(VALUES, IS_BAD, "above") == 2
    assert chosen_limit(VALUES, IS_BAD, "above", min_precision=0.9) == 4
    assert chosen_limit([-value for value in VALUES], IS_BAD, "below") == -2


labelled = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=30)


@settings(max_examples=200, deadline=None)
@given(labelled, st.sampled_from(("above", "below")), st.sampled_from((None, 0.6, 0.95)))
def test_no_other_limit_is_better_and_none_as_good_rejects_less(pairs, rejects, min_precision):
    values, is_bad = zip(*pairs, strict=True)
    if len(set(is_bad)) < 2:
        with pytest.raises(ValueError, match="give some of both kinds"):
            chosen_limit(values, is_bad, rejects, min_precision)
        return
    limit = chosen_limit(values, is_bad, rejects, min_precision)
    precision, recall, f1 = figures_at(values, is_bad, limit, rejects)
    assert min_precision is None or precision >= min_precision
    for other in set(values):
        theirs = figures_at(values, is_bad, other, rejects)
        if min_precision is None:
            assert f1 >= theirs[2]
        elif theirs[0] >= min_precision:
            assert recall >= theirs[1]
        is_as_good = theirs == (precision, recall, f1)
        assert not is_as_good or (other <= limit if rejects == "above" else other >= limit)


def test_a_search_that_takes_the_strictest_limit_is_noticed(monkeypatch):
    """The planted bug: the first value in the order of the list wins, whatever it is worth."""
    first = limits.figures_at
    monkeypatch.setattr(limits, "figures_at", lambda *given: (1.0, 1.0, 1.0))
    limit = chosen_limit(VALUES, IS_BAD, "above")
    assert first(VALUES, IS_BAD, limit, "above")[2] < first(VALUES, IS_BAD, 2, "above")[2]


def test_a_rule_measures_what_its_step_compares_with_the_limit():
    for rule in RULES:
        for text, _ in judged(pages(101))[:150]:
            value, found = rule.value(text), rule.step(text, rule.published)
            beyond = value > rule.published if rule.rejects == "above" else value < rule.published
            assert isinstance(found, Rejection) == beyond, rule.name
            assert not beyond or (found.value, found.limit) == (value, rule.published)
            assert math.isfinite(value)


def test_published_limits_are_the_defaults():
    steps = {
        "Gopher words, least": quality.gopher_length,
        "Gopher word length, most": quality.gopher_word_length,
    }
    for rule in RULES:
        step = steps.get(rule.name, rule.step)
        for text, _ in judged(pages(101))[:80]:
            found, asked = step(text), rule.step(text, rule.published)
            if isinstance(asked, Rejection):
                assert isinstance(found, Rejection) and found.value == asked.value


def test_on_the_pages_it_was_chosen_on_no_limit_is_worse_than_the_published_one():
    for row in compare_limits(pages(101), pages(101)):
        assert row.at_chosen[2] >= row.at_published[2], row.rule


def test_on_another_seed_most_chosen_limits_are_better_and_precision_mostly_holds():
    rows = compare_limits(pages(101), pages(102))
    assert [row.published for row in rows] == [rule.published for rule in RULES]
    better = [row.at_chosen[2] > row.at_published[2] for row in rows]
    assert sum(better) >= 5
    careful = compare_limits(pages(101), pages(102), min_precision=0.95)
    assert sum(row.at_chosen[0] >= 0.85 for row in careful) >= len(careful) - 2


def test_copies_leaks_and_closed_licences_are_not_for_these_rules_to_find():
    told = judged(pages(101))
    by_text = {page.clean_text: page for page in pages(101) if "near copy" in page.faults}
    assert by_text and not any(text.text in by_text for text, is_bad in told if is_bad)
    assert 0.1 < sum(is_bad for _, is_bad in told) / len(told) < 0.5
