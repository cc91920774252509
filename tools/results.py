"""bench/RESULTS.md from the recorded benches: `python -m tools.results` writes it afresh.

Each `bench/*.json` gets a section with its command, machine and date, and the figures that
decide; all others stay in the file. Nothing here is typed by hand but the words.
"""

import json
from pathlib import Path
from statistics import mean

from minillm.bench.train import BAR_SHAPES, SHAPES
from minillm.bench.vocabulary import SIZES as VOCABULARY_SIZES
from tools.bars import ABOVE, BARS, BELOW, bars_table
from tools.proofs import proofs_section
from tools.steps import OLDER, TRAINED, Keys, step_rows

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
RESULTS = BENCH / "RESULTS.md"
# of another form: proofs by name, no bench
PROOFS = "proofs.json"
HEAD = """# What was measured

Made by `python -m tools.results` from the JSON files beside it, each written by `minillm bench …
--out FILE`. Speeds are of ours and the named peers in one run, in turns, medians; learning is one
run after the other, means of the seeds; a note says what was measured apart. Ratios above 1 are in
our favour unless it says otherwise. The proofs at the end were recorded by `make proofs`. What did
not work is in [LOG.md](../LOG.md).

What `minillm corpus report` says of ours, two commands say of ours and of the peers on the same
pages and lines of the dirty web: `minillm bench duplicates` of families of copies, `minillm bench
language` of the language of lines.

**GPUs: no figure yet.** The Triton kernels are proven in the interpreter and compiled to machine
code for sm_80 and sm_90 (registers and spills are in `attention.json`); none has run on a GPU.

What was aimed at stands in tables of bars, with a verdict: *reached*, **missed**, *to be recorded
anew* where the recording is older than the figure, *no GPU yet* where none was there to measure,
or *did not run there* where a GPU's memory was not enough for one of the two.
"""
# words, where the figure stands, how it is written
LEARNED: tuple[tuple[str, Keys, str], ...] = (
    ("minutes", ("minutes",), ".0f"),
    ("bits per byte, ours", ("bits_per_byte", "ours"), ".3f"),
    ("bits per byte, nanoGPT", ("bits_per_byte", "nanoGPT"), ".3f"),
    ("ours over nanoGPT, mean of the seeds (below 1 is better)",
     ("ours_over_nanogpt", "mean"), ".3f"),
    ("upper end of its 95 % interval", ("ours_over_nanogpt", "high"), ".3f"),
    ("bits per byte, 5-gram model", ("kneser_ney_5_gram_bits_per_byte",), ".3f"),
    *((f"stories of level {level} free of contradictions",
       ("stories", level, "consistent_fraction"), ".1%") for level in "123"),
    ("bad sentences a story of level 3", ("stories", "3", "bad_sentences_per_story"), ".2f"),
    *((f"bits of unread stories of level {level} over an upper estimate of the world's own",
       ("story_bits_over_the_worlds", level), ".3f") for level in "123"),
)  # fmt: skip
SEARCHED: tuple[tuple[str, Keys, str], ...] = (
    ("nanoGPT's rows a step, of 4, 8 and 16", ("nanogpt_rows",), ".0f"),
    ("nanoGPT's peak rate, of .001, .002 and .004", ("nanogpt_rate",), ".3f"),
)
# file → what it is about, and such rows
SECTIONS: dict[str, tuple[str, tuple[tuple[str, Keys, str], ...]]] = {
    "train": ("A step, beside nanoGPT and transformers", step_rows(BAR_SHAPES, OLDER)),
    "train_slower": (
        "A later recording, where products of bfloat16 are half as fast", step_rows(SHAPES, TRAINED)
    ),
    "learn": ("Bits per byte after so many minutes, beside nanoGPT", LEARNED),
    "learn_slower": (
        "The same beside nanoGPT at its best, without units for bfloat16", (*SEARCHED, *LEARNED)
    ),
    "stories": ("What moves the stories, at equal compute", ()),
    "transfer": ("The best learning rate by width", (
        ("best rates of D = 32, 64, 128 apart, one rate for all",
         ("best_rates_apart", "plain"), ".2f"),
        ("the same with the width rule", ("best_rates_apart", "transfer"), ".2f"),
    )),
    "optimizers": ("Muon and AdamW after 150 small steps", (
        ("Muon − AdamW, bits per byte, equal steps",
         ("muon_minus_adamw_same_steps", "mean"), "+.2f"),
        ("upper end of its 95 % interval", ("muon_minus_adamw_same_steps", "high"), "+.2f"),
        ("Muon − AdamW, equal minutes (AdamW at the best rate of 150 steps)",
         ("muon_minus_adamw_same_minutes", "mean"), "+.2f"),
        ("upper end of its 95 % interval", ("muon_minus_adamw_same_minutes", "high"), "+.2f"),
    )),
    "ablations": ("The recipe, one change at a time, equal compute", ()),
    "positions": ("Five kinds of positions", (
        *((f"{kind}: held-out nats a token, mean of the seeds", ("nats_by_kind_and_seed", kind),
           ".3f") for kind in ("alibi", "rotary", "sinusoidal", "learned", "none")),
    )),
    "generate": ("Writing, beside transformers (float32, greedy, the same texts, one thread)", (
        ("batch 16: reading the prompts",
         ("batch 16", "ours, plain cache: prefill over transformers"), ".2f"),
        ("batch 1: decoding", ("batch 1", "ours, plain cache: decode over transformers"), ".2f"),
        ("batch 16: decoding", ("batch 16", "ours, plain cache: decode over transformers"), ".2f"),
    )),
    "attention": ("Attention's forms on a CPU, one thread, 4,096 tokens, head width 64", (
        ("PyTorch's kernel: times plain code, forward",
         ("forward_times_plain_at_4096_width_64",), ".1f"),
        ("and backward", ("backward_times_plain_at_4096_width_64",), ".1f"),
    )),
    "tokenizer": ("Training and encoding", (
        ("4,096: times tokenizers", ("train_4096_times_tokenizers",), ".2f"),
        ("4,096: times rustbpe", ("train_4096_times_rustbpe",), ".2f"),
        ("encoding, cold: times tokenizers", ("encode_cold_times_tokenizers",), ".2f"),
        ("encoding, cold: times tiktoken", ("encode_cold_times_tiktoken",), ".2f"),
        ("encoding, warm: times tiktoken", ("encode_warm_times_tiktoken",), ".2f"),
        ("awkward strings over all planes of Unicode", ("fuzz_strings",), ",.0f"),
        ("of these with the ids of tokenizers and of tiktoken", ("fuzz_strings_equal",), ",.0f"),
        ("code points left out: letters to one library's Unicode, not to another's",
         ("fuzz_code_points_left_out",), ",.0f"),
    )),
    "unigram": ("The unigram tokenizer, beside SentencePiece", (
        ("seconds over its seconds (below 1 is better)", ("spaced_seconds_ratio",), ".2f"),
        *((f"{kind} nats over its, {words} (below 1 is better)",
           (f"{name}_{part}_marginal_ratio",), ".4f")
          for name, words in (
            ("spaced", "words between spaces"), ("pattern", "words of GPT-4's pattern"),
            ("spaced_alike", "words between spaces, equal settings"),
            ("pattern_alike", "words of GPT-4's pattern, equal settings"),
          ) for part, kind in (("held_out", "held-out"), ("training", "training"))),
    )),
    "vocabulary": ("The size of the vocabulary, at equal compute", (
        *((f"{size:,} entries: {words}", ("sizes", str(size), *keys), form)
          for size in VOCABULARY_SIZES for words, keys, form in (
            ("held-out bits a byte, mean of the seeds", ("bits_per_byte", "all"), ".4f"),
            ("lower end of the 95 % interval", ("interval", "low"), ".4f"),
            ("upper end", ("interval", "high"), ".4f"),
            ("the head's share of the operations", ("head_share",), ".0%"),
            ("bytes that a row of 256 tokens covers", ("context_bytes",), ",.0f"),
            ("megabytes read", ("megabytes_read",), ".2f"),
        )),
    )),
    "stream": ("Reading shards", (
        *((f"tokens a second, {words}", keys, ",.0f") for words, keys in (
            ("rows of the files in random order (the aim of 50 million is of these)",
             ("tokens_per_s", "raw shuffled")),
            ("the stream's batches", ("tokens_per_s", "stream")),
            ("these with the packing of their epoch", ("stream_with_packing_tokens_per_s",)),
        )),
        ("rank correlation with the documents' order: first epoch, easy texts first on purpose",
         ("rank_correlation", "stream, epoch 0"), ".5f"),
        ("the largest of the two epochs after it", ("largest_rank_correlation_after_epoch_0",),
         ".4f"),
        *((f"{words}: times {name}", (f"{kind}_times_{key}",), ".2f")
          for kind, words in (
            ("stream", "the batches alone, without shuffling and packing their epoch"),
            ("with_packing", "these with it (the libraries shuffle, and pack nothing)"),
          ) for key, name in (
            ("torch_dataloader", "PyTorch's DataLoader"), ("datasets", "Hugging Face's datasets"),
          )),
        ("exact resumes", ("exact_resumes",), ".0f"),
    )),
    "duplicates": ("Near-duplicates, 50,000 documents", (
        ("seconds, ours", ("ours", "seconds"), ".1f"),
        ("seconds, rensa", ("rensa", "seconds"), ".1f"),
        ("seconds, datasketch", ("datasketch", "seconds"), ".1f"),
        ("seconds, datatrove", ("datatrove", "seconds"), ".1f"),
        ("families, F1 of ours", ("ours", "families_f1"), ".2f"),
        *((f"families planted in the report's pages, F1: {name}",
           ("dirty_web", name, "planted_families_f1"), ".4f")
          for name in ("ours", "datasketch", "rensa", "datatrove")),
    )),
    "world": ("The story world as a text", (
        *((f"level {level}: {words}", ("levels", level, name), form)
          for level in "1234" for words, name, form in (
            ("megabytes a second on one core", "megabytes_per_s", ".1f"),
            ("zlib ratio", "zlib_ratio", ".3f"), ("distinct words", "distinct_words", ".0f"),
        )),
        *((f"level {level}: bits a story", ("levels", level, "bits_a_story"), ".0f")
          for level in "123"),
        *((f"level {level}, the checker: {words}", ("checker", level, *keys), form)
          for level in "1234" for words, keys, form in (
            ("true stories read", ("true_stories",), ",.0f"),
            ("false alarms", ("false_alarms",), ".0f"),
            ("a needed sentence dropped, noticed",
             ("changes", "needed_deleted", "noticed_fraction"), ".1%"),
            ("the change that is noticed least, noticed", ("least_noticed_fraction",), ".1%"),
        )),
        ("an encyclopaedia's zlib ratio", ("zlib_ratio_of_an_encyclopaedia",), ".3f"),
    )),
    "report": ("The cleaning steps, on a dirty web that no rule was written for", (
        *((words, ("rows", name, figure), ".3f") for words, name, figure in (
            ("families of near copies, F1", "copies: pairs of a family, J ≥ .7", "F1"),
            ("language of long lines, macro-F1", "language: lines ≥ 100 characters", "F1"),
            ("boilerplate lines gone", "boilerplate: lines gone, text kept", "recall"),
            ("text kept", "boilerplate: lines gone, text kept", "kept"),
            ("verbatim leaks found, held-out stories", "leaks: held-out stories, pages", "recall"),
            ("clean pages left alone", "leaks: clean pages left alone", "kept"),
            *((f"near copies found, {way}", f"near copies: {way}", "recall")
              for way in ("edited", "templated", "reordered")),
            *((f"copied passages cut, {way}", f"passages: {way}", "recall")
              for way in ("pasted", "woven in", "chain letter")),
            ("other text that those cuts leave", "passages: other text left alone", "kept"),
            ("pages that robots.txt forbids", "robots.txt: pages turned away", "recall"),
            ("files of code with a closed licence or none", "files: licence", "recall"),
            ("files that a program wrote", "files: generated", "recall"),
            ("files with a secret", "files: secret", "recall"),
            ("papers read to the letter", "files: papers read to the letter", "kept"),
        )),
    )),
    "language": ("The language identifier, macro-F1 of lines of 100 characters and more", (
        ("ours", ("macro-F1 of lines ≥ 100, ours",), ".3f"),
        ("lid.176", ("macro-F1 of lines ≥ 100, lid.176",), ".3f"),
        ("on the report's lines of the dirty web: ours", ("dirty web, lines ≥ 100", "ours"), ".3f"),
        ("lid.176", ("dirty web, lines ≥ 100", "lid.176"), ".3f"),
    )),
    "quality": ("The learned filter", (
        ("good pages called bad", ("quality: called bad by kind", "good"), ".1%"),
        ("gibberish called bad", ("quality: called bad by kind", "gibberish"), ".0%"),
    )),
}  # fmt: skip


