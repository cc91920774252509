"""What a run is asked while it trains: always its bits by source, and what its recipe turns on.

In: a recipe's configurations, the run's held-out documents. Out: evaluations for the training loop,
functions of model and step, whose figures and texts go into the log. The one idea: they are the
probes and the leak watch of the chapter, made from fields that `--set` can reach; off, they are not
made, and cost nothing. Probes have stories of their own: who keeps the best checkpoint by them has
not chosen it by the exam.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import count, islice
from pathlib import Path

import torch

from minillm.batches.shards import Shards, open_shards
from minillm.core.records import Run
from minillm.corpus.pipeline import read_documents
from minillm.corpus.storyworld import tell_story
from minillm.corpus.storyworld.stories import ALL_LEVELS
from minillm.evaluate.items import EvaluateConfig, Items, evaluation_stories, one_pair
from minillm.evaluate.leaks import LeakWatch
from minillm.evaluate.probes import Probes
from minillm.model.loss import total_nats
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.schedule import TrainingConfig, num_evaluations

Answers = dict[str, float | str]
Ask = Callable[[torch.nn.Module, int], Answers]

# a run's own stories begin at a million, the exam's at 400,000: these lie between
FIRST_PROBE, FIRST_TWIN = 450_000, 475_000


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeConfig:
    """What a run is asked beside its loss while it trains; as it stands, nothing."""

    # of each level so many: a question after a person, and which of two sentences is true
    stories: int = 0
    levels: tuple[int, ...] = (1, 2)
    # what the model goes on with at each look, from the same random numbers
    prompts: tuple[str, ...] = ()
    # is it reading its exam, the stories that `evaluation` will ask? against as many fresh twins
    leaks: bool = False
    # of quiet runs so many raise one alarm, over all their looks
    alarm_rate: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.stories < 0:
            raise ValueError(f"stories = {self.stories}: must be at least 0, where 0 asks nothing")
        if self.stories == 1:
            raise ValueError("stories = 1: one pair has no interval; give at least 2, or 0")
        if not self.levels or not set(self.levels) <= set(ALL_LEVELS):
            raise ValueError(f"levels = {self.levels}: choose some of {ALL_LEVELS}")
        if "" in self.prompts:
            raise ValueError(
                f"prompts = {self.prompts}: an empty one asks nothing; write how a text begins"
            )
        if not 0 < self.alarm_rate < 0.5:
            remedy = "must lie between 0 and .5; .05 is usual"
            raise ValueError(f"alarm_rate = {self.alarm_rate}: {remedy}")

    def deciding(self, exam: EvaluateConfig) -> dict[str, object]:
        """What of it decides a run's figures: nothing where nothing is asked."""
        if not (self.stories or self.prompts or self.leaks):
            return {}
        asked = {"stories": exam.stories, "levels": exam.levels} if self.leaks else None
        return {"probes": asdict(self), "exam": asked}


@dataclass(slots=True)
class SourceBits:
    """Bits per byte of all held-out documents, and of each source's: Σ bits / Σ bytes."""

    documents: Path
    held_out: Shards
    context_length: int
    of_source: dict[str, list[int]] = field(default_factory=dict)

    def __call__(self, model: torch.nn.Module, step: int) -> Answers:
        if not self.of_source:  # read when it is first asked: a finished run never is
            for index, each in enumerate(read_documents(self.documents, "validation")):
                self.of_source.setdefault(each.source, []).append(index)
        nats, num_bytes = {}, {}
        for source, indices in sorted(self.of_source.items()):
            num_bytes[source] = int(self.held_out.document_bytes[indices].sum())
            if num_bytes[source]:
                documents = (self.held_out.document(index) for index in indices)
                nats[source] = total_nats(model, documents, self.context_length)
        if not nats:
            return {}
        bits = {name: value / (math.log(2) * num_bytes[name]) for name, value in nats.items()}
        whole = sum(nats.values()) / (math.log(2) * sum(num_bytes.values()))
        by_source = {f"bits_per_byte/{name}": value for name, value in bits.items()}
        return {"bits_per_byte": whole} | by_source


