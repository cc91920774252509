"""Rules and classifier on the same pages; splits that share no document."""

import pytest

from minillm.bench import quality as bench
from minillm.corpus.classifier import Classifier, load_classifier
from minillm.corpus.insults import TEST_FOLDS, remarks
from minillm.corpus.sources import Document


def test_every_document_is_in_one_split_and_all_splits_occur():
    found = [
        bench.split_of(Document(f"plays/en/{number}", "", "plays", "book", "x", "en"))
        for number in range(400)
    ]
    shares = {name: found.count(name) / 400 for name in ("train", "tuning", "test")}
    assert sum(shares.values()) == pytest.approx(1)
    # a fourth is held out, a fourth of the others chooses: 5 σ of 400 draws is .11
    assert shares["test"] == pytest.approx(0.25, abs=0.11)
    assert shares["tuning"] == pytest.approx(0.19, abs=0.11)


def test_pieces_are_whole_lines_of_what_is_too_long():
    import random

    text = "\n".join(f"This is line number {number} of the play." for number in range(200))
    cut = bench.piece(text, random.Random(0))
    assert 800 < len(cut) <= bench.LONGEST
    assert set(cut.split("\n")) <= set(text.split("\n"))
    assert bench.piece("short\n", random.Random(0)) == "short"


def test_rules_and_classifier_each_find_what_the_other_misses(monkeypatch):
    monkeypatch.setattr(bench, "WEB_PAGES", 400)
    figures = bench.rules_and_classifier(load_classifier("quality"))
    names = {"both", "rules", "classifier", "neither"}
    assert all(set(row) == names for row in figures.values())
    clean = figures["none"]  # short notes and songs among them are lost to the rules already
    assert clean["neither"] / (clean["neither"] + clean["classifier"]) > 0.95
    lists = figures["common words"]
    assert lists["both"] + lists["classifier"] > 0.9 * sum(lists.values())
    assert lists["classifier"] > 0, "lists with common words in them deceive the rules"


def test_shares_by_kind_by_hand():
    made = remarks(10, 0, TEST_FOLDS, ["insult", "praise"])
    known = load_classifier("civility")
    always = Classifier(known.weights * 0, 1.0, 0.5)
    assert bench.found_by_kind(always, made) == {"insult": 1.0, "praise": 1.0}
    never = Classifier(known.weights * 0, -1.0, 0.5)
    assert bench.found_by_kind(never, made) == {"insult": 0.0, "praise": 0.0}
