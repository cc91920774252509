"""bench/proofs.json as a section of bench/RESULTS.md: what `make proofs` proved, where and when.

A record has a proof's outcome, seconds, machine and date, the command that repeats it alone, and
the figures that it handed over; older ones lack these two. A test's cases stand in one row.
"""

import json
from collections import defaultdict
from pathlib import Path

HEAD = """## Proofs

What takes too long for every push. `make proofs`, or `python -m pytest -m proof FILE` for those of
one file · [proofs.json](proofs.json)

| proof | passed | seconds | figures | date | machine |
|---|---|---|---|---|---|
"""
Record = dict[str, object]


def words_of(test: str) -> str:
    """A test's name as the sentence that it is, and the file that it stands in."""
    file, _, name = test.partition("::")
    return f"{name.removeprefix('test_').replace('_', ' ')} (`{file}`)"


def figures_of(case: str, record: Record) -> str:
    """The figures that a proof handed over, if it did: `[a] peak memory 231 MB, …`."""
    shown = []
    for name, value in record.get("figures", {}).items():
        unit = " MB" if name.endswith("_mb") else ""
        shown.append(f"{name.removesuffix('_mb').replace('_', ' ')} {value:,}{unit}")
    return f"{case} {', '.join(shown)}".strip() if shown else ""


def row(test: str, records: dict[str, Record]) -> str:
    """One test, all its cases: how many passed, their seconds together, what they found."""
    passed = sum(each["outcome"] == "passed" for each in records.values())
    seconds = sum(each["seconds"] for each in records.values())
    found = filter(None, (figures_of(case, each) for case, each in records.items()))
    dates, machines = (
        ", ".join(sorted({each[name] for each in records.values()})) for name in ("date", "machine")
    )
    return (
        f"| {words_of(test)} | {passed} of {len(records)} | {seconds:,.0f} | {'; '.join(found)} "
        f"| {dates} | {machines} |"
    )


def proofs_section(path: Path) -> str:
    """The heading, and a row for each test of the file."""
    by_test: dict[str, dict[str, Record]] = defaultdict(dict)
    for nodeid, record in json.loads(path.read_text(encoding="utf-8")).items():
        test, bracket, case = nodeid.partition("[")
        by_test[test][bracket + case] = record
    return HEAD + "\n".join(row(test, records) for test, records in by_test.items()) + "\n"
