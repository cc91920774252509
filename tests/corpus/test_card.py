"""The data card counts what is there, names what is not, and notices what cleaning forgot."""

import json
import re
from collections import Counter
from dataclasses import replace
from math import log, sqrt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.core.records import Run
from minillm.corpus import card
from minillm.corpus.card import checklist, coverage, data_card, empty_cells, style_of, tally
from minillm.corpus.cardpage import card_page
from minillm.corpus.duplicates import near_duplicates
from minillm.corpus.mentioned import (
    NAME,
    bare_words,
    by_pair,
    log_odds,
    mentioned,
    names_of,
    places_of,
    words_after,
    work_of,
)
from minillm.corpus.mix import tell_documents
from minillm.corpus.pipeline import CorpusConfig, make_documents
from minillm.corpus.sources import Document, Rejection
from minillm.corpus.storyworld.words import BOYS, GIRLS

LICENCES = ("CC0-1.0",)


def document(text: str, kind: str = "story", language: str = "en", **fields: str) -> Document:
    return Document(fields.pop("id", text), text, "hand", kind, "CC0-1.0", language, **fields)


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ('"Hi!" said Ella.', "dialogue"),
        ("ROMEO\nAh me!\nJULIET\nWhat is it?", "dialogue"),
        ("Ella: Hello\nAdam: Hello", "dialogue"),
        ("- bread\n- honey\nMix both.", "list"),
        ("1. Cut.\n2) Fry.", "list"),
        ("Ella went home.", "prose"),
        ("", "prose"),
    ],
)
def test_a_style_is_read_off_the_marks(text: str, style: str):
    assert style_of(document(text)) == style
    assert style_of(document(text, kind="code")) == "code"


def test_coverage_counts_bytes_by_language_kind_and_style():
    texts = [document("né"), document("né", language="fr"), document("x = 1", kind="code")]
    assert coverage(texts) == {
        ("en", "story", "prose"): 3, ("fr", "story", "prose"): 3, ("en", "code", "code"): 5,
    }  # fmt: skip


def test_empty_cells_are_those_asked_for_and_not_there():
    cells = {("en", "story", "prose"): 3, ("en", "code", "code"): 5}
    assert empty_cells(cells, ["en"], ["story", "code"]) == [
        ("en", "story", "dialogue"), ("en", "story", "list"),
    ]  # fmt: skip
    assert ("fr", "code", "code") in empty_cells(cells, ["en", "fr"], ["code"])


def test_mentions_and_what_follows_are_counted_by_hand():
    texts = [document("She saw the boys. HE ran, she ran, and her boy sat.")]
    counts = by_pair(mentioned(texts)["words"])
    assert counts["she / he"] == (2, 1)
    assert counts["her hers / him his"] == (1, 0)
    assert counts["girl girls / boy boys"] == (0, 2)
    assert words_after("she saw what she ran".split(), "she") == {"saw": 1, "ran": 1}
    found = mentioned(texts)
    assert found["after she"] == {"saw": 1, "ran": 1} and found["after he"] == {"ran": 1}


@pytest.mark.parametrize("apostrophe", "'’")
def test_who_has_something_is_mentioned_too(apostrophe: str):
    text = "Spain's king met Egypt's QUEEN'S cat. A nurse's hat was hers. She'll go, the boy'd not."
    found = mentioned([document(text.replace("'", apostrophe))])
    assert found["places"] == {"Spain": 1, "Egypt": 1}
    assert found["work"] == {"king / she": 1, "queen / she": 1, "nurse / she": 1}
    assert found["words"] == {"king": 1, "queen": 1, "hers": 1, "she": 1, "boy": 1}
    assert found["after she"] == {"go": 1}
    plural = "Two nurses and she."  # of several occupations none is counted
    assert mentioned([document(plural)])["work"] == {}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('"Hi!" said Ella. Then Tom asked Zoë.', ["Ella", "Tom", "Zoë"]),
        ("In the end, Ella said yes, and Ella ran.", ["Ella"]),
        ("The door said nothing. Nobody asked. He said so. I thought so.", []),
        ("Said the fox: Paris is what London called it", ["London"]),
        ("He said hello to Ella. It was said. Ella ran.", []),
        ("So said The Times. On Monday, Maybe said: asked Where, said No, and Yes cried.", []),
        ("Then Élodie said to Jean-Luc: ask. And Jean-Luc asked Ольга.",
         ["Élodie", "Jean-Luc", "Ольга"]),
    ],
)
def test_who_speaks_in_mid_sentence_is_a_name(text: str, names: list[str]):
    assert names_of(text) == names


