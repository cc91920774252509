"""Artifacts are written whole or not at all, used if their key is the same, not if altered."""

import errno
import json
import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from minillm.core import records
from minillm.core.lineage import lineage
from minillm.core.records import Artifact, Run, check_replaceable, counted, make_artifact, sized


@dataclass(frozen=True)
class Config:
    size: int = 1


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(name="test", path=tmp_path / "runs" / "test")


def make(
    run: Run, kind: str = "documents", size: int = 1, parents: tuple[Artifact, ...] = (),
    text: str = "hello",
) -> Artifact:  # fmt: skip
    calls.append(kind)

    def write(folder: Path) -> dict:
        written.append(kind)
        (folder / "words.txt").write_text(text)
        return {"words": size}

    return make_artifact(
        run, kind, config=Config(size), parents=parents, code=["minillm.core.records"], write=write,
        summary=lambda figures: f"{figures['words']} words",
    )


calls: list[str] = []
written: list[str] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    calls.clear()
    written.clear()


def test_a_finished_artifact_is_used_and_prints_the_same_line(
    run: Run, capsys: pytest.CaptureFixture
) -> None:
    first = make(run)
    second = make(run)
    lines = capsys.readouterr().out.splitlines()
    assert written == ["documents"]
    assert lines[0] == lines[1] == "documents: 1 words → runs/test/documents"
    assert first.sha256 == second.sha256


@pytest.mark.parametrize(
    ("num_bytes", "said"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (99_900, "99.9 kB"),
     (100_000, "0.10 MB"), (16_840_000, "16.84 MB")],
)  # fmt: skip
def test_a_size_has_a_unit_that_shows_something(num_bytes: int, said: str) -> None:
    assert sized(num_bytes) == said


@pytest.mark.parametrize(
    ("files", "is_ours"),
    [((), True), (("sign",), True), (("sign", "more"), True), (("more",), False),
     (("sign", "diary"), False), (("diary",), False)],
)  # fmt: skip
def test_only_an_earlier_result_may_be_replaced(tmp_path: Path, files, is_ours: bool) -> None:
    folder = tmp_path / "out"
    check_replaceable(folder, "sign", ("more",))
    folder.mkdir()
    for name in files:
        (folder / name).write_text("x")
    if is_ours:
        check_replaceable(folder, "sign", ("more",))
        return
    with pytest.raises(ValueError, match=f"^--out {folder}: exists and holds other things; choose"):
        check_replaceable(folder, "sign", ("more",), "--out ")
    with pytest.raises(ValueError, match="is a file; give the name of a folder"):
        check_replaceable(folder / files[0], "sign", ())


