"""The command line: `minillm <verb>`, a thin layer over the recipes and the rooms' stage functions.

Results go to standard output, progress and errors to standard error. Exit codes: 0 success,
1 something went wrong (one line says what, `--debug` shows where), 2 wrong usage.
"""

import argparse
import difflib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from minillm import __version__
from minillm.verbs import (
    align,
    arguments,
    bench,
    compress,
    corpus,
    evaluate,
    lineage,
    making,
    monitor,
    serve,
    using,
)

USAGE, INTERRUPTED = 2, 130
TEXT_HELP = (
    "your own files, packed (gz, bz2, xz, zst) or not: text, code, JSON lines, CSV, Parquet, HTML, "
    "papers (LaTeX, JATS), mail, WARC; a run reads them alone, with --recipe in the place of that "
    "recipe's sources"
)


# package only
class Parser(argparse.ArgumentParser):
    """argparse, with wrong usage said in one line."""

    def error(self, message: str) -> None:
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def refuse_unknown(self, words: Sequence[str]) -> None:
        """End for the first of these words, which no option takes, with the option most like it."""
        options = [name for action in self._actions for name in action.option_strings]
        name = words[0].partition("=")[0]
        if name in options:
            self.error(f"{name} stands before the verb; put it after")
        like = difflib.get_close_matches(name, options, n=1, cutoff=0.7)
        self.error(f"{words[0]} is not known{f': do you mean {like[0]}?' if like else ''}")


# package only
def common_options() -> argparse.ArgumentParser:
    """What every verb takes."""
    common = Parser(add_help=False)
    add = common.add_argument
    add("--run", metavar="NAME", help="the run's name (a folder under runs/)")
    add("--recipe", metavar="NAME", help="smoke or laptop; default: the run's own, else smoke")
    add("--set", metavar="FIELD=VALUE", action="append", help="change one field of the recipe")
    add("--home", type=Path, help="the folder that holds runs/ (default: the checkout, else here)")
    arguments.add_reporting(common)
    return common


# package only
def train_options(made: argparse.ArgumentParser) -> None:
    """What only `train` takes."""
    add = made.add_argument
    add("--minutes", type=float, help="bound of the training steps; the schedule ends there")
    add("--processes", type=int, metavar="N", help="share each batch over N processes (default: 1)")
    folder = {"dest": "from_folder", "type": Path, "metavar": "DIR"}
    add("--from", **folder, help="start from a Hugging Face folder")


# package only
def chat_options(made: argparse.ArgumentParser) -> None:
    """What only `chat` takes."""
    add = made.add_argument
    add("--prompt", metavar="TEXT")
    add("--max-tokens", type=int, default=200)
    add("--temperature", type=float, default=0.8)
    add("--top-k", type=int, metavar="K", help="draw from the K likeliest tokens")
    add("--top-p", type=float, default=0.95)
    add("--min-p", type=float, help="from those at least this share as likely as the likeliest")
    for name, neutral in (("repetition", 1.0), ("frequency", 0.0), ("presence", 0.0)):
        words = f"more than {neutral:g}, which is none, makes used tokens less likely"
        add(f"--{name}-penalty", type=float, default=neutral, metavar="X", help=words)
    add("--seed", type=int, default=0)
    add("--quantized", action="store_true", help="answer with what `minillm compress` made")


# package only
def parser() -> argparse.ArgumentParser:
    """Every verb with its options; stable from here on."""
    root = Parser(
        prog="minillm", description="A language model from raw text to a monitored service."
    )
    root.add_argument("--version", action="version", version=f"minillm {__version__}")
    choices = root.add_subparsers(dest="verb", metavar="verb", required=True, parser_class=Parser)
    shared = common_options()

    def verb(
        name: str, action: Callable[[argparse.Namespace], int], words: str
    ) -> argparse.ArgumentParser:
        has_actions = name == "corpus"  # whose own help says what an action takes
        made = choices.add_parser(
            name, parents=[shared], help=words, description=words, add_help=not has_actions
        )
        made.set_defaults(action=action, parser=made)
        if name in ("corpus", "tokenizer", "train"):
            text = {"metavar": "FILE", "nargs": "+", "type": Path}
            made.add_argument("--text", **text, help=TEXT_HELP)
        return made

    verb("course", making.run_course, "run every notebook, without a screen")
    corpus.add_options(verb("corpus", corpus.run_corpus, "text → documents; a dirty web"))
    add = verb("tokenizer", making.run_tokenizer, "documents → tokenizer.json").add_argument
    add("--vocab-size", type=int, help="with --text: all tokens, the 256 bytes too (default: 4096)")
    add("--out", type=Path, metavar="DIR", help="with --text: where tokenizer.json is written")
    train_options(verb("train", making.run_train, "from text to a model"))
    align.add_options(verb("align", align.run_align, "fine-tune on conversations, then prefer"))
    add = verb("export", using.run_export, "the model in other people's form").add_argument
    add("--to", choices=("hf", "gguf"), default="hf", help="hf: a folder for transformers")
    add("--type", choices=("f32", "f16", "q8_0"), help="with --to gguf: how numbers are stored")
    add("--out", type=Path, required=True, metavar="DIR", help="the folder, or the GGUF file")
    made = verb("compress", compress.run_compress, "the model in fewer bits, and what it lost")
    compress.add_options(made)
    chat_options(verb("chat", using.run_chat, "talk to the run's model"))
    words = "score models, with intervals; promote the best"
    evaluate.add_options(verb("evaluate", evaluate.run_evaluate, words))
    serve.add_options(verb("serve", serve.run_serve, "answer requests over HTTP, and log them"))
    monitor.add_options(verb("monitor", monitor.run_monitor, "watch a request log for drift"))
    words = "from the served model, or one reply, to the documents; and what was altered"
    lineage.add_options(verb("lineage", lineage.run_lineage, words))
    add = verb("check", using.run_check, "check the exercises you have solved").add_argument
    add("chapter", nargs="?", metavar="NN", help="a chapter's number, of 01d too 01; default: all")
    words = "ours against named peers, measured in one run"
    bench.add_options(verb("bench", bench.run_bench, words))
    return root


# package only
def one_line(error: BaseException) -> str:
    """An error as one clear line."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


# package only
def command(args: argparse.Namespace) -> str:
    """What was asked for, as typed: the verb, and its action where it has one."""
    words = ("minillm", args.verb, getattr(args, "what", None))
    return " ".join(word for word in words if word is not None)


# package only
def main(given: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code is 0 only on success."""
    args, unknown = parser().parse_known_args(given)
    of_verb = vars(args).pop("parser")  # it cannot be sent to other processes, as args can
    if unknown:
        of_verb.refuse_unknown(unknown)
    warnings.formatwarning = arguments.warning_line
    try:
        return args.action(args)
    except KeyboardInterrupt as error:
        print(f"{command(args)}: stopped{f' ({error})' if str(error) else ''}", file=sys.stderr)
        code = INTERRUPTED
    except (ValueError, OSError, ImportError, AssertionError, RuntimeError) as error:
        if args.debug:
            raise
        print(f"{command(args)}: {one_line(error)}", file=sys.stderr)
        code = arguments.FAILED
    return code


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    code = main()
    sys.stdout.flush()
    os._exit(code) if code == INTERRUPTED else sys.exit(code)
