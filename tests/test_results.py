"""bench/RESULTS.md says what the recorded benches say, and the bars that they are held to."""

import json
import shutil
from itertools import product
from pathlib import Path
from statistics import mean

import numpy as np
import pytest

from minillm.bench.bars import BAD_SENTENCES, Bar, attention_bars
from minillm.bench.learn import PEER_RATES, PEER_ROWS
from minillm.bench.optimizers import with_interval
from minillm.bench.tokenizer import NUM_FUZZ_STRINGS
from minillm.bench.train import LOOPS
from minillm.bench.vocabulary import SIZES as VOCABULARY_SIZES
from tests.model.flash_cases import UNITS
from tools.bars import BARS, what_so_few_steps_show
from tools.results import BENCH, RESULTS, results

GIGABYTE_READ = (
    "tests/corpus/test_readers.py::"
    "test_a_gigabyte_is_read_in_less_than_half_a_gigabyte_of_memory"
)
# What these hold is a number of megabytes, so each says how many it needed.
MEMORY_PROOFS = (
    f"{GIGABYTE_READ}[a.jsonl.gz]",
    f"{GIGABYTE_READ}[a.warc]",
    "tests/tokenizer/test_streaming.py::test_a_stream_of_a_gigabyte_stays_under_300_megabytes",
    "tests/batches/test_writing.py"
    "::test_two_hundred_megabytes_of_text_need_no_more_memory_than_ten",
)


def recorded(name: str) -> dict:
    """The figures of a recorded bench."""
    return json.loads((BENCH / f"{name}.json").read_text(encoding="utf-8"))["figures"]


def test_the_page_is_what_the_recorded_benches_make() -> None:
    assert RESULTS.read_text(encoding="utf-8") == results()


