"""The whole course without a browser: every notebook, by papermill, into one run.

Chapters that only read the run go beside those that make it, two at a time; what trains by the
clock runs alone, since beside another it would learn less in its minutes. Executed notebooks go to
`runs/<run>/notebooks/`. A notebook whose code, package and recipe are those of last time is passed
over, so a course that failed goes on where it failed. At the end stand a report,
`runs/<run>/report/index.html`, and `figures.json` with the figures that it shows.
"""

import hashlib
import json
import os
import re
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import nbformat

from minillm.core.progress import duration
from minillm.core.records import MANIFEST, Run, atomic_write, code_sha256, sha256_of
from minillm.recipes import RECIPE_FILE, Recipe, open_run
from minillm.stages import STAGES
from tools.lane import THREADS, end_with_parent, executed, outcome_of
from tools.report import forget_report, write_report

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"\d\d[a-z]?_\w+\.ipynb")
COURSE_FILE = "course.json"
# They read what chapter 00 leaves in the run, its base model and what that is made of; they ask for
# it by the recipe that made it, so they make nothing anew and may run beside a later chapter.
READERS = ("01", "02", "03", "04", "05", "06", "07", "08")


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A notebook that ran: what it ran from, how long it took, which artifacts there were then.

    `peak_memory_gib`: the most that a kernel had held up to then, of those that its lane started.
    """

    key: str
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
    return {name: Finished(**fields) for name, fields in kept.items()}


def keep(run: Run, finished: dict[str, Finished]) -> None:
    """Note what is finished, after each notebook."""
    fields = {name: vars(one) for name, one in finished.items()}
    atomic_write(run.path / "notebooks" / COURSE_FILE, json.dumps(fields, indent=1))


def num_cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
    if not readers or not others or num_cores() < 2:
        return notebooks, []
    return alone, [others, readers]


@dataclass(kw_only=True)
class Course:
    """Notebooks on their way through a run, and those that are finished."""

    notebooks: list[Path]
    run: Run
    package: str
    recipe: str
    finished: dict[str, Finished]

    def place(self, notebook: Path) -> str:
        """How the log calls a notebook."""
        number = self.notebooks.index(notebook) + 1
        return f"[{number}/{len(self.notebooks)}] {notebook.stem}"

    def key(self, notebook: Path) -> str:
        """Of the notebook as it is now: it may be edited while it runs."""
        return notebook_key(notebook, self.recipe, self.package)

    def is_finished(self, notebook: Path) -> bool:
        """Whether it ran as it is now, and what there was then is still there."""
        before = self.finished.get(notebook.name)
        if before is None or before.key != self.key(notebook):
            return False
        return set(before.artifacts) <= set(finished_kinds(self.run))

    def next_of(self, lane: list[Path]) -> Path | None:
        """Take the lane's next notebook that has to run; None at its end."""
        while lane:
            notebook = lane.pop(0)
            if not self.is_finished(notebook):
                forget_report(self.run)
                print(f"  {self.place(notebook)} …", flush=True)
                return notebook
            took = duration(self.finished[notebook.name].seconds)
            print(f"✓ {self.place(notebook)}: unchanged, {took} last time", flush=True)
        return None

    def note(
        self, notebook: Path, key: str, failure: str | None, seconds: float, peak: float | None
    ) -> bool:
        """Say and keep how a notebook ended; whether it was well."""
        if failure is not None:
            print(f"✗ {notebook.name}, {failure}", file=sys.stderr)
            return False
        kinds = finished_kinds(self.run)
        if notebook.name.startswith(READERS):  # what a lane beside it made is none of its own
            kinds = [kind for kind in kinds if STAGES.index(kind) <= STAGES.index("model")]
        self.finished[notebook.name] = Finished(
            key=key, seconds=seconds, artifacts=kinds, peak_memory_gib=peak
        )
        keep(self.run, self.finished)
        print(f"✓ {self.place(notebook)}: {duration(seconds)}", flush=True)
        return True

    def run_alone(self, notebooks: list[Path]) -> bool:
        """One after the other, until one fails; whether all are finished."""
        left = list(notebooks)
        while (notebook := self.next_of(left)) is not None:
            if not self.note(notebook, self.key(notebook), *executed(notebook, self.run)):
                return False
        return True

    def run_side_by_side(self, lanes: list[list[Path]]) -> bool:
        """All lanes at once, each in order, until one fails; whether all are finished.

        Lanes are processes and not threads, because papermill changes the working folder.
        """
        given = os.environ.get(THREADS, "")
        most = int(given) if given.isdecimal() else num_cores()
        left = [list(lane) for lane in lanes]
        running: dict[Future, tuple[Path, str, list[Path]]] = {}
        is_well = True
        with ProcessPoolExecutor(
            len(left), get_context("spawn"), initializer=end_with_parent
        ) as pool:

            def begin(lane: list[Path]) -> None:
                """The lane's next notebook, with its share of the cores."""
                if (notebook := self.next_of(lane)) is None:
                    return
                at_work = [lane, *(other for _, _, other in running.values())]
                waiting = [each for each in left if not all(map(self.is_finished, each))]
                num_lanes = len({id(each) for each in [*at_work, *waiting]})
                threads = min(most, max(1, num_cores() // num_lanes))
                job = pool.submit(executed, notebook, self.run, threads)
                running[job] = notebook, self.key(notebook), lane

            for lane in left:
                begin(lane)
            while running:
                ended = []  # all of them are noted before another begins: one may have failed
                for job in wait(running, return_when=FIRST_COMPLETED).done:
                    notebook, key, lane = running.pop(job)
                    ended.append(lane)
                    is_well = self.note(notebook, key, *outcome_of(job)) and is_well
                for lane in ended:
                    if is_well:
                        begin(lane)
        return is_well


def run_notebooks(
    alone: list[Path], lanes: list[list[Path]], run: Run
) -> dict[str, Finished] | None:
    """Run what is not finished yet; what is finished, by notebook, or None where one failed."""
    (run.path / "notebooks").mkdir(parents=True, exist_ok=True)
    notebooks = sorted([*alone, *(each for lane in lanes for each in lane)])
    course = Course(
        notebooks=notebooks, run=run, package=code_sha256(["minillm"]),
        recipe=(run.path / RECIPE_FILE).read_text(encoding="utf-8"), finished=finished_before(run),
    )  # fmt: skip
    if not course.run_alone(alone) or (lanes and not course.run_side_by_side(lanes)):
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
    finished = run_notebooks(alone, lanes, run)
    if finished is None:
        again = f"minillm course --run {run_name}"
        print(f"what is finished is kept; go on with: {again}", file=sys.stderr)
        return 1
    peaks = [one.peak_memory_gib for one in finished.values() if one.peak_memory_gib is not None]
    seconds = {name: one.seconds for name, one in finished.items()}
    parts = [sum(seconds[each.name] for each in part) for part in (alone, *lanes)]
    total = parts[0] + max(parts[1:], default=0.0)
    page, headline = write_report(run, seconds, total, max(peaks, default=None))
    here = Path.cwd()
    print(f"report: {page.relative_to(here) if page.is_relative_to(here) else page}")
    print(headline)
    return 0
