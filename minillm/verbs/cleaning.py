"""`minillm corpus clean --documents FILES --out DIR`: clean files, here or on many machines.

The result belongs to no run, and is the same to the byte for every engine and number of shards.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from minillm.verbs.arguments import check_folder, figures_out, notes, refuse
from minillm.verbs.documents import say_what_the_card_denies
from minillm.verbs.evaluation_sets import evaluation_sets

if TYPE_CHECKING:
    from minillm.core.records import Artifact
    from minillm.corpus.contamination import Sets

CLEAN = "clean"
OUTSIDE_RUNS = "with `clean` the result belongs to no run; leave it out"
ONLY_CLEAN = "only `minillm corpus clean` heeds it"
OPTIONS = (
    "documents", "licences", "learned", "languages", "passages", "engine", "workers", "address",
    "shards",
)  # fmt: skip
LEARNED = "minillm.verbs.learned:steps"
LANGUAGES = ("en",)
MAX_NAMED = 10  # files in a line on the terminal


# package only
def add_options(made: argparse.ArgumentParser) -> None:
    """What is cleaned, and by whom."""
    add = made.add_argument
    words = "files in any form that --text reads, or JSON lines that are documents already"
    add("--documents", metavar="FILE", nargs="+", type=Path, help=words)
    words = "what may be used, instead of the course's own list (user: what --text has read; "
    words += "unknown: what names no licence)"
    add("--licences", metavar="NAME", nargs="+", help=words)
    words = "reject also other languages (in all but source code), insults (in all English but "
    words += "source code, but for headings of other texts), bad prose (in English pages, books, "
    words += "encyclopaedias, recipes and stories alone), and what holds a part of what models are "
    words += "evaluated on; each says how many documents it has not judged"
    add("--learned", action="store_true", default=None, help=words)
    words = "with --learned: the languages that a document may be in (default: en)"
    add("--languages", metavar="NAME", nargs="+", help=words)
    words = "cut too what an earlier document has: long lines, paragraphs and (of up to 8 million "
    words += "characters) substrings"
    add("--passages", action="store_true", default=None, help=words)
    add("--engine", metavar="NAME", help="local (default), processes, or ray")
    add("--workers", type=int, metavar="N", help="processes at once (default: one a core)")
    add("--address", metavar="HOST:PORT", help="with ray: a cluster's; default: one started here")
    add("--shards", type=int, metavar="N", help="parts of the work (default: 8)")


# package only
def check_documents(paths: Sequence[Path]) -> None:
    """One error that names all paths that are no files, before anything is made."""
    from minillm.corpus.inputs import check_inputs

    try:
        check_inputs(paths)
    except (ValueError, FileNotFoundError, IsADirectoryError) as error:
        raise type(error)(f"--documents {error}") from None


# package only
def check_out(folder: Path, inputs: Sequence[Path]) -> None:
    """ValueError unless the folder is new, empty, or holds nothing but an earlier result."""
    from minillm.core.records import MANIFEST, check_replaceable
    from minillm.corpus.cardpage import CARD_FILES
    from minillm.corpus.shardfolders import DOCUMENTS, REJECTED

    for path in inputs:
        if path.resolve().parent == folder.resolve():
            raise ValueError(f"--out {folder}: holds the input {path.name}; choose another folder")
    check_replaceable(folder, MANIFEST, (DOCUMENTS, REJECTED, *CARD_FILES), "--out ")


# package only
def made_from(sets: "Sets") -> dict[str, str]:
    """The hash of what each learned step is made from, by step: part of the result's key."""
    from minillm.core.records import canonical, file_sha256, sha256_of
    from minillm.corpus.classifier import FOLDER, load_classifier
    from minillm.corpus.language import MODEL_FILE, load_identifier

    load_identifier()
    hashes = {"language": file_sha256(MODEL_FILE)}
    for name in ("civility", "quality"):
        load_classifier(name)
        hashes[name] = file_sha256(FOLDER / f"{name}.npz")
    return hashes | {"contamination": sha256_of(canonical(sets))}


# package only
def check_languages(languages: Sequence[str] | None, learned: bool | None) -> None:
    """ValueError for languages that no step would look at, or that the identifier does not know."""
    from minillm.corpus.language import load_identifier

    if languages is None:
        return
    given = f"--languages is {' '.join(languages)}"
    if not learned:
        raise ValueError(f"{given}, but only the learned steps look at languages; add --learned")
    known = load_identifier().languages
    if wrong := [name for name in languages if name not in known]:
        words = f"{given}, but {', '.join(wrong)} cannot be told from others"
        raise ValueError(f"{words}; give some of {', '.join(known)}")