def test_another_figure_is_another_page(tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    shutil.copytree(BENCH, folder)
    path = folder / "transfer.json"
    recorded = json.loads(path.read_text(encoding="utf-8"))
    recorded["figures"]["best_rates_apart"]["transfer"] = 1.4
    path.write_text(json.dumps(recorded), encoding="utf-8")
    assert "| the same with the width rule | 1.40 |" in results(folder)


def proof(**fields: object) -> dict[str, object]:
    """A record as it was kept before commands and figures were, and what it has beyond that."""
    old = {"date": "2026-11-29", "machine": "x, 2 cores", "outcome": "passed", "python": "3.11.7"}
    return old | {"seconds": 48.4} | fields


def test_the_cases_of_a_proof_stand_in_one_row_with_what_they_found(tmp_path: Path) -> None:
    figures = {"peak_memory_mb": 1231, "allowed_memory_mb": 500}
    records = {
        "tests/a.py::test_a_kill[0]": proof(),
        "tests/a.py::test_a_kill[1]": proof(outcome="failed", date="2026-11-30"),
        "tests/b.py::test_a_stream[a.gz]": proof(command="python -m pytest", figures=figures),
        "tests/b.py::test_alone": proof(figures={"tries": 3}),
    }
    (tmp_path / "proofs.json").write_text(json.dumps(records), encoding="utf-8")
    page = results(tmp_path)
    dates, machine = "2026-11-29, 2026-11-30", "x, 2 cores"
    assert f"| a kill (`tests/a.py`) | 1 of 2 | 97 |  | {dates} | {machine} |\n" in page
    memory = "[a.gz] peak memory 1,231 MB, allowed memory 500 MB"
    assert f"| a stream (`tests/b.py`) | 1 of 1 | 48 | {memory} | 2026-11-29 |" in page
    assert "| alone (`tests/b.py`) | 1 of 1 | 48 | tries 3 | 2026-11-29 |" in page


def test_every_recorded_proof_is_there_passed_and_stayed_within_its_memory() -> None:
    proofs = json.loads((BENCH / "proofs.json").read_text(encoding="utf-8"))
    assert proofs
    for nodeid, record in proofs.items():
        file, _, name = nodeid.partition("::")
        text = (BENCH.parent / file).read_text(encoding="utf-8")
        assert f"def {name.partition('[')[0]}(" in text
        assert record["outcome"] == "passed"
        figures = record.get("figures", {})
        assert figures.get("peak_memory_mb", 0) <= figures.get("allowed_memory_mb", 0)
    for nodeid in MEMORY_PROOFS:
        assert proofs[nodeid].keys() >= {"command", "figures"}, f"{nodeid} was not recorded whole"
        assert proofs[nodeid]["figures"].keys() >= {"peak_memory_mb", "allowed_memory_mb"}


def test_a_note_stands_above_its_rows(tmp_path: Path) -> None:
    recorded = json.loads((BENCH / "transfer.json").read_text(encoding="utf-8"))
    recorded["note"] = "A part is of another day"
    (tmp_path / "transfer.json").write_text(json.dumps(recorded), encoding="utf-8")
    assert "\n\nA part is of another day.\n\n| | |\n" in results(tmp_path)


def test_a_bench_without_a_section_is_told(tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text("{}", encoding="utf-8")
    with pytest.raises(KeyError, match="new.json has no section in tools/results.py"):
        results(tmp_path)


def test_kernels_are_judged_where_they_were_timed_and_nowhere_else() -> None:
    """A CPU's recording has other forms under other names, and says nothing of ours."""
    assert {bar.verdict for bar in attention_bars(recorded("attention"))} == {"no GPU yet"}
    ways = ("forward", "backward")
    timed = {"ours_held_bytes_a_token_grow_times": 1.2} | {
        f"{way}_times_{other}_width_{width}": figure
        for other, figure in (("flash_at_4096", 0.7), ("plain_at_8192", 9.0))
        for way in ways for width in (64, 128)
    }  # fmt: skip
    verdicts = [bar.verdict for bar in attention_bars(timed)]
    assert verdicts == ["missed", "reached", "reached", "reached"] * 2 + ["missed"]
    del timed["forward_times_plain_at_8192_width_64"]  # its memory was not enough
    assert attention_bars(timed)[2].verdict == "did not run there"


@pytest.mark.parametrize(("size", "mfu"), [("5.4M", 0.45), ("14M", 0.50)])
def test_the_recorded_step_holds_its_bars(size: str, mfu: float) -> None:
    found = recorded("train")[size]
    assert found["ours_over"]["nanoGPT"] >= 3.4
    assert found["ours_eager_over"]["nanoGPT"] >= 2.3
    assert found["mfu"]["ours"] >= mfu
    # within the laptop recipe's minutes of pretraining
    assert found["compiling_repaid_after_s"] <= 8.4 * 60


def test_compiling_is_repaid_within_the_laptop_run_at_its_own_size() -> None:
    assert recorded("train_slower")["1.3M"]["compiling_repaid_after_s"] <= 8.4 * 60


def test_the_recorded_tokenizer_holds_its_bars() -> None:
    found = recorded("tokenizer")
    assert found["merges_equal_at_4096"] and found["merges_equal_at_8192"] and found["ids_equal"]
    for num_merges in (4096, 8192):
        assert found[f"train_{num_merges}_times_tokenizers"] >= 1.3
        assert found[f"train_{num_merges}_times_rustbpe"] >= 1 / 2.3
    assert found["encode_cold_times_tokenizers"] >= 1.3
    assert found["encode_warm_times_tokenizers"] >= 2.3
    assert found["encode_warm_times_tiktoken"] >= 0.5
    assert found["fuzz_strings_equal"] == found["fuzz_strings"] == NUM_FUZZ_STRINGS == 10_000


def test_the_recorded_search_for_duplicates_holds_its_bars() -> None:
    found = recorded("duplicates")
    assert found["datasketch_over_ours"] >= 2.2
    assert found["ours_over_rensa"] <= 2
    assert found["ours"]["recall_of_pairs"] == found["dirty_web"]["ours"]["recall_of_pairs"] == 1


def test_the_recorded_benches_and_the_recorded_report_judge_the_same_pages_and_lines() -> None:
    """So that the report's figure of ours and the bench's of the peers can stand side by side."""
    rows, web = recorded("report")["rows"], recorded("duplicates")["dirty_web"]
    row = rows["copies: pairs of a family, J ≥ .7"]
    assert web["planted_pairs"] == row["n"]
    for ours, its in (("precision", "precision"), ("recall", "recall"), ("f1", "F1")):
        assert round(web["ours"][f"planted_families_{ours}"], 4) == row[its]
    difference = web["ours"]["planted_families_f1"] - web["datasketch"]["planted_families_f1"]
    assert abs(difference) <= 0.005
    row, lines = rows["language: lines ≥ 100 characters"], recorded("language")
    lines = lines["dirty web, lines ≥ 100"]
    assert (lines["lines"], lines["ours"]) == (row["n"], row["F1"])
    assert lines["ours"] >= lines["lid.176"] - 0.02


def test_the_recorded_stream_holds_its_bars() -> None:
    found = recorded("stream")
    assert found["exact_resumes"] == found["resumes"] == 60
    per_s = found["tokens_per_s"] | {
        "stream with packing": found["stream_with_packing_tokens_per_s"]
    }
    assert per_s[found["aim_is_of"]] >= 50e6
    for name, is_reached in found["at_least_50_million"].items():
        assert is_reached == (per_s[name] >= 50e6)
    later = [found["rank_correlation"][f"stream, epoch {epoch}"] for epoch in (1, 2)]
    assert max(map(abs, later)) == found["largest_rank_correlation_after_epoch_0"] < 0.02


@pytest.mark.parametrize("words", ["spaced", "pattern"])
@pytest.mark.parametrize("kind", ["marginal", "best"])
def test_the_recorded_unigram_tokenizer_holds_its_bar(words: str, kind: str) -> None:
    """At most .5 % more nats than SentencePiece for text that neither has learned from."""
    found = recorded("unigram")
    ours = found[f"{words}_held_out_{kind}_nats_ours"]
    theirs = found[f"{words}_held_out_{kind}_nats_sentencepiece"]
    assert -ours <= 1.005 * -theirs
    assert found[f"{words}_held_out_{kind}_ratio"] == pytest.approx(ours / theirs)


def test_the_recorded_vocabularies_are_compared_at_equal_compute() -> None:
    found = recorded("vocabulary")
    assert [int(size) for size in found["sizes"]] == list(VOCABULARY_SIZES)
    rows, base = list(found["sizes"].values()), found["sizes"][str(found["base"])]
    for each in rows:
        bits = each["bits_per_byte"]
        assert [len(bits[kind]) for kind in ("stories", "found", "all")] == [3, 3, 3]
        weights = [found["held_out_bytes"][kind] for kind in ("stories", "found")]
        for stories, of_found, together in zip(*bits.values(), strict=True):
            mean = (stories * weights[0] + of_found * weights[1]) / sum(weights)
            assert together == pytest.approx(mean, abs=2e-4)
        for name, values in (
            ("interval", bits["all"]),
            ("minus_base", np.subtract(bits["all"], base["bits_per_byte"]["all"])),
        ):
            assert each[name] == pytest.approx(with_interval(list(values)), abs=5e-4)
        assert each["megabytes_read"] < found["training_megabytes"], "no text is read twice"
    for name in ("head_share", "embedding_share", "bytes_per_token", "context_bytes"):
        assert [each[name] for each in rows] == sorted(each[name] for each in rows)
    steps = [each["steps"] for each in rows]
    assert steps == sorted(steps, reverse=True)


@pytest.mark.parametrize("words", ["spaced", "pattern"])
@pytest.mark.parametrize("part", ["training", "held_out"])
@pytest.mark.parametrize("kind", ["marginal", "best"])
def test_at_equal_settings_the_recorded_likelihoods_are_within_half_a_percent(
    words: str, part: str, kind: str
) -> None:
    """As each learns by itself ours is better by more than that."""
    found = recorded("unigram")
    assert found[f"{words}_alike_{part}_{kind}_ratio"] == pytest.approx(1, abs=0.005)
    assert found[f"{words}_{part}_{kind}_ratio"] < 0.995


@pytest.mark.parametrize("level", ["1", "2", "3", "4"])
def test_the_recorded_checker_holds_its_bars(level: str) -> None:
    found = recorded("world")["checker"][level]
    assert found["true_stories"] >= 1000 and found["false_alarms"] == 0
    assert min(each["broken"] for each in found["changes"].values()) >= 100
    assert found["least_noticed_fraction"] >= 0.98
    assert found["changes"]["needed_deleted"]["noticed_fraction"] >= 0.98


def row_of(page: str, words: str) -> str:
    """The one row of the page that begins with these words."""
    (row,) = [line for line in page.splitlines() if line.startswith(f"| {words} ")]
    return row


def part_of(page: str, heading: str) -> str:
    """What stands below this heading, up to the next."""
    _, found, below = page.partition(f"## {heading}")
    assert found
    return below.partition("\n## ")[0]


@pytest.mark.parametrize("name", ["learn", "learn_slower"])
def test_the_recorded_interval_is_that_of_the_three_pairs(name: str) -> None:
    found = recorded(name)
    parts = np.divide(found["bits_per_byte"]["ours"], found["bits_per_byte"]["nanoGPT"])
    assert len(parts) == 3 and found["ours_over_nanogpt"] == pytest.approx(with_interval([*parts]))


def test_the_recorded_learning_holds_the_bars_that_it_reached() -> None:
    found = recorded("learn")
    assert found["ours_over_nanogpt"]["mean"] <= 0.92
    assert found["ours_over_nanogpt"]["high"] <= 0.92
    assert mean(found["stories"]["1"]["consistent_fraction"]) >= 0.85


def test_nanogpt_raced_with_the_better_of_the_two_likeliest_of_nine_ways() -> None:
    found = recorded("learn_slower")
    tried = found["nanogpt_tried"]
    short = [each for each in tried if each["minutes"] == found["minutes"] / 10]
    whole = [each for each in tried if each["minutes"] == found["minutes"]]
    ways = {(each["rows"], each["rate"]) for each in short}
    assert ways == {*product(PEER_ROWS, PEER_RATES)} and len(short) == 9
    likeliest = sorted(short, key=lambda each: each["bits_per_byte"])[:2]
    kept = [(each["rows"], each["rate"]) for each in whole]
    assert kept == [(each["rows"], each["rate"]) for each in likeliest]
    best = min(whole, key=lambda each: each["bits_per_byte"])
    assert (best["rows"], best["rate"]) == (found["nanogpt_rows"], found["nanogpt_rate"])


@pytest.mark.parametrize(
    ("name", "heading"), [("learn", "Bits per byte after"), ("learn_slower", "The same beside")]
)
def test_the_page_names_each_bar_of_learning_with_its_number_and_verdict(
    name: str, heading: str
) -> None:
    """The figures are computed here anew: a missed bar is called missed, a reached one reached."""
    found, stories = recorded(name), recorded(name)["stories"]
    half = BAD_SENTENCES / 2
    below = [np.inf if each is None else each for each in found["ours_below_5_gram_after_minutes"]]
    bad = mean(stories["3"]["bad_sentences_per_story"])
    sound = {level: mean(stories[level]["consistent_fraction"]) for level in "12"}
    expected = {
        "minutes until ours is below the 5-gram model, in every seed ≤ 2.000":
            ("never" if np.isinf(max(below)) else f"{max(below):.3f}", max(below) <= 2),
        "stories of level 1 free of contradictions ≥ 85.0 %":
            (f"{100 * sound['1']:.1f} %", sound["1"] >= 0.85),
        "stories of level 2 free of contradictions ≥ 50.0 %":
            (f"{100 * sound['2']:.1f} %", sound["2"] >= 0.5),
        f"bad sentences a story of level 3, half of the recorded run's ≤ {half:.2f}":
            (f"{bad:.2f}", bad <= half),
    }  # fmt: skip
    if "nanogpt_rows" in found:
        high = found["ours_over_nanogpt"]["high"]
        part = mean(np.divide(found["bits_per_byte"]["ours"], found["bits_per_byte"]["nanoGPT"]))
        words = "bits per byte over nanoGPT's at its best"
        expected[f"{words} ≤ 0.920"] = (f"{part:.3f}", part <= 0.92)
        expected[f"{words}, upper end of the interval ≤ 0.920"] = (f"{high:.3f} |", high <= 0.92)
    for level, values in found["story_bits_over_the_worlds"].items():
        estimate = "an upper estimate of the world's own"
        words = f"bits of unread stories of level {level} over {estimate} ≤ 1.120"
        expected[words] = (f"{mean(values):.3f}", mean(values) <= 1.12)
    page = part_of(RESULTS.read_text(encoding="utf-8"), heading)
    for words, (figure, is_reached) in expected.items():
        row = row_of(page, words)
        begin = figure if figure.endswith("|") else f"{figure} ("  # seed by seed, where there are
        assert row.startswith(f"| {words} | {begin}")
        assert row.endswith("| reached |" if is_reached else "| **missed** |")


def test_a_bar_that_a_recording_cannot_judge_is_neither_reached_nor_missed() -> None:
    found = recorded("learn")
    found.pop("story_bits_over_the_worlds_together", None)
    assert BARS["learn"](found)[-1].verdict == "to be recorded anew"
    found["story_bits_over_the_worlds_together"] = {"by_seed": [1.11, 1.13], "mean": 1.12}
    bar = BARS["learn"](found)[-1]
    assert (bar.verdict, bar.told) == ("reached", "1.120 (1.110, 1.130)")
    found |= {"nanogpt_rows": 4}
    over_peer = [bar.found for bar in BARS["learn"](found) if "nanoGPT's at its best" in bar.words]
    assert len(over_peer) == 2 and None not in over_peer
    del found["nanogpt_rows"]  # 16 rows a step, untried: no word on nanoGPT at its best
    over_peer = [bar for bar in BARS["learn"](found) if "nanoGPT's at its best" in bar.words]
    assert {bar.verdict for bar in over_peer} == {"to be recorded anew"}
    found["ours_below_5_gram_after_minutes"] = [1.5, None]
    (bar,) = [each for each in BARS["learn"](found) if "5-gram" in each.words]
    assert (bar.verdict, bar.told) == ("missed", "never (1.500, never)")


def test_the_loop_takes_at_most_a_twentyfifth_of_a_step_at_5_and_14_million_parameters() -> None:
    figures = recorded("train_slower")

    def of_loops() -> list[Bar]:
        bars = [bar for bar in BARS["train_slower"](figures) if "share of a step" in bar.words]
        return [bar for bar in bars if not bar.words.startswith("1.3M")]

    assert {bar.verdict for bar in of_loops()} == {"reached"} and len(of_loops()) == 6
    for size in ("5.4M", "14M"):
        figures[size]["loop_share_quartiles"] = dict.fromkeys(LOOPS, [0.01, 0.041])
    assert {bar.verdict for bar in of_loops()} == {"missed"}


@pytest.mark.parametrize(
    ("name", "heading", "num_bars"),
    [("train", "A step", 16), ("train_slower", "A later", 19)],
)
def test_the_page_names_each_bar_of_a_step_with_its_verdict(
    name: str, heading: str, num_bars: int
) -> None:
    """On the slower machine, too, where most of the ratios are missed."""
    page = part_of(RESULTS.read_text(encoding="utf-8"), heading)
    bars = BARS[name](recorded(name))
    assert len(bars) == num_bars
    for bar in bars:
        verdict = {"missed": "**missed**"}.get(bar.verdict, bar.verdict)
        assert row_of(page, f"{bar.words} {bar.asked}").endswith(f"| {verdict} |")


def test_the_page_has_every_ablation_with_its_seeds_and_interval() -> None:
    page, figures = RESULTS.read_text(encoding="utf-8"), recorded("ablations")
    rows = figures["shape"] | figures["recipe"]
    assert len(rows) == 24
    for name, row in rows.items():
        seeds = ", ".join(f"{each:.3f}" for each in row["bits_per_byte"])
        gap = "{mean:+.3f} [{low:+.3f}, {high:+.3f}]".format(**row["minus_base"]).replace("-", "−")
        assert f"| {name} | {row['steps']} | {seeds} | {gap} |" in page


@pytest.mark.parametrize(("share", "is_floor"), [(0.02, True), (0.3, False)])
def test_the_page_says_of_which_levels_the_table_of_changes_can_say_nothing(
    share: float, is_floor: bool
) -> None:
    figures = recorded("stories")
    for row in (figures["base"], *figures["variants"].values()):
        row["level_2_consistent"] = [0.0, share, 2 * share]
        row["level_3_consistent"] = [0.0, 0.0, 0.5]
    words = what_so_few_steps_show(figures)
    assert f"The base has {figures['variants']['another seed']['steps']} steps;" in words
    assert f"of level 2 {100 * share:.1f} % of the base's stories" in words
    assert ("cannot show what moves level 2." in words) == is_floor
    assert what_so_few_steps_show(recorded("stories")) in RESULTS.read_text(encoding="utf-8")


def test_the_page_names_the_floor_below_the_kernels_bar() -> None:
    row = row_of(RESULTS.read_text(encoding="utf-8"), "the Triton kernels in the interpreter:")
    assert f"in float32 a floor of {UNITS} units of its precision" in row and UNITS == 4


@pytest.mark.parametrize("is_least", [True, False])
def test_a_bar_holds_at_its_limit_and_on_its_own_side_only(is_least: bool) -> None:
    def verdict(found: float) -> str:
        return Bar(words="", found=found, limit=0.5, is_least=is_least).verdict

    sides = ["missed", "reached", "reached"]
    assert [verdict(0.4), verdict(0.5), verdict(0.6)] == (sides if is_least else sides[::-1])
