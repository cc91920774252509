"""What a course has finished: kept after each notebook, so that a failed course goes on.

In: a run. Out: its note `runs/<run>/notebooks/course.json`, by notebook.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import nbformat

from minillm.core.records import MANIFEST, Run, atomic_write, sha256_of
from minillm.stages import STAGES

COURSE_FILE = "course.json"


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A notebook that ran: what it ran from, when, how long, which artifacts there were then.

    `began`: seconds of the course, which stands still while no course runs.
    `peak_memory_gib`: the most that a kernel had held up to then, of those that its lane started.
    """

    key: str
    began: float
    seconds: float
    artifacts: list[str]
    peak_memory_gib: float | None = None


def finished_kinds(run: Run) -> list[str]:
    """The kinds of the artifacts that a run holds."""
    return [kind for kind in STAGES if (run.path / kind / MANIFEST).is_file()]


def notebook_key(notebook: Path, recipe: str, package: str) -> str:
    """Changes with the notebook's code, the recipe and the package's code; never with outputs."""
    cells = nbformat.read(notebook, as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    return sha256_of(json.dumps([code, recipe, package]))


def finished_before(run: Run) -> dict[str, Finished]:
    """What the last course on this run has finished, by notebook."""
    path = run.path / "notebooks" / COURSE_FILE
    if not path.is_file():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    names = {each.name for each in fields(Finished)}  # a note of another form counts for nothing
    return {name: Finished(**one) for name, one in kept.items() if set(one) == names}


def keep(run: Run, finished: dict[str, Finished]) -> None:
    """Note what is finished, after each notebook."""
    notes = {name: vars(one) for name, one in finished.items()}
    atomic_write(run.path / "notebooks" / COURSE_FILE, json.dumps(notes, indent=1))


def seconds_at_work(finished: Iterable[Finished]) -> float:
    """The seconds during which at least one of them ran."""
    total = until = 0.0
    for one in sorted(finished, key=lambda each: each.began):
        end = one.began + one.seconds
        total += max(0.0, end - max(one.began, until))
        until = max(until, end)
    return total
