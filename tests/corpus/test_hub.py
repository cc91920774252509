"""Public sets by the shape of their columns, on small files of the same form, without a network."""

import datetime
import json
import sys

import pyarrow
import pyarrow.parquet
import pytest

from minillm.corpus.hub import (
    HUB_SETS,
    Dialogue,
    Preference,
    as_document,
    read_hub,
    read_row,
    shape_of,
    spoken_turns,
    turns_of,
)
from minillm.corpus.opening import Defaults, Unusable
from minillm.corpus.sources import Document, Rejection

HERE = Defaults(source="here", licence="MIT")
TALK = [{"role": "user", "content": "Two and two?"}, {"role": "assistant", "content": "Four."}]
WORSE = [TALK[0], {"role": "assistant", "content": "Five."}]
HUMAN = "\n\nHuman: Hello?\n\nAssistant: Yes: how can I help?\n\nHuman: A joke.\n\nAssistant: "

# One row of each set, with the columns that its card shows.
ROWS = {
    "fineweb-edu": {
        "text": "A page on rivers.", "id": "<urn:uuid:1>", "dump": "CC-MAIN-2024-10",
        "url": "https://a.example/rivers", "file_path": "s3://x", "language": "en",
        "language_score": 0.97, "token_count": 5, "score": 3.1, "int_score": 3,
    },
    "TinyStories": {"text": "Once upon a time there was a cat."},
    "c4": {"text": "Bake it.", "timestamp": "2019-04-25T12:57:54Z", "url": "https://b.example/"},
    "wikipedia": {
        "id": "12", "url": "https://en.example/Cat", "title": "Cat", "text": "The cat is small.",
    },
    "smoltalk": {"messages": TALK, "source": "everyday"},
    "ultrachat_200k": {"prompt": "Two and two?", "prompt_id": "a1", "messages": TALK},
    "ultrachat": {"id": "0", "data": ["Two and two?", "Four."]},
    "ultrafeedback_binarized": {
        "prompt": "Two and two?", "prompt_id": "a1", "chosen": TALK, "rejected": WORSE,
        "messages": TALK, "score_chosen": 8.0, "score_rejected": 2.0,
    },
    "hh-rlhf": {"chosen": HUMAN + "Knock, knock.", "rejected": HUMAN + "No."},
    "gsm8k": {"question": "Two and two?", "answer": "2 + 2 = <<2+2=4>>4\n#### 4"},
    "alpaca": {"instruction": "Add.", "input": "2 2", "output": "4"},
    "sharegpt": {
        "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}],
    },
}  # fmt: skip
SHAPES = {
    "documents": ("fineweb-edu", "TinyStories", "c4", "wikipedia"),
    "dialogues": ("smoltalk", "ultrachat_200k", "ultrachat", "gsm8k", "alpaca", "sharegpt"),
    "preferences": ("ultrafeedback_binarized", "hh-rlhf"),
}
KINDS = {"documents": Document, "dialogues": Dialogue, "preferences": Preference}


@pytest.mark.parametrize(("shape", "name"), [(s, n) for s, names in SHAPES.items() for n in names])
def test_the_columns_of_a_set_tell_its_shape(shape, name):
    assert shape_of(list(ROWS[name])) == shape
    assert shape_of(sorted(ROWS[name], reverse=True)) == shape, "their order does not matter"
    assert type(read_row(ROWS[name], "x", HERE)) is KINDS[shape]


def test_every_set_that_is_known_by_name_has_a_row_here():
    short = {name.rpartition("/")[2] for name in HUB_SETS}
    assert short <= set(ROWS)
    assert all(each.licence for each in HUB_SETS.values())


def test_documents_keep_address_language_date_and_title():
    page = read_row(ROWS["fineweb-edu"], "x", HERE)
    assert (page.id, page.text, page.language) == (
        "https://a.example/rivers", "A page on rivers.", "en",
    )  # fmt: skip
    assert read_row(ROWS["c4"], "x", HERE).date == "2019-04-25T12:57:54Z"
    assert read_row(ROWS["wikipedia"], "x", HERE).text == "Cat\n\nThe cat is small."
    assert read_row(ROWS["TinyStories"], "x", HERE).id == "x"
    dated = {"text": "a", "date": datetime.datetime(2026, 1, 31)}
    assert read_row(dated, "x", HERE).date == "2026-01-31T00:00:00"


def test_dialogues_have_turns_in_order():
    expected = (("user", "Two and two?"), ("assistant", "Four."))
    for name in ("smoltalk", "ultrachat_200k", "ultrachat"):
        assert read_row(ROWS[name], "x", HERE).turns == expected
    assert read_row(ROWS["gsm8k"], "x", HERE).turns[1][1].endswith("#### 4")
    assert read_row(ROWS["alpaca"], "x", HERE).turns[0] == ("user", "Add.\n\n2 2")
    assert read_row(ROWS["sharegpt"], "x", HERE).turns == (("user", "Hi"), ("assistant", "Ho"))


