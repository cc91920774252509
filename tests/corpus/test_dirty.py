"""The dirty web with known truth: what each step finds of what was planted, on its own seed."""

import json
import random
from collections import Counter
from dataclasses import asdict, replace
from functools import cache
from itertools import combinations
from typing import get_args

import pytest

from minillm.corpus.clean import decode_windows_1252, page_to_text, repair_text
from minillm.corpus.contamination import CANARY, drop_leaks, without_canary, word_runs
from minillm.corpus.dirty import FAULTS, SITES, DirtyPage, damage, make_dirty_web
from minillm.corpus.dirty.copies import PassageWay, held_out_stories, in_other_words, near_copy
from minillm.corpus.dirty.crawl import CRAWL, FILES, FILES_TRUTH, TRUTH, answers, write_crawl
from minillm.corpus.dirty.damage import ENCODINGS, encoded
from minillm.corpus.dirty.files import make_dirty_files
from minillm.corpus.dirty.languages import FOUND_LICENCE, LANGUAGES, found_lines
from minillm.corpus.dirty.leaky import make_leaky_pages
from minillm.corpus.dirty.passages import make_passage_pages
from minillm.corpus.dirty.texts import make_article
from minillm.corpus.dirty.walled import ROBOTS_BY_SITE, WALLED, make_walled_pages
from minillm.corpus.dirty.web import PASSAGE, REPAIRS
from minillm.corpus.duplicates import jaccard, shingles
from minillm.corpus.hits import precision_and_recall
from minillm.corpus.permission import site_allows
from minillm.corpus.pipeline import StepMaker, apply_steps, steps
from minillm.corpus.report import OTHER_FORMS, report_pages
from minillm.corpus.sources import Document, Rejection
from minillm.corpus.spoken import read_lines
from minillm.corpus.webarchive import read_pages

NUM_PAGES, SEED = 1000, 20_261
# Least precision and recall of each step; measured on four seeds, the lowest were .04 above. A
# rejection is right if the page has any fault for which it should go; what is rejected wrongly are
# songs and short notes, and what is missed is disguised.
FLOORS = {
    "licence": (1.0, 1.0),
    "canary": (1.0, 1.0),
    "length": (0.75, 0.66),
    "symbols": (0.95, 0.88),
    "repeated lines": (0.59, 0.83),
    "repeated words": (1.0, 0.67),
    "common words": (0.95, 0.56),
    "exact copy": (0.93, 0.55),
    "near copy": (0.95, 0.79),
    "contamination": (1.0, 0.68),
}
FIRST_PAGES_OF_SEED_5 = [
    ("utf-8", []), ("utf-8", []), ("utf-8", []), ("utf-8", ["contamination"]),
    ("utf-8", ["language"]), ("utf-16", ["repeated lines"]),
]  # fmt: skip


def all_steps() -> dict[str, StepMaker]:
    return {
        "canary": lambda _: without_canary,
        **steps(),
        "contamination": lambda _: drop_leaks(held_out_stories()),
    }


@cache
def cleaned() -> tuple[tuple[DirtyPage, ...], tuple[Document, ...], tuple[Rejection, ...]]:
    pages = make_dirty_web(NUM_PAGES, SEED)
    kept, rejected = apply_steps([page.document for page in pages], all_steps())
    return tuple(pages), tuple(kept), tuple(rejected)


def check_floors(rejected) -> None:
    pages, _, _ = cleaned()
    for step, (least_precision, least_recall) in FLOORS.items():
        found = {each.id for each in rejected if each.step == step}
        true = {page.document.id for page in pages if step in page.faults}
        should_go = {page.document.id for page in pages if page.should_go}
        precision, _ = precision_and_recall(found, should_go)
        _, recall = precision_and_recall(found, true)
        assert len(true) >= 8
        assert precision >= least_precision, (step, precision)
        assert recall >= least_recall, (step, recall)


def test_each_step_finds_what_was_planted():
    check_floors(cleaned()[2])


@pytest.mark.parametrize("step", ["near copy", "contamination", "repeated words"])
def test_a_step_that_does_nothing_is_noticed(step):
    pages = cleaned()[0]
    makers = all_steps() | {step: lambda _: lambda document: document}
    _, rejected = apply_steps([page.document for page in pages], makers)
    with pytest.raises(AssertionError):
        check_floors(rejected)


