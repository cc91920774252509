"""What is written piece by piece is what one writing would be; nothing is ever half written."""

import errno
import io
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.batches import writing
from minillm.batches.description import DESCRIPTION, id_type, read_description, verify_shards
from minillm.batches.shards import open_shards, token_sequence, write_split
from minillm.batches.writing import SplitWriter, write_shards
from minillm.corpus.sources import Document
from minillm.tokenizer.bytepair import END_OF_TEXT, SPECIAL_TOKENS, Tokenizer

BYTES = Tokenizer([], SPECIAL_TOKENS)
TEXTS = ["Anna has a ball.", "", "Émile 🙂 ran.", "The end.\n", "Ben hid it."]
WORDS = "the a red dog ran to his old house and saw one more cat there\n".split(" ")


def document(text: str, split: str = "train") -> Document:
    return Document(
        id="1", text=text, source="here", kind="story", licence="CC0-1.0", language="en",
        split=split,
    )


def documents(texts: list[str]) -> list[Document]:
    """Splits mixed, as no corpus of ours has them: the writer must keep them apart."""
    return [
        document(text, "validation" if number % 3 == 2 else "train")
        for number, text in enumerate(texts)
    ]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.text(max_size=30), max_size=12),
    tokens_per_shard=st.integers(1, 50),
    waiting_bytes=st.sampled_from([1, 16, 100, 1 << 20]),
)
def test_files_are_those_of_one_writing(tmp_path_factory, texts, tokens_per_shard, waiting_bytes):
    piecewise, at_once = (tmp_path_factory.mktemp(name) for name in ("piecewise", "at_once"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "WAITING_BYTES", waiting_bytes)
        write_shards(piecewise, iter(documents(texts)), BYTES, tokens_per_shard)
    for split in ("train", "validation"):
        chosen = [each.text for each in documents(texts) if each.split == split]
        write_split(at_once, split, *token_sequence(chosen, BYTES), tokens_per_shard)
    written = files(piecewise)
    assert written.pop(DESCRIPTION)
    assert written == files(at_once)
    assert read_description(piecewise).files.keys() == written.keys()
    verify_shards(piecewise, BYTES)


@pytest.mark.parametrize(
    ("vocab_size", "expected"), [(1, "uint16"), (65_536, "uint16"), (65_537, "uint32")]
)
def test_ids_take_two_bytes_where_that_is_enough(vocab_size, expected):
    assert id_type(vocab_size) == expected


def test_more_ids_than_four_bytes_can_name_are_refused():
    with pytest.raises(ValueError, match=r"vocab_size = 4,294,967,297: .* at most .* fewer"):
        id_type((1 << 32) + 1)


def test_a_vocabulary_beyond_two_bytes_comes_back(tmp_path):
    names = [f"<|{number}|>" for number in range(70_000)]
    large = Tokenizer([], [*names, END_OF_TEXT])
    assert large.end_of_text == 70_256
    write_shards(tmp_path, documents(TEXTS), large, tokens_per_shard=11)
    train = open_shards(tmp_path, "train")
    assert {file.dtype for file in train.files} == {np.dtype(np.uint32)}
    assert train.document(0).tolist() == [70_256, *BYTES.encode(TEXTS[0])]
    decoded = [large.decode(train.document(index)[1:]) for index in range(4)]
    assert decoded == [TEXTS[number] for number in (0, 1, 3, 4)]
    assert (tmp_path / "train_0000.bin").stat().st_size == 4 * 11
    # planted: what reads them as two bytes is refused by the sizes
    description = tmp_path / DESCRIPTION
    description.write_text(description.read_text().replace("uint32", "uint16"))
    with pytest.raises(ValueError, match=r"train_0000\.bin: 44 bytes found, 22 expected"):
        open_shards(tmp_path, "train")


# ---- nothing half written


def failing(texts: list[str]) -> Iterator[Document]:
    yield from documents(texts)
    raise RuntimeError("the reader broke")


def test_what_fails_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="the reader broke"):
        write_shards(tmp_path, failing(TEXTS), BYTES, tokens_per_shard=5)
    assert files(tmp_path) == {}


def test_what_fails_leaves_the_earlier_shards_as_they_were(tmp_path):
    write_shards(tmp_path, documents(TEXTS), BYTES, tokens_per_shard=5)
    before = files(tmp_path)
    with pytest.raises(RuntimeError):
        write_shards(tmp_path, failing(TEXTS[::-1]), BYTES, tokens_per_shard=7)
    assert files(tmp_path) == before


def test_while_writing_no_reader_finds_anything(tmp_path):
    def looking() -> Iterator[Document]:
        yield from documents(TEXTS)
        assert all(name.startswith(".") and name.endswith(".partial") for name in files(tmp_path))
        with pytest.raises(FileNotFoundError):
            open_shards(tmp_path, "train")

    write_shards(tmp_path, looking(), BYTES, tokens_per_shard=5)
    assert not any(name.startswith(".") for name in files(tmp_path))