def test_in_the_story_world_each_name_found_is_a_persons_and_few_are_missed():
    told = [each.text for level in (1, 2, 3) for each in tell_documents(level, 200, "train")]
    found = {name for text in told for name in names_of(text)}
    everybody = {*GIRLS, *BOYS}
    assert found <= everybody and len(found) > 0.9 * len(everybody)
    anybody = re.compile(rf"\b({NAME})\b")
    careless = {name for text in told for name in anybody.findall(text)}
    assert not careless <= everybody, "any capital would name The and Please too"


def test_countries_and_occupations_are_counted_by_hand():
    places = places_of(bare_words("The French and Germans in France; turkey, Turkey."))
    assert places == ["France", "Germany", "France", "Turkey"]
    text = "The nurse lost her hat; the doctor and his dog. A cook. " + "so " * 10 + "she went"
    assert work_of(bare_words(text)) == ["nurse / she", "doctor / he", "cook / neither"]
    assert work_of(bare_words("The cook " + "so " * 9 + "she went")) == ["cook / she"]


def test_the_card_shows_names_countries_and_occupations_where_there_are_any():
    text = '"No," said Ella to the baker from Spain, and he sat. "Yes," said Ella. So said Tom.'
    made = data_card([document(text)], [], ("en",), LICENCES)
    assert made["names"] == {"Ella": 2, "Tom": 1} and made["num_names"] == 2
    assert made["places"] == {"Spain": 1} and made["work"] == {"baker": [0, 1, 0]}
    page = card_page(made)
    assert "Who speaks, or is asked, by name: 2 names, most often: Ella (2), Tom (1)." in page
    assert "countries and their peoples: Spain (1)." in page and "| baker | 0 | 1 | 0 |" in page
    nobody = card_page(data_card([document("E")], [], ("en",), LICENCES))
    assert "by name: nobody." in nobody and "peoples: none." in nobody
    assert "occupations: none." in nobody


COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50), min_size=1)


@given(COUNTS, COUNTS)
def test_log_odds_are_the_formula_and_change_sign_with_the_sides(left: dict, right: dict):
    scores, mirrored = log_odds(left, right), log_odds(right, left)
    n, m = sum(left.values()), sum(right.values())
    for word, score in scores.items():
        prior = left.get(word, 0) + right.get(word, 0)
        one, two = left.get(word, 0) + prior, right.get(word, 0) + prior
        if n + n + m == one or m + n + m == two:
            assert score == 0.0  # the only word of a side has no odds
            continue
        odds = log(one / (n + n + m - one)) - log(two / (m + n + m - two))
        assert score == pytest.approx(odds / sqrt(1 / one + 1 / two), abs=1e-9)
        assert mirrored[word] == pytest.approx(-score, abs=1e-9)


def test_a_word_that_both_sides_use_alike_has_no_log_odds():
    assert log_odds({"a": 3, "b": 7}, {"a": 30, "b": 70})["a"] == pytest.approx(0.0)


def sound_corpus() -> list[Document]:
    train = [*tell_documents(1, 60, "train"), *tell_documents(2, 60, "train")]
    other = [replace(each, source="elsewhere") for each in tell_documents(3, 60, "train")]
    return [*train, *other, *tell_documents(1, 10, "validation")]


def failing(documents: list[Document]) -> list[str]:
    return [each.question for each in checklist(documents, ("en",), LICENCES) if not each.holds]


def leak(documents: list[Document]) -> list[Document]:
    exam = next(each for each in documents if each.split == "validation")
    return [*documents, replace(exam, id="leak", split="train")]


def unmasked(documents: list[Document]) -> list[Document]:
    return [replace(documents[0], text="Write to pat.0123@example.org."), *documents[1:]]


def copies(documents: list[Document]) -> list[Document]:
    return [*documents, *(replace(each, id=f"again {each.id}") for each in documents[:20])]


def foreign(documents: list[Document]) -> list[Document]:
    return [replace(each, language="fr") for each in documents]


def forbidden(documents: list[Document]) -> list[Document]:
    return [replace(documents[0], licence="all rights reserved"), *documents[1:]]


def one_source(documents: list[Document]) -> list[Document]:
    return [replace(each, source="one") for each in documents]