def test_what_is_kept_is_the_text_that_was_put_in():
    pages, kept, _ = cleaned()
    page_by_id = {page.document.id: page for page in pages}
    good = [each for each in kept if not page_by_id[each.id].should_go]
    wrong = [each for each in good if each.text != page_by_id[each.id].clean_text]
    frames = {
        each.id: {*page_by_id[each.id].frame.before, *page_by_id[each.id].frame.after}
        for each in wrong
    }
    without_frame = {
        each.id: "\n".join(line for line in each.text.split("\n") if line not in frames[each.id])
        for each in wrong
    }
    deeper = [name for name, text in without_frame.items() if text != page_by_id[name].clean_text]
    assert len(wrong) < 0.3 * len(good), "lines with a rare name in them are left"
    assert len(deeper) < 0.03 * len(good), "and hardly anything else is wrong"


def test_verbatim_leaks_are_found_without_exception():
    pages, kept, _ = cleaned()
    kept_ids = {each.id for each in kept}
    verbatim = [page for page in pages if page.leak and page.leak.way == "verbatim"]
    assert len(verbatim) >= 15
    assert not [page for page in verbatim if page.document.id in kept_ids]


def test_near_copies_at_the_threshold_are_found_without_exception():
    pages, kept, _ = cleaned()
    page_by_id = {page.document.id: page for page in pages}
    kept_ids = {each.id for each in kept}
    alike = [
        page
        for page in pages
        if page.copy_of in kept_ids
        and jaccard(shingles(page.clean_text), shingles(page_by_id[page.copy_of].clean_text)) >= 0.8
    ]
    assert len(alike) >= 40
    assert not [page for page in alike if page.document.id in kept_ids]


def test_the_same_seed_makes_the_same_pages():
    assert make_dirty_web(40, 5) == make_dirty_web(60, 5)[:40]
    assert make_dirty_web(40, 5) != make_dirty_web(40, 6)
    assert make_dirty_web(0) == []


def test_the_draws_are_those_of_every_platform():
    pages = make_dirty_web(30, 5)
    shape = [(page.encoding, sorted(page.faults - REPAIRS)) for page in pages]
    assert shape[:6] == FIRST_PAGES_OF_SEED_5


def test_all_faults_are_planted_and_named():
    pages = [*make_dirty_web(2000, 3), *make_passage_pages(80, 3)]
    planted = Counter(fault for page in pages for fault in page.faults)
    assert set(planted) == {*FAULTS, *REPAIRS}
    assert min(planted.values()) >= 15
    assert 0.4 < sum(page.should_go for page in pages) / len(pages) < 0.6
    assert {page.language for page in pages} == {"en", "mixed", *LANGUAGES}
    kinds = {(page.encoding, page.declared) for page in pages}
    assert kinds == {(encoding, declared) for encoding, declared, _ in ENCODINGS}


def test_every_line_of_a_page_has_its_language():
    pages = make_dirty_web(2000, 3)
    for page in pages:
        assert len(page.line_languages) == 1 + page.shown_text.count("\n")
        foreign = set(page.line_languages) - {"en"}
        assert bool(foreign) == bool(page.faults & {"language", "mixed language"})
    found = [page for page in pages if page.document.licence == FOUND_LICENCE]
    assert 5 <= len(found) < sum("language" in page.faults for page in pages)
    for page in found:
        known = set(found_lines(page.language))
        assert set(page.shown_text.split("\n")) <= known


def test_found_lines_are_held_out_of_training():
    trained = {line.text for line in read_lines() if line.split == "train"}
    assert not trained & {text for language in LANGUAGES for text in found_lines(language)}


def test_a_page_has_at_most_one_fault_for_which_it_should_go():
    for page in cleaned()[0]:
        assert len(page.faults - REPAIRS) <= 1
        assert page.should_go == bool(page.faults - REPAIRS)
        assert (page.copy_of is not None) == bool(page.faults & {"exact copy", "near copy"})
        assert (page.leak is not None) == ("contamination" in page.faults)
        assert bool(page.personal_data) == ("personal data" in page.faults)
        assert (CANARY in page.shown_text) == ("canary" in page.faults)


def test_a_copy_comes_after_its_original():
    seen = {}
    for page in cleaned()[0]:
        if page.copy_of is not None:
            assert (page.clean_text == seen[page.copy_of]) == ("exact copy" in page.faults)
        seen[page.document.id] = page.clean_text


def test_what_is_planted_stands_on_the_page():
    for page in cleaned()[0]:
        for _, value in (*page.personal_data, *page.decoys):
            assert value in page.shown_text
        for line in (*page.frame.before, *page.frame.after):
            assert line in page.document.text
        assert not [value for _, value in page.personal_data if value in page.clean_text]


def test_every_set_leaks_in_turn_and_only_sets_that_are_given():
    sets = {name: {"one": f"The {name} are told. " * 9} for name in ("bells", "ropes", "clocks")}
    leaks = [page.leak for page in make_dirty_web(600, 2, sets) if page.leak]
    assert [leak.set for leak in leaks[:6]] == ["bells", "clocks", "ropes"] * 2
    assert {leak.way for leak in leaks} == {"verbatim", "paraphrased"}


