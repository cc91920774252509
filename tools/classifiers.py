"""Make the committed classifiers and the lines of the fixture again, from the pinned sources.

`python tools/classifiers.py` writes `data/classifiers/language.npz`, `quality.npz` and
`civility.npz`, and `data/fixtures/languages.jsonl`. It takes about a minute after the download.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from minillm.bench.quality import trained_civility, trained_quality
from minillm.core.records import atomic_write
from minillm.corpus.classifier import FOLDER, save_classifier
from minillm.corpus.language import MODEL_FILE, save_identifier, train_identifier
from minillm.corpus.mix import chance
from minillm.corpus.spoken import FIXTURE, Line, json_lines, spoken_lines, training_lines

# Of each language: enough to train on in a second, and to test.
FIXTURE_LINES = {"train": 200, "validation": 80}
# A fourth of them is long, where there are so many.
LONG_SHARE = 0.25
LONG, LONGEST = 100, 240


def fixture_lines(lines: Iterable[Line]) -> list[Line]:
    """Lines of each language and split: first long ones, then any, in the order of documents."""
    by_place: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in sorted(lines, key=lambda each: chance(each.text, 5)):
        if len(line.text) <= LONGEST:
            by_place[line.split, line.language].append(line)
    chosen = []
    for (split, _), found in sorted(by_place.items()):
        # one of each source in turn
        turn: dict[str, int] = defaultdict(int)
        ranked = []
        for line in found:
            turn[line.source] += 1
            ranked.append((turn[line.source], line))
        spread = [line for _, line in sorted(ranked, key=lambda each: each[0])]
        count = FIXTURE_LINES[split]
        long = [line for line in spread if len(line.text) >= LONG][: round(LONG_SHARE * count)]
        rest = [line for line in spread if line not in long]
        chosen += long + rest[: count - len(long)]
    return sorted(chosen, key=lambda each: (each.split, each.language, each.document))


def wrote(path: Path) -> None:
    """Say which file there is, and how large."""
    print(f"✓ {path.parent.name}/{path.name} ({path.stat().st_size / 1000:.0f} kB)")


def main() -> int:
    """Make all four files."""
    lines = spoken_lines()
    atomic_write(FIXTURE, json_lines(fixture_lines(lines)))
    wrote(FIXTURE)
    save_identifier(train_identifier(training_lines(lines)), MODEL_FILE)
    wrote(MODEL_FILE)
    for name, train in (("quality", trained_quality), ("civility", trained_civility)):
        save_classifier(train(), FOLDER / f"{name}.npz")
        wrote(FOLDER / f"{name}.npz")
    return 0


if __name__ == "__main__":
    sys.exit(main())
