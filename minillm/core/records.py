"""What a run leaves on disk: artifacts with manifests, written whole or not at all.

A run is a folder. Each stage leaves one artifact in it: a folder of files and a `manifest.json`
that holds the configuration, the SHA-256 of every file and the SHA-256 of every parent artifact.
The one idea: a *key* (configuration + stage code + parents) decides whether an artifact can be used
again, a *content hash* (files + configuration + parents) whether it is still what was written.
Neither covers a time, so the same recipe gives the same hashes on the same machine.
"""

import ast
import dataclasses
import hashlib
import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

import minillm

MANIFEST = "manifest.json"
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def canonical(value: object) -> str:
    """JSON with sorted keys: equal values give equal text, whatever their order."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def sha256_of(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def code_sha256(modules: Sequence[str]) -> str:
    """SHA-256 of what the named modules and packages *do*: docstrings and comments do not count."""
    digest = hashlib.sha256()
    for name in sorted(modules):
        origin = Path(importlib.util.find_spec(name).origin)
        for path in sorted(origin.parent.rglob("*.py")) if origin.stem == "__init__" else [origin]:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, DOCUMENTED) and ast.get_docstring(node):
                    node.body = node.body[1:]
            digest.update(path.name.encode() + ast.dump(tree).encode())
    return digest.hexdigest()


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write beside the target, flush, rename: a reader sees the old or the whole new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def replace_folder(made: Path, target: Path) -> None:
    """Put the folder `made` in the place of `target`; the earlier one goes once `made` is there."""
    earlier = target.with_name(f".{target.name}.earlier")
    shutil.rmtree(earlier, ignore_errors=True)
    if target.exists():
        os.replace(target, earlier)
    os.replace(made, target)
    shutil.rmtree(earlier, ignore_errors=True)


class JsonLines:
    """A log that grows by one JSON object a line, each handed to the system before the next."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path

    def write(self, **fields: object) -> None:
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(fields, ensure_ascii=False) + "\n")


def read_json_lines(path: Path) -> Iterator[dict]:
    """The objects of a JSON-lines file, in order; a broken line is named with its number."""
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                reason = f"not a JSON object ({error.msg}); remove or repair that line"
                raise ValueError(f"{path}, line {number}: {reason}") from None


def read_manifest(folder: Path, names: Sequence[str]) -> dict:
    """The named fields of a folder's manifest; ValueError where it is broken."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {name: manifest[name] for name in names}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        remedy = f"delete the folder {folder} to make it again"
        raise ValueError(f"{folder / MANIFEST}: not a manifest ({error}); {remedy}") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """A folder that one stage wrote, and what its manifest says."""

    kind: str
    path: Path
    key: str
    sha256: str
    summary: str
    config: dict
    figures: dict
    files: dict[str, str]
    parents: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "Artifact":
        """Read a folder's manifest; ValueError where it is broken."""
        names = [each.name for each in dataclasses.fields(cls) if each.name != "path"]
        return cls(path=path, **read_manifest(path, names))

    def altered_file(self) -> str | None:
        """The first file whose bytes are not those that were written, or None."""
        for name, expected in self.files.items():
            file = self.path / name
            if not file.is_file() or file_sha256(file) != expected:
                return name
        if self.sha256 != content_sha256(self.config, self.parents, self.files):
            return MANIFEST
        return None

    def verify(self) -> "Artifact":
        """Return self; ValueError naming the file that was altered after it was written."""
        if name := self.altered_file():
            raise ValueError(
                f"{self.path / name}: altered after it was written; put the file back, "
                f"or delete the folder {self.path} to make it again"
            )
        return self

    def __str__(self) -> str:
        is_of_run = self.path.parts[-3:-2] == ("runs",)
        place = "/".join(self.path.parts[-3:]) if is_of_run else self.path
        return f"{self.kind}: {self.summary} → {place}"


def content_sha256(config: dict, parents: dict[str, str], files: dict[str, str]) -> str:
    """The hash of what was written: configuration, hashes of parents and files."""
    return sha256_of(canonical([config, parents, files]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One passage through the course: the folder `<home>/runs/<name>`."""

    name: str
    path: Path

    def artifact(self, kind: str) -> Artifact:
        """The finished artifact of this kind; FileNotFoundError with the remedy without one."""
        folder = self.path / kind
        if not (folder / MANIFEST).is_file():
            remedy = f"make it with: minillm train --run {self.name}"
            raise FileNotFoundError(f"run '{self.name}' has no {kind} yet ({folder}); {remedy}")
        return Artifact.load(folder).verify()


def make_artifact(
    run: Run,
    kind: str,
    *,
    config: object,
    parents: Sequence[Artifact],
    code: Sequence[str],
    write: Callable[[Path], dict],
    summary: Callable[[dict], str],
    folder_name: str | None = None,
) -> Artifact:
    """Use the finished artifact if its key is the same; else make it and rename it into place.

    `write` fills a temporary folder and returns figures. Either way the same line is printed.
    """
    name = kind if folder_name is None else folder_name
    config_dict = json.loads(canonical(config))
    parent_hashes = {parent.kind: parent.sha256 for parent in parents}
    key = sha256_of(canonical([kind, config_dict, parent_hashes, code_sha256(code)]))
    run.path.mkdir(parents=True, exist_ok=True)
    with FileLock(run.path / f".{name}.lock"):
        artifact = usable(run.path / name, key)
        if artifact is None:
            partial = run.path / f".{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                figures = write(partial)
                text = summary(figures)
                seal(partial, kind, key, config_dict, parent_hashes, figures, text)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            replace_folder(partial, run.path / name)
            artifact = Artifact.load(run.path / name)
    print(artifact, flush=True)
    return artifact


# package only
def counted(number: int, noun: str) -> str:
    """1 document, 2,000 documents."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


# package only
def sized(num_bytes: int) -> str:
    """999 bytes, 1.0 kB, 2.34 MB: a size in the unit that shows something of it."""
    if num_bytes < 1000:
        return counted(num_bytes, "byte")
    return f"{num_bytes / 1e3:.1f} kB" if num_bytes < 1e5 else f"{num_bytes / 1e6:.2f} MB"


# package only
def check_replaceable(folder: Path, sign: str, others: Collection[str], option: str = "") -> None:
    """ValueError unless a folder is new, empty, or holds nothing but an earlier result.

    A result has the file `sign`, perhaps the `others`. `option`: what stands before the name.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{option}{folder}: is a file; give the name of a folder")
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if found and not (sign in found and found <= {sign, *others}):
        remedy = "choose an empty folder"
        raise ValueError(f"{option}{folder}: exists and holds other things; {remedy}")


def usable(folder: Path, key: str) -> Artifact | None:
    """The artifact in `folder` if it has this key; an altered one is an error, never remade."""
    if not (folder / MANIFEST).is_file():
        return None
    artifact = Artifact.load(folder)
    return artifact.verify() if artifact.key == key else None


def seal(
    folder: Path,
    kind: str,
    key: str,
    config: dict,
    parents: dict[str, str],
    figures: dict,
    summary: str,
) -> Artifact:
    """Hash every file of a finished folder and write its manifest."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    files = {path.relative_to(folder).as_posix(): file_sha256(path) for path in paths}
    manifest = {
        "kind": kind, "key": key, "sha256": content_sha256(config, parents, files),
        "summary": summary, "config": config, "figures": figures, "files": files,
        "parents": parents,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "code_version": minillm.__version__,
    }
    atomic_write(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
    return Artifact.load(folder)