def test_without_sets_nothing_leaks_but_the_rooms_own():
    own = {page.leak.set for page in cleaned()[0] if page.leak}
    assert own == set(held_out_stories())


def test_a_retelling_keeps_no_run_of_thirteen_words():
    for items in held_out_stories().values():
        for number, text in enumerate(items.values()):
            told = in_other_words(text, random.Random(number))
            assert not word_runs(text) & word_runs(told)
            assert len(set(text.split()) & set(told.split())) > 0.5 * len(set(text.split()))


def test_near_copies_come_in_three_ways():
    text = make_article(random.Random(1))
    likeness = [
        jaccard(shingles(text), shingles(near_copy(text, random.Random(number))[0]))
        for number in range(60)
    ]
    assert 0.3 < min(likeness) and 0.6 < sorted(likeness)[len(likeness) // 2] < 1


def test_a_near_copy_says_which_way_it_was_made():
    text = make_article(random.Random(1))
    sentences = sorted(text.replace(". ", ".\n").split("\n"))
    for number in range(60):
        copy, way = near_copy(text, random.Random(number))
        assert copy != text
        is_same = sorted(copy.replace(". ", ".\n").split("\n")) == sentences
        assert (way == "reordered") == is_same
        assert (way == "templated") == copy.endswith(f"told here again.\n{text}")
        assert (way == "edited") == (len(copy.split(" ")) == len(text.split(" ")) and not is_same)


def test_pages_behind_robots_txt_have_a_generator_of_their_own():
    walled = make_walled_pages(60, 3)
    assert walled == make_walled_pages(90, 3)[:60]
    for number, page in enumerate(walled):
        said = {f"{site}.example": text for site, text in ROBOTS_BY_SITE.items()}
        answer = site_allows(said)(replace(page.document, id=page.url))
        assert isinstance(answer, Rejection) == (WALLED in page.faults) == (number % 2 == 0)
    for page in make_dirty_web(60, 3):
        assert page.document.id.startswith("web/") and WALLED not in page.faults
    assert {page.document.source for page in walled} <= set(ROBOTS_BY_SITE) == set(SITES)


def test_a_set_in_another_form_leaks_on_pages_of_its_own_and_leaves_the_others_as_they_are():
    first = {"a set": {"1": "All of it stands here for you to see, said the old man."}}
    other = {"twins": {"1": "All of it stands here for you to see, said the old woman."},
             "typos": {"1": "All of it stnds here for yu to see, said the old man."}}  # fmt: skip
    assert set(other) == set(OTHER_FORMS)
    pages, more = report_pages(3, 200, first), report_pages(3, 200, first | other)
    assert more[: len(pages)] == pages
    leaky = more[len(pages) :]
    assert leaky == make_leaky_pages(4, 3, other) == make_leaky_pages(9, 3, other)[:4]
    assert [page.leak.set for page in leaky] == ["twins", "typos"] * 2
    for page in make_leaky_pages(40, 3, other):
        quoted = other[page.leak.set]["1"] in page.clean_text
        assert quoted == (page.leak.way == "verbatim") and page.should_go
    assert make_leaky_pages(4, 3, {}) == []


def test_files_are_written_beside_the_crawl_with_their_truth(tmp_path):
    files = make_dirty_files(30, 3)
    assert files == make_dirty_files(60, 3)[:30]
    assert write_crawl(make_dirty_web(5, 3), tmp_path, files)["files"] == 30
    truth = (tmp_path / FILES_TRUTH).read_text(encoding="utf-8").splitlines()
    for file, line in zip(files, map(json.loads, truth), strict=True):
        assert line == asdict(file)
        assert (tmp_path / FILES / file.name).read_text(encoding="utf-8") == file.content


def test_a_crawl_written_again_leaves_no_file_of_the_earlier_one(tmp_path):
    pages = make_dirty_web(5, 3)
    write_crawl(pages, tmp_path, make_dirty_files(30, 3))
    (tmp_path / FILES / "mine.txt").write_text("not of the crawl")
    for files in (make_dirty_files(6, 4), []):
        write_crawl(pages, tmp_path, files)
        names = {path.name for path in (tmp_path / FILES).iterdir()}
        assert names == {"mine.txt", *(file.name for file in files)}
        truth = (tmp_path / FILES_TRUTH).read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["name"] for line in truth] == [file.name for file in files]


def test_damage_by_hand():
    assert damage("no quotes") == "no quotes"
    assert damage('"No"') == "â€œNoâ€\x9d" == decode_windows_1252("“No”".encode())


