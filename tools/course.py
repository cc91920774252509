"""The whole course without a browser: every notebook, by papermill, into one run.

Two run at a time: a notebook begins once those that it builds on have ended. What trains by the
clock runs alone, since beside another it would learn less in its minutes. Executed notebooks go to
`runs/<run>/notebooks/`. A notebook whose code, package and recipe are those of last time is passed
over, so a course that failed goes on where it failed. At the end stand a report,
`runs/<run>/report/index.html`, and `figures.json` with the figures that it shows.
"""

import os
import re
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from minillm.core.progress import duration
from minillm.core.records import Run, code_sha256
from minillm.recipes import RECIPE_FILE, Recipe, open_run
from minillm.stages import STAGES
from tools.finished import (
    Finished,
    finished_before,
    finished_kinds,
    keep,
    notebook_key,
    seconds_at_work,
)
from tools.lane import THREADS, end_with_parent, executed, outcome_of
from tools.report import forget_report, write_report

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"\d\d[a-z]?_\w+\.ipynb")
MAX_LANES = 2  # notebooks at a time: each holds a model and its pictures in memory
# They read what chapter 00 leaves in the run, its base model and what that is made of; they ask for
# it by the recipe that made it, so they make nothing anew, and no chapter waits for them.
READERS = ("01", "02", "03", "04", "05", "06", "07", "08")
# The longest readers go first: begun last, one of them would run beside an idle core at the end.
LONGEST = ("04d", "07b", "07c", "07d", "07e", "08")
# They take the model that chapter 11 has promoted, and leave it as it is; what one of them makes
# beside another is made once, for an artifact has a lock.
SIBLINGS = ("12", "13", "14")


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


def builds_on(notebook: Path, other: Path) -> bool:
    """Whether a notebook has to wait until the other has ended."""
    if other.name.startswith(READERS):
        return False
    for group in (READERS, SIBLINGS):
        if notebook.name.startswith(group):
            return other.name[:2] < group[0]
    return other.name < notebook.name


