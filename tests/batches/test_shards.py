"""What is written is read; what is broken is named in one error."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from minillm.batches.shards import (
    BatchesConfig,
    Shards,
    make_shards,
    open_shards,
    token_sequence,
    write_shards,
)
from minillm.core.records import Artifact, Run, make_artifact
from minillm.corpus.sources import Document
from minillm.tokenizer.bytepair import SPECIAL_TOKENS, Tokenizer

TEXTS = ["Anna has a ball.", "", "Émile 🙂 ran.", "The end.\n", "Ben hid it."]
# no merges: the 256 bytes and the marks
BYTES = Tokenizer([], SPECIAL_TOKENS)


def documents() -> list[Document]:
    return [
        Document(
            id=str(number), text=text, source="here", kind="story", licence="CC0-1.0",
            language="en", split="train" if number < 4 else "validation",
        )
        for number, text in enumerate(TEXTS)
    ]


@pytest.mark.parametrize("tokens_per_shard", [1, 2, 7, 16, 17, 1000])
def test_every_stretch_is_read_across_files(opened, tokens_per_shard):
    shards: Shards = opened([5, 1, 9, 2], tokens_per_shard)
    expected = [0, 1, 2, 3, 4, 0, 0, 7, 8, 9, 10, 11, 12, 13, 14, 0, 16, 0]
    assert len(shards.files) == -(-18 // tokens_per_shard)
    for start in range(18):
        for stop in range(start, 19):
            assert shards.read(start, stop).tolist() == expected[start:stop]
    assert [shards.document(index).tolist() for index in range(4)] == [
        [0, 1, 2, 3, 4], [0], [0, 7, 8, 9, 10, 11, 12, 13, 14], [0, 16]
    ]


def test_counts_of_a_split(opened):
    shards: Shards = opened([5, 1, 9, 2], 7)
    assert (shards.num_documents, shards.num_tokens, shards.num_bytes) == (4, 17, 51)
    assert shards.document_bytes.tolist() == [15, 3, 27, 6]


def test_the_sequence_has_a_mark_before_each_document_and_one_at_the_end():
    tokens, index = token_sequence(TEXTS, BYTES)
    mark = BYTES.end_of_text
    expected = [token for text in TEXTS for token in (mark, *BYTES.encode(text))] + [mark]
    assert tokens.dtype == np.uint16 and tokens.tolist() == expected
    assert np.diff(index[:, 1]).tolist() == [len(text.encode()) for text in TEXTS]
    assert [tokens[start] for start in index[:, 0]] == [mark] * 6


def test_texts_come_back_by_split(tmp_path):
    figures = write_shards(tmp_path, documents(), BYTES, tokens_per_shard=11)
    train, held_out = open_shards(tmp_path, "train"), open_shards(tmp_path, "validation")
    assert [BYTES.decode(train.document(index)[1:]) for index in range(4)] == TEXTS[:4]
    assert BYTES.decode(held_out.document(0)[1:]) == TEXTS[4]
    assert figures == {
        "train_documents": 4, "train_tokens": 45, "train_bytes": 41,
        "validation_documents": 1, "validation_tokens": 12, "validation_bytes": 11,
    }
    assert (train.num_tokens, train.num_bytes, held_out.num_bytes) == (45, 41, 11)


def test_a_split_without_documents_is_empty_but_readable(tmp_path):
    write_shards(tmp_path, documents()[:1], BYTES, tokens_per_shard=11)
    shards = open_shards(tmp_path, "validation")
    assert (shards.num_documents, shards.num_tokens, shards.num_bytes) == (0, 0, 0)


def test_a_file_cut_off_is_named_with_both_sizes(written):
    folder = written([5, 1, 9, 2], 7)
    path = folder / "train_0001.bin"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"train_0001\.bin: 11 bytes found, 14 expected.*delete"):
        open_shards(folder, "train")


@pytest.mark.parametrize("name", ["train_0002.bin", "train.index.npy", "shards.json"])
def test_a_missing_file_is_named(written, name):
    folder = written([5, 1, 9, 2], 7)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name}: missing.*delete the folder"):
        open_shards(folder, "train")


def altered_index(folder: Path, change: str) -> None:
    path = folder / "train.index.npy"
    index = np.load(path)
    if change == "moved":
        index[3, 0] += 1
    elif change == "falling":
        index[2, 0] = 1
    elif change == "longer":
        index[-1, 0] += 5
    elif change == "floats":
        index = index.astype(np.float64)
    elif change == "flat":
        index = index[:, 0]
    np.save(path, index)
    if change == "text":
        path.write_text("not numbers")
    if change == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    if change == "nothing":
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("moved", r"train\.index\.npy: document 3 should begin at token 16, but .*delete"),
        ("falling", r"train\.index\.npy: its offsets do not start at 0 and rise; delete"),
        ("longer", r"train_0002\.bin: 8 bytes found, 14 expected"),
        ("floats", r"train\.index\.npy: its offsets"),
        ("flat", r"train\.index\.npy: its offsets"),
        ("text", r"train\.index\.npy: not an index"),
        ("cut", r"train\.index\.npy: not an index"),
        ("nothing", r"train\.index\.npy: not an index"),
    ],
)
def test_an_altered_index_is_one_clear_error(written, change, message):
    folder = written([5, 1, 9, 2], 7)
    altered_index(folder, change)
    with pytest.raises(ValueError, match=message) as caught:
        open_shards(folder, "train")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{}", "[]", "no", '{"tokens_per_shard": 0}'])
def test_a_broken_description_is_one_clear_error(written, text):
    folder = written([5, 1, 9, 2], 7)
    (folder / "shards.json").write_text(text)
    with pytest.raises(ValueError, match=r"shards\.json: does not say tokens_per_shard.*delete"):
        open_shards(folder, "train")


def test_an_unknown_split_is_refused(written):
    with pytest.raises(ValueError, match="split = 'test': choose one of train, validation"):
        open_shards(written([5], 7), "test")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("context_length", 0), ("batch_size", -1), ("window_documents", 0), ("seed", -1),
        ("tokens_per_shard", 0), ("max_waste_fraction", 1.5), ("max_waste_fraction", -0.1),
    ],
)
def test_a_configuration_that_cannot_be_names_its_field(field, value):
    with pytest.raises(ValueError, match=rf"{field} = {value}: must .*;"):
        BatchesConfig(**{field: value})


def run_with_parents(path: Path) -> Run:
    run = Run(name="tried", path=path / "runs" / "tried")

    def write_documents(folder: Path) -> dict:
        lines = [json.dumps(asdict(each)) for each in documents()]
        (folder / "documents.jsonl").write_text("\n".join(lines) + "\n")
        return {}

    def write_tokenizer(folder: Path) -> dict:
        BYTES.save(folder / "tokenizer.json")
        return {}

    for kind, write in (("documents", write_documents), ("tokenizer", write_tokenizer)):
        make_artifact(
            run, kind, config={}, parents=[], code=(), write=write, summary=lambda figures: "made"
        )
    return run


def test_the_stage_leaves_an_artifact_and_finds_it_again(tmp_path, capsys):
    run = run_with_parents(tmp_path)
    capsys.readouterr()
    artifact: Artifact = make_shards(BatchesConfig(tokens_per_shard=20), run)
    first = capsys.readouterr().out
    again = make_shards(BatchesConfig(tokens_per_shard=20), run)
    assert first == capsys.readouterr().out
    assert first == (
        "shards: 45 tokens in 4 documents; held out: 12 tokens in 1 document → runs/tried/shards\n"
    )
    assert again.sha256 == artifact.sha256
    assert set(artifact.parents) == {"documents", "tokenizer"}
    assert open_shards(artifact.path, "train").num_tokens == 45
    other = make_shards(BatchesConfig(tokens_per_shard=30), run)
    assert other.key != artifact.key


def test_a_document_can_be_written_to_and_the_file_stays_as_it_is(tmp_path: Path):
    write_shards(tmp_path, [Document("a", "ab", "s", "k", "l", "en")], Tokenizer([]), 100)
    shards = open_shards(tmp_path, "train")
    before = (tmp_path / "train_0000.bin").read_bytes()
    shards.document(0)[:] = 7
    assert (tmp_path / "train_0000.bin").read_bytes() == before