def test_bytes_by_hand():
    assert encoded("é −", "utf-8") == b"\xc3\xa9 \xe2\x88\x92"
    assert encoded("é −", "cp1252") == b"\xe9 &#8722;"
    assert encoded("é", "utf-16") == b"\xff\xfe\xe9\x00"
    assert encoded("é é é", "mixed") == b"\xc3\xa9 \xe9 \xc3\xa9"


def text_of(html: str) -> str:
    """The text of a page without any other fault."""
    return repair_text(page_to_text(Document("d", html, "t", "web", "", "en"))).text


@pytest.mark.parametrize("name", [FILES_TRUTH, TRUTH, "thesis.txt"])
def test_a_folder_with_other_things_is_left_as_it_is(name, tmp_path):
    (tmp_path / FILES).mkdir()
    mine = (tmp_path / FILES / "thesis.txt", tmp_path / name)
    for path in mine:
        path.write_text('{"name": "thesis.txt"}')
    with pytest.raises(ValueError, match="holds other things; choose an empty folder"):
        write_crawl(make_dirty_web(3, 1), tmp_path)
    assert all(path.read_text() == '{"name": "thesis.txt"}' for path in mine)


def test_a_crawl_on_disk_is_read_back_as_it_was(tmp_path):
    pages = make_dirty_web(300, 8)
    figures = write_crawl(pages, tmp_path)
    assert figures["pages"] == 300 and figures["bytes"] == (tmp_path / CRAWL).stat().st_size
    read = list(read_pages(tmp_path / CRAWL))
    assert [each.id for each in read] == [page.url for page in pages]
    different = [
        page.encoding
        for page, each in zip(pages, read, strict=True)
        if text_of(each.text) != text_of(page.document.text)
    ]
    # a page with few letters of Windows-1252 among valid UTF-8 passes for damaged UTF-8
    assert len(different) <= 5 and set(different) <= {"mixed", "cp1252"}


def test_the_truth_file_says_all_that_was_planted(tmp_path):
    pages = make_dirty_web(120, 8)
    write_crawl(pages, tmp_path)
    lines = (tmp_path / TRUTH).read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(pages)
    for page, line in zip(pages, map(json.loads, lines), strict=True):
        assert line["url"] == page.url and set(line["faults"]) == page.faults
        assert [tuple(each) for each in line["personal_data"]] == list(page.personal_data)
        assert set(line["boilerplate"]) >= set(page.frame.before)
        assert (line["leak"] is None) == (page.leak is None)
        assert line["copy_way"] == page.copy_way
        assert (line["copy_way"] is None) == ("near copy" not in page.faults)


def test_passages_stand_in_pages_of_their_own_and_in_the_truth_file(tmp_path):
    pages = make_passage_pages(48, 3)
    assert pages == make_passage_pages(64, 3)[:48] != make_passage_pages(48, 4)
    assert Counter(page.passage.way for page in pages) == dict.fromkeys(get_args(PassageWay), 12)
    by_id = {page.document.id: page for page in pages}
    for page in pages:
        passage, first = page.passage, by_id.get(page.passage.copy_of)
        assert passage.text in page.shown_text and not page.should_go
        assert (first is None) == (passage.copy_of is None) and (
            first is None or first.passage == replace(passage, copy_of=None)
        )
        is_copy = first is not None and passage.way != "proverb"
        assert (PASSAGE in page.faults) == is_copy == (passage.text not in page.clean_text)
        lines = page.shown_text.split("\n")
        assert (passage.text in lines) == (passage.way != "woven in") or first is None
    write_crawl(pages, tmp_path)
    lines = (tmp_path / TRUTH).read_text(encoding="utf-8").splitlines()
    for page, line in zip(pages, map(json.loads, lines), strict=True):
        assert line["passage"] == asdict(page.passage)


def test_pages_with_passages_are_no_near_copies_and_leave_other_pages_as_they_are():
    pages = make_passage_pages(64, 5)
    parts = [shingles(page.shown_text) for page in pages]
    assert max(jaccard(one, two) for one, two in combinations(parts, 2)) < 0.7
    sets = held_out_stories()
    assert report_pages(5, 40, sets)[:40] == make_dirty_web(40, 5, sets)


def test_two_crawls_of_a_seed_are_equal_to_the_byte(tmp_path):
    for name in ("one", "two"):
        write_crawl(make_dirty_web(60, 4), tmp_path / name)
    for file in (CRAWL, TRUTH):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_the_crawl_holds_no_word_of_the_truth():
    for _, _, headers in answers(make_dirty_web(60, 4)):
        assert set(headers) <= {"Content-Type", "WARC-Date", "X-Robots-Tag"}
