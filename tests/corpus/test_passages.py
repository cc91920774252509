"""Copied passages are cut from all but the first, in any number of shards, and in no program."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.core.records import read_json_lines
from minillm.core.settings import with_fields
from minillm.corpus import gathered, passages, pipeline
from minillm.corpus.dirty.passages import make_passage_pages
from minillm.corpus.passages import MIN_PASSAGE_CHARACTERS, PART_RULES, SUBSTRINGS, passage_steps
from minillm.corpus.pipeline import apply_steps, steps, write_json_lines
from minillm.corpus.sharded import clean_files
from minillm.corpus.sources import Document, Rejection
from minillm.recipes import smoke
from tests.corpus.test_sharded import in_shards

LINE = "The ferry to the island leaves at noon from the old stone pier by the house of the miller."
LONG = f"{LINE} Whoever comes too late must wait for the evening."
OWN = "Ella took her kite to the hill and ran down with it until the wind lifted it high up."


def document(text: str, number: int = 0, kind: str = "web") -> Document:
    return Document(f"d/{number}", text, "test", kind, "CC0-1.0", "en")


def numbered(*texts: str, kind: str = "web") -> list[Document]:
    return [document(text, number, kind) for number, text in enumerate(texts)]


def left(documents: Sequence[Document]) -> list[str]:
    return [each.text for each in apply_steps(documents, passage_steps())[0]]


def test_a_long_line_or_paragraph_stays_in_the_first_document_alone():
    assert len(LINE) < MIN_PASSAGE_CHARACTERS < len(LONG)
    assert left(numbered(f"{OWN}\n{LONG}", f"{LONG.upper()}\n{OWN}")) == [f"{OWN}\n{LONG}", OWN]
    wrapped = LONG.replace(" the ", "\nthe ")
    assert left(numbered(f"{OWN}\n\n{wrapped}", f"{wrapped}\n\n{OWN}"))[1] == OWN
    short = numbered(f"{OWN}\n{LINE}", f"{LINE}\n{OWN}")
    assert left(short) == [each.text for each in short], "a set phrase stays"


def test_a_long_run_inside_lines_is_cut_from_the_later_document():
    quoted = f"{LONG} {LINE}"
    assert len(quoted) > 200
    made = left(numbered(f"It says: {quoted} That is all.", f"{OWN} And: {quoted} So be it, then."))
    assert made == [f"It says: {quoted} That is all.", f"{OWN} And: So be it, then."]


def test_what_is_left_must_be_long_enough_and_says_so_if_not():
    kept, rejected = apply_steps(numbered(LONG, f"{LONG}\nToo little."), passage_steps())
    assert [each.id for each in kept] == ["d/0"]
    assert [(each.step, each.reason) for each in rejected] == [("length", "2 is below 10")]


def test_programs_are_left_alone_and_count_for_nobody():
    code = numbered(f"{OWN}\n{LONG}", f"{LONG}\n{LONG}", kind="code")
    prose = [document(f"{OWN}\n{LONG}", 7)]
    assert left([*code, *prose]) == [each.text for each in (*code, *prose)]


@cache
def crawl() -> tuple[Document, ...]:
    return tuple(page.document for page in make_passage_pages(96, 5))


def makers() -> dict:
    return steps(passages=True)


@pytest.mark.parametrize("num_shards", [1, 2, 3, 7, 96, 99])
def test_shards_cut_what_one_process_cuts(num_shards):
    expected = apply_steps(crawl(), makers())
    assert in_shards(crawl(), num_shards, makers()) == expected
    plain = {each.id: each.text for each in apply_steps(crawl(), steps())[0]}
    num_cut = sum(each.text != plain[each.id] for each in expected[0])
    assert num_cut >= 48, "there is something to cut"


@st.composite
def small_sets(draw) -> list[Document]:
    """Texts of few sentences from a small stock, with breaks of each kind between them."""
    stock = [f"{word} {LONG}" for word in ("One", "Two")] + [OWN, LINE, "No."]
    parts = st.lists(st.sampled_from(stock), min_size=1, max_size=4)
    texts = draw(st.lists(st.tuples(parts, st.sampled_from(["\n", "\n\n", " "])), max_size=9))
    kinds = st.sampled_from(["book", "book", "code"])
    return [document(mark.join(each), n, draw(kinds)) for n, (each, mark) in enumerate(texts)]


@settings(max_examples=60, deadline=None)
@given(small_sets(), st.integers(1, 5))
def test_any_small_set_in_any_number_of_shards(documents, num_shards):
    expected = apply_steps(documents, passage_steps())
    assert in_shards(documents, num_shards, passage_steps()) == expected


def test_shards_that_do_not_look_at_the_order_of_the_documents_are_seen(monkeypatch):
    def unsorted(rule, lists, _=None):
        entries = (entry for each in lists for entry in each)
        return passages.part_keepers(((identity, names) for _, identity, names in entries), rule)

    spoilt = {
        name: gathered.Gathered(
            (replace(one.rounds[0], combine=lambda lists, _, name=name: unsorted(
                PART_RULES[name], lists)),), one.decide)
        for name, one in gathered.GATHERED.items() if name in PART_RULES
    }  # fmt: skip
    for name, one in spoilt.items():
        monkeypatch.setitem(gathered.GATHERED, name, one)
    assert in_shards(crawl(), 3, makers()) != apply_steps(crawl(), makers())


def test_beyond_the_suffix_array_a_warning_says_what_is_not_cut(monkeypatch):
    monkeypatch.setattr(passages, "MAX_CHARACTERS", 400)
    quoted = f"{LONG} {LINE}"
    documents = numbered(f"It says: {quoted}\n{LONG}", f"{OWN} And: {quoted}\n{LONG}")
    with pytest.warns(UserWarning, match=r"than the 400 that fit in memory; .* substrings are not"):
        expected = apply_steps(documents, passage_steps())
    assert [each.text for each in expected[0]] == [documents[0].text, f"{OWN} And: {quoted}"]
    with pytest.warns(UserWarning, match="copied paragraphs and lines are cut"):
        assert in_shards(documents, 2, passage_steps()) == expected
    collect = gathered.GATHERED[SUBSTRINGS].rounds[1].collect
    assert collect(list(enumerate(documents)), [False]) == [], "no text passes through"


def test_no_engine_and_no_number_of_shards_changes_what_is_cut(tmp_path: Path):
    write_json_lines(tmp_path / "in.jsonl", crawl())
    kept, rejected = apply_steps(crawl(), makers())
    options = {"licences": ["CC0-1.0"], "passages": True}
    for engine, workers, num_shards in (("local", 1, 1), ("local", 1, 5), ("processes", 2, 3)):
        folder = tmp_path / f"{engine}_{num_shards}"
        clean_files([tmp_path / "in.jsonl"], folder, engine=engine, workers=workers,
                    num_shards=num_shards, options=options)  # fmt: skip
        found = [Document(**fields) for fields in read_json_lines(folder / "documents.jsonl")]
        assert found == kept
        found = [Rejection(**fields) for fields in read_json_lines(folder / "rejected.jsonl")]
        assert [asdict(each) for each in found] == [asdict(each) for each in rejected]


def test_a_recipe_can_ask_for_it(monkeypatch: pytest.MonkeyPatch):
    recipe = with_fields(smoke(), ["corpus.passages=true"])
    assert recipe.corpus.passages is True and smoke().corpus.passages is False
    monkeypatch.setattr(pipeline, "read_sources", lambda config, missing: list(crawl()))
    found = [
        [each.text for each in pipeline.found_documents(config, [])[0]]
        for config in (smoke().corpus, recipe.corpus)
    ]
    assert found == [
        [each.text for each in apply_steps(crawl(), steps(passages=asked))[0]]
        for asked in (False, True)
    ]
