"""The second model has to earn its parent's place: report card, slices, and a verdict.

In: a feedback artifact and the model that was served. Out: the artifact `second`: the model of the
second round, its report card beside its parent's, and what changed on old and on drifted traffic.
The one idea: the burden of proof lies with what is new. The gate of chapter 11 decides, with two
rules more: drifted traffic is certainly better, and old traffic is not worse. Left out: a test on
live users (A/B), several rounds on end.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from minillm.align.sft import checkpoints
from minillm.core.promotion import promote, served_before
from minillm.core.records import (
    MANIFEST,
    Artifact,
    Run,
    atomic_write,
    make_artifact,
)
from minillm.corpus.pipeline import read_documents
from minillm.evaluate.card import Card, read_cards, write_cards
from minillm.evaluate.gate import gate
from minillm.evaluate.items import EvaluateConfig
from minillm.evaluate.score import BASE_KINDS, score_cards
from minillm.model.transformer import Transformer
from minillm.monitor.feedback import read_voices
from minillm.monitor.replay import (
    NAME,
    PAIRS_NAME,
    SecondConfig,
    mixed,
    new_examples,
    preferred,
    replayed,
    second_round,
)
from minillm.monitor.slices import (
    SLICES,
    SliceChange,
    SliceScores,
    slice_change,
    slice_conversations,
    slice_scores,
)
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.checkpoint import load_model, remove_checkpoints, save_model
from minillm.train.resumable import resume_key
from minillm.train.schedule import TrainState

CODE = (
    "minillm.align", "minillm.corpus.storyworld", "minillm.evaluate", "minillm.model",
    "minillm.monitor.replay", "minillm.monitor.second", "minillm.monitor.slices", "minillm.train",
)  # fmt: skip
CHANGES = "changes.json"


# package only
def scores_by_slice(
    model: Transformer, tokenizer: Tokenizer, num_stories: int
) -> dict[str, SliceScores]:
    """The model's scores on every slice of so many stories."""
    model.eval()
    longest = model.config.context_length
    return {
        name: slice_scores(
            model, tokenizer, slice_conversations(name, num_stories, longest, tokenizer)
        )
        for name in SLICES
    }


def changes_of(
    after: Mapping[str, SliceScores], before: Mapping[str, SliceScores]
) -> dict[str, SliceChange]:
    """What changed on every slice, paired."""
    return {name: slice_change(after[name], before[name]) for name in before}


def reasons_against(
    candidate: Card, parent: Card, changes: Mapping[str, SliceChange], config: SecondConfig
) -> list[str]:
    """Why not to promote: what the gate says, no certain gain where the world moved, or a loss."""
    reasons = list(gate(candidate, parent, config.evaluation.margin).reasons)
    drifted, old = changes["drifted"].bits_per_byte, changes["old"].fraction
    if drifted.high >= 0:
        change = f"change in bits a byte: {drifted}"
        reasons.append(f"drifted traffic, {change}: not certainly fewer")
    if old.value > config.max_old_loss:
        limit = f"more than {config.max_old_loss:+.0%}"
        reasons.append(f"old traffic, change in its bits: {old}: {limit}")
    return reasons


# package only
def card_of(kind: str, sha256: str, folder: Path, run: Run, config: EvaluateConfig) -> Card:
    """A model's report card: the one that the run's scores hold, else made."""
    known = read_cards(run.path / "scores") if (run.path / "scores" / MANIFEST).is_file() else {}
    if kind in known and known[kind].sha256 == sha256:
        return known[kind]
    documents = list(read_documents(run.artifact("documents").path))
    model = (kind, sha256, kind not in BASE_KINDS, *load_model(folder))
    return score_cards([model], documents, config)[0][kind]


# package only
def write_changes(
    before: Mapping[str, SliceScores], after: Mapping[str, SliceScores], reasons: Sequence[str],
    folder: Path,
) -> None:
    """What changed, from what to what, and what speaks against the model."""
    parts = {"changes": changes_of(after, before), "before": before, "after": after}
    content = {
        part: {name: dataclasses.asdict(each) for name, each in values.items()}
        for part, values in parts.items()
    }
    text = json.dumps(content | {"reasons": list(reasons)}, ensure_ascii=False)
    atomic_write(folder / CHANGES, text + "\n")


# package only
def read_scores(folder: Path, part: str) -> dict[str, SliceScores]:
    """The scores by slice that a second round kept: `before` it, or `after` it."""
    content = json.loads((folder / CHANGES).read_text(encoding="utf-8"))[part]
    return {
        name: SliceScores(**{key: tuple(values) for key, values in fields.items()})
        for name, fields in content.items()
    }


def write_second(
    parent: Artifact, feedback: Artifact, config: SecondConfig, run: Run, key: str, folder: Path
) -> dict[str, object]:
    """Train, save, compare with the parent, and keep all that the verdict rests on."""
    model, tokenizer = load_model(parent.path)
    # as many stories as the feedback was kept free of
    num_stories = int(feedback.config["slice_stories"])
    before = scores_by_slice(model, tokenizer, num_stories)
    texts = [each.text for each in read_documents(feedback.path)]
    replies = [(each.prompt, each.chosen) for each in read_voices(feedback.path)]
    new = new_examples(texts, replies, tokenizer)
    old = replayed(config, run, round(config.replay_per_new * len(new)), tokenizer)
    examples = mixed(new, old, config.batches)
    model, state = second_round(model, examples, config, run, tokenizer, key=key)
    model = preferred(model, config, run, tokenizer, key=key, folder=feedback.path)
    save_model(model, tokenizer, folder)
    for name in (NAME, PAIRS_NAME):
        remove_checkpoints(checkpoints(run, name), state.step, keep=1)
    after = scores_by_slice(model, tokenizer, num_stories)
    parent_card = card_of(parent.kind, parent.sha256, parent.path, run, config.evaluation)
    own_card = card_of(NAME, "", folder, run, config.evaluation)
    changes = changes_of(after, before)
    reasons = reasons_against(own_card, parent_card, changes, config)
    write_cards({each.kind: each for each in (parent_card, own_card)}, {"reasons": reasons}, folder)
    write_changes(before, after, reasons, folder)
    return second_figures(state, len(new), len(old), changes, reasons)


def second(config: SecondConfig, run: Run) -> Artifact:
    """The stage: the model that was served, and what its users said → the next, promoted if it
    may be."""
    parent, feedback = served_before(run), run.artifact("feedback")
    parents = (parent, feedback, run.artifact("documents"))
    hashes = [each.sha256 for each in parents]
    key = resume_key(config, hashes, CODE)
    artifact = make_artifact(
        run, NAME, config=config, parents=parents, code=CODE, summary=second_summary,
        write=lambda folder: write_second(parent, feedback, config, run, key, folder),
    )  # fmt: skip
    promote(run, parent if artifact.figures["reasons"] else artifact)
    return artifact


# package only
def second_figures(
    state: TrainState, num_new: int, num_old: int, changes: Mapping[str, SliceChange],
    reasons: Sequence[str],
) -> dict[str, object]:
    """What the manifest says."""
    values = {
        f"{name}_{field}": getattr(change, field).value
        for name, change in changes.items() for field in ("bits_per_byte", "fraction", "right")
    }  # fmt: skip
    return {
        "new_examples": num_new, "replayed_examples": num_old, "steps": state.step,
        "seconds": round(state.elapsed_s, 1), **values, "reasons": list(reasons),
    }


# package only
def second_summary(figures: Mapping[str, object]) -> str:
    """What is the same on every machine."""
    return f"{figures['new_examples']} new and {figures['replayed_examples']} replayed examples"
