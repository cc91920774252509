"""The verb `corpus`: text → documents; and with an action, the dirty web and the report on it.

Without an action it is the run's stage. `dirty` writes a made-up crawl and its truth, `report`
takes one of a held-out seed through all steps and says what each has found, `clean` takes a user's
files through them, on one machine or many: none of these reads a run.
"""

import argparse
import io
from contextlib import redirect_stdout
from pathlib import Path
from time import perf_counter

from minillm.verbs import cleaning
from minillm.verbs.arguments import (
    add_reporting,
    check_figures_file,
    check_folder,
    chosen_run,
    figures_out,
    notes,
    refuse,
)
from minillm.verbs.documents import say_what_is_replaced, say_what_the_card_denies
from minillm.verbs.evaluation_sets import evaluation_sets

DIRTY, REPORT = "dirty", "report"
# Of each action what it does, and what its --out is.
ACTIONS = {
    DIRTY: (
        "write invented web pages with planted faults, and which these are",
        "the folder for crawl and truth",
    ),
    REPORT: (
        "take such pages through the cleaning steps, and say how many each step finds",
        "a file that keeps the figures",
    ),
    cleaning.CLEAN: ("take your files through the cleaning steps", "the folder of the result"),
}
OF_A_RUN = ("run", "recipe", "set", "home", "text")
NO_RUN = "the dirty web belongs to no run; leave it out"
ONLY_DIRTY_WEB = f"only `minillm corpus {DIRTY}` and `minillm corpus {REPORT}` heed it"


# package only
def add_out(made: argparse.ArgumentParser, words: str) -> None:
    """Where the result goes."""
    made.add_argument("--out", type=Path, metavar="PATH", help=words)


# package only
def add_web_options(made: argparse.ArgumentParser) -> None:
    """Which dirty web."""
    made.add_argument("--seed", type=int, help="which web (default: 0; of report: a held-out one)")
    words = "how many pages (default: 2000); beside them are made a 25th as many below /members, "
    words += "half of them forbidden, an eighth as many that share passages, a tenth as many, "
    words += "256 at most, of real text, a 50th as many that quote evaluation sets, "
    words += "and a fifth as many papers and programs"
    made.add_argument("--pages", type=int, metavar="M", help=words)


# package only
def own_licences() -> str:
    """The licences that may be used where `--licences` names none."""
    from minillm.corpus.pipeline import LICENCES

    return f"The course's own list of licences: {', '.join(LICENCES)}."


# package only
class HelpOfAction(argparse.Action):
    """`--help`: behind an action what that one takes, else what the verb does."""

    def __call__(self, parser: argparse.ArgumentParser, args: argparse.Namespace, *_: str) -> None:
        asked = parser
        if args.what is not None:
            does, out = ACTIONS[args.what]
            asked = argparse.ArgumentParser(prog=f"{parser.prog} {args.what}", description=does)
            if args.what == cleaning.CLEAN:
                asked.epilog = own_licences()
            (cleaning.add_options if args.what == cleaning.CLEAN else add_web_options)(asked)
            add_out(asked, out)
            add_reporting(asked)
        asked.print_help()
        parser.exit()


# package only
def add_options(made: argparse.ArgumentParser) -> None:
    """What only `corpus` takes, each option under the actions that heed it."""
    made.usage = f"%(prog)s [{' | '.join(ACTIONS)}] [options]"
    made.epilog = f"`{made.prog} {cleaning.CLEAN} --help` says what that action takes."
    made.add_argument("-h", "--help", action=HelpOfAction, nargs=0, help="show this, and end")
    words = "; ".join(f"{name}: {does}" for name, (does, _) in ACTIONS.items())
    words = f"{words}; without any: the documents of the run, or of --text"
    made.add_argument("what", nargs="?", choices=ACTIONS, metavar="action", help=words)
    add_web_options(made.add_argument_group(f"with {DIRTY} and {REPORT}"))
    cleaning.add_options(made.add_argument_group(f"with {cleaning.CLEAN}"))
    words = "; ".join(f"{name}: {out}" for name, (_, out) in ACTIONS.items())
    add_out(made.add_argument_group("with an action"), words)


# package only
def run_corpus(args: argparse.Namespace) -> int:
    """Text becomes documents; or the dirty web, or what the steps make of it."""
    if args.what == cleaning.CLEAN:
        refuse(args, ("seed", "pages"), ONLY_DIRTY_WEB)
        return cleaning.run_clean(args)
    refuse(args, cleaning.OPTIONS, cleaning.ONLY_CLEAN)
    if args.what is None:
        refuse(args, ("seed", "pages", "out"), ONLY_DIRTY_WEB)
        return make_run_documents(args)
    refuse(args, OF_A_RUN, NO_RUN)
    if args.pages is not None and args.pages < 1:
        raise ValueError(f"--pages {args.pages}: give a count of at least 1")
    return write_dirty_web(args) if args.what == DIRTY else report_dirty_web(args)


