"""Steps for shards that crash, fail or dawdle on demand; workers import them by name.

`STEPS` is the course's own list with one step more in front, which looks for the files that a test
has planted in a folder, and leaves a mark there for each document that it sees.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from minillm.corpus import pipeline, sharded
from minillm.corpus.pipeline import StepMaker
from minillm.corpus.sources import Document, Step

STEPS = "tests.corpus.planted:steps"


def place() -> str:
    """The machine, by Ray's name for it, or else the process."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return str(os.getpid())
    return ray.get_runtime_context().get_node_id()


def fail(path: Path) -> None:
    raise ValueError(f"{path.stem} is planted to fail")


def dawdle(path: Path) -> None:
    time.sleep(float(path.read_text(encoding="utf-8")))


def die(path: Path) -> None:
    """End this process at once; a file `.once` is gone then, and the next try succeeds."""
    if path.suffix == ".once":
        path.unlink()
    os._exit(9)


def stay(path: Path) -> None:
    """Go no further once the machine that the file is named after has seen so many documents."""
    seen = (path.parent / "seen").read_text(encoding="utf-8").split()
    while path.is_file() and seen.count(path.stem) >= int(path.read_text(encoding="utf-8")):
        time.sleep(0.01)


KINDS = {"fail": fail, "sleep": dawdle, "once": die, "always": die, "stay": stay}


def trouble(folder: str) -> Step:
    """Make the step that does to a document what a file named after it, or `all`, says."""

    def step(document: Document) -> Document:
        with open(Path(folder) / "seen", "a", encoding="utf-8") as stream:
            stream.write(f"{document.id} {place()}\n")
        for kind in KINDS:
            for name in (document.id.replace("/", "-"), place(), "all"):
                if (path := Path(folder) / f"{name}.{kind}").is_file():
                    KINDS[kind](path)
        return document

    return step


def steps(folder: str, names: Sequence[str] | None = None) -> dict[str, StepMaker]:
    """The course's steps, or some of them, after the one that makes trouble."""
    real = pipeline.steps()
    chosen = {name: real[name] for name in (names or real)}
    return {"trouble": lambda _: trouble(folder)} | chosen


@contextmanager
def broken_off_after_one_walk() -> Iterator[list[dict[str, int]]]:
    """A cleaning in here breaks off at its second walk; what its first has counted is listed."""
    real, counts = sharded.run_phase, []

    def one_walk(walk, number, tasks):
        if number == 1:
            raise RuntimeError("stop")
        counts.append(real(walk, number, tasks))
        return counts[-1]

    with patch.object(sharded, "run_phase", one_walk):
        yield counts