class Disk:
    """Files that take `room` bytes in all, a few at a time, and then say that the disk is full."""

    def __init__(self, room: int, code: int = errno.ENOSPC) -> None:
        self.room, self.code = room, code

    def open_file(self, path: Path) -> io.FileIO:
        disk = self

        class Limited(io.FileIO):
            def write(self, content: bytes) -> int:
                taken = min(len(content), disk.room, 7)
                if taken == 0:
                    raise OSError(disk.code, "as the system says")
                disk.room -= taken
                return super().write(bytes(content[:taken]))

        return Limited(path, "wb")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_one_clear_error_wherever_it_strikes(tmp_path, monkeypatch, code):
    write_shards(tmp_path, documents(TEXTS), BYTES, tokens_per_shard=11)
    size = sum(len(content) for content in files(tmp_path).values())
    before = files(tmp_path)
    for room in range(0, size, 97):
        monkeypatch.setattr(writing, "open_file", Disk(room, code).open_file)
        with pytest.raises(OSError, match=r"partial: no room left .*free space") as caught:
            write_shards(tmp_path, documents(TEXTS[::-1]), BYTES, tokens_per_shard=11)
        assert caught.value.errno == code
        assert files(tmp_path) == before
    monkeypatch.setattr(writing, "open_file", Disk(2 * size).open_file)
    write_shards(tmp_path, documents(TEXTS), BYTES, tokens_per_shard=11)
    assert files(tmp_path) == before, "a disk that takes a part at a time writes the same"


def test_another_error_of_the_system_is_not_called_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "open_file", Disk(20, errno.EIO).open_file)
    with pytest.raises(OSError, match="as the system says"):
        write_shards(tmp_path, documents(TEXTS), BYTES, tokens_per_shard=11)
    assert files(tmp_path) == {}


FULL_PROGRAM = """
import resource, signal, sys
from pathlib import Path
from minillm.batches.writing import write_shards
from tests.batches.test_writing import BYTES, document
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
write_shards(Path(sys.argv[1]), [document("word " * 5000)], BYTES, 1 << 20)
"""


def test_the_system_itself_refuses_and_is_understood(tmp_path):
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", FULL_PROGRAM, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert result.returncode == 1
    assert "train_0000.bin.partial: no room left to write" in result.stderr
    assert files(tmp_path) == {}


# ---- memory


def many(megabytes: float) -> Iterator[Document]:
    """Documents of 2 kB each, made when they are asked for."""
    random = np.random.default_rng(0)
    for _ in range(int(megabytes * 500)):
        yield document(" ".join(WORDS[i] for i in random.integers(0, len(WORDS), 530)))


def peak_bytes(folder: Path, megabytes: float) -> int:
    tracemalloc.start()
    write_shards(folder, many(megabytes), BYTES, tokens_per_shard=1 << 18)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "WAITING_BYTES", 1 << 16)
    small, large = (peak_bytes(tmp_path, megabytes) for megabytes in (0.2, 0.8))
    # 300 documents more: 16 bytes each in the index, which may have room for as many again
    assert large - small < 2 * 16 * 300 + (1 << 15)


def test_the_measurement_sees_a_split_gathered_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "WAITING_BYTES", 1 << 40)
    small, large = (peak_bytes(tmp_path, megabytes) for megabytes in (0.2, 0.8))
    assert large - small > 1_000_000


PEAK_PROGRAM = """
import resource, sys
from pathlib import Path
from minillm.batches.writing import write_shards
from tests.batches.test_writing import BYTES, many
write_shards(Path(sys.argv[1]), many(float(sys.argv[2])), BYTES, 1 << 22)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.proof
def test_two_hundred_megabytes_of_text_need_no_more_memory_than_ten(tmp_path, record_property):
    root, peaks = Path(__file__).resolve().parents[2], []
    for megabytes in (10, 200):
        folder = tmp_path / str(megabytes)
        folder.mkdir()
        command = [sys.executable, "-c", PEAK_PROGRAM, str(folder), str(megabytes)]
        result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
        unit = 1 if sys.platform == "darwin" else 1024
        peaks.append(int(result.stdout) * unit / 1e6)
    # 95,000 documents more take 1.5 MB in the index; text and tokens would take 200 and more
    record_property("peak_memory_mb", round(peaks[1]))
    record_property("allowed_memory_mb", round(peaks[0] + 20))
    assert peaks[1] - peaks[0] < 20
    assert open_shards(tmp_path / "200", "train").num_bytes > 180e6


def test_a_file_is_closed_only_when_it_is_full(tmp_path):
    writer = SplitWriter(tmp_path, "train", 4, "uint16")
    writer.append(np.array([0, 1, 2], np.uint16), 3)
    writer.append(np.array([0, 3], np.uint16), 2)
    assert writer.finish(0) == {"documents": 2, "tokens": 5, "bytes": 5}
    stored = [np.fromfile(writing.waiting_path(tmp_path, name), np.uint16).tolist()
              for name in writer.names[:2]]
    assert stored == [[0, 1, 2, 0], [3, 0]]
