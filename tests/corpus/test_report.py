"""The report of the corpus: figures by hand, every bar on a held-out seed, planted faults seen."""

import json
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from minillm.corpus import contamination, copyscores, readers, scores, webarchive
from minillm.corpus.copyscores import (
    copy_rows,
    family_row,
    found_families,
    honest_text_row,
    pairs_of,
    passage_rows,
)
from minillm.corpus.dirty.copies import held_out_stories
from minillm.corpus.dirty.files import make_dirty_files
from minillm.corpus.dirty.site import Frame
from minillm.corpus.dirty.walled import make_walled_pages
from minillm.corpus.dirty.web import DirtyPage
from minillm.corpus.duplicates import PartRule, drop_copied_parts
from minillm.corpus.filescores import file_rows
from minillm.corpus.passages import PART_RULES, passage_steps
from minillm.corpus.pipeline import StepMaker, apply_steps
from minillm.corpus.report import cleaned_web, corpus_report, report_figures, table
from minillm.corpus.scores import (
    Cleaned,
    Row,
    boilerplate_row,
    clean_web,
    hits,
    language_row,
    leak_rows,
    library_row,
    personal_rows,
    robots_row,
    text_rows,
)
from minillm.corpus.sources import Document, Rejection
from minillm.corpus.stepscores import rejected_alone, step_rows

SEED, NUM_PAGES = 20_262, 1200


class SaysEnglish:
    """An identifier that knows one language."""

    def identify_all(self, texts: list[str]) -> list[tuple[str, float]]:
        return [("en", 1.0)] * len(texts)


@cache
def cleaned() -> Cleaned:
    sets = held_out_stories()
    return cleaned_web(SEED, NUM_PAGES, sets)


def rows_with_bars(web: Cleaned | None = None) -> list[Row]:
    web = web or cleaned()
    families = family_row(web, found_families(web))
    rows = [boilerplate_row(web), *personal_rows(web), families, language_row(web)]
    rows += [robots_row(web), *passage_rows(web), honest_text_row(web)]
    return [row for row in (*rows, *leak_rows(web, held_out_stories())) if row.bars]


def test_hits_by_hand():
    found, true = Counter("aabc"), Counter("abbd")
    precision, recall = 2 / 4, 2 / 4
    assert hits(found, true) == {"precision": precision, "recall": recall, "F1": 0.5}
    assert hits(Counter("a"), Counter("a")) == {"precision": 1.0, "recall": 1.0, "F1": 1.0}
    assert hits(Counter(), Counter("a")) == {"precision": None, "recall": 0.0, "F1": 0.0}


def test_pairs_by_hand():
    pairs = pairs_of(["a", "b", "c", "d"], [0, 0, 0, 3])
    assert pairs == Counter([("a", "b"), ("a", "c"), ("b", "c")])


def test_a_row_is_reached_if_all_its_figures_are():
    assert Row("x", 1, {"recall": 0.99}).is_reached is None
    assert Row("x", 1, {"recall": 0.98}, {"recall": 0.98}).is_reached is True
    row = Row("x", 1, {"recall": 0.99, "precision": 0.9}, {"recall": 0.98, "precision": 0.97})
    assert row.is_reached is False


def test_a_row_with_nothing_planted_or_found_shows_no_share_and_misses_nothing():
    rows = [
        Row("planted: none", 0, {"recall": 0.0, "kept": 0.0}, {"recall": 0.95, "kept": 0.98}),
        Row("found: none", 1, hits(Counter(), Counter("a"))),
        Row("planted: none, found: one", 0, hits(Counter("a"), Counter()), {"precision": 1.0}),
    ]
    lines = [line.split("  ") for line in table(rows).splitlines()[2:]]
    shown = [[word.strip() for word in line if word.strip()] for line in lines]
    assert shown[0] == ["planted: none", "0", "–", "–", "recall ≥ 0.95, kept ≥ 0.98"]
    assert shown[1] == ["found: none", "1", "–", "0.000", "0.000"]
    assert shown[2] == ["planted: none, found: one", "0", "0.000", "–", "–", "✗ precision ≥ 1"]
    assert [row.is_reached for row in rows] == [None, None, False]
    figures = report_figures(rows)
    assert figures["planted: none"] == {
        "n": 0, "bars": {"recall": 0.95, "kept": 0.98}, "reached": None,
    }  # fmt: skip
    assert figures["found: none"]["recall"] == 0 and "precision" not in figures["found: none"]


