"""The bench compares like with like: the same words, the same size, probabilities summing to 1."""

import json

import pytest

from minillm.bench import unigram
from minillm.corpus.sources import Document
from tests.tokenizer.texts import larger_training_texts

LANGUAGES = ("en", "other")


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    parts = [part for text in larger_training_texts() for part in text.split("\n\n\n")]
    return [
        Document(
            id=str(index),
            text=part,
            source="code" if index % 3 else "stories",
            kind="text",
            licence="CC0-1.0",
            language="en" if len(part) % 2 else "other",
        )
        for index, part in enumerate(parts)
        if part.isascii()
    ]


@pytest.fixture(scope="module")
def figures(documents: list[Document]) -> dict[str, object]:
    return unigram.compare(documents, num_pieces=500, repeats=1)


def test_the_figures_can_be_kept_and_name_times_and_likelihoods(figures):
    assert json.loads(json.dumps(figures)) == figures
    assert figures["pieces"] == 500 and figures["training_bytes"] > figures["held_out_bytes"] > 0
    for words in ("spaced", "pattern"):
        ours, theirs = (figures[f"{words}_{who}_seconds"] for who in ("ours", "sentencepiece"))
        assert figures[f"{words}_seconds_ratio"] == ours / theirs > 0
        for part in ("training", "held_out"):
            nats = {
                kind: figures[f"{words}_{part}_{kind}_nats_ours"] for kind in ("marginal", "best")
            }
            assert nats["best"] <= nats["marginal"] < 0
            for kind, ours in nats.items():
                theirs = figures[f"{words}_{part}_{kind}_nats_sentencepiece"]
                assert figures[f"{words}_{part}_{kind}_ratio"] == ours / theirs


def test_the_ratio_is_near_one_and_not_above_the_bar(figures):
    for words in ("spaced", "pattern"):
        assert 0.9 < figures[f"{words}_training_marginal_ratio"] < 1.005


def test_at_equal_settings_the_two_are_nearer_to_each_other(figures):
    """And what is compared so is as many pieces of ours, whose probabilities sum to one."""
    for words in ("spaced", "pattern"):
        own, alike = (
            abs(1 - figures[f"{words}{kind}_training_marginal_ratio"]) for kind in ("", "_alike")
        )
        assert alike < own / 2 and alike < 0.01


def test_tables_are_by_source_and_language_and_shares_sum_to_one(figures):
    names = {f"{source} {language}" for source in ("code", "stories") for language in LANGUAGES}
    for name in ("bpe", "unigram"):
        assert set(figures[f"{name}_bytes_per_token"]) <= names
        assert all(1 < value < 8 for value in figures[f"{name}_bytes_per_token"].values())
        assert set(figures[f"{name}_tokens_per_word"]) == set(LANGUAGES)
        shares = figures[f"{name}_share_of_words_by_tokens"]
        assert list(shares) == ["1", "2", "3", "4", "5", "6+"]
        assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
        assert sum(figures[f"{name}_tokens_by_bytes"].values()) == 500
        for word, parts in figures[f"{name}_examples"].items():
            assert parts.replace("|", "") == word or "�" in parts


def test_words_are_written_so_that_no_two_become_one():
    words = [" a", "a", "\n", "\t", "\r", " \n", "a\n", "  "]
    assert len({unigram.written(word) for word in words}) == len(words)
    assert not any(set(unigram.written(word)) & set(" \n\t\r") for word in words)


def test_measuring_reads_the_sources_and_keeps_to_the_bar_of_the_course(documents, monkeypatch):
    asked: list[int] = []

    def compare(found: list[Document], num_pieces: int, repeats: int) -> dict[str, object]:
        asked.extend((len(found), num_pieces, repeats))
        return {"x": 1.0}

    monkeypatch.setattr(unigram, "read_documents", lambda: documents)
    monkeypatch.setattr(unigram, "compare", compare)
    assert unigram.measure() == {"x": 1.0}
    assert asked == [len(documents), 8000, 3]
