"""Our identifier beside lid.176 on the fixture's held-out lines: the same lines, no network."""

import socket

import pytest

from minillm.bench import language as bench
from minillm.corpus.dirty.copies import held_out_stories
from minillm.corpus.language import UNKNOWN, load_identifier
from minillm.corpus.report import HELD_OUT_SEED, cleaned_web
from minillm.corpus.scores import language_row
from minillm.corpus.spoken import LANGUAGES, read_lines

FRENCH = "Il pleut depuis trois jours, et les rues de la ville sont vides."


@pytest.fixture(scope="module")
def lines():
    return read_lines()


@pytest.fixture(scope="module")
def namers():
    return {
        "ours": bench.our_names(load_identifier()),
        "lid.176": bench.lid_names(LANGUAGES),
        "lid.176 unaided": bench.lid_names(None),
    }


def test_the_peer_needs_no_network(monkeypatch):
    def refuse(*_):
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert bench.lid_names(None)([FRENCH, "Das ist ein Haus."]) == ["fr", "de"]


def test_the_peer_reads_the_whole_line():
    """With the default of 80 characters the second half would not count."""
    text = "A: " + "x " * 40 + FRENCH * 3
    assert bench.lid_names(LANGUAGES)([text]) == ["fr"]


def test_the_peer_chooses_among_ours_where_it_is_told_to():
    finnish = "Lapset kävelivät joelle, koska aamu oli niin lämmin."
    assert bench.lid_names(None)([finnish]) == ["fi"]
    assert bench.lid_names(LANGUAGES)([finnish])[0] in (*LANGUAGES, UNKNOWN)
    norwegian = "Nordmenn kan ikke lenger kjøpe billetter på jernbanestasjonen, har de bestemt."
    assert bench.lid_names(None)([norwegian]) == ["nb"]


def test_within_two_hundredths_of_the_peer_on_long_lines(lines, namers):
    long = bench.tested(bench.long_lines(lines))
    found = bench.scores(long, namers)
    assert len({each.language for each in long}) >= 5 and len(long) >= 200
    assert found["ours"] >= 0.97 and found["ours"] >= found["lid.176"] - 0.02


def test_an_identifier_that_knows_nothing_is_seen(lines, namers):
    long = bench.tested(bench.long_lines(lines))
    found = bench.scores(long, {"ours": lambda texts: ["en"] * len(texts)})
    assert found["ours"] < 0.1


def test_figures_by_length_and_by_language(lines, namers):
    by_length = bench.scores_by_length(lines, namers)
    assert list(by_length) == [10, 20, 50, 100, 200]
    ours = [figures["ours"] for figures in by_length.values()]
    assert ours[0] < ours[1] < ours[2] < ours[3], "the longer the easier"
    by_language = bench.scores_by_language(bench.long_lines(lines), namers)
    assert list(by_language) == list(LANGUAGES) and by_language["pl"]["lines"] == 20


def test_tested_lines_are_capped_by_place_and_the_same_every_time(lines, monkeypatch):
    monkeypatch.setattr(bench, "MAX_TESTED_LINES", 3)
    chosen = bench.tested(lines)
    assert chosen == bench.tested(lines[::-1])
    places = [(each.language, each.source) for each in chosen]
    assert max(map(places.count, places)) == 3


def test_a_source_left_out_of_training_is_harder(lines):
    found = bench.drop_without_source(lines, "chat")
    assert found["passages"] > 20
    assert found["drop"] == pytest.approx(found["with"] - found["without"], abs=1e-4)
    assert found["without"] > 0.5


def test_lines_of_the_dirty_web_are_the_report_s(namers, monkeypatch):
    monkeypatch.setattr(bench, "NUM_PAGES", 300)
    sets = {"one": {"a": "A line that some page of the web may hold, longer than any shingle is."}}
    for each in (sets, held_out_stories()):
        row = language_row(cleaned_web(HELD_OUT_SEED, 300, each))
        found = bench.on_the_dirty_web(namers, each)
        assert found["lines"] == row.count
        assert found["ours"] == pytest.approx(row.figures["F1"], abs=1e-4)


def test_measure_prints_the_figures_of_the_bars(lines, monkeypatch):
    monkeypatch.setattr(bench, "spoken_lines", lambda: lines)
    monkeypatch.setattr(bench, "REPEATS", 1)
    monkeypatch.setattr(bench, "NUM_PAGES", 300)
    figures = bench.measure(held_out_stories())
    assert figures["macro-F1 of lines ≥ 100, ours"] >= 0.97
    assert set(figures["by source"]) == set(bench.SOURCES)
    assert figures["times as fast"] > 0 and figures["lines/s, ours"] > 0