def test_every_bar_is_reached_on_a_held_out_seed():
    rows = rows_with_bars()
    assert len(rows) == 20
    assert [table([row]) for row in rows if not row.is_reached] == []
    assert all(row.count >= 20 for row in rows)


@pytest.mark.parametrize(
    ("module", "name", "planted", "row_name"),
    [
        (scores, "personal_data", lambda text: [], "personal data: card"),
        (copyscores, "near_duplicates", lambda texts: list(range(len(texts))), "copies"),
        (contamination, "word_runs", lambda text, size=13: set(), "leaks: held-out stories"),
    ],
)
def test_a_step_that_finds_nothing_misses_its_bar(monkeypatch, module, name, planted, row_name):
    monkeypatch.setattr(module, name, planted)
    missed = [row.name for row in rows_with_bars() if not row.is_reached]
    assert any(each.startswith(row_name) for each in missed)


def test_one_language_for_all_misses_the_bar(monkeypatch):
    row = language_row(cleaned())
    assert row.count > 300 and row.figures["F1"] > 0.9
    monkeypatch.setattr(scores, "load_identifier", SaysEnglish)
    assert language_row(cleaned()).is_reached is False
    assert language_row(cleaned()).figures["F1"] < 0.2


def test_flagging_everything_misses_the_bar_for_clean_pages(monkeypatch):
    monkeypatch.setattr(scores, "leak_report", lambda texts, sets: {
        name: contamination.SetLeaks(1, {}, {each.id for each in texts}) for name in sets
    })  # fmt: skip
    missed = [row.name for row in rows_with_bars() if not row.is_reached]
    assert "leaks: clean pages left alone" in missed


def framed_in(tag: str) -> Cleaned:
    """A page whose frame of two lines stands in elements of this tag, and nothing else."""
    text = "It rained on the day of the fair, and yet all of the town came to see the horses."
    before, after = "Home and News", "All rights reserved by the town"
    html = f"<body><{tag}>{before}</{tag}><p>{text}</p><{tag}>{after}</{tag}></body>"
    page = DirtyPage(Document("p", html, "s", "web", "", "en"), text, frozenset(),
                     frame=Frame((), (before,), (after,)))  # fmt: skip
    shown = {"p": replace(page.document, text=f"{before}\n{text}\n{after}")}
    return Cleaned([page], {"p": page.document}, shown, shown, shown, shown, [], {})


def test_the_library_s_row_judges_the_same_lines_as_ours(monkeypatch):
    rows = {tag: library_row(framed_in(tag)) for tag in ("footer", "div")}
    assert [(row.count, row.bars) for row in rows.values()] == [(2, {}), (2, {})]
    assert rows["footer"].figures == {"recall": 1.0, "kept": 1.0}
    assert rows["div"].figures == boilerplate_row(framed_in("div")).figures
    assert rows["div"].figures == {"recall": 0.0, "kept": 1.0}
    monkeypatch.setattr(scores, "main_text", lambda page: "")
    assert library_row(framed_in("div")).figures == {"recall": 1.0, "kept": 0.0}
    ours, its = boilerplate_row(cleaned()), library_row(cleaned())
    assert ours.count == its.count and its.figures["kept"] == 0


def test_texts_are_compared_after_the_cuts_that_the_truth_knows():
    rows = [list(text_rows(web)) for web in (cleaned(), replace(cleaned(), cut=cleaned().kept))]
    (kept, same), (kept_before, same_before) = rows
    assert kept.figures == kept_before.figures and "passages cut" in same.name
    assert same.figures["kept"] > same_before.figures["kept"] + 0.05


def test_a_reader_that_asks_no_robots_file_misses_the_bar(monkeypatch):
    walled = make_walled_pages(40, SEED)
    row = robots_row(clean_web(walled, {}))
    assert (row.count, row.is_reached) == (20, True)
    monkeypatch.setattr(webarchive, "robots_in", lambda paths: {})
    row = robots_row(clean_web(walled, {}))
    assert row.is_reached is False and row.figures["recall"] == 0


