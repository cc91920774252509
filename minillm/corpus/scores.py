"""What each step of the corpus finds of what was planted in a dirty web.

In: pages with their truth. Out: `Row`s of figures, some with a bar to reach. The pages are written
as a crawl, read back, and taken through the steps; only then is the truth looked at. The idea:
precision says what a step destroys and recall what it lets through, so both are shown. Left out:
natural dirt, of which nobody knows the truth.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from minillm.corpus.classifier import civil_enough, good_enough
from minillm.corpus.clean import drop_boilerplate, page_to_text, repair_text
from minillm.corpus.contamination import Sets, drop_leaks, leak_report
from minillm.corpus.dirty.crawl import CRAWL, crawl_of
from minillm.corpus.dirty.walled import WALLED
from minillm.corpus.dirty.web import REPAIRS, DirtyPage
from minillm.corpus.hits import precision_recall_f1
from minillm.corpus.language import allowed_languages, load_identifier
from minillm.corpus.markup import main_text
from minillm.corpus.passages import passage_steps
from minillm.corpus.permission import ROBOTS_FILE
from minillm.corpus.personal import masking, personal_data
from minillm.corpus.pipeline import StepMaker, apply_step, apply_steps, steps
from minillm.corpus.sources import Document, Rejection
from minillm.corpus.spoken import macro_f1
from minillm.corpus.webarchive import read_pages, write_pages

PERSONAL_BARS = {"precision": 0.97, "recall": 0.98}
BOILERPLATE_BARS = {"recall": 0.95, "kept": 0.98}
ROBOTS_BARS = {"precision": 1.0, "recall": 1.0}
LANGUAGE_BARS = {"F1": 0.97}
MIN_LINE_CHARACTERS = 100
LEAK_BARS = {"recall": 1.0}
CLEAN_BARS = {"kept": 0.995}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: how many there are, the figures, and what each has to reach."""

    name: str
    count: int
    figures: Mapping[str, float | None]
    bars: Mapping[str, float] = field(default_factory=dict)

    @property
    def measured(self) -> dict[str, float]:
        """The figures that are a share of something: where nothing was planted, precision alone."""
        return {
            name: value for name, value in self.figures.items()
            if value is not None and (self.count or name == "precision")
        }  # fmt: skip

    @property
    def is_reached(self) -> bool | None:
        """Do all measured figures that have a bar reach it? None without any."""
        found = self.measured
        reached = [found[name] >= bar for name, bar in self.bars.items() if name in found]
        return all(reached) if reached else None


def hits(found: Counter, true: Counter) -> dict[str, float | None]:
    """Precision (None if nothing is found), recall and F1, of things that can occur repeatedly."""
    figures = precision_recall_f1((found & true).total(), found.total(), true.total())
    named = dict(zip(("precision", "recall", "F1"), figures, strict=True))
    return named if found else named | {"precision": None}


# package only
@dataclass(frozen=True, slots=True)
class Cleaned:
    """The pages of a dirty web, their texts after the repairs, and what all steps made of them.

    `cut` is what the steps that cut copied passages then leave of the pages kept; `makers` are the
    steps before them.
    """

    pages: Sequence[DirtyPage]
    raw: Mapping[str, Document]
    repaired: Mapping[str, Document]
    texts: Mapping[str, Document]
    kept: Mapping[str, Document]
    cut: Mapping[str, Document]
    rejected: Sequence[Rejection]
    makers: Mapping[str, StepMaker]


# package only
def crawled(pages: Sequence[DirtyPage]) -> list[Document]:
    """The pages written as a crawl and read back, under their short names."""
    with TemporaryDirectory() as folder:
        write_pages(Path(folder) / CRAWL, crawl_of(pages))
        read = list(read_pages(Path(folder) / CRAWL))
    id_by_url = {page.url: page.document.id for page in pages}
    return [replace(each, id=id_by_url[each.id]) for each in read if isinstance(each, Document)]


# package only
def clean_web(pages: Sequence[DirtyPage], sets: Sets) -> Cleaned:
    """The crawl taken through all steps, and beside them the texts after the repairs alone."""
    documents = crawled(pages)
    repaired = [repair_text(page_to_text(each)) for each in documents]
    texts, _ = apply_step(repaired, drop_boilerplate(repaired))
    makers: dict[str, StepMaker] = {
        **steps(),
        "language": lambda _: allowed_languages(("en",)),
        "civility": lambda _: civil_enough(),
        "quality": lambda _: good_enough(),
        "contamination": lambda _: drop_leaks(sets),
    }
    kept, rejected = apply_steps(documents, makers)
    cut, _ = apply_steps(kept, passage_steps())
    by_id = [{each.id: each for each in some} for some in (documents, repaired, texts, kept, cut)]
    return Cleaned(pages, *by_id, rejected, makers)


def robots_row(cleaned: Cleaned) -> Row:
    """Pages that their site's robots.txt keeps from us, among pages that it allows."""
    true = {page.document.id for page in cleaned.pages if WALLED in page.faults}
    found = {each.id for each in cleaned.rejected if ROBOTS_FILE in str(each.value)}
    return Row("robots.txt: pages turned away", len(true), hits(Counter(found), Counter(true)),
               ROBOTS_BARS)  # fmt: skip


# package only
def letter_rows(cleaned: Cleaned) -> Iterable[Row]:
    """Of pages in each encoding, how many are read as they were written."""
    right: defaultdict[str, list[bool]] = defaultdict(list)
    for page in cleaned.pages:
        expected = repair_text(page_to_text(page.document)).text
        said = page.declared or "nothing"
        name = page.encoding if said == page.encoding else f"{page.encoding} said to be {said}"
        right[name].append(cleaned.repaired[page.document.id].text == expected)
    for name in sorted(right):
        kept = sum(right[name]) / len(right[name])
        yield Row(f"letters: {name}", len(right[name]), {"kept": kept})