@pytest.mark.parametrize(
    ("spoil", "question"),
    [
        (leak, "share 13 words with held-out ones"),
        (unmasked, "with personal data"),
        (copies, "near copies"),
        (foreign, "other languages"),
        (forbidden, "other licences"),
        (one_source, "largest source"),
    ],
)
def test_each_fault_turns_its_own_question_and_no_other(spoil, question: str):
    documents = sound_corpus()
    assert failing(documents) == []
    (found,) = failing(spoil(documents))
    assert question in found


@pytest.mark.parametrize("language", ["unknown", "de"])
def test_a_program_is_in_no_other_language_than_asked_for(language: str):
    documents = [replace(each, language=language) for each in sound_corpus()]
    (found,) = failing([replace(each, kind="story") for each in documents])
    assert "other languages" in found
    assert failing([replace(each, kind="code") for each in documents]) == []


def test_the_share_of_near_copies_does_not_fall_with_the_size_of_the_corpus():
    # a sample of every nth document would hold a copy without its original, and look clean
    words = [" ".join(f"w{number}x{place}" for place in range(20)) for number in range(4500)]
    texts = [*words, *words[::9]]
    documents = [document(text, id=str(index)) for index, text in enumerate(texts)]
    values = {each.question: each.value for each in checklist(documents, ("en",), LICENCES)}
    assert values["share of near copies among training documents"] == 500 / 5000


def test_the_share_of_near_copies_is_that_of_families_over_all_texts():
    train = [each for each in sound_corpus() if each.split == "train"]
    again = [replace(each, id=f"{each.id} again") for each in train[::7]]
    told = [replace(each, text=f"{each.text} The end.", id=f"{each.id} told") for each in again]
    documents = [*train[:50], *told, *train[50:], *again, *tell_documents(1, 5, "validation")]
    texts = [each.text for each in documents if each.split == "train"]
    heads = near_duplicates(texts)
    expected = sum(head != place for place, head in enumerate(heads)) / len(texts)
    assert expected > 0.1 and card.near_copy_share(documents) == expected
    assert card.near_copy_share([]) == 0


