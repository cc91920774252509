"""Pages of real text: whole, licensed, with draws of their own; what is lost of them is seen."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations

import pytest

from minillm.corpus import pipeline
from minillm.corpus.dirty.copies import held_out_stories
from minillm.corpus.dirty.crawl import TRUTH, answers, write_crawl
from minillm.corpus.dirty.real import (
    FIXTURE,
    REAL_SOURCES,
    make_real_pages,
    page_lines,
    real_texts,
)
from minillm.corpus.dirty.web import DirtyPage
from minillm.corpus.duplicates import jaccard, shingles
from minillm.corpus.realscores import CUTS, apart, real_rows
from minillm.corpus.report import corpus_report, report_pages
from minillm.corpus.scores import Cleaned, Row, clean_web, crawled
from minillm.corpus.sources import Document, Rejection, known_sources
from minillm.corpus.spoken import held_out_split
from tools.real_texts import MAX_CHARACTERS, MAX_LIKENESS, TEXTS_A_SOURCE, chosen_texts

SEED, NUM_PAGES = 3, 96
# Of the pages of seed 5 that were there before real text was: recorded figures are of such pages.
BEFORE = "9228c5edaa8a3471f52ccecfb07b077b20442f405460620b3d1b73ab427910ea"


def bytes_of(pages: Sequence[DirtyPage]) -> str:
    """The SHA-256 of all that the servers of these pages send."""
    digest = hashlib.sha256()
    for url, data, headers in answers(pages):
        digest.update(f"{url} {sorted(headers.items())} {len(data)}\n".encode() + data)
    return digest.hexdigest()


@cache
def cleaned() -> Cleaned:
    return clean_web(make_real_pages(NUM_PAGES, SEED), {})


def rows_of(web: Cleaned) -> dict[str, Row]:
    return {row.name.removeprefix("real text: "): row for row in real_rows(web)}


def changed(change) -> Cleaned:
    """The same pages, with the text of each kept one changed."""
    texts = {name: replace(each, text=change(each.text)) for name, each in cleaned().cut.items()}
    return replace(cleaned(), cut=texts)


def test_the_same_seed_makes_the_same_pages_of_each_source_in_turn():
    pages = make_real_pages(60, 3)
    assert pages == make_real_pages(90, 3)[:60]
    assert {page.origin for page in pages} != {page.origin for page in make_real_pages(60, 4)}
    assert tuple(page.origin.partition("/")[0] for page in pages) == REAL_SOURCES * 15
    assert len({page.origin for page in pages}) == 60
    assert make_real_pages(0) == []
    assert {page.origin for page in make_real_pages(9999)} == {each.id for each in real_texts()}


def test_pages_of_before_are_what_they_were_to_the_byte():
    pages = report_pages(5, 300, held_out_stories())
    assert bytes_of(pages[: 300 + 12 + 37]) == BEFORE
    assert pages[300 + 12 + 37 :] == make_real_pages(30, 5)
    assert bytes_of(pages[:-1]) != BEFORE


def test_the_truth_names_the_document_and_says_that_it_should_stay(tmp_path):
    pages, text_by_id = make_real_pages(NUM_PAGES, SEED), {each.id: each for each in real_texts()}
    write_crawl(pages, tmp_path)
    lines = (tmp_path / TRUTH).read_text(encoding="utf-8").splitlines()
    read = {each.id: each for each in crawled(pages)}
    for page, line in zip(pages, map(json.loads, lines), strict=True):
        text = text_by_id[line["origin"]]
        assert line["should_go"] is False and set(line["faults"]) <= {"repair", "encoding"}
        own = [" ".join(each.split()) for each in text.text.split("\n") if each.strip()]
        assert [" ".join(each.split()) for each in line["clean_text"].split("\n")] == own
        assert line["shown_text"] == page_lines(text.text) and line["language"] == "en"
        licence = known_sources()[text.source].licence
        assert line["licence"] == licence == read[page.document.id].licence
    assert {json.loads(line)["origin"] for line in lines} == {page.origin for page in pages}


def test_a_page_of_the_dirty_web_names_no_document():
    assert {page.origin for page in report_pages(5, 40, held_out_stories())[:46]} == {None}


def test_a_line_is_as_a_page_shows_it():
    assert page_lines(" a  b \n\n\t\nc\u00a0 d\n") == "a b\nc\u00a0 d"


def test_the_texts_are_held_out_whole_and_no_two_alike():
    texts = real_texts()
    assert Counter(each.source for each in texts) == dict.fromkeys(REAL_SOURCES, TEXTS_A_SOURCE)
    assert len({each.id for each in texts}) == len(texts)
    for each in texts:
        assert held_out_split(each) == "validation" and len(each.text) <= MAX_CHARACTERS
        assert each.id.startswith(f"{each.source}/en/") and each.text.strip()
        assert each.licence == known_sources()[each.source].licence
    parts = [shingles(each.text) for each in texts]
    assert max(jaccard(one, two) for one, two in combinations(parts, 2)) <= MAX_LIKENESS


def test_the_choice_takes_held_out_short_and_new_texts():
    def text(name: str, words: str) -> Document:
        return Document(f"bible/en/{name}", words, "bible", "book", "public-domain", "en")

    words = "In the {} year the river rose above the {} bridge and the {} barley was lost."
    texts = [text(f"a {n}", words.format(n, n + 1, n + 2) * 2) for n in range(60)]
    texts += [replace(each, id=each.id.replace("a ", "b ")) for each in texts]
    texts += [replace(each, id=each.id.replace("a ", "c "), text="x" * 4001) for each in texts]
    chosen = chosen_texts(texts)
    held_out = {each.text for each in texts if held_out_split(each) == "validation"}
    assert 10 < len(chosen) <= len({each.text for each in chosen}) < len(held_out)
    assert all(held_out_split(each) == "validation" for each in chosen)
    assert chosen == chosen_texts(reversed(texts))


def test_without_the_file_it_is_said_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("minillm.corpus.dirty.real.FIXTURE", tmp_path / FIXTURE.name)
    with pytest.raises(FileNotFoundError, match="real_texts.jsonl: there is no such file; restore"):
        real_texts.__wrapped__()


def test_every_page_is_kept_or_lost_to_one_step():
    rows = rows_of(cleaned())
    assert rows["pages kept"].count == NUM_PAGES and not any(row.bars for row in rows.values())
    by_source = [rows[f"pages kept, {name}"] for name in REAL_SOURCES]
    assert [row.count for row in by_source] == [NUM_PAGES // len(REAL_SOURCES)] * 4
    num_kept = sum(round(row.figures["kept"] * row.count) for row in by_source)
    num_lost = sum(row.count for name, row in rows.items() if name.startswith("lost to "))
    assert num_kept == rows["exactly the text put in"].count == NUM_PAGES - num_lost
    assert rows["pages kept"].figures["kept"] == num_kept / NUM_PAGES
    assert 0.6 < rows["but for lines around it"].figures["kept"] < 1


def test_a_page_lost_to_a_step_or_to_the_cuts_is_counted_there():
    before = rows_of(cleaned())
    page = next(page for page in cleaned().pages if page.origin.startswith("bible"))
    identity = page.document.id
    assert identity in cleaned().cut
    without = {name: each for name, each in cleaned().cut.items() if name != identity}
    rows = rows_of(replace(cleaned(), cut=without))
    assert rows[f"lost to {CUTS}"].count == 1 and f"lost to {CUTS}" not in before
    lost = Rejection.of(page.document, "length", "too short", 1, 2)
    kept = {name: each for name, each in cleaned().kept.items() if name != identity}
    found = replace(cleaned(), cut=without, kept=kept, rejected=[*cleaned().rejected, lost])
    rows = rows_of(found)
    assert rows["lost to length"].count == 1 and f"lost to {CUTS}" not in rows
    fewer = before["pages kept, bible"].figures["kept"] - 1 / 24
    assert rows["pages kept, bible"].figures["kept"] == pytest.approx(fewer)
    assert rows["pages kept, plays"] == before["pages kept, plays"]


def test_a_step_that_cuts_the_text_is_seen_and_a_frame_that_stays_is_told_apart():
    before = rows_of(cleaned())
    rows = rows_of(changed(lambda text: text[:-1]))
    assert rows["exactly the text put in"].figures == {"kept": 0.0}
    assert rows["but for lines around it"].figures == {"kept": 0.0}
    frame = {page.document.id: page.frame.before[0] for page in cleaned().pages}
    framed = {
        name: replace(each, text=f"{frame[name]}\n{each.text}")
        for name, each in cleaned().cut.items()
    }
    rows = rows_of(replace(cleaned(), cut=framed))
    assert rows["exactly the text put in"].figures == {"kept": 0.0}
    assert rows["but for lines around it"] == before["but for lines around it"]


def test_a_repair_that_loses_the_last_word_of_real_text_is_seen(monkeypatch):
    def careless(document: Document) -> Document:
        return replace(document, text=document.text.rpartition(" ")[0])

    repair, pages = pipeline.repair_text, [replace(page) for page in cleaned().pages[:12]]
    pages = [replace(page, frame=replace(page.frame, after=())) for page in pages]
    monkeypatch.setattr(pipeline, "repair_text", lambda each: careless(repair(each)))
    whole = rows_of(clean_web(pages, {}))["but for lines around it"]
    assert whole.count > 6 and whole.figures == {"kept": 0.0}


def test_the_report_judges_invented_pages_and_real_text_apart():
    sets = held_out_stories()
    pages = report_pages(5, 40, sets)
    invented, real = apart(clean_web(pages, sets))
    assert {page.origin is None for page in invented.pages} == {True}
    assert {page.origin is None for page in real.pages} == {False}
    assert [*invented.pages, *real.pages] == pages
    for one, two in ((invented, real), (real, invented)):
        ids = {page.document.id for page in one.pages}
        assert one.raw.keys() == one.texts.keys() == one.repaired.keys() == ids
        assert ids >= {each.id for each in one.rejected} | one.kept.keys() | one.cut.keys()
        assert one.raw.keys().isdisjoint(two.raw)


def test_the_report_has_their_rows():
    rows = {row.name: row for row in corpus_report(5, 128)}
    assert rows["real text: pages kept"].count == 12
    assert sum(name.startswith("real text: pages kept, ") for name in rows) == 4
