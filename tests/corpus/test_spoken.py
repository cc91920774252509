"""Lines in known languages: no test line was trained on; passages; F1 by hand; the readers."""

import io
from zipfile import ZipFile

import pytest

from minillm.corpus.sources import Document
from minillm.corpus.spoken import (
    LANGUAGES,
    MAX_TRAINING_LINES,
    Line,
    f1_by_language,
    held_out_split,
    json_lines,
    lines_of,
    macro_f1,
    passages,
    read_lines,
    training_lines,
    without_repeats,
)
from minillm.corpus.translations import messages, read_chat, read_messages

CONVERSATION = """categories:
- eten
conversations:
- - Wat eet je?
  - 'Brood met kaas.'
"""
CATALOGUE = r'''
msgid ""
msgstr "Last-Translator: somebody"

msgid "Save"
msgstr "Gem"

#, fuzzy
msgid "Doubtful"
msgstr "Tvivlsom"

#, python-format
msgid ""
"Delete %(name)s "
"and <b>all</b> \"copies\"?"
msgstr ""
"Slet %(name)s "
"og <b>alle</b> \"kopier\"?"

msgid "Blog"
msgstr "Blog"

msgid "Open"
msgstr ""

msgid "%d page"
msgid_plural "%d pages"
msgstr[0] "%d side"
msgstr[1] "%d sider"
'''


def line(text: str, split: str = "train", language: str = "en", document: str = "d") -> Line:
    return Line(text, language, "test", document, split)


def test_no_held_out_line_of_the_fixture_was_trained_on():
    lines = read_lines()
    trained = {each.text.lower() for each in lines if each.split == "train"}
    held_out = [each for each in lines if each.split == "validation"]
    assert not [each for each in held_out if each.text.lower() in trained]
    documents = {each.document for each in lines if each.split == "train"}
    assert documents.isdisjoint(each.document for each in held_out)
    assert {each.language for each in held_out} == set(LANGUAGES)


def test_a_part_of_a_program_is_held_out_in_all_languages_at_once():
    splits = {
        held_out_split(Document(f"django/{name}/admin", "", "django", "messages", "x", name))
        for name in LANGUAGES
    }
    assert len(splits) == 1


def test_repeated_and_trained_lines_go():
    lines = [line("Delete", "validation"), line("delete"), line("Save", "validation"),
             line("SAVE", "validation"), line("Open"), line("Open")]  # fmt: skip
    assert [each.text for each in without_repeats(lines)] == ["delete", "Open", "Save"]
    other = [line("Test", language="en"), line("Test", "validation", language="de")]
    assert [each.language for each in without_repeats(other)] == ["en"]


def test_marks_of_lists_go_and_lines_without_letters_too():
    document = Document("r", "- two eggs\n1. Boil.\n12\n\nab", "recipes", "recipe", "x", "en")
    assert [each.text for each in lines_of(document)] == ["two eggs", "Boil."]


def test_training_lines_are_capped_and_end_with_whole_documents():
    lines = [line(f"line {number}", document=f"d{number % 7}") for number in range(2000)]
    lines.append(line("held out", "validation"))
    chosen = training_lines(lines)["en"]
    assert len(chosen) == MAX_TRAINING_LINES and "held out" not in chosen
    order = [int(text.split()[1]) % 7 for text in chosen]
    changes = sum(one != two for one, two in zip(order, order[1:], strict=False))
    assert changes == 6, "each document's lines stand together"


def test_passages_end_with_the_word_that_reaches_the_length():
    held_out = [line("one two three", "validation"), line("four five", "validation"), line("six")]
    assert [each.text for each in passages(held_out, 8)] == ["one two three", "four five"]
    assert [each.text for each in passages(held_out, 14)] == ["one two three four"]


def test_f1_by_hand():
    # en: 1 right of 2 true and 1 found: 2/3; fr: 1 right of 1 true and 2 found: 2/3
    assert f1_by_language(["en", "en", "fr"], ["en", "fr", "fr"]) == {
        "en": pytest.approx(2 / 3),
        "fr": pytest.approx(2 / 3),
    }
    assert macro_f1(["en", "en", "en", "fr"], ["en", "en", "en", "en"]) == pytest.approx(3 / 7)


def test_lines_survive_their_file(tmp_path):
    path = tmp_path / "lines.jsonl"
    lines = [line("Grüße, \"du\""), line("日本", "validation")]
    path.write_text(json_lines(lines), encoding="utf-8")
    assert read_lines(path) == lines
    with pytest.raises(FileNotFoundError, match="restore it with git"):
        read_lines(tmp_path / "none.jsonl")


def test_a_catalogue_gives_translations_and_no_translator():
    assert list(messages(CATALOGUE, is_source=False)) == ["Gem", 'Slet og alle "kopier"?']
    assert list(messages(CATALOGUE, is_source=True)) == [
        "Save", 'Delete and all "copies"?', "Blog", "Open",
    ]  # fmt: skip


def test_wheels_of_messages_and_chat_are_read():
    stream = io.BytesIO()
    with ZipFile(stream, "w") as archive:
        archive.writestr("web/admin/locale/da/LC_MESSAGES/django.po", CATALOGUE)
        archive.writestr("web/admin/locale/de/LC_MESSAGES/django.po", CATALOGUE)
        archive.writestr("talk/nl/food.yml", CONVERSATION)
        archive.writestr("talk/nl/README.md", "- - not this one")
    with ZipFile(stream) as archive:
        said = 'Gem\nSlet og alle "kopier"?\n'
        assert list(read_messages(archive, "da")) == [("web/admin", said)]
        assert list(read_chat(archive, "talk/nl/")) == [("food", "Wat eet je?\nBrood met kaas.\n")]
