"""The whole course without a browser: each notebook in order, by papermill, into one run.

The chapters that only read the run go beside those that make it, two at a time; what trains by the
clock runs alone, or a neighbour would cost what it learns. Executed notebooks go to
`runs/<run>/notebooks/`. A notebook whose code, package and recipe are those of last time is passed
over, so a course that failed goes on where it failed. At the end stand a report,
`runs/<run>/report/index.html`, and `figures.json` with the figures that it shows.
"""

import hashlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from minillm.core.progress import duration
from minillm.core.records import MANIFEST, Run, atomic_write, code_sha256, sha256_of
from minillm.recipes import RECIPE_FILE, Recipe, open_run
from tools.report import peak_memory_gib, write_page, write_report

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"\d\d[a-z]?_\w+\.ipynb")
COURSE_FILE = "course.json"
# They read what chapter 00 leaves in the run, its base model and what that is made of, and leave
# nothing there: any of them may run beside a later chapter.
READERS = ("01", "02", "03", "04", "05", "06", "07", "08")


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


def chapters_by_the_clock(recipe: Recipe) -> tuple[str, ...]:
    """The chapters with training that ends with its minutes."""
    trainings = {
        "00": (recipe.training,), "09": (recipe.sft.training,),
        "10": (recipe.preferences.dpo, recipe.preferences.rl), "15": (recipe.second.training,),
    }  # fmt: skip
    return tuple(name for name, each in trainings.items() if any(one.max_minutes for one in each))


def arranged(notebooks: list[Path], recipe: Recipe) -> tuple[list[Path], list[list[Path]]]:
    """What runs alone, in order, and the lanes that may then run side by side, each in order."""
    readers = [each for each in notebooks if each.name.startswith(READERS)]
    makers = [each for each in notebooks if each not in readers]
    timed = chapters_by_the_clock(recipe)
    last_timed = max((n for n, each in enumerate(makers) if each.name.startswith(timed)), default=0)
    alone, others = makers[: last_timed + 1], makers[last_timed + 1 :]
    if not readers or not others or (os.cpu_count() or 1) < 2:
        return notebooks, []
    return alone, [others, readers]


@contextmanager
def shared_cores(num_lanes: int) -> Iterator[None]:
    """Kernels started in here get their share of the cores: more threads would only wait."""
    name = "OMP_NUM_THREADS"
    before = os.environ.get(name)
    if num_lanes > 1 and before is None:
        os.environ[name] = str(max(1, (os.cpu_count() or 1) // num_lanes))
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)


@dataclass(kw_only=True)
class Course:
    """Notebooks on their way through a run: what is finished, and whether one has failed."""

    notebooks: list[Path]
    run: Run
    package: str
    recipe: str
    finished: dict[str, Finished]
    has_failed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run_one(self, notebook: Path) -> None:
        """Run a notebook unless it is finished; a failure is said, and noted for all lanes."""
        number = self.notebooks.index(notebook) + 1
        place = f"[{number}/{len(self.notebooks)}] {notebook.stem}"
        key = notebook_key(notebook, self.recipe, self.package)
        before = self.finished.get(notebook.name)
        if before and before.key == key and set(before.artifacts) <= set(finished_kinds(self.run)):
            print(f"✓ {place}: unchanged, {duration(before.seconds)} last time", flush=True)
            return
        print(f"  {place} …", flush=True)
        started_s = time.monotonic()
        failure = execute(notebook, self.run)
        if not failure:
            write_page(self.run, notebook.name)
        seconds = round(time.monotonic() - started_s, 1)
        with self.lock:
            if failure:
                print(f"✗ {notebook.name}, {failure}", file=sys.stderr)
                self.has_failed = True
                return
            self.finished[notebook.name] = Finished(
                key=key, seconds=seconds, artifacts=finished_kinds(self.run),
                peak_memory_gib=peak_memory_gib(),
            )  # fmt: skip
            keep(self.run, self.finished)
            print(f"✓ {place}: {duration(seconds)}", flush=True)

    def run_lane(self, notebooks: list[Path]) -> None:
        """Run these in order, until one of any lane fails."""
        for notebook in notebooks:
            if self.has_failed:
                return
            self.run_one(notebook)


def run_notebooks(
    notebooks: list[Path], run: Run, lanes: list[list[Path]] | None = None
) -> dict[str, Finished] | None:
    """Run what is not finished yet: in order what is in no lane, then the lanes side by side.

    What is finished, by notebook; None where one failed.
    """
    (run.path / "notebooks").mkdir(parents=True, exist_ok=True)
    lanes = lanes or []
    course = Course(
        notebooks=notebooks, run=run, package=code_sha256(["minillm"]),
        recipe=(run.path / RECIPE_FILE).read_text(encoding="utf-8"), finished=finished_before(run),
    )  # fmt: skip
    course.run_lane([each for each in notebooks if not any(each in lane for lane in lanes)])
    if lanes and not course.has_failed:
        with shared_cores(len(lanes)), ThreadPoolExecutor(len(lanes)) as pool:
            try:
                list(pool.map(course.run_lane, lanes))
            except BaseException:
                course.has_failed = True  # interrupted: no lane begins another
                raise
    if course.has_failed:
        return None
    return {notebook.name: course.finished[notebook.name] for notebook in notebooks}


def run_course(*, run_name: str, home: Path | None = None, root: Path = ROOT) -> int:
    """Run every notebook and write the report; 0 on success. After a failure it goes on there."""
    run, recipe = open_run(run_name, home=home)
    folder = root / "notebooks"
    notebooks = sorted(path for path in folder.glob("*.ipynb") if NAME.fullmatch(path.name))
    if not notebooks:
        remedy = "bring them back with: git checkout notebooks"
        raise FileNotFoundError(f"{folder} holds no notebook; {remedy}")
    alone, lanes = arranged(notebooks, recipe)
    finished = run_notebooks(notebooks, run, lanes)
    if finished is None:
        again = f"minillm course --run {run_name}"
        print(f"the notebooks before it are finished; go on with: {again}", file=sys.stderr)
        return 1
    peaks = [one.peak_memory_gib for one in finished.values() if one.peak_memory_gib is not None]
    seconds = {name: one.seconds for name, one in finished.items()}
    # of lanes side by side one waits for the longest
    parts = [sum(seconds[each.name] for each in part) for part in (alone, *lanes)]
    total = parts[0] + max(parts[1:], default=0.0)
    page, headline = write_report(run, seconds, total, max(peaks, default=None))
    here = Path.cwd()
    print(f"report: {page.relative_to(here) if page.is_relative_to(here) else page}")
    print(headline)
    return 0