# package only
def probes_for(config: ProbeConfig, tokenizer: Tokenizer, context_length: int) -> Probes:
    """Questions, minimal pairs and openings of stories that nobody trains on; the prompts too."""

    def has_room(text: str) -> bool:
        return len(tokenizer.encode(text)) + 1 < context_length

    if long := [each for each in config.prompts if not has_room(each)]:
        raise ValueError(
            f"prompts: {long[0][:40]!r} leaves no room in a context of {context_length} tokens to "
            "go on; shorten it"
        )
    stories = [
        tell_story(FIRST_PROBE + index, level)
        for level in config.levels for index in range(config.stories)
    ]  # fmt: skip
    num_fitting = sum(has_room(each.text) for each in stories)
    if stories and num_fitting < 2:
        raise ValueError(
            f"probes.levels = {config.levels}: {num_fitting} of {len(stories)} stories fit into a "
            f"context of {context_length} tokens, and at least 2 have to; give both "
            "model.context_length and batches.context_length more, 256 say"
        )
    first = [each.opening for each in stories[:: config.stories or 1] if has_room(each.opening)]
    pairs = tuple(pair for pair in map(one_pair, stories) if pair is not None)
    return Probes(
        tokenizer=tokenizer, items=Items(tuple(stories), pairs, (), ()),
        openings=(*first, *config.prompts), config=EvaluateConfig(seed=config.seed),
    )  # fmt: skip


# package only
def looks_to_pay_for(training: TrainingConfig) -> int:
    """How often a leak watch will look; ValueError where that hangs on the clock."""
    num_looks = num_evaluations(training)
    if num_looks is None:
        raise ValueError(
            f"evaluate_every_steps = {training.evaluate_every_steps} with max_minutes = "
            f"{training.max_minutes}: how many looks a leak watch has to pay for is then not known "
            "before; give evaluate_every_fraction instead, or leave probes.leaks out"
        )
    return num_looks


def leak_watch(
    config: ProbeConfig, exam: EvaluateConfig, training: TrainingConfig, tokenizer: Tokenizer
) -> LeakWatch:
    """The stories of the exam, and for each a fresh twin of its level, over the looks to come."""
    num_looks = looks_to_pay_for(training)
    suspects, twins = [], []
    for level in exam.levels:
        own = [each.text for each in evaluation_stories(exam) if each.level == level]
        told = (tell_story(FIRST_TWIN + index, level).text for index in count())
        fresh = (text for text in told if text not in own)
        suspects, twins = suspects + own, [*twins, *islice(fresh, len(own))]
    return LeakWatch(
        tokenizer=tokenizer, suspects=tuple(suspects), twins=tuple(twins), num_looks=num_looks,
        alarm_rate=config.alarm_rate,
    )  # fmt: skip


def with_texts(probes: Probes) -> Ask:
    """The same look; what the model wrote goes into the log as well."""

    def ask(model: torch.nn.Module, step: int) -> Answers:
        figures = probes(model, step)
        texts = probes.snapshots[-1].texts
        return figures | {f"text/{number}": text for number, text in enumerate(texts, start=1)}

    return ask


# package only
def with_alarm(watch: LeakWatch) -> Ask:
    """The same look; the first that raises the alarm says so, since a log may be read too late."""

    def ask(model: torch.nn.Module, step: int) -> Answers:
        figures = watch(model, step)
        if watch.alarm_step == step:
            warnings.warn(
                f"leak: after step {step} the exam's stories are easier than fresh ones by "
                f"{figures['leak/bits']:.3f} bits a byte, from {figures['leak/low']:.3f} up by its "
                "interval; the training text seems to hold them, so the scores to come mean little",
                stacklevel=2,
            )
        return figures

    return ask


def asked_while_training(
    run: Run, tokenizer: Tokenizer, context_length: int, config: ProbeConfig,
    exam: EvaluateConfig, training: TrainingConfig,
) -> list[Ask]:
    """The bits by source, and what the recipe turns on; each as an evaluation."""
    held_out = open_shards(run.artifact("shards").path, "validation")
    asked: list[Ask] = [SourceBits(run.artifact("documents").path, held_out, context_length)]
    if config.stories or config.prompts:
        asked.append(with_texts(probes_for(config, tokenizer, context_length)))
    if config.leaks:
        asked.append(with_alarm(leak_watch(config, exam, training, tokenizer)))
    return asked