# package only
def chosen_steps(args: argparse.Namespace) -> dict[str, object]:
    """The steps and their options, as `clean_files` takes them."""
    from minillm.corpus.pipeline import LICENCES
    from minillm.corpus.sharded import STEPS

    options = {"licences": args.licences or list(LICENCES)}
    options |= {"passages": True} if args.passages else {}
    if not args.learned:
        return {"steps_from": STEPS, "options": options}
    options["languages"] = args.languages or list(LANGUAGES)
    options["made_from"] = made_from(evaluation_sets())
    return {"steps_from": LEARNED, "options": options}


# package only
def say_not_judged(artifact: "Artifact") -> dict[str, dict[str, int]]:
    """Print what the learned steps have let pass unseen of what is left; the same as figures."""
    from minillm.corpus.judged import not_judged
    from minillm.corpus.pipeline import read_documents

    counts = not_judged(read_documents(artifact.path))
    for name, by_kind in counts.items():
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in by_kind.items())
        print(f"kept, but not judged by {name}: {kinds}")
    return counts


# package only
def say_unread(artifact: "Artifact") -> None:
    """Print what of which files was not read, the first of it, and where all of it stands."""
    from minillm.core.records import counted, read_json_lines
    from minillm.corpus.opening import READ
    from minillm.corpus.ownfiles import in_words
    from minillm.corpus.shardfolders import REJECTED
    from minillm.corpus.sources import Rejection

    listed = artifact.path / REJECTED
    first, num_by_file = None, Counter()
    for fields in read_json_lines(listed):
        each = Rejection(**fields)
        if each.step == READ:
            first = first or each
            num_by_file[each.source] += 1
    files, num_more = list(num_by_file)[:MAX_NAMED], len(num_by_file) - MAX_NAMED
    more = f" and {counted(num_more, 'more file')}" if num_more > 0 else ""
    named = f"{counted(num_by_file.total(), 'record')} of {', '.join(files)}{more}"
    print(f"{named} not read, the first: {in_words(first)}; the list: {listed}")


# package only
def nothing_left(folder: Path, steps: Mapping[str, int]) -> int:
    """Say that no document is left, where the reasons stand, and what helps; 1 for the shell."""
    remedy = "; --licences NAME … says what may be used (user: what --text has read; unknown: what"
    remedy += " names no licence)"
    remedy = remedy if "licence" in steps else ""
    words = f"✗ no document is left: {folder / 'rejected.jsonl'} has each one's reason{remedy}"
    print(words, file=sys.stderr)
    return 1


# package only
def run_clean(args: argparse.Namespace) -> int:
    """Clean; an interrupted command given again goes on where it was. Returns 1 if all is gone."""
    from minillm.corpus.engines import check_cluster, check_engine
    from minillm.corpus.opening import READ
    from minillm.corpus.sharded import DEFAULT_SHARDS, clean_files
    from minillm.corpus.shardfolders import shard_names

    refuse(args, ("run", "recipe", "set", "home", "text"), OUTSIDE_RUNS)
    for name in ("documents", "out"):
        if getattr(args, name) is None:
            raise ValueError(f"--{name} is missing; give --documents FILE … --out DIR")
    check_documents(args.documents)
    check_out(args.out, args.documents)
    check_folder("--out", args.out)
    engine = "local" if args.engine is None else args.engine
    num_shards = DEFAULT_SHARDS if args.shards is None else args.shards
    check_engine(engine, args.workers, args.address, dashes="--")
    if args.address is not None:
        check_cluster(args.address, dashes="--")
    shard_names(num_shards, dashes="--")
    check_languages(args.languages, args.learned)
    with redirect_stdout(notes(args)):
        artifact = clean_files(
            args.documents, args.out, engine=engine, workers=args.workers, address=args.address,
            num_shards=num_shards, **chosen_steps(args),
        )  # fmt: skip
        steps = artifact.figures.get("rejected_by_step", {})
        if steps:
            print("rejected by", ", ".join(f"{name} {count}" for name, count in steps.items()))
        if READ in steps:
            say_unread(artifact)
        more = {"not_judged": say_not_judged(artifact)} if args.learned else {}
    say_what_the_card_denies(args, artifact)
    figures_out(args, artifact.figures | more | {"path": str(artifact.path)})
    return 0 if artifact.figures["num_documents"] else nothing_left(artifact.path, steps)
