"""The corpus steps over shards: walks over all of them, with a decision between two walks.

In: files in any form that has a reader. Out: an artifact with `documents.jsonl`, `rejected.jsonl`
and the data card, to the byte those of one process that holds everything, whatever the engine and
the number of shards. The one idea: a step that looks at all documents divides the list of steps
into walks (MapReduce; Dean and Ghemawat, 2004). A run that was killed redoes the shards that were
not finished. The machines of a cluster share the folder. Left out: reading the input in parallel.
"""

import importlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from minillm.core.progress import Progress
from minillm.core.records import (
    Artifact,
    Run,
    atomic_write,
    canonical,
    code_sha256,
    counted,
    file_sha256,
    make_artifact,
    sha256_of,
)
from minillm.corpus.card import tally
from minillm.corpus.engines import Engine, check_engine, open_engine
from minillm.corpus.gathered import GATHERED, Json, Unseen, step_for_shards
from minillm.corpus.inputs import input_hashes
from minillm.corpus.pipeline import LICENCES, StepMaker
from minillm.corpus.shardfolders import (
    COLLECTED,
    COUNTS,
    DOCUMENTS,
    REJECTED,
    Numbered,
    corpus_summary,
    deal_files,
    finished,
    json_line,
    put_in_place,
    read_shard,
    shard_names,
    tidied,
    write_corpus,
    write_corpus_card,
)
from minillm.corpus.sources import Document, Rejection

STEPS = "minillm.corpus.pipeline:steps"
DEFAULT_SHARDS = 8
CLEANED = "cleaned"  # the kind of what `clean_files` makes, whatever the folder's name

Watch = Callable[[dict], None]


@dataclass(frozen=True, slots=True)
class Phase:
    """One walk over the shards: the steps it applies, then the round that it collects for."""

    steps: tuple[str, ...]
    collects: str | None = None
    round: int = 0


def phases(names: Iterable[str]) -> list[Phase]:
    """The walks that these steps take: each round of a gathered step ends one."""
    found, steps = [], []
    for name in names:
        for number in range(len(GATHERED[name].rounds) if name in GATHERED else 0):
            found.append(Phase(tuple(steps), name, number))
            steps = []
        steps.append(name)
    return [*found, Phase(tuple(steps))]


def apply_phase(
    documents: Sequence[Numbered],
    phase: Phase,
    makers: Mapping[str, StepMaker],
    decision: Json | None,
) -> tuple[list[Numbered], list[tuple[int, int, Rejection]]]:
    """What the steps of a phase leave of a shard, and (step, place, rejection) of the rest."""
    kept, rejected = list(documents), []
    for number, name in enumerate(makers):
        if name in phase.steps:
            step = step_for_shards(name, makers[name], decision)
            results = [(place, step(document)) for place, document in kept]
            kept = [each for each in results if isinstance(each[1], Document)]
            others = [each for each in results if isinstance(each[1], Rejection)]
            rejected += [(number, place, rejection) for place, rejection in others]
    return kept, rejected


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardTask:
    """What a worker is told of a shard in a phase: names and paths, no code and no text."""

    phase: Phase
    source: Path
    target: Path
    decision: Path | None
    key: str
    steps_from: str
    options: dict


# package only
def steps_named(steps_from: str, options: Mapping[str, object]) -> dict[str, StepMaker]:
    """The steps that the function `module:name` returns."""
    module, _, name = steps_from.partition(":")
    return getattr(importlib.import_module(module), name)(**options)


def clean_shard(task: ShardTask) -> dict:
    """All that a worker does: read, apply, collect, write; returns the figures of it."""
    began_s, phase = time.time(), task.phase
    decision = json.loads(task.decision.read_text("utf-8")) if task.decision else None
    before = read_shard(task.source)
    makers = steps_named(task.steps_from, task.options)
    kept, rejected = apply_phase(before, phase, makers, decision)
    files = {}
    if phase.steps:
        files[DOCUMENTS] = (json_line({"place": n} | asdict(document)) for n, document in kept)
        files[REJECTED] = (
            json_line({"at": at, "rejection": asdict(rejection)}) for *at, rejection in rejected
        )
    if phase.collects is not None:
        collect = GATHERED[phase.collects].rounds[phase.round].collect
        files[COLLECTED] = (json.dumps(collect(kept, decision)),)
    else:  # the last walk: what it leaves is what the data card counts
        files[COUNTS] = (json.dumps(tally([document for _, document in kept])),)
    figures = {"num_documents": len(before), "num_kept": len(kept), "began_s": began_s}
    return put_in_place(task.target, task.key, files, figures)


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """What is the same for all phases: where, by whom, how shown."""

    work: Path
    engine: Engine
    phases: Sequence[Phase]
    steps_from: str
    options: dict
    code: str
    progress: Progress
    watch: Watch | None = None


# package only
def tasks_of(
    walk: Walk, number: int, sources: Mapping[str, Path], decision: Path | None
) -> dict[str, ShardTask]:
    """The tasks of a phase by shard; a key names all that the result depends on."""
    phase, folder = walk.phases[number], walk.work / f"phase_{number}"
    decided = file_sha256(decision) if decision else None
    same = [walk.code, walk.steps_from, walk.options, asdict(phase), decided]
    return {
        name: ShardTask(
            phase=phase, source=source, target=folder / name, decision=decision,
            key=sha256_of(canonical([same, file_sha256(source / DOCUMENTS)])),
            steps_from=walk.steps_from, options=walk.options,
        )
        for name, source in sources.items()
    }  # fmt: skip


