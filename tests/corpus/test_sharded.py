"""Shards: any number of them, on any engine, give what one process gives; restarts redo little."""

import json
import random
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import cache
from inspect import signature
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.__main__ import main
from minillm.core import records
from minillm.core.progress import Progress
from minillm.core.records import read_json_lines
from minillm.corpus import gathered, pipeline, sharded, shardfolders
from minillm.corpus.card import added, data_card, tally
from minillm.corpus.cardpage import card_page
from minillm.corpus.clean import drop_boilerplate
from minillm.corpus.dirty import make_dirty_web
from minillm.corpus.gathered import GATHERED, Gathered, Round, step_for_shards
from minillm.corpus.inputs import read_inputs
from minillm.corpus.pipeline import apply_steps, steps, write_json_lines
from minillm.corpus.sharded import Phase, apply_phase, clean_files, phases
from minillm.corpus.shardfolders import (
    Filed,
    finished,
    id_hash,
    json_line,
    put_in_place,
    write_corpus_card,
)
from minillm.corpus.sources import Document, Rejection
from tests.corpus import planted

NUM_PAGES = 160


@pytest.fixture(autouse=True, scope="module")
def code_is_hashed_once() -> Iterator[None]:
    """The code does not change while these tests run."""
    with pytest.MonkeyPatch.context() as patch:
        once = cache(records.code_sha256)
        patch.setattr(records, "code_sha256", once)
        patch.setattr(sharded, "code_sha256", once)
        yield


@cache
def crawl(num_pages: int = NUM_PAGES) -> tuple[Document, ...]:
    return tuple(page.document for page in make_dirty_web(num_pages, 5))


def written(path: Path, documents: Sequence[Document]) -> Path:
    path.write_text("".join(json_line(asdict(each)) for each in documents), encoding="utf-8")
    return path


def in_shards(documents: Sequence[Document], num_shards: int, makers=None) -> tuple[list, list]:
    """The same walks without files: what is kept and what is rejected, in the order of the list."""
    makers = steps() if makers is None else makers
    numbered = list(enumerate(documents))
    shards = [numbered[first::num_shards] for first in range(num_shards)]
    decision, rejected = None, []
    for phase in phases(makers):
        results = [apply_phase(shard, phase, makers, decision) for shard in shards]
        shards = [kept for kept, _ in results]
        found = (each for _, some in results for each in some)
        rejected += sorted(found, key=lambda each: each[:2])
        if phase.collects is not None:
            work = GATHERED[phase.collects].rounds[phase.round]
            collected = [json.loads(json.dumps(work.collect(each, decision))) for each in shards]
            decision = json.loads(json.dumps(work.combine(collected, decision)))
    kept = sorted((each for shard in shards for each in shard), key=lambda each: each[0])
    return [document for _, document in kept], [rejection for *_, rejection in rejected]


def check_equal(documents: Sequence[Document], num_shards: int) -> None:
    assert in_shards(documents, num_shards) == apply_steps(documents, steps())


@pytest.mark.parametrize("num_shards", [1, 2, 3, 7, NUM_PAGES, NUM_PAGES + 3])
def test_shards_give_what_one_process_gives(num_shards):
    check_equal(crawl(), num_shards)
    kept, rejected = apply_steps(crawl(), steps())
    assert len(kept) > 60 and {each.step for each in rejected} >= {"exact copy", "near copy"}


WORDS = "river house stone bridge garden winter market letter music morning".split()