@given(st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_the_tallies_of_parts_add_up_to_that_of_the_whole(part_of: list[int]):
    documents = [*tell_documents(2, 8, "train"), *tell_documents(1, 2, "validation")]
    documents += [document("She ran. <x> pat.0123@example.org"), document("x = 1", kind="code")]
    parts = [
        [each for each, part in zip(documents, part_of, strict=True) if part == number]
        for number in range(4)
    ]
    whole = tally(documents)
    through_files = [json.loads(json.dumps(tally(part))) for part in parts]
    assert card.added(through_files) == whole and whole["documents"]["private"] == 1
    cards = [data_card(documents, [], ("en",), LICENCES, counts)
             for counts in (None, card.added(through_files))]  # fmt: skip
    assert cards[0] == cards[1] and card_page(cards[0]) == card_page(cards[1])


def test_what_nobody_asked_for_is_no_question():
    train = [document("Ella ran.")]
    asked = [each.question for each in checklist(train, None, None, is_mix=False)]
    assert asked == [
        "training documents with personal data", "share of near copies among training documents",
    ]  # fmt: skip
    held_out = replace(document("Adam sat."), split="validation")
    more = [each.question for each in checklist([*train, held_out], ("en",), LICENCES)]
    assert len(more) == 6 and "held-out" in more[0]


def test_of_many_sources_the_largest_are_named_and_the_others_counted():
    sizes = range(1, card.MAX_NAMED + 4)
    documents = [replace(document("x" * n), source=f"site {n}", id=str(n)) for n in sizes]
    made = data_card(documents, [], None, None)
    sources = made["bytes_by"]["source"]
    assert list(sources)[:2] == ["site 33", "site 32"] and len(sources) == card.MAX_NAMED + 1
    assert list(sources.items())[-1] == ("3 others", 1 + 2 + 3)
    assert sum(sources.values()) == made["num_bytes"] == sum(sizes)
    assert set(made["examples"]) == set(sources) - {"3 others"}


def test_a_checklist_that_forgets_the_held_out_side_would_not_see_the_leak(monkeypatch):
    documents = leak(sound_corpus())
    assert failing(documents)
    monkeypatch.setattr(card, "word_runs", lambda text: set())
    assert failing(documents) == []


def test_the_card_says_what_was_thrown_out_and_shows_the_first():
    texts = [document("Ella had a kite."), document("Adam | Ben", kind="list")]
    rejected = [Rejection("a", "web", "length", "3 is below 10", 3, 10)] * 2
    rejected += [Rejection("latin.txt", "text", "reader", "latin.txt: not UTF-8", 6, "UTF-8")]
    made = data_card(texts, rejected, ("en",), LICENCES)
    assert made["rejected_by_step"] == {"length": 2, "reader": 1}
    assert made["bytes_by"]["kind"] == {"story": 16, "list": 10}
    page = card_page(made)
    assert "| length | 2 |" in page and "Ella had a kite." in page
    assert "| length | below 10 | 2 | a: 3 is below 10 | 3 | 10 |" in page
    assert "| reader | not UTF-8 | 1 | latin.txt: not UTF-8 | 6 | UTF-8 |" in page
    assert "| she / he | 0 | 0 |" not in page
    assert all(line.count("|") - line.count("\\|") >= 3 for line in page.split("\n") if "|" in line)


@pytest.mark.parametrize("name", ["documents", "rejected"])
def test_what_can_be_read_once_alone_is_refused(name: str):
    given = {"documents": [], "rejected": []} | {name: iter(())}
    with pytest.raises(ValueError, match=f"{name} is a tuple_iterator, .* give a list"):
        data_card(**given, languages=None, licences=None)


def test_an_empty_corpus_has_a_card_too():
    made = data_card([], [], ("en",), LICENCES)
    assert made["num_documents"] == 0 and "0 documents, 0 bytes." in card_page(made)


def test_the_card_counts_one_as_one_and_leaves_no_table_or_heading_empty():
    page = card_page(data_card([document("E")], [], ("en",), LICENCES))
    assert "1 document, 1 byte." in page and "2 documents" not in page
    assert "## Thrown out\n\nNothing.\n" in page
    assert "| question | measured | at most | holds |" in page
    assert "## Who is mentioned\n\nNobody, by these words: she / he; her hers / him his; " in page
    missing = "en / story / dialogue, en / story / list"
    assert f"a model of this text has never read such: {missing}." in page
    lines = page.split("\n")
    heads = [lines[at - 1] for at, line in enumerate(lines) if line.startswith("| --- |")]
    assert len(heads) == 8 and all(cell.strip() for head in heads for cell in head.split("|")[1:-1])
    rows = [lines[at + 1] for at, line in enumerate(lines) if line.startswith("| --- |")]
    assert all(row.startswith("| ") for row in rows), "a table without a row"


def test_of_a_users_own_text_nothing_is_missed_in_a_language_that_nobody_asked_for():
    own = replace(document("Ella ran.", language="unknown"), source=card.OWN_TEXT)
    made = data_card([own], [], ("en",), LICENCES)
    assert made["empty_cells"] == ["unknown / story / dialogue", "unknown / story / list"]
    mixed = data_card([own, document("Ella ran.")], [], ("en",), LICENCES)
    assert mixed["empty_cells"] == ["en / story / dialogue", "en / story / list"]


def test_what_follows_one_more_often_follows_it_more_often():
    made = data_card([document("She ran. He sat. He sat.")], [], ("en",), LICENCES)
    assert set(made["after_she"]) == {"ran"} and set(made["after_he"]) == {"sat"}


def test_the_stage_writes_the_card_beside_the_documents(tmp_path: Path):
    run = Run(name="try", path=tmp_path / "runs" / "try")
    artifact = make_documents(CorpusConfig(stories=(30, 0, 0), held_out_stories=5), run)
    made = json.loads((artifact.path / "card.json").read_text(encoding="utf-8"))
    lines = (artifact.path / "documents.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    assert made["num_documents"] == len(texts)
    assert made["num_bytes"] == sum(len(text.encode()) for text in texts)
    assert Counter(made["bytes_by"]["source"]) == {"stories": made["num_bytes"]}
    assert "# Data card" in (artifact.path / "card.md").read_text(encoding="utf-8")


def test_of_a_users_own_text_no_language_or_licence_is_asserted(tmp_path: Path):
    (tmp_path / "own.txt").write_text("Der Hund lief nach Hause. " * 40, encoding="utf-8")
    run = Run(name="try", path=tmp_path / "runs" / "try")
    own = str(tmp_path / "own.txt")
    make_documents(CorpusConfig(stories=(0, 0, 0), held_out_stories=0, text_files=(own,)), run)
    made = json.loads((run.path / "documents" / "card.json").read_text(encoding="utf-8"))
    questions = [each["question"] for each in made["checklist"]]
    assert len(questions) == 3 and not any("licences" in each for each in questions)
    assert not any("languages" in each or "largest" in each for each in questions)
