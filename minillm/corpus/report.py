"""One table: every step of the corpus against planted truth, with the bar beside each figure.

In: the seed of a dirty web, a number of pages, the evaluation sets that leak. Out: rows, as text
for people and as data. The idea: a figure without a bar is a finding, not a promise; one with a bar
is printed with it, so that nobody has to look it up.
"""

from collections.abc import Sequence
from typing import get_args

from minillm.corpus.contamination import Sets
from minillm.corpus.copyscores import (
    copy_rows,
    family_row,
    found_families,
    honest_text_row,
    passage_rows,
)
from minillm.corpus.dirty.copies import PassageWay, held_out_stories
from minillm.corpus.dirty.files import make_dirty_files
from minillm.corpus.dirty.leaky import make_leaky_pages
from minillm.corpus.dirty.passages import PAGES_A_GROUP, make_passage_pages
from minillm.corpus.dirty.real import make_real_pages
from minillm.corpus.dirty.walled import make_walled_pages
from minillm.corpus.dirty.web import DirtyPage, make_dirty_web
from minillm.corpus.filescores import file_rows
from minillm.corpus.realscores import apart, real_rows
from minillm.corpus.scores import (
    Cleaned,
    Row,
    boilerplate_row,
    clean_web,
    language_row,
    leak_rows,
    letter_rows,
    library_row,
    personal_rows,
    robots_row,
    text_rows,
)
from minillm.corpus.stepscores import BY_ITSELF, step_rows

# No pattern and no limit was written with this seed's pages in view.
HELD_OUT_SEED = 20_261
NUM_PAGES = 2000
# Of the pages of a web: how many more there are behind robots.txt, how many that quote the sets
# below, how many that share passages, how many of real text, and how many other files.
PAGES_A_WALLED, PAGES_A_LEAKY, PAGES_A_PASSAGE, PAGES_A_REAL, PAGES_A_FILE = 25, 50, 8, 10, 5
# Sets that have what other sets have, in another form: they leak on pages of their own.
OTHER_FORMS = ("twins", "typos")
LEGEND = (
    "n: how many were planted, or found where nothing was. A row without a bar is a finding: no\n"
    "figure is promised there. –: nothing was planted, or nothing found, that this could be a\n"
    "share of. ✓ and ✗: the row's other figures reach their bars, or not; neither: it has no\n"
    "other. Rows of a step: precision is the share with any fault, of what the step meant for\n"
    "this one has rejected; recall the share that any step has rejected, of the pages with this\n"
    "fault; by itself the share of them that the step meant for it rejects where it alone sees\n"
    "all invented pages. That step has the fault's name; but quality is meant for gibberish and\n"
    "code, civility for toxic, language for mixed language, too. The rows of quality and civility\n"
    "are of all their faults together."
)
# With fewer, a way to share a passage would have no whole group of pages.
MIN_PAGES = PAGES_A_PASSAGE * PAGES_A_GROUP * len(get_args(PassageWay))
FEW_PAGES = (
    f"the bars are meant for {NUM_PAGES:,} pages: among fewer, lines stand on too few pages to be "
    "known as boilerplate, and in a short row one miss weighs much"
)


# package only
def parted(sets: Sets) -> tuple[Sets, Sets]:
    """The sets in their first form, and those that have the same in another form."""
    others = {name: items for name, items in sets.items() if name in OTHER_FORMS}
    return {name: items for name, items in sets.items() if name not in OTHER_FORMS}, others


def report_pages(seed: int, num_pages: int, sets: Sets) -> list[DirtyPage]:
    """The dirty web; behind it pages that robots.txt forbids, that share passages, of real text.

    Last come pages that quote sets which are others in another form.
    """
    first_forms, other_forms = parted(sets)
    return [
        *make_dirty_web(num_pages, seed, first_forms),
        *make_walled_pages(num_pages // PAGES_A_WALLED, seed),
        *make_passage_pages(num_pages // PAGES_A_PASSAGE, seed),
        *make_real_pages(num_pages // PAGES_A_REAL, seed),
        *make_leaky_pages(num_pages // PAGES_A_LEAKY, seed, other_forms),
    ]


# package only
def cleaned_parts(seed: int, num_pages: int, sets: Sets) -> tuple[Cleaned, Cleaned]:
    """All pages, taken through the steps together: the invented ones, and those of real text."""
    return apart(clean_web(report_pages(seed, num_pages, sets), sets))


def cleaned_web(seed: int, num_pages: int, sets: Sets) -> Cleaned:
    """The report's invented pages, taken through all steps."""
    return cleaned_parts(seed, num_pages, sets)[0]


def corpus_report(
    seed: int = HELD_OUT_SEED, num_pages: int = NUM_PAGES, sets: Sets | None = None
) -> list[Row]:
    """All rows for the dirty web of a seed."""
    sets = held_out_stories() if sets is None else sets
    cleaned, real = cleaned_parts(seed, num_pages, sets)
    files = make_dirty_files(num_pages // PAGES_A_FILE, seed)
    family = found_families(cleaned)
    return [
        *step_rows(cleaned), robots_row(cleaned), *letter_rows(cleaned), boilerplate_row(cleaned),
        library_row(cleaned), *personal_rows(cleaned), family_row(cleaned, family),
        *copy_rows(cleaned, family),
        *passage_rows(cleaned), honest_text_row(cleaned),
        language_row(cleaned), *leak_rows(cleaned, sets), *text_rows(cleaned), *real_rows(real),
        *file_rows(files),
    ]  # fmt: skip


# package only
def table(rows: Sequence[Row]) -> str:
    """The rows as lines of text."""
    names = ("precision", "recall", BY_ITSELF, "F1", "kept")
    head = f"{'what':44}{'n':>6}" + "".join(f"{name:>11}" for name in names) + "  bar"
    lines = [head, "─" * (len(head) + 24)]
    for row in rows:
        shown = dict.fromkeys(row.figures, "–")
        shown |= {name: f"{value:.3f}" for name, value in row.measured.items()}
        cells = "".join(f"{shown.get(name, ''):>11}" for name in names)
        bars = ", ".join(f"{name} ≥ {bar:g}" for name, bar in row.bars.items())
        verdict = {True: "✓ ", False: "✗ ", None: ""}[row.is_reached]
        lines.append(f"{row.name:44}{row.count:6}{cells}  {verdict}{bars}".rstrip())
    return "\n".join(lines)


# package only
def report_figures(rows: Sequence[Row]) -> dict[str, dict]:
    """The rows as data: for each its count, measured figures, bars, whether they are reached."""
    return {
        row.name: {
            "n": row.count, **{name: round(value, 4) for name, value in row.measured.items()},
            "bars": dict(row.bars), "reached": row.is_reached,
        }
        for row in rows
    }  # fmt: skip
