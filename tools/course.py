"""The whole course without a browser: each notebook in order, by papermill, into one run.

Executed notebooks go to `runs/<run>/notebooks/`. A notebook whose code, package and recipe are
those of last time is passed over, so a course that failed goes on where it failed. At the end stand
a report, `runs/<run>/report/index.html`, and `figures.json` with the figures that it shows.
"""

import hashlib
import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from minillm.core.progress import duration
from minillm.core.records import MANIFEST, Run, atomic_write, code_sha256, sha256_of
from minillm.recipes import RECIPE_FILE, open_run
from tools.report import peak_memory_gib, write_report

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"\d\d[a-z]?_\w+\.ipynb")
COURSE_FILE = "course.json"


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A notebook that ran: what it ran from, how long it took, which artifacts there were then.

    `peak_memory_gib`: the most that a notebook's process had held up to then, in that course.
    """

    key: str
    seconds: float
    artifacts: list[str]
    peak_memory_gib: float | None = None


def finished_kinds(run: Run) -> list[str]:
    """The kinds of the artifacts that a run holds."""
    return sorted(path.parent.name for path in run.path.glob(f"*/{MANIFEST}"))


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
    return {name: Finished(**fields) for name, fields in kept.items()}


def keep(run: Run, finished: dict[str, Finished]) -> None:
    """Note what is finished, after each notebook."""
    fields = {name: vars(one) for name, one in finished.items()}
    atomic_write(run.path / "notebooks" / COURSE_FILE, json.dumps(fields, indent=1))


def execute(notebook: Path, run: Run) -> str | None:
    """Run one notebook; None, or one line that says which cell failed and how."""
    home = run.path.parent.parent  # said outright: the notebook's working folder is another
    try:
        papermill.execute_notebook(
            notebook,
            run.path / "notebooks" / notebook.name,
            parameters={"run_name": run.name, "home": str(home)},
            cwd=str(notebook.parent),
            kernel_name="python3",
            language="python",
            progress_bar=False,
            stderr_file=sys.stderr,
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )
    except PapermillExecutionError as error:
        line = next((line for line in error.source.splitlines() if line.strip()), "")
        return f"cell [{error.exec_count}] ({line}): {error.ename}: {error.evalue}"
    except (DeadKernelError, CellTimeoutError) as error:
        return f"the kernel died or hung: {' '.join(str(error).split())}"
    return None


def run_notebooks(notebooks: list[Path], run: Run) -> dict[str, Finished] | None:
    """Run what is not finished yet, in order; None where a notebook failed."""
    (run.path / "notebooks").mkdir(parents=True, exist_ok=True)
    finished, package = finished_before(run), code_sha256(["minillm"])
    recipe = (run.path / RECIPE_FILE).read_text(encoding="utf-8")
    for number, notebook in enumerate(notebooks, start=1):
        place = f"[{number}/{len(notebooks)}] {notebook.stem}"
        key, before = notebook_key(notebook, recipe, package), finished.get(notebook.name)
        if before and before.key == key and set(before.artifacts) <= set(finished_kinds(run)):
            print(f"✓ {place}: unchanged, {duration(before.seconds)} last time", flush=True)
            continue
        print(f"  {place} …", flush=True)
        started_s = time.monotonic()
        failure = execute(notebook, run)
        if failure:
            print(f"✗ {notebook.name}, {failure}", file=sys.stderr)
            return None
        seconds = round(time.monotonic() - started_s, 1)
        kinds = finished_kinds(run)
        peak = peak_memory_gib()
        finished[notebook.name] = Finished(
            key=key, seconds=seconds, artifacts=kinds, peak_memory_gib=peak
        )
        keep(run, finished)
        print(f"✓ {place}: {duration(seconds)}", flush=True)
    return {notebook.name: finished[notebook.name] for notebook in notebooks}


def run_course(*, run_name: str, home: Path | None = None, root: Path = ROOT) -> int:
    """Run every notebook and write the report; 0 on success. After a failure it goes on there."""
    run, _ = open_run(run_name, home=home)
    folder = root / "notebooks"
    notebooks = sorted(path for path in folder.glob("*.ipynb") if NAME.fullmatch(path.name))
    if not notebooks:
        remedy = "bring them back with: git checkout notebooks"
        raise FileNotFoundError(f"{folder} holds no notebook; {remedy}")
    finished = run_notebooks(notebooks, run)
    if finished is None:
        again = f"minillm course --run {run_name}"
        print(f"the notebooks before it are finished; go on with: {again}", file=sys.stderr)
        return 1
    peaks = [one.peak_memory_gib for one in finished.values() if one.peak_memory_gib is not None]
    seconds = {name: one.seconds for name, one in finished.items()}
    page, headline = write_report(run, seconds, max(peaks, default=None))
    here = Path.cwd()
    print(f"report: {page.relative_to(here) if page.is_relative_to(here) else page}")
    print(headline)
    return 0
