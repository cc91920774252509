"""Rejections are counted by what many can share, and the counts add up to the step's."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.core.records import read_json_lines
from minillm.corpus import reasons
from minillm.corpus.card import data_card
from minillm.corpus.cardpage import card_page
from minillm.corpus.dirty import make_dirty_web
from minillm.corpus.pipeline import apply_steps, steps, write_json_lines
from minillm.corpus.reasons import reason_name, rejected_by_reason
from minillm.corpus.sharded import clean_files
from minillm.corpus.sources import Rejection


def rejection(reason: str, step: str = "length", value: float | str = 3) -> Rejection:
    return Rejection("web/7", "crawl.warc", step, reason, value, 10)


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("3 is below 10", "below 10"),
        ("1.2e+05 is above 1e+05", "above 1e+05"),
        ("same text as web/3", "same text as an earlier one"),
        ("alike web/3", "alike an earlier one"),
        ("shares words with story 1/5", "shares words with a held-out one"),
        ("holds evaluation stories 1/5", "holds an item of evaluation stories"),
        ("holds attacks pii/3, so many runs of it", "holds many runs of an item of attacks"),
        ("insult: Get lost, you clown.", "insult"),
        ("private key in line 12", "private key"),
        ("robots.txt of town.example turns GPTBot away", "robots.txt turns GPTBot away"),
        ("town.example could not be asked for its robots.txt",
         "a site could not be asked for its robots.txt"),
        ("de 81%, en 19%", "mostly de"),
        ("crawl.warc, record 12: not UTF-8", "not UTF-8"),
        ("web/7: a page without text", "a page without text"),
        ("quotes an evaluation set", "quotes an evaluation set"),
    ],
)  # fmt: skip
def test_a_reason_is_named_by_what_many_can_share(reason: str, name: str):
    assert reason_name(rejection(reason)) == name


def test_each_licence_is_a_reason_and_a_long_one_is_cut():
    found = [rejection("not allowed", "licence", name) for name in ("GPL", "MIT", "GPL")]
    made = rejected_by_reason(found)["licence"]["reasons"]
    assert [(each["reason"], each["count"]) for each in made] == [
        ("not allowed: GPL", 2), ("not allowed: MIT", 1),
    ]  # fmt: skip
    (long,) = rejected_by_reason([rejection("word " * 100)])["length"]["reasons"]
    assert len(long["reason"]) == len(long["first"]["reason"]) == reasons.MAX_EXAMPLE_CHARACTERS


def check_sums(rejected: list[Rejection]) -> None:
    """The counts of the reasons are those of the steps, and nothing else is held."""
    by_step = Counter(each.step for each in rejected)
    made = rejected_by_reason(rejected)
    assert {step: found["count"] for step, found in made.items()} == by_step
    for step, found in made.items():
        shown = sum(each["count"] for each in found["reasons"])
        assert shown + found["num_in_other_reasons"] == by_step[step]
        assert len(found["reasons"]) <= reasons.MAX_SHOWN_REASONS
        assert (found["num_other_reasons"] > 0) == (found["num_in_other_reasons"] > 0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40))))
def test_counts_add_up_whatever_the_reasons(drawn: list[tuple[str, int]]):
    check_sums([rejection(f"reason {number}", step) for step, number in drawn])


def many_reasons() -> list[Rejection]:
    return [rejection(f"reason {number}") for number in range(reasons.MAX_COUNTED_REASONS + 50)]


def test_however_many_reasons_there_are_few_are_held_and_the_counts_add_up():
    rejected = many_reasons()
    check_sums(rejected)
    found = rejected_by_reason(rejected)["length"]
    assert found["num_other_reasons"] == reasons.MAX_COUNTED_REASONS - 12 + 1
    page = card_page(data_card([], rejected, ("en",), ()))
    assert "| length | and 989 other reasons | 1038 |  |  |  |" in page


def test_a_count_that_forgets_what_is_beyond_the_cap_is_seen(monkeypatch: pytest.MonkeyPatch):
    counting = reasons.Reasons.add

    def forgetful(self: reasons.Reasons, each: Rejection) -> None:
        counting(self, each)
        self.num_beyond = 0

    monkeypatch.setattr(reasons.Reasons, "add", forgetful)
    with pytest.raises(AssertionError):
        check_sums(many_reasons())


def test_the_first_of_a_reason_is_its_example_with_value_and_limit():
    first = Rejection("a", "web", "length", "3 is below 10", 3, 10)
    second = Rejection("b", "web", "length", "4 is below 10", 4, 10)
    (row,) = rejected_by_reason([first, second])["length"]["reasons"]
    assert row["count"] == 2
    assert row["first"] == {"id": "a", "reason": "3 is below 10", "value": "3", "limit": "10"}


def test_no_engine_and_no_number_of_shards_changes_the_reasons(tmp_path: Path):
    documents = [page.document for page in make_dirty_web(150, 5)]
    write_json_lines(tmp_path / "in.jsonl", documents)
    _, rejected = apply_steps(documents, steps())
    expected = rejected_by_reason(rejected)
    check_sums(rejected)
    assert len(expected) >= 8 and all("web/" not in str(each["reasons"][0]["reason"])
                                      for each in expected.values())  # fmt: skip
    for engine, workers, num_shards in (("local", 1, 1), ("local", 1, 7), ("processes", 2, 3)):
        folder = tmp_path / f"{engine}_{num_shards}"
        clean_files([tmp_path / "in.jsonl"], folder, engine=engine, workers=workers,
                    num_shards=num_shards)  # fmt: skip
        found = [Rejection(**fields) for fields in read_json_lines(folder / "rejected.jsonl")]
        assert rejected_by_reason(found) == expected