# package only
def make_run_documents(args: argparse.Namespace) -> int:
    """The stage of the run; says what is trained on, what is held out, what was rejected."""
    run, recipe = chosen_run(args)

    from minillm import stages
    from minillm.core.records import counted, sized

    say_what_is_replaced(run, recipe, "corpus", "documents")
    with redirect_stdout(io.StringIO()):  # its one line counts what is trained on alone
        artifact = stages.reach(run, recipe, "documents")
    figures = artifact.figures
    parts = [
        f"{counted(figures[f'num{which}_documents'], 'document')} "
        f"({sized(figures[f'num{which}_bytes'])}) {use}"
        for which, use in (("", "to train on"), ("_validation", "held out to test with"))
    ]
    if figures["num_rejected"]:
        parts.append(f"{figures['num_rejected']:,} rejected")
    if figures["missing_sources"]:
        parts.append(f"without {', '.join(figures['missing_sources'])}")
    place = f"runs/{run.name}/{artifact.path.name}"
    print(f"{artifact.kind}: {', '.join(parts)} → {place}", file=notes(args))
    say_what_the_card_denies(args, artifact)
    figures_out(args, figures)
    return 0


# package only
def write_dirty_web(args: argparse.Namespace) -> int:
    """A crawl and its truth in a folder."""
    if args.out is None:
        raise ValueError("--out is missing: name the folder for crawl and truth (--out DIR)")
    check_folder("--out", args.out)

    from minillm.core.records import check_replaceable, counted
    from minillm.corpus.dirty.crawl import CRAWL, FILES, FILES_TRUTH, TRUTH, write_crawl
    from minillm.corpus.dirty.files import make_dirty_files
    from minillm.corpus.report import NUM_PAGES, PAGES_A_FILE, report_pages

    check_replaceable(args.out, CRAWL, (TRUTH, FILES, FILES_TRUTH), "--out ")
    num_pages = NUM_PAGES if args.pages is None else args.pages
    seed = args.seed or 0
    pages = report_pages(seed, num_pages, evaluation_sets())
    files = make_dirty_files(num_pages // PAGES_A_FILE, seed)
    figures = write_crawl(pages, args.out, files)
    words = f"{counted(figures['pages'], 'page')}, {figures['should_go']:,} to be thrown out"
    print(f"dirty web: {words} → {args.out}", file=notes(args))
    figures_out(args, figures)
    return 0


# package only
def report_dirty_web(args: argparse.Namespace) -> int:
    """One table of what each step finds of what was planted; 1 if a bar is not reached."""
    from minillm.bench.measuring import save_figures
    from minillm.corpus import report

    if args.pages is not None and args.pages < report.MIN_PAGES:
        raise ValueError(
            f"--pages {args.pages}: give a report at least {report.MIN_PAGES}, so that every kind"
            " of page is among them"
        )
    check_figures_file(args.out)
    started = perf_counter()
    seed = report.HELD_OUT_SEED if args.seed is None else args.seed
    num_pages = report.NUM_PAGES if args.pages is None else args.pages
    rows = report.corpus_report(seed, num_pages, evaluation_sets())
    print(report.table(rows), report.LEGEND, sep="\n", file=notes(args))
    missed = [row.name for row in rows if row.is_reached is False]
    seconds = perf_counter() - started
    unmeasured = [row.name for row in rows if row.bars and row.is_reached is None]
    whole = "the others are reached" if unmeasured else "every bar is reached"
    verdict = f"bars not reached: {'; '.join(missed)}" if missed else whole
    if unmeasured:
        verdict = f"bars with nothing to measure: {'; '.join(unmeasured)}; {verdict}"
    print(f"{num_pages:,} pages of seed {seed}, {seconds:.0f} s: {verdict}", file=notes(args))
    if (missed or unmeasured) and num_pages < report.NUM_PAGES:
        print(report.FEW_PAGES, file=notes(args))
    figures = {"seed": seed, "pages": num_pages, "seconds": round(seconds, 1)}
    figures |= {"missed": missed, "unmeasured": unmeasured, "rows": report.report_figures(rows)}
    if args.out is not None:
        save_figures(args.out, "minillm corpus report --json", figures)
    figures_out(args, figures)
    return 1 if missed else 0