def test_near_copies_have_a_row_for_each_way(monkeypatch):
    rows = {row.name: row for row in copy_rows(cleaned(), found_families(cleaned()))}
    ways = [page.copy_way for page in cleaned().pages if "near copy" in page.faults]
    assert {name: row.count for name, row in rows.items()} == {
        f"near copies: {way}": count for way, count in Counter(ways).items()
    }
    recall = {name.split()[-1]: row.figures["recall"] for name, row in rows.items()}
    assert recall["templated"] > 0.95 and recall["edited"] < recall["reordered"]
    monkeypatch.setattr(copyscores, "near_duplicates", lambda texts: list(range(len(texts))))
    rows = copy_rows(cleaned(), found_families(cleaned()))
    assert all(row.figures["recall"] == 0 for row in rows)


def cut_by(makers: dict[str, StepMaker]) -> Cleaned:
    """The same pages, with other steps that cut passages."""
    cut, _ = apply_steps(list(cleaned().kept.values()), makers)
    return replace(cleaned(), cut={each.id: each for each in cut})


def missed_by(makers: dict[str, StepMaker]) -> dict[str, Row]:
    rows = rows_with_bars(cut_by(makers))
    return {row.name.removeprefix("passages: "): row for row in rows if not row.is_reached}


def test_without_the_steps_that_cut_passages_all_planted_ones_are_missed():
    missed = missed_by({})
    assert set(missed) == {"pasted", "woven in", "chain letter"}
    assert all(row.figures["recall"] == 0 for row in missed.values())
    parts_alone = {name: passage_steps()[name] for name in PART_RULES}
    assert set(missed_by(parts_alone)) == {"woven in"}