def test_a_pipe_is_no_folder_to_replace(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is a file; give the name of a folder"):
        check_replaceable(tmp_path / "pipe", "sign", ())


def test_outside_the_runs_an_artifact_is_shown_with_its_whole_path(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    make_artifact(
        Run(name="x", path=tmp_path / "deep" / "er"), "kind", config={}, parents=(), code=(),
        write=lambda folder: {}, summary=lambda _: "done", folder_name="named",
    )  # fmt: skip
    assert capsys.readouterr().out == f"kind: done → {tmp_path / 'deep' / 'er' / 'named'}\n"


def test_one_is_not_plural() -> None:
    told = [counted(number, "document") for number in (0, 1, 2, 2000)]
    assert told == ["0 documents", "1 document", "2 documents", "2,000 documents"]


def test_another_configuration_or_parent_makes_the_artifact_again(run: Run) -> None:
    parent = make(run)
    make(run, "tokenizer", parents=(parent,))
    make(run, "tokenizer", size=2, parents=(parent,))
    changed = make(run, size=3, text="other")
    make(run, "tokenizer", size=2, parents=(changed,))
    assert written == ["documents", "tokenizer", "tokenizer", "documents", "tokenizer"]


def test_hashes_cover_content_configuration_and_parents_and_never_times(tmp_path: Path) -> None:
    one, two = (make(Run(name=name, path=tmp_path / "runs" / name)) for name in ("one", "two"))
    manifests = [json.loads((each.path / "manifest.json").read_text()) for each in (one, two)]
    assert one.sha256 == two.sha256 and one.key == two.key
    assert {"created", "kind", "config", "code_version", "sha256", "parents"} <= manifests[0].keys()
    other_text = make(Run(name="three", path=tmp_path / "runs" / "three"), text="hello!")
    assert other_text.sha256 != one.sha256 and other_text.key == one.key


def test_an_altered_file_is_named_and_nothing_is_silently_remade(run: Run) -> None:
    artifact = make(run)
    (artifact.path / "words.txt").write_text("hullo")
    with pytest.raises(ValueError, match=r"words\.txt: altered .* delete the folder"):
        run.artifact("documents")
    with pytest.raises(ValueError, match="altered"):
        make(run)
    assert (artifact.path / "words.txt").read_text() == "hullo"


def test_an_altered_manifest_is_found_too(run: Run) -> None:
    artifact = make(run)
    path = artifact.path / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["config"]["size"] = 7
    path.write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"manifest\.json: altered"):
        run.artifact("documents")
    path.write_text("not json")
    with pytest.raises(ValueError, match="not a manifest"):
        run.artifact("documents")


def test_a_missing_artifact_names_the_command_that_makes_it(run: Run) -> None:
    with pytest.raises(FileNotFoundError, match="minillm train --run test"):
        run.artifact("model")


def test_a_stage_that_fails_leaves_the_earlier_artifact_and_no_rest(run: Run) -> None:
    before = make(run)

    def write(folder: Path) -> dict:
        (folder / "half.bin").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        make_artifact(
            run, "documents", config=Config(9), parents=(), code=(), write=write, summary=str
        )
    assert run.artifact("documents") == before
    assert sorted(path.name for path in run.path.iterdir()) == [".documents.lock", "documents"]


def test_an_atomic_write_that_fails_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    records.atomic_write(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(records.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        records.atomic_write(path, "new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


def count_and_make(path: Path) -> None:
    def write(folder: Path) -> dict:
        with open(path.parent / "made", "a") as stream:
            stream.write("x")
        (folder / "a").write_text("a")
        return {}

    make_artifact(
        Run(name="shared", path=path), "documents", config=Config(), parents=(), code=(),
        write=write, summary=lambda _: "done",
    )


def test_two_processes_make_an_artifact_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "shared"
    workers = [context.Process(target=count_and_make, args=(path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert (tmp_path / "made").read_text() == "x"


def test_comments_and_docstrings_do_not_change_what_code_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "stage_code.py"
    hashes = []
    for text in ('"""Doc."""\nX = 1\n', '"""Other."""\nX = 1  # why\n', "X = 2\n"):
        module.write_text(text)
        hashes.append(records.code_sha256(["stage_code"]))
    assert hashes[0] == hashes[1] != hashes[2]


def test_lineage_walks_the_chain_and_names_what_was_altered(run: Run) -> None:
    documents = make(run)
    tokenizer = make(run, "tokenizer", parents=(documents,))
    kinds = ("documents", "tokenizer", "shards")
    assert [(link["kind"], link["state"]) for link in lineage(run, kinds)] == [
        ("tokenizer", "intact"), ("documents", "intact"),
    ]
    (tokenizer.path / "words.txt").write_text("x")
    states = {link["kind"]: link["state"] for link in lineage(run, kinds)}
    assert states["tokenizer"].startswith("ALTERED") and "words.txt" in states["tokenizer"]
    make(run, size=5, text="new")
    (tokenizer.path / "words.txt").write_text("hello")
    states = {link["kind"]: link["state"] for link in lineage(run, kinds)}
    assert states["tokenizer"] == "made from other documents than those in this run"
    assert states["documents"] == "intact"


def test_lineage_goes_on_past_a_broken_manifest_of_a_parent(run: Run) -> None:
    documents = make(run)
    make(run, "tokenizer", parents=(documents,))
    (documents.path / "manifest.json").write_text("{")
    states = {link["kind"]: link["state"] for link in lineage(run, ("documents", "tokenizer"))}
    assert states["tokenizer"].startswith("its documents cannot be read: ")
    assert all("manifest.json: not a manifest" in state for state in states.values())
    (documents.path / "manifest.json").unlink()
    (link,) = lineage(run, ("documents", "tokenizer"))
    assert link["state"] == "its documents are missing from this run"


def test_a_broken_log_line_is_named_with_its_number(tmp_path: Path) -> None:
    log = records.JsonLines(tmp_path / "log.jsonl")
    log.write(step=1, loss=2.5)
    with open(log.path, "a") as stream:
        stream.write('{"step": 2, "lo')
    with pytest.raises(ValueError, match="line 2"):
        list(records.read_json_lines(log.path))