@st.composite
def small_crawls(draw) -> list[Document]:
    """Pages of few lines from a small stock, so that lines, texts and near texts meet often."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    lines = [f"the {' '.join(rng.choices(WORDS, k=14))} of" for _ in range(6)]
    kinds = ["web", "web", "book", "code"]
    documents = []
    for number in range(draw(st.integers(0, 24))):
        chosen = rng.sample(lines, rng.randrange(1, 5))
        if rng.random() < 0.3:
            chosen[0] = chosen[0].replace(rng.choice(WORDS), "It's Ünlike", 1)
        text = "\n".join(chosen)
        text = text.upper() if rng.random() < 0.2 else text
        kind = rng.choice(kinds)
        text = "".join(f"<p>{line}</p>" for line in text.split("\n")) if kind == "web" else text
        documents.append(Document(f"d/{number}", text, "test", kind, "CC0-1.0", "en"))
    return documents


@settings(max_examples=60, deadline=None)
@given(small_crawls(), st.integers(1, 9))
def test_any_small_crawl_in_any_number_of_shards(documents, num_shards):
    check_equal(documents, num_shards)


@pytest.mark.parametrize("step", ["boilerplate", "exact copy", "near copy"])
def test_a_decision_that_forgets_all_shards_but_one_is_noticed(step, monkeypatch):
    """The planted bug: what the first shard collected decides alone."""
    rounds = tuple(
        Round(each.collect, lambda lists, last, combine=each.combine: combine(lists[:1], last))
        for each in GATHERED[step].rounds
    )
    monkeypatch.setitem(GATHERED, step, Gathered(rounds, GATHERED[step].decide))
    with pytest.raises(AssertionError):
        check_equal(crawl(), 7)
    check_equal(crawl(), 1)


def test_shards_cleaned_each_by_itself_are_noticed():
    kept = [each for first in range(7) for each in apply_steps(crawl()[first::7], steps())[0]]
    assert {each.id for each in kept} != {each.id for each in apply_steps(crawl(), steps())[0]}


def test_the_walks_by_hand():
    names = ("licence", "repair", "boilerplate", "length", "exact copy", "near copy")
    walks = phases(names)
    assert walks[:3] == [
        Phase(("licence", "repair"), "boilerplate", 0),
        Phase(("boilerplate", "length"), "exact copy", 0),
        Phase(("exact copy",), "near copy", 0),
    ]
    assert all(walk == Phase((), "near copy", n) for n, walk in enumerate(walks[3:-1], start=1))
    assert walks[-1] == Phase(("near copy",))
    assert phases(("length",)) == [Phase(("length",))]
    assert phases(()) == [Phase(())]


def test_a_line_that_is_shared_over_shards_is_counted_once_a_page():
    pages = [
        (number, Document(str(number), "menu\nmenu\nown", "test", "web", "CC0-1.0", "en"))
        for number in range(8)
    ]
    counts = [gathered.count_lines(pages[:3], None), gathered.count_lines(pages[3:], None)]
    menu = gathered.line_digest("menu")
    assert [each[menu] for each in counts] == [3, 5]
    assert menu in gathered.shared_digests(counts, None)
    assert menu not in gathered.shared_digests([counts[0], counts[0]], None)
    assert signature(drop_boilerplate).parameters["min_pages"].default == gathered.MIN_PAGES


def test_combining_does_not_depend_on_the_order_of_shards():
    numbered = list(enumerate(crawl()))
    for name in ("boilerplate", "exact copy"):
        work = GATHERED[name].rounds[0]
        lists = [work.collect(numbered[first::5], None) for first in range(5)]
        assert work.combine(lists, None) == work.combine(lists[::-1], None)


def test_a_step_that_looks_at_all_documents_without_saying_how_is_refused():
    def average(documents):
        return lambda document: document if len(documents) else None

    for make in (average, lambda documents: drop_boilerplate(documents)):
        with pytest.raises(ValueError, match=r"'average' looks at all .*\.GATHERED what"):
            step_for_shards("average", make, None)(crawl()[0])


def card_of(artifact: records.Artifact) -> dict:
    """The sealed data card, with pairs as pairs, which JSON writes as lists."""
    assert {"card.json", "card.md"} <= set(artifact.files) and artifact.verify()
    made = json.loads((artifact.path / "card.json").read_text(encoding="utf-8"))
    return made | {"mentions": {key: tuple(pair) for key, pair in made["mentions"].items()}}


@pytest.mark.parametrize(
    "forget",
    [lambda tallies: added(list(tallies)[:1]), lambda tallies: added([*tallies, *tallies])],
    ids=["one shard alone is counted", "all is counted twice"],
)
def test_a_card_of_other_counts_than_the_documents_is_noticed(tmp_path, monkeypatch, forget):
    path = written(tmp_path / "crawl.jsonl", crawl())
    monkeypatch.setattr(shardfolders, "added", lambda tallies: forget(list(tallies)))
    kept, rejected = apply_steps(crawl(), steps())
    made = card_of(clean_files([path], tmp_path / "out", num_shards=3))
    assert made != data_card(kept, rejected, None, pipeline.LICENCES, is_mix=False)


def test_the_card_of_a_cleaning_asks_what_the_options_ask(tmp_path):
    write_json_lines(tmp_path / "documents.jsonl", [replace(crawl()[0], text="It ran.")])
    write_json_lines(tmp_path / "rejected.jsonl", [])
    counts = [tally([replace(crawl()[0], text="It ran.")])]
    asked = {"licences": ["CC0-1.0"], "languages": ["de"]}
    for names in ((), ("licences",), ("licences", "languages")):
        write_corpus_card(tmp_path, counts, {name: asked[name] for name in names})
        made = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
        questions = " ".join(each["question"] for each in made["checklist"])
        assert ("licences" in questions, "languages" in questions) == (
            "licences" in names, "languages" in names
        )  # fmt: skip
        assert "largest source" not in questions and "held-out" not in questions
        wanted = {cell.split(" / ")[0] for cell in made["empty_cells"]}
        assert wanted == ({"de"} if "languages" in names else {"en"})


def test_a_card_holds_no_more_texts_than_may_be_copies(tmp_path):
    """Ten times the documents, of 5 kB each, and hardly more memory; the first time tables come."""
    peaks = []
    for num_documents in (1, 100, 1000):
        texts = (" ".join(f"w{n}x{word}" for word in range(600)) for n in range(num_documents))
        some = (Document(f"{n}", text, "a", "web", "CC0-1.0", "en") for n, text in enumerate(texts))
        path = tmp_path / "documents.jsonl"
        path.write_text("".join(json_line(asdict(each)) for each in some), encoding="utf-8")
        documents = Filed(path, Document)
        tracemalloc.start()
        data_card(documents, (), None, None, tally(()), is_mix=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < 0.3 * path.stat().st_size


@pytest.fixture(scope="module")
def expected() -> tuple[str, list, list]:
    kept, rejected = apply_steps(crawl(), steps())
    return id_hash([*kept, *rejected]), kept, rejected


@pytest.mark.parametrize(
    ("engine", "workers", "num_shards"),
    [("local", None, 1), ("local", None, 7), ("processes", 2, 1), ("processes", 2, 3),
     ("processes", 2, 7)],
)  # fmt: skip
def test_engines_and_shards_leave_no_trace(tmp_path, expected, engine, workers, num_shards):
    path = written(tmp_path / "crawl.jsonl", crawl())
    artifact = clean_files(
        [path], tmp_path / "out", engine=engine, workers=workers, num_shards=num_shards
    )
    hash_of_all, kept, rejected = expected
    assert artifact.figures["id_hash"] == hash_of_all
    write_json_lines(tmp_path / "kept", kept)
    write_json_lines(tmp_path / "rejected", rejected)
    for name, file in (("kept", "documents.jsonl"), ("rejected", "rejected.jsonl")):
        assert (artifact.path / file).read_bytes() == (tmp_path / name).read_bytes()
    assert card_of(artifact) == data_card(kept, rejected, None, pipeline.LICENCES, is_mix=False)
    assert (artifact.path / "card.md").read_text("utf-8") == card_page(card_of(artifact))
    assert artifact.figures["num_documents"] == len(kept)
    assert artifact.figures["num_rejected"] == len(rejected)
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_dir()) == ["out"]


def test_several_files_are_one_input_and_an_empty_one_costs_itself_alone(tmp_path, expected):
    paths = [written(tmp_path / "a", crawl()[:50]), written(tmp_path / "b", crawl()[50:])]
    artifact = clean_files(paths, tmp_path / "out", num_shards=3)
    assert artifact.figures["id_hash"] == expected[0]
    none = written(tmp_path / "none", ())
    more = clean_files([*paths, none], tmp_path / "more", num_shards=3)
    for key in ("num_documents", "num_bytes"):
        assert more.figures[key] == artifact.figures[key]
    assert more.figures["num_rejected"] == artifact.figures["num_rejected"] + 1
    with pytest.raises(ValueError, match="no record gives a document; the first: none: an empty"):
        clean_files([none], tmp_path / "empty", num_shards=3)
    left = sorted(each.name for each in tmp_path.iterdir())
    assert left == ["a", "b", "more", "none", "out"], "no lock, no shards"


def test_the_id_hash_sees_a_text_a_reason_and_nothing_else():
    one, two = crawl()[0], crawl()[1]
    gone = Rejection.of(two, "length", "too short", 1.0, 10.0)
    assert id_hash([one, gone]) == id_hash([gone, one])
    assert id_hash([one, gone]) != id_hash([replace(one, text=one.text + " "), gone])
    assert id_hash([one, gone]) != id_hash([one, replace(gone, value=2.0)])
    assert id_hash([one, gone]) != id_hash([one])


def run_in_background(path: Path, out: Path, trouble: Path) -> subprocess.Popen:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from minillm.corpus.sharded import clean_files\n"
        "if __name__ == '__main__':\n"
        f"    clean_files([Path({str(path)!r})], Path({str(out)!r}), engine='processes',\n"
        f"                workers=2, num_shards=8, steps_from={planted.STEPS!r},\n"
        f"                options={{'folder': {str(trouble)!r}}})\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(condition, timeout_s: float = 30) -> None:
    for _ in range(int(timeout_s / 0.02)):
        if condition():
            return
        time.sleep(0.02)
    raise TimeoutError


def test_a_killed_run_redoes_only_what_was_not_finished(tmp_path, expected):
    """SIGKILL in the first walk: whoever starts again finds the shards that were in place."""
    path, out = written(tmp_path / "crawl.jsonl", crawl()), tmp_path / "out"
    trouble = tmp_path / "trouble"
    trouble.mkdir()
    (trouble / "web-5.sleep").write_text("60")
    first_walk = tmp_path / ".out.shards" / "phase_0"
    others = [first_walk / f"shard_{number:04}" for number in range(8) if number != 5]
    with run_in_background(path, out, trouble) as running:
        wait_for(lambda: all(each.is_dir() for each in others))
        running.send_signal(signal.SIGKILL)
    assert not out.exists() and list(first_walk.glob(".shard_0005.*.partial")) == []
    (trouble / "web-5.sleep").unlink()
    seen = (trouble / "seen").read_text().splitlines()
    done: list[dict] = []
    options = {"folder": str(trouble)}
    artifact = clean_files(
        [path], out, num_shards=8, steps_from=planted.STEPS, options=options, watch=done.append
    )
    again = (trouble / "seen").read_text().splitlines()[len(seen) :]
    assert [line.split()[0] for line in again] == [f"web/{n}" for n in range(5, NUM_PAGES, 8)]
    assert [each["shard"] for each in done if each["phase"] == 0] == ["shard_0005"]
    assert artifact.figures["num_shards_reused"] == 7
    assert artifact.figures["num_shards_done"] == len(done) == 8 * len(phases(steps())) - 7
    assert artifact.figures["id_hash"] == expected[0]


def test_other_input_options_or_code_are_done_anew(tmp_path, monkeypatch):
    """What lies there of another run is never taken for this one's."""
    path, out = written(tmp_path / "crawl.jsonl", crawl()[:40]), tmp_path / "out"

    def interrupted(options: dict, code: str = "a") -> int:
        """The number of shards that a run which fails at its second walk found and used."""
        monkeypatch.setattr(sharded, "code_sha256", lambda _: code)
        with planted.broken_off_after_one_walk() as counts:
            with pytest.raises(RuntimeError, match="stop"):
                clean_files([path], out, num_shards=4, options=options)
        return counts[0]["reused"]

    allowed = {"licences": ["CC0-1.0"]}
    assert interrupted(allowed) == 0
    assert interrupted(allowed) == 4
    assert interrupted({"licences": ["PSF-2.0"]}) == 0
    assert interrupted(allowed, code="b") == 0
    written(path, [*crawl()[:39], replace(crawl()[39], text="changed")])
    assert interrupted(allowed, code="b") == 3, "one shard holds the changed document"


