"""How the benches measure: medians of interleaved repeats, and what is kept beside the figures.

The machines that measure are shared, so a slow minute must not fall on one of those compared:
each is run once in turn, again and again, and the median of its times counts.
"""

import datetime
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from minillm.core.records import atomic_write

# A processor's flags as Linux lists them, and what they mean for the speed of a run.
UNITS = {"avx512f": "AVX-512", "avx512_bf16": "bfloat16 units"}


# package only
def median_seconds(
    actions: Mapping[str, Callable[[], object]], repeats: int,
    clock: Callable[[], float] | None = None,
) -> dict[str, float]:  # fmt: skip
    """The median time of each action by the clock; in every round each one has its turn."""
    clock = clock or time.perf_counter
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; give at least 1")
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            begin = clock()
            action()
            seconds[name].append(clock() - begin)
    return {name: median(times) for name, times in seconds.items()}


# package only
def machine() -> str:
    """The processor as the system names it, and its cores. Its family and model stand there too:
    processors of one name differ by a factor of two."""
    path = Path("/proc/cpuinfo")
    info = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = (line.partition(":") for line in reversed(info.splitlines()))  # the first core's last
    told = {field.strip(): value.strip() for field, _, value in lines}
    name = told.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in told and "model" in told:
        name += f" (family {told['cpu family']}, model {told['model']})"
    parts = [name, f"{os.cpu_count()} cores"]
    parts += [words for flag, words in UNITS.items() if flag in info.split()]
    return ", ".join([*parts, platform.system()])


# package only
def check_replaceable_file(path: Path, option: str = "") -> None:
    """ValueError unless nothing is there, or a file of figures as `save_figures` writes it.

    `option`: what stands before the name.
    """
    if path.is_dir():
        raise ValueError(f"{option}{path}: is a folder; name the file that keeps the figures")
    if not path.exists():
        return
    try:
        is_ours = json.loads(path.read_text(encoding="utf-8")).keys() >= {"command", "figures"}
    except (ValueError, AttributeError):
        is_ours = False
    if not is_ours:
        raise ValueError(f"{option}{path}: keeps no figures of ours; give another name")


# package only
def save_figures(path: Path, command: str, figures: Mapping[str, object]) -> None:
    """Write the figures with the command that made them, the machine and the date."""
    content = {
        "command": command,
        "machine": machine(),
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        "figures": dict(figures),
    }
    atomic_write(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