def figure(figures: dict, keys: Keys, form: str) -> str:
    """What stands there, written, of several seeds the mean; KeyError naming an empty place."""
    found = figures
    for key in keys:
        if key not in found:
            raise KeyError(f"{' · '.join(keys)}: the recorded bench has no such figure")
        found = found[key]
    if found is None and keys[-1] == "compiling_repaid_after_s":
        return "never"
    return format(mean(found) if isinstance(found, list) else found, form)


def section(name: str, folder: Path = BENCH) -> str:
    """A bench's heading, what made it, and its rows."""
    title, rows = SECTIONS[name]
    recorded = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    lines = [
        f"## {title}", "",
        f"`{recorded['command']}` · [{name}.json]({name}.json) · {recorded['machine']} ·"
        f" {recorded['date']}", "",
    ]  # fmt: skip
    if "note" in recorded:
        lines += [f"{recorded['note']}.", ""]
    figures = recorded["figures"]
    if name in ABOVE:
        lines += [ABOVE[name](figures), ""]
    lines += ["| | |", "|---|---|"] if rows else []
    for words, keys, form in rows:
        value = figure(figures, keys, form)
        lines.append(f"| {words} | {value.replace('%', ' %').replace('-', '−')} |")
    tables = [BELOW[name](figures)] if name in BELOW else []
    tables += [bars_table(name, figures)] if name in BARS else []
    page = "\n".join(lines) + "\n" + "".join(tables)
    return page.replace("\n\n\n", "\n\n")


def results(folder: Path = BENCH) -> str:
    """The whole page; KeyError for a recorded bench without a section."""
    for path in folder.glob("*.json"):
        if path.name != PROOFS and path.stem not in SECTIONS:
            raise KeyError(f"{path.name} has no section in tools/results.py; give it one")
    kept = [name for name in SECTIONS if (folder / f"{name}.json").is_file()]
    proofs = [proofs_section(folder / PROOFS)] if (folder / PROOFS).is_file() else []
    return "\n".join([HEAD, *(section(name, folder) for name in kept), *proofs])


if __name__ == "__main__":
    RESULTS.write_text(results(), encoding="utf-8")