@dataclass(kw_only=True)
class Course:
    """Notebooks on their way through a run: those that wait, are at work, have ended."""

    notebooks: list[Path]
    run: Run
    package: str
    recipe: str
    timed: tuple[str, ...]
    finished: dict[str, Finished]
    waiting: list[Path] = field(init=False)
    at_work: dict[Future, tuple[Path, str]] = field(init=False, default_factory=dict)
    is_well: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        self.num_lanes = min(MAX_LANES, num_cores())
        self.given_threads = os.environ.get(THREADS)
        # those that no other waits for come last; one at a time, all go in the order of the course
        last, long = (READERS, LONGEST) if self.num_lanes > 1 else ((), ())

        def turn(notebook: Path) -> tuple[bool, bool, str]:
            name = notebook.name
            return name.startswith(last), not name.startswith(long), name

        self.waiting = sorted(self.notebooks, key=turn)
        ends = (one.began + one.seconds for one in self.finished.values())
        self.origin_s = time.monotonic() - max(ends, default=0.0)

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

    def ready(self) -> list[Path]:
        """Those that wait for none of the others, the first of them first."""
        others = [*self.waiting, *(notebook for notebook, _ in self.at_work.values())]
        return [one for one in self.waiting if not any(builds_on(one, other) for other in others)]

    def pass_over(self) -> None:
        """Take out what need not run again, as far as the way to it is clear."""
        while unchanged := [each for each in self.ready() if self.is_finished(each)]:
            for notebook in unchanged:
                self.waiting.remove(notebook)
                took = duration(self.finished[notebook.name].seconds)
                print(f"✓ {self.place(notebook)}: unchanged, {took} last time", flush=True)

    def is_timed(self, notebook: Path) -> bool:
        """Whether it trains by the clock."""
        return notebook.name.startswith(self.timed)

    def next(self) -> Path | None:
        """What may begin now; None while it has to wait. One that trains by the clock is not
        overtaken, or it would wait until nothing else is left."""
        self.pass_over()
        ready = self.ready()
        is_alone = any(self.is_timed(notebook) for notebook, _ in self.at_work.values())
        if not ready or is_alone or len(self.at_work) == self.num_lanes:
            return None
        return None if self.is_timed(ready[0]) and self.at_work else ready[0]

    def threads_for(self, notebook: Path) -> str | None:
        """Its share of the cores if another may run beside it, else what the course was given."""
        others = [one for one in self.ready() if one != notebook and not self.is_timed(one)]
        is_alone = self.is_timed(notebook) or not (self.at_work or others)
        if is_alone or self.num_lanes == 1:
            return self.given_threads
        given = self.given_threads or ""
        most = int(given) if given.isdecimal() else num_cores()
        return str(min(most, max(1, num_cores() // self.num_lanes)))

    def begin(self, notebook: Path, pool: Executor) -> None:
        """Give it to a process."""
        threads = self.threads_for(notebook)
        self.waiting.remove(notebook)
        forget_report(self.run)
        print(f"  {self.place(notebook)} …", flush=True)
        key = self.key(notebook)
        self.at_work[pool.submit(executed, notebook, self.run, threads)] = notebook, key

    def note(
        self, notebook: Path, key: str, failure: str | None, seconds: float, peak: float | None
    ) -> None:
        """Say and keep how a notebook ended, just now."""
        if failure is not None:
            print(f"✗ {notebook.name}, {failure}", file=sys.stderr)
            self.is_well = False
            return
        kinds = finished_kinds(self.run)
        if notebook.name.startswith(READERS):  # what ran beside it made is none of its own
            kinds = [kind for kind in kinds if STAGES.index(kind) <= STAGES.index("model")]
        began_s = time.monotonic() - self.origin_s - seconds
        self.finished[notebook.name] = Finished(
            key=key, began=began_s, seconds=seconds, artifacts=kinds, peak_memory_gib=peak
        )
        keep(self.run, self.finished)
        print(f"✓ {self.place(notebook)}: {duration(seconds)}", flush=True)

    def run_all(self) -> bool:
        """Run what has to run, until one fails; whether all are finished.

        In processes and not in threads, because papermill changes the working folder.
        """
        with ProcessPoolExecutor(
            self.num_lanes, get_context("spawn"), initializer=end_with_parent
        ) as pool:
            while True:
                while self.is_well and (notebook := self.next()) is not None:
                    self.begin(notebook, pool)
                if not self.at_work:
                    return self.is_well
                # all that ended are noted before another begins: one of them may have failed
                for future in wait(self.at_work, return_when=FIRST_COMPLETED).done:
                    self.note(*self.at_work.pop(future), *outcome_of(future))


def run_notebooks(
    notebooks: list[Path], run: Run, timed: tuple[str, ...] = ()
) -> dict[str, Finished] | None:
    """Run what is not finished yet; what is finished, by notebook, or None where one failed.

    `timed`: the chapters that train by the clock.
    """
    (run.path / "notebooks").mkdir(parents=True, exist_ok=True)
    course = Course(
        notebooks=notebooks, run=run, package=code_sha256(["minillm"]), timed=timed,
        recipe=(run.path / RECIPE_FILE).read_text(encoding="utf-8"), finished=finished_before(run),
    )  # fmt: skip
    if not course.run_all():
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
    finished = run_notebooks(notebooks, run, chapters_by_the_clock(recipe))
    if finished is None:
        again = f"minillm course --run {run_name}"
        print(f"what is finished is kept; go on with: {again}", file=sys.stderr)
        return 1
    peaks = [one.peak_memory_gib for one in finished.values() if one.peak_memory_gib is not None]
    seconds = {name: round(one.seconds, 1) for name, one in finished.items()}
    total = round(seconds_at_work(finished.values()), 1)
    page, headline = write_report(run, seconds, total, max(peaks, default=None))
    here = Path.cwd()
    print(f"report: {page.relative_to(here) if page.is_relative_to(here) else page}")
    print(headline)
    return 0
