"""A folder says what it holds, and a damaged file is named."""

import json
from pathlib import Path

import numpy as np
import pytest

from minillm.batches.description import (
    DESCRIPTION,
    read_description,
    tokenizer_sha256,
    verify_shards,
)
from minillm.batches.shards import open_shards
from minillm.batches.writing import write_shards
from minillm.core.records import file_sha256
from minillm.tokenizer.bytepair import SPECIAL_TOKENS, Tokenizer
from tests.batches.test_writing import BYTES, TEXTS, documents

ROOM_FOR_MORE = [*SPECIAL_TOKENS, "<|more|>"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_shards(tmp_path, documents(TEXTS), BYTES, tokens_per_shard=11)
    return tmp_path


def test_the_description_says_all_that_was_written(folder):
    description = read_description(folder)
    assert (description.tokens_per_shard, description.id_type) == (11, "uint16")
    assert description.counts == {
        "train": {"documents": 4, "tokens": 40, "bytes": 36},
        "validation": {"documents": 1, "tokens": 17, "bytes": 16},
    }
    names = {path.name for path in folder.iterdir()} - {DESCRIPTION}
    assert description.files == {name: file_sha256(folder / name) for name in names}
    assert verify_shards(folder, BYTES) == description


@pytest.mark.parametrize("name", ["train_0001.bin", "train.index.npy", "validation_0000.bin"])
def test_one_changed_bit_is_found_and_its_file_named(folder, name):
    path = folder / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf": {name}: not what was written; put back a copy, or"):
        verify_shards(folder)


def test_a_change_that_sizes_and_marks_do_not_show_is_found_by_the_hash_alone(folder):
    path = folder / "train_0000.bin"
    tokens = np.fromfile(path, np.uint16)
    tokens[3] += 1
    tokens.tofile(path)
    open_shards(folder, "train")
    with pytest.raises(ValueError, match=r"train_0000\.bin: not what was written"):
        verify_shards(folder)


def test_all_damaged_files_are_named_and_a_missing_one_too(folder):
    (folder / "train_0002.bin").unlink()
    (folder / "train_0000.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r": train_0000\.bin, train_0002\.bin: not what"):
        verify_shards(folder)


def test_shards_of_another_tokenizer_are_refused(folder):
    with pytest.raises(ValueError, match="another tokenizer than the one given; give the one"):
        verify_shards(folder, Tokenizer([], ROOM_FOR_MORE))


def test_equal_tokenizers_have_equal_hashes_and_others_do_not(tmp_path):
    BYTES.save(tmp_path / "tokenizer.json")
    assert tokenizer_sha256(BYTES) == tokenizer_sha256(Tokenizer.load(tmp_path / "tokenizer.json"))
    others = [Tokenizer([], ROOM_FOR_MORE), Tokenizer([], SPECIAL_TOKENS[::-1])]
    assert len({tokenizer_sha256(each) for each in (BYTES, *others)}) == 3


def test_shards_without_hashes_are_read_but_cannot_be_verified(folder):
    whole = open_shards(folder, "train")
    (folder / DESCRIPTION).write_text('{"tokens_per_shard": 11}')
    plain = open_shards(folder, "train")
    assert np.array_equal(plain.read(0, 40), whole.read(0, 40))
    with pytest.raises(ValueError, match=r"shards\.json: lists no hashes to compare with; delete"):
        verify_shards(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens_per_shard": True}, r"shards\.json: does not say tokens_per_shard"),
        ({"tokens_per_shard": 0}, r"shards\.json: does not say tokens_per_shard"),
        ({"files": ["a"]}, r"shards\.json: files is not a table of hashes by file name; delete"),
        ({"id_type": []}, r"shards\.json: id_type = \[\]: must be uint16 or uint32; delete"),
        ({"id_type": "int8"}, r"shards\.json: id_type = 'int8': must be uint16 or uint32; delete"),
        ({"colour": "red"}, r"shards\.json: not a description of shards .*colour.*delete"),
    ],
)
def test_a_description_that_cannot_be_is_one_clear_error(folder, changes, message):
    path = folder / DESCRIPTION
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError, match=message):
        open_shards(folder, "train")