def test_cutting_short_lines_too_or_everywhere_misses_a_bar():
    short, everywhere = PartRule("line", 2, True, 20), PartRule("line", 2, False, 100)
    makers = passage_steps()
    missed = missed_by(makers | {"short": lambda texts: drop_copied_parts(texts, short)})
    assert set(missed) == {"proverbs"}
    makers = {"everywhere": lambda texts: drop_copied_parts(texts, everywhere)} | makers
    assert {"pasted", "chain letter"} <= set(missed_by(makers))
    half = {"half": lambda _: lambda each: replace(each, text=each.text[: len(each.text) // 2])}
    assert "other text left alone" in missed_by(half)


def test_what_is_planted_in_files_is_found_unless_it_is_disguised(monkeypatch):
    files = make_dirty_files(300, SEED)
    rows = {row.name.removeprefix("files: "): row for row in file_rows(files)}
    assert all(rows[name].figures["precision"] == 1 for name in ("licence", "generated", "secret"))
    assert rows["licence"].figures["recall"] == 1
    assert rows["papers read to the letter"].figures["kept"] == 1
    for name in ("generated", "secret"):
        assert 0.6 < rows[name].figures["recall"] < 1
        assert rows[name].count == sum(file.fault == name for file in files) > 8
    monkeypatch.setattr(readers, "without_secrets", lambda document: document)
    rows = {row.name.removeprefix("files: "): row for row in file_rows(files)}
    assert rows["secret"].figures["recall"] == 0 and rows["generated"].figures["recall"] > 0.6


def test_a_paper_that_cannot_be_read_is_one_that_is_not_read_to_the_letter():
    files = make_dirty_files(30, SEED)
    broken = [replace(each, content="<p>") if each.name.endswith("xml") else each for each in files]
    *_, row = file_rows(broken)
    assert (row.count, row.figures) == (20, {"kept": 0.5})
    *_, row = file_rows(make_dirty_files(1, SEED))
    assert (row.count, row.measured) == (0, {})


def test_the_report_looks_for_families_once(monkeypatch):
    calls = []
    find = copyscores.near_duplicates
    monkeypatch.setattr(copyscores, "near_duplicates", lambda texts: calls.append(1) or find(texts))
    corpus_report(5, 200)
    assert len(calls) == 1


def test_every_fault_and_every_rejecting_step_has_a_row():
    rows = {row.name.removeprefix("step: "): row for row in step_rows(cleaned())}
    assert {each.step for each in cleaned().rejected} <= set(rows)
    assert all(0 <= value <= 1 for row in rows.values() for value in row.measured.values())
    assert rows["licence"].figures == {"precision": 1.0, "recall": 1.0, "by itself": 1.0}
    assert all({"precision", "recall", "by itself"} <= set(row.measured) for row in rows.values())
    for fault, step in (("toxic", "civility"), ("code", "quality"), ("mixed language", "language")):
        assert rows[fault].figures["precision"] == rows[step].figures["precision"]
    assert rows["quality"].count == rows["gibberish"].count + rows["code"].count


def rejecting(name: str, *words: str) -> StepMaker:
    """The maker of a step that rejects a text with one of these words."""

    def step(document: Document) -> Document | Rejection:
        found = [word for word in words if word in document.text]
        return Rejection.of(document, name, "has it", len(found), 0) if found else document

    return lambda _: step


def test_what_a_step_finds_by_itself_by_hand():
    """Of two songs one falls to the rule for length too; one bad text is found by another step."""
    planted = {"song short": ["repeated lines"], "song": ["repeated lines"], "fine": [],
               "rude": ["toxic"], "salad": ["gibberish"]}  # fmt: skip
    pages = [
        DirtyPage(Document(text, text, "s", "web", "", "en"), text, frozenset(faults))
        for text, faults in planted.items()
    ]
    makers = {
        "length": rejecting("length", "short", "salad"),
        "repeated lines": rejecting("repeated lines", "song"),
        "civility": rejecting("civility", "fine"),
        "quality": rejecting("quality", "rude", "salad"),
    }
    documents = {page.document.id: page.document for page in pages}
    kept, rejected = apply_steps(list(documents.values()), makers)
    web = Cleaned(pages, documents, documents, documents, {each.id: each for each in kept}, {},
                  rejected, makers)  # fmt: skip
    rows = {row.name.removeprefix("step: "): row for row in step_rows(web)}
    assert {name: (row.count, row.measured) for name, row in rows.items() if row.measured} == {
        "length": (2, {"precision": 1.0}),
        "repeated lines": (2, {"precision": 1.0, "recall": 1.0, "by itself": 1.0}),
        "gibberish": (1, {"precision": 1.0, "recall": 1.0, "by itself": 1.0}),
        "code": (1, {"precision": 1.0}),
        "toxic": (1, {"precision": 0.0, "recall": 1.0, "by itself": 0.0}),
        "civility": (1, {"precision": 0.0, "recall": 1.0, "by itself": 0.0}),
        "quality": (1, {"precision": 1.0, "recall": 1.0, "by itself": 1.0}),
    }


def test_by_itself_a_step_meets_what_others_reject_and_what_repairs_have_left():
    documents = [Document(text, text, "s", "web", "", "en") for text in ("bad", "worse", "good")]
    makers = {
        "first": rejecting("first", "bad"),
        "repair": lambda _: lambda each: replace(each, text=each.text.replace("worse", "bad")),
        "second": rejecting("second", "bad"),
        "all": lambda some: rejecting("all", *(each.text for each in some))(some),
    }
    everyone = {"bad", "worse", "good"}
    assert rejected_alone(documents, makers) == {
        "first": {"bad"}, "repair": set(), "second": {"bad", "worse"}, "all": everyone,
    }  # fmt: skip
    _, rejected = apply_steps(documents, makers)
    assert {each.id for each in rejected if each.step == "second"} == {"worse"}


def test_table_and_figures_say_the_same():
    rows = [
        Row("first", 3, {"precision": 0.51239, "recall": 1.0}, {"recall": 1.0}),
        Row("second", 7, {"kept": 0.9}, {"kept": 0.95}),
    ]
    lines = table(rows).splitlines()
    assert lines[2].split() == ["first", "3", "0.512", "1.000", "✓", "recall", "≥", "1"]
    assert lines[3].split() == ["second", "7", "0.900", "✗", "kept", "≥", "0.95"]
    figures = json.loads(json.dumps(report_figures(rows)))
    assert figures["first"]["precision"] == 0.5124 and figures["first"]["reached"] is True
    assert figures["second"]["reached"] is False and figures["second"]["n"] == 7