def test_an_altered_or_half_written_shard_is_done_again(tmp_path):
    target = tmp_path / "shard_0000"
    put_in_place(target, "key", {"documents.jsonl": ["{}\n"]}, {})
    assert finished(target, "key") and not finished(target, "other key")
    (target / "documents.jsonl").write_text("{} \n")
    assert not finished(target, "key")
    (target / "manifest.json").write_text('{"kind": ')
    assert not finished(target, "key")
    assert not finished(tmp_path / "nothing", "key")


def test_the_second_of_two_attempts_leaves_the_first_one_in_place(tmp_path):
    target = tmp_path / "shard_0000"
    put_in_place(target, "key", {"a": ["one"]}, {})
    put_in_place(target, "key", {"a": ["two"]}, {})
    assert (target / "a").read_text() == "one"
    assert [each.name for each in tmp_path.iterdir()] == ["shard_0000"]
    with pytest.raises(OSError):
        put_in_place(target, "another key", {"a": ["three"]}, {})
    assert [each.name for each in tmp_path.iterdir()] == ["shard_0000"]


def test_a_disk_that_is_full_leaves_nothing_half_written(tmp_path):
    def lines():
        yield "one\n"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        put_in_place(tmp_path / "shard", "key", {"a": lines()}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_dies_in_the_middle_is_replaced(tmp_path, expected):
    trouble = tmp_path / "trouble"
    trouble.mkdir()
    (trouble / "web-6.once").touch()
    artifact = clean_files(
        [written(tmp_path / "crawl.jsonl", crawl())], tmp_path / "out", engine="processes",
        workers=2, num_shards=4, steps_from=planted.STEPS, options={"folder": str(trouble)},
    )  # fmt: skip
    assert artifact.figures["id_hash"] == expected[0]
    seen = [line.split()[0] for line in (trouble / "seen").read_text().splitlines()]
    assert seen.count("web/6") == 2


def test_shards_that_fail_are_named_and_the_others_are_kept(tmp_path, expected):
    path, trouble = written(tmp_path / "crawl.jsonl", crawl()), tmp_path / "trouble"
    trouble.mkdir()
    (trouble / "web-1.fail").touch()
    (trouble / "web-2.always").touch()
    arguments = {
        "engine": "processes", "workers": 2, "num_shards": 4, "steps_from": planted.STEPS,
        "options": {"folder": str(trouble)},
    }  # fmt: skip
    with pytest.raises(RuntimeError) as caught:
        clean_files([path], tmp_path / "out", **arguments)
    words = str(caught.value)
    assert "2 of 4 shards failed in walk 1" in words
    assert "shard_0001: ValueError: web-1 is planted to fail" in words
    assert "shard_0002: its worker process died 3 times" in words and "goes on from here" in words
    (trouble / "web-1.fail").unlink()
    (trouble / "web-2.always").unlink()
    artifact = clean_files([path], tmp_path / "out", **arguments)
    assert artifact.figures["num_shards_reused"] == 2
    assert artifact.figures["id_hash"] == expected[0]


def test_a_finished_folder_is_used_again_by_every_engine(tmp_path, monkeypatch, capsys):
    path = written(tmp_path / "crawl.jsonl", crawl()[:40])
    first = clean_files([path], tmp_path / "out", num_shards=2)
    monkeypatch.setattr(sharded, "walk_shards", None)
    again = clean_files([path], tmp_path / "out", engine="processes", workers=2, num_shards=7)
    assert again.sha256 == first.sha256
    assert capsys.readouterr().out.count("cleaned: ") == 2


def test_progress_says_how_fast_and_how_long(tmp_path, monkeypatch):
    shown: list[tuple[float, str]] = []
    monkeypatch.setattr(Progress, "update", lambda _, share, words: shown.append((share, words)))
    clean_files([written(tmp_path / "crawl.jsonl", crawl()[:40])], tmp_path / "out", num_shards=4)
    shares = [share for share, _ in shown]
    assert shares == sorted(shares) and shares[-1] == 1 and len(shares) == 4 * len(phases(steps()))
    assert all("documents/s" in words and words.startswith("walk ") for _, words in shown)


BAD_LINES = (
    (b'{"id": "a"}', "no document"), (b'{"id": ', "not a JSON object"), (b'["a"]', "no document"),
    (json.dumps(asdict(replace(crawl()[1], text="\ud800"))).encode(), "its text is no Unicode"),
    (b'{"id": "\xff"}', "not UTF-8"), (b'{"text": 5}', "no document"),
    (b"[" * 100_000, "not a JSON object"),
)  # fmt: skip


def test_a_bad_line_costs_itself_alone_and_is_named_whoever_reads_it(tmp_path):
    good = [json_line(asdict(each)).encode() for each in crawl()[:20]]
    lines = [b"\n", *good[:3]]
    for (bad, _), line in zip(BAD_LINES, good[3:], strict=False):
        lines += [bad + b"\n", line]
    path, hashes = tmp_path / "crawl.jsonl", set()
    path.write_bytes(b"".join(lines))
    documents = [each for each in read_inputs([path]) if isinstance(each, Document)]
    assert documents == list(crawl()[: 3 + len(BAD_LINES)])
    kept, rejected = apply_steps(documents, steps())
    for name, engine, workers, num_shards in (("a", "local", None, 1), ("b", "processes", 2, 3)):
        folder = tmp_path / name
        artifact = clean_files(
            [path], folder, engine=engine, workers=workers, num_shards=num_shards
        )
        hashes.add((artifact.figures["id_hash"], (folder / "rejected.jsonl").read_bytes()))
        found = [Rejection(**each) for each in read_json_lines(folder / "rejected.jsonl")]
        first, others = found[: len(BAD_LINES)], found[len(BAD_LINES) :]
        assert others == rejected and artifact.figures["rejected_by_step"]["read"] == len(first)
        assert [each.reason for each in first] == [
            f"crawl.jsonl, record {5 + 2 * number}: {reason}"
            for number, (_, reason) in enumerate(BAD_LINES)
        ]
        assert artifact.figures["num_documents"] == len(kept)
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (b'{"id": "a"}\n[', "crawl.jsonl: no record gives a document; the first: crawl.jsonl, "
         "record 1: columns are id; a text column is called one of text, content"),
        (json_line(asdict(crawl()[0])).encode() * 2, "both have the id 'web/0'"),
    ],
)  # fmt: skip
def test_input_that_cannot_be_used_is_named_and_leaves_no_folder(tmp_path, lines, message):
    (tmp_path / "crawl.jsonl").write_bytes(lines)
    with pytest.raises(ValueError, match=message):
        clean_files([tmp_path / "crawl.jsonl"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("num_shards", [0, 501])
def test_a_number_of_shards_that_cannot_be_is_refused(tmp_path, num_shards):
    path = written(tmp_path / "crawl.jsonl", crawl()[:1])
    with pytest.raises(ValueError, match=f"shards is {num_shards}; give 1 to 500"):
        clean_files([path], tmp_path / "out", num_shards=num_shards)


def test_the_command_line_cleans_files(tmp_path, expected, capsys):
    path = written(tmp_path / "crawl.jsonl", crawl())
    words = ["corpus", "clean", "--documents", str(path), "--out", str(tmp_path / "out"), "--json"]
    assert main([*words, "--engine", "processes", "--workers", "2", "--shards", "3"]) == 0
    output = capsys.readouterr()
    figures = json.loads(output.out)
    assert figures["id_hash"] == expected[0] and "rejected → " in output.err
    for wrong, message in (
        (["corpus", "--engine", "ray"], "--engine: only `minillm corpus clean` heeds it"),
        (["corpus", "clean", "--out", str(tmp_path)], "--documents is missing; give"),
        (words[:4], "--out is missing; give"),
        ([*words, "--run", "mine"], "--run: with `clean` the result belongs to no run"),
        ([*words, "--engine", "cloud"], "--engine is 'cloud'; choose one of local, processes, ray"),
        ([*words, "--workers", "0"], "--workers is 0; give at least 1"),
        ([*words, "--workers", "2"], "but --engine local is one; use --engine processes"),
        ([*words, "--address", "h:1"], "--address is h:1, but --engine local has none; use --eng"),
        ([*words, "--shards", "0"], "--shards is 0; give 1 to 500"),
        ([*words[:3], str(tmp_path / "gone"), *words[4:]], "gone: there is no such file"),
    ):
        assert main(wrong) == 1
        said = capsys.readouterr().err
        assert message in said
        assert said.startswith("minillm corpus clean: ") == (wrong[1] == "clean")


def test_reading_keeps_all_that_is_known_of_a_document(tmp_path):
    documents = [replace(crawl()[0], date="2026-01-01", level=2, split="validation"), crawl()[1]]
    assert list(read_inputs([written(tmp_path / "some", documents)])) == documents


def test_every_step_of_the_course_runs_over_shards():
    """Whoever adds a step that looks at all documents learns here that shards need to be told."""
    for name, make in pipeline.steps().items():
        if name not in GATHERED:
            step_for_shards(name, make, None)