# package only
def frame_and_text(cleaned: Cleaned, texts: Mapping[str, Document]) -> tuple[int, dict[str, float]]:
    """How many lines stand around the texts; of them the share gone, of good texts what is left."""
    num_lines = num_gone = num_characters = num_left = 0
    for page in cleaned.pages:
        left = Counter(texts[page.document.id].text.split("\n"))
        frame = (*page.frame.before, *page.frame.after)
        num_lines += len(frame)
        num_gone += sum(line not in left for line in frame)
        if not page.should_go:
            true = Counter(cleaned.repaired[page.document.id].text.split("\n")) - Counter(frame)
            num_characters += sum(len(line) * count for line, count in true.items())
            num_left += sum(len(line) * count for line, count in (left & true).items())
    return num_lines, {"recall": num_gone / num_lines, "kept": num_left / num_characters}


# package only
def boilerplate_row(cleaned: Cleaned) -> Row:
    """Lines around the text that are gone, and characters of good texts that are left."""
    num_lines, figures = frame_and_text(cleaned, cleaned.texts)
    return Row("boilerplate: lines gone, text kept", num_lines, figures, BOILERPLATE_BARS)


def library_row(cleaned: Cleaned) -> Row:
    """The same of the same pages, by the extractor that `main_text` wraps instead of our steps.

    It looks at one page alone, at its tags and links; ours counts which lines a crawl repeats.
    """
    texts = {
        identity: repair_text(replace(page, text=main_text(page.text)))
        for identity, page in cleaned.raw.items()
    }
    num_lines, figures = frame_and_text(cleaned, texts)
    return Row("boilerplate: the same, by resiliparse", num_lines, figures)


# package only
def personal_rows(cleaned: Cleaned) -> Iterable[Row]:
    """Personal data by kind, as found in the repaired texts of the pages worth keeping."""
    found: Counter[tuple[str, str, str]] = Counter()
    true: Counter[tuple[str, str, str]] = Counter()
    for page in cleaned.pages:
        if not page.should_go:
            text = cleaned.repaired[page.document.id].text
            found.update((kind, page.document.id, value) for kind, value in personal_data(text))
            true.update((kind, page.document.id, value) for kind, value in page.personal_data)
    for kind in sorted({each[0] for each in true}):
        ours, theirs = (
            Counter({key: n for key, n in some.items() if key[0] == kind}) for some in (found, true)
        )
        yield Row(f"personal data: {kind}", theirs.total(), hits(ours, theirs), PERSONAL_BARS)
    spared = [
        value in masking("report")(cleaned.repaired[page.document.id]).text
        for page in cleaned.pages
        for _, value in page.decoys
    ]
    yield Row("personal data: decoys left alone", len(spared), {"kept": sum(spared) / len(spared)})


# package only
def language_lines(cleaned: Cleaned) -> dict[str, str]:
    """Long lines of foreign pages and of pages worth keeping, and what language each is in."""
    return {
        line: language
        for page in cleaned.pages
        if page.faults <= REPAIRS - {"personal data", "decoys"} | {"language", "mixed language"}
        for line, language in zip(page.shown_text.split("\n"), page.line_languages, strict=True)
        if len(line) >= MIN_LINE_CHARACTERS
    }


# package only
def language_row(cleaned: Cleaned) -> Row:
    """The mean of the languages' F1, by the course's identifier."""
    lines = language_lines(cleaned)
    found = [language for language, _ in load_identifier().identify_all(list(lines))]
    score = macro_f1(list(lines.values()), found)
    return Row("language: lines ≥ 100 characters", len(lines), {"F1": score}, LANGUAGE_BARS)


# package only
def leak_rows(cleaned: Cleaned, sets: Sets) -> Iterable[Row]:
    """Leaks by set, in both directions; retold ones; and how many clean pages are left alone."""
    report = leak_report(cleaned.texts.values(), sets)
    flagged = set().union(*(each.documents for each in report.values()))
    leaky = [page for page in cleaned.pages if page.leak]
    for name, found in report.items():
        mine = [page for page in leaky if page.leak.set == name and page.leak.way == "verbatim"]
        items = {page.leak.item for page in mine}
        if mine:
            num_found = sum(page.document.id in found.documents for page in mine)
            figures = {"recall": num_found / len(mine)}
            yield Row(f"leaks: {name}, pages", len(mine), figures, LEAK_BARS)
            figures = {"recall": len(items & found.share_by_item.keys()) / len(items)}
            yield Row(f"leaks: {name}, items", len(items), figures, LEAK_BARS)
    retold = [page.document.id in flagged for page in leaky if page.leak.way == "paraphrased"]
    if retold:
        yield Row("leaks: in other words", len(retold), {"recall": sum(retold) / len(retold)})
    clean = [page.document.id not in flagged for page in cleaned.pages if page.leak is None]
    yield Row("leaks: clean pages left alone", len(clean), {"kept": sum(clean) / len(clean)},
              CLEAN_BARS)  # fmt: skip


# package only
def text_rows(cleaned: Cleaned) -> Iterable[Row]:
    """Of the good pages how many are kept, and of those how many are exactly their own text.

    Both after the cuts: a copied passage is no part of the text that its page should have.
    """
    good = {page.document.id: page.clean_text for page in cleaned.pages if not page.should_go}
    same = [each.text == good[identity] for identity, each in cleaned.cut.items()
            if identity in good]  # fmt: skip
    yield Row("good pages: kept", len(good), {"kept": len(same) / len(good)})
    yield Row("kept pages, passages cut: the text put in", len(same),
              {"kept": sum(same) / len(same)})  # fmt: skip