# package only
def run_phase(walk: Walk, number: int, tasks: Mapping[str, ShardTask]) -> Counter[str]:
    """Do what no finished folder holds; RuntimeError, at the end, naming the shards that failed."""
    began_s, counts, failures = time.monotonic(), Counter(), {}
    for leftover in (walk.work / f"phase_{number}").glob(".*.partial"):
        shutil.rmtree(leftover, ignore_errors=True)
    open_tasks = {name: each for name, each in tasks.items() if not finished(each.target, each.key)}
    for task in open_tasks.values():
        shutil.rmtree(task.target, ignore_errors=True)
    counts["reused"] = len(tasks) - len(open_tasks)
    for outcome in walk.engine(clean_shard, open_tasks):
        if outcome.failure is not None:
            failures[outcome.name] = outcome
            continue
        counts["done"] += 1
        counts["documents"] += outcome.result["num_documents"]
        if walk.watch:
            walk.watch(outcome.result | {"phase": number, "shard": outcome.name})
        share = (counts["done"] + counts["reused"]) / len(tasks)
        per_s = counts["documents"] / (time.monotonic() - began_s)
        words = f"walk {number + 1} of {len(walk.phases)}, {per_s:,.0f} documents/s"
        walk.progress.update((number + share) / len(walk.phases), words)
    if failures:
        words = "; ".join(f"{name}: {each.failure}" for name, each in sorted(failures.items()))
        raise RuntimeError(
            f"{len(failures)} of {counted(len(tasks), 'shard')} failed in walk {number + 1}: "
            f"{words}; what is finished is kept: the same command goes on from here"
        ) from next(iter(failures.values())).error
    return counts


# package only
def walk_shards(walk: Walk, shards: Mapping[str, Path], folder: Path) -> dict[str, object]:
    """Phase after phase over all shards, and between two of them the decision; then merge."""
    sources, decision, earlier, counts = dict(shards), None, None, Counter()
    walked = [[walk.work / "input"]]  # its rejections: lines that are no documents
    for number, phase in enumerate(walk.phases):
        tasks = tasks_of(walk, number, sources, decision)
        counts += run_phase(walk, number, tasks)
        if phase.steps:
            sources = {name: task.target for name, task in tasks.items()}
            walked.append(list(sources.values()))
        if phase.collects is not None:
            paths = [task.target / COLLECTED for task in tasks.values()]
            collected = [json.loads(path.read_text("utf-8")) for path in paths]
            combine = GATHERED[phase.collects].rounds[phase.round].combine
            earlier = combine(collected, earlier)
            decision = walk.work / f"phase_{number}" / "decision.json"
            atomic_write(decision, json.dumps(earlier))
    figures = write_corpus(folder, sources.values(), walked)
    tallies = (json.loads((task.target / COUNTS).read_text("utf-8")) for task in tasks.values())
    write_corpus_card(folder, tallies, walk.options)
    return figures | {"num_shards_done": counts["done"], "num_shards_reused": counts["reused"]}


# package only
def clean_files(
    inputs: Sequence[Path],
    folder: Path,
    *,
    engine: str = "local",
    workers: int | None = None,
    address: str | None = None,
    num_shards: int = DEFAULT_SHARDS,
    steps_from: str = STEPS,
    options: Mapping[str, object] | None = None,
    watch: Watch | None = None,
) -> Artifact:
    """The documents of these files (as `read_inputs` finds them), cleaned, as artifact `folder`.

    The engine and the shards are no part of the artifact's key: they leave no trace in it.
    """
    check_engine(engine, workers, address)
    names, whole = shard_names(num_shards), folder.resolve()
    work = whole.with_name(f".{whole.name}.shards")
    chosen = dict(options) if options is not None else {"licences": list(LICENCES)}
    hashes = input_hashes(inputs)
    modules = ("minillm.corpus", steps_from.partition(":")[0])
    makers = steps_named(steps_from, chosen)
    for name, make in makers.items():
        if name not in GATHERED:
            make(Unseen(name))

    def write(into: Path) -> dict[str, object]:
        code = code_sha256(modules)
        shards = deal_files(inputs, [code, hashes], names, work)
        progress = Progress("cleaning")
        try:
            with open_engine(engine, workers, address) as opened:
                walk = Walk(
                    work=work, engine=opened, phases=phases(makers), steps_from=steps_from,
                    options=chosen, code=code, progress=progress, watch=watch,
                )  # fmt: skip
                return walk_shards(walk, shards, into)
        finally:
            progress.close()

    config = {"inputs": hashes, "steps": list(makers), "steps_from": steps_from, "options": chosen}
    parent = folder.parent if folder.name == whole.name else whole.parent
    run = Run(name=whole.parent.name, path=parent)
    with tidied(run.path / f".{whole.name}.lock", work):
        return make_artifact(
            run, CLEANED, config=config, parents=(), code=modules, write=write,
            summary=corpus_summary, folder_name=whole.name,
        )  # fmt: skip