def test_preferences_have_one_prompt_and_two_replies():
    pair = read_row(ROWS["ultrafeedback_binarized"], "x", HERE)
    assert pair == Preference("x", "here", "MIT", (("user", "Two and two?"),), "Four.", "Five.")
    pair = read_row(ROWS["hh-rlhf"], "x", HERE)
    assert pair.prompt == (
        ("user", "Hello?"), ("assistant", "Yes: how can I help?"), ("user", "A joke."),
    )  # fmt: skip
    assert (pair.chosen, pair.rejected) == ("Knock, knock.", "No.")
    plain = {"prompt": "Two and two?", "chosen": "Four.", "rejected": "Five."}
    assert read_row(plain, "x", HERE).prompt == (("user", "Two and two?"),)


def test_as_a_text_only_the_better_reply_is_kept():
    text = as_document(read_row(ROWS["ultrafeedback_binarized"], "x", HERE)).text
    assert text == "User: Two and two?\n\nAssistant: Four."
    assert "Five" not in text
    assert as_document(read_row(ROWS["gsm8k"], "x", HERE)).kind == "dialogue"


@pytest.mark.parametrize("name", ["smoltalk", "gsm8k", "hh-rlhf"])
def test_as_a_text_a_dialogue_keeps_its_language_and_its_date(name):
    row = ROWS[name] | {"lang": "da", "created": "2026-01-31"}
    text = as_document(read_row(row, "x", HERE))
    assert (text.kind, text.language, text.date) == ("dialogue", "da", "2026-01-31")
    said = Defaults(source="here", language="pt", date="2025")
    plain = as_document(read_row(ROWS[name], "x", said))
    assert (plain.language, plain.date) == ("pt", "2025")


def test_pairs_taken_for_dialogues_are_seen_to_lose_the_worse_reply():
    row = {name: ROWS["ultrafeedback_binarized"][name] for name in ("prompt", "messages")}
    assert shape_of(row) == "dialogues"
    assert not hasattr(read_row(row, "x", HERE), "rejected")


def test_other_columns_are_an_error_that_names_them_and_the_remedy():
    with pytest.raises(ValueError, match="columns are a, b; a text column is called one of text"):
        shape_of(["a", "b"])
    assert shape_of(["a", "b"], text_column="b") == "documents"
    with pytest.raises(ValueError, match="columns are a"):
        shape_of(["a"], text_column="b")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": None}, "no text where one should be"),
        ({"text": 5}, "no text where one should be"),
        ({"messages": None}, "no list of messages"),
        ({"messages": []}, "no list of messages"),
        ({"messages": [5]}, "no message"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "a role that is not known"),
        ({"messages": [{"role": "user"}]}, "no text where one should be"),
        ({"chosen": TALK, "rejected": TALK[1:]}, "two replies to different prompts"),
        ({"chosen": TALK[:1], "rejected": WORSE[:1]}, "no reply at the end"),
        ({"chosen": "Hello", "rejected": "Hi"}, "a text without its speaker"),
        ({"question": "x", "answer": ""}, "no text where one should be"),
        ({"number": 1}, "columns are number"),
    ],
)
def test_a_row_that_does_not_hold_what_its_columns_say_is_unusable(row, reason):
    with pytest.raises(Unusable, match=reason):
        read_row(row, "x", HERE)


def test_an_empty_cell_is_called_empty():
    with pytest.raises(Unusable) as caught:
        read_row({"text": " "}, "x", HERE)
    assert caught.value.found == "empty"


def test_speakers_are_found_in_one_text():
    assert spoken_turns("\n\nHuman: a\n\nb\n\nAssistant: c: d") == (
        ("user", "a\n\nb"), ("assistant", "c: d"),
    )  # fmt: skip
    assert turns_of("\n\nAssistant: only") == (("assistant", "only"),)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("name", ["TinyStories", "smoltalk", "ultrafeedback_binarized", "gsm8k"])
def test_a_folder_in_the_form_of_a_set_is_read_through_datasets(
    tmp_path, monkeypatch, name, streaming
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / name
    folder.mkdir()
    lines = "".join(json.dumps(ROWS[name]) + "\n" for _ in range(3))
    (folder / "train.jsonl").write_text(lines)
    found = list(read_hub(str(folder), "train", streaming))
    assert found == [
        read_row(ROWS[name], f"{name}/train#{n}", Defaults(source=name)) for n in (1, 2, 3)
    ]


def test_a_folder_of_parquet_is_read_and_a_bad_row_is_a_rejection(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    table = pyarrow.table({"text": ["one", "", "three"]})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    found = list(read_hub(str(tmp_path), "train"))
    assert [type(each) for each in found] == [Document, Rejection, Document]
    assert found[1].reason == f"{tmp_path.name}, record 2: no text where one should be"


def test_a_set_without_text_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "train.jsonl").write_text('{"label": 1}\n')
    with pytest.raises(ValueError, match="columns are label"):
        list(read_hub(str(tmp_path), "train"))


def test_a_known_set_is_asked_for_with_its_part_and_has_its_licence(monkeypatch):
    asked = []

    def load_dataset(name, config, *, split, streaming):
        asked.append((name, config, split, streaming))
        return iter([ROWS["c4"]])

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    (found,) = read_hub("allenai/c4", "train")
    assert asked == [("allenai/c4", "en", "train", True)]
    assert (found.licence, found.source) == ("ODC-By-1.0", "c4")
    list(read_hub("allenai/c4", "train", False, config="de"))
    assert asked[1] == ("allenai/c4", "de", "train", False)


def test_without_datasets_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r'needs datasets; pip install "minillm\[hub\]"'):
        next(read_hub("allenai/c4", "train"))
