"""The verb `monitor`: a request log becomes a report, and what matters in it one line each."""

import argparse
import dataclasses
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from minillm.verbs.arguments import KEEPS_ITS_RECIPE, figures_out, notes, refuse

if TYPE_CHECKING:
    from minillm.core.records import Run
    from minillm.monitor.requests import Request
    from minillm.monitor.watch import MonitorConfig
    from minillm.recipes import Recipe

FOLDER = "monitor"


# package only
def add_options(made: argparse.ArgumentParser) -> None:
    """What only `monitor` takes."""
    add = made.add_argument
    add("--log", type=Path, metavar="FILE", help="a requests.sqlite (default: the run's own)")
    words = "another log, or how many first requests of this one (default: as the recipe says)"
    add("--reference", metavar="FILE|N", help=words)
    add("--out", type=Path, metavar="DIR", help="where drift.json and index.html are written")
    words = "send the recipe's users by script to a server of this run, and watch their log"
    add("--simulate", action="store_true", help=words)


# package only
def run_monitor(args: argparse.Namespace) -> int:
    """Health, drift and misuse of a log; 0 whether or not there is an alarm."""
    from minillm import recipes
    from minillm.monitor.requests import read_requests
    from minillm.monitor.watch import PAGE, alarm_lines, watch, write_report

    refuse(args, ("recipe",), KEEPS_ITS_RECIPE)
    run, recipe = recipes.existing_run(args.run, args.home)
    recipe = recipes.changed(recipe, args.set or ())
    if args.simulate:
        refuse(args, ("log", "reference"), "with --simulate the script decides; leave it out")
        return simulated(args, run, recipe)
    log = args.log or default_log(run)
    config, reference = with_reference(recipe.monitor, args.reference)
    report = watch(read_requests(log), config, reference)
    out = args.out or run.path / FOLDER
    write_report(report, out)
    tell(args, alarm_lines(report), len(report.windows), out / PAGE)
    return 0


# package only
def simulated(args: argparse.Namespace, run: "Run", recipe: "Recipe") -> int:
    """The stages `traffic` and `drift`: their users are by script, all else is real."""
    from minillm.core.records import atomic_write
    from minillm.monitor.traffic import traffic
    from minillm.monitor.watch import PAGE, REPORT, monitor

    with redirect_stdout(notes(args)):
        traffic(recipe.population, run)
        artifact = monitor(recipe.monitor, run)
    for name in (REPORT, PAGE) if args.out else ():
        atomic_write(args.out / name, (artifact.path / name).read_bytes())
    report = json.loads((artifact.path / REPORT).read_text(encoding="utf-8"))
    out = args.out or artifact.path
    tell(args, report["lines"], len(report["windows"]), out / PAGE)
    return 0


# package only
def default_log(run: "Run") -> Path:
    """The log that the run's server keeps; without one that of the users by script."""
    from minillm.monitor.requests import LOG

    scripted = run.path / "traffic" / LOG
    own = run.path / LOG
    return scripted if scripted.is_file() and not own.is_file() else own


# package only
def with_reference(
    config: "MonitorConfig", given: str | None
) -> tuple["MonitorConfig", "list[Request] | None"]:
    """What `--reference` says: another log, or how many first requests of this one."""
    from minillm.monitor.requests import read_requests

    if given is None:
        return config, None
    if given.isdecimal():
        drift = dataclasses.replace(config.drift, reference_requests=int(given))
        return dataclasses.replace(config, drift=drift), None
    if not Path(given).is_file():
        remedy = "give another log's file, or how many first requests of this one to take"
        raise ValueError(f"--reference {given}: neither a file nor a number; {remedy}")
    reference = read_requests(Path(given))
    if not reference:
        raise ValueError(f"--reference {given}: this log holds no request; give one with some")
    return config, reference


# package only
def tell(args: argparse.Namespace, lines: list[str], num_windows: int, page: Path) -> None:
    """The lines for an operator, and where the page lies; with `--json` one object."""
    from minillm.core.records import counted

    is_quiet = all(line.startswith("note") for line in lines)
    for line in [*lines, *["no alarm"] * is_quiet]:
        print(line, file=notes(args))
    print(f"{counted(num_windows, 'window')} → {page}", file=notes(args))
    figures_out(args, {"lines": lines, "windows": num_windows, "path": str(page)})
