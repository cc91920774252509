"""Is the model reading its own exam? Suspected items against fresh twins, while it trains.

In: items that may stand in the training text, and as many twins that cannot: the same generator
made them afterwards. Out: at each look, by how many bits a byte the suspects are easier, with an
interval. The one idea: without a leak suspects and twins are the same kind of text, and their
difference is 0 whatever the model knows; a training loss of the suspects alone says nothing. The
interval pays for every look that is planned (Bonferroni), so that one alarm in all of a quiet run
is as rare as promised. Text overlap is `corpus.contamination`'s; membership in general: Carlini et
al. (arXiv:2112.03570).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from minillm.evaluate.intervals import Estimate, bootstrap_mean, tail_fraction, unpaired_difference
from minillm.evaluate.likelihood import bits, document_nats
from minillm.tokenizer.bytepair import Tokenizer

# of resampled means: enough that 1 in 1,000 is seen ten times
RESAMPLES = 10_000
# so many of them have to lie beyond an end of the interval, or it is not known where it is
FEWEST_BEYOND = 5


def planted(texts: Sequence[str], leaked: Sequence[str], times: int, seed: int) -> list[str]:
    """The texts with each leaked one put in `times` times, at places drawn by lot."""
    if times < 0:
        raise ValueError(f"times = {times}: must be at least 0, where 0 plants nothing")
    rng, found = random.Random(seed), list(texts)
    for text in [each for each in leaked for _ in range(times)]:
        found.insert(rng.randint(0, len(found)), text)
    return found


def item_bits(model: torch.nn.Module, tokenizer: Tokenizer, texts: Sequence[str]) -> list[float]:
    """Bits a byte of each text by itself."""
    documents = [[tokenizer.end_of_text, *tokenizer.encode(text)] for text in texts]
    nats = document_nats(model, documents, model.config.context_length)
    return [bits(each) / len(text.encode()) for each, text in zip(nats, texts, strict=True)]


def confidence_of_a_look(num_looks: int, alarm_rate: float) -> float:
    """The interval whose lower end passes 0 by chance in alarm_rate / num_looks of the looks:
    two tails of that size are left out, one of them raises the alarm."""
    return 1 - 2 * alarm_rate / num_looks


def leak_estimate(
    suspects: Sequence[float], twins: Sequence[float], *, num_looks: int, alarm_rate: float = 0.05
) -> Estimate:
    """The twins' mean bits minus the suspects', with this look's interval.

    Each side is resampled by itself: which twin stands beside which suspect means nothing.
    """
    confidence = confidence_of_a_look(num_looks, alarm_rate)
    theirs, ours = (
        bootstrap_mean(sorted(side), confidence=confidence, resamples=RESAMPLES)
        for side in (twins, suspects)
    )
    return unpaired_difference(theirs, ours)


@dataclass(frozen=True, slots=True)
class Look:
    """How much easier the suspects were after so many steps, and both sides' means."""

    step: int
    gap: Estimate
    suspects: float
    twins: float

    @property
    def is_alarm(self) -> bool:
        return self.gap.low > 0


@dataclass(kw_only=True, slots=True)
class LeakWatch:
    """An evaluation for the training loop; suspects and twins are of one kind.

    A look that is repeated after a rollback replaces those from its step on. A resumed run begins
    a watch of its own; what the one before it saw stands in the log.
    """

    tokenizer: Tokenizer
    suspects: tuple[str, ...]
    twins: tuple[str, ...]
    num_looks: int
    alarm_rate: float = 0.05
    looks: list[Look] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_watch(self)

    def __call__(self, model: torch.nn.Module, step: int) -> dict[str, float]:
        self.looks = [each for each in self.looks if each.step < step]
        if len(self.looks) == self.num_looks:
            raise ValueError(
                f"num_looks = {self.num_looks}: the look after step {step} is one more, and the "
                "interval has not paid for it; plan as many looks as the run takes"
            )
        sides = [item_bits(model, self.tokenizer, each) for each in (self.suspects, self.twins)]
        gap = leak_estimate(*sides, num_looks=self.num_looks, alarm_rate=self.alarm_rate)
        means = [sum(side) / len(side) for side in sides]
        look = Look(step, gap, *means)
        self.looks.append(look)
        return {"leak/bits": gap.value, "leak/low": gap.low, "leak/alarm": float(look.is_alarm)}

    @property
    def alarm_step(self) -> int | None:
        """The step of the first alarm."""
        return next((each.step for each in self.looks if each.is_alarm), None)


# package only
def check_watch(watch: LeakWatch) -> None:
    """ValueError where no honest interval can come out."""
    if len(watch.suspects) != len(watch.twins) or len(watch.suspects) < 2:
        raise ValueError(
            f"suspects, twins = {len(watch.suspects)}, {len(watch.twins)} items: must be as many, "
            "and at least 2; make a twin for each suspect with the generator that made it"
        )
    if shared := set(watch.suspects) & set(watch.twins):
        raise ValueError(
            f"twins: {len(shared)} of them are suspects too, the first {min(shared)[:40]!r}; a "
            "twin must be fresh: take other seeds"
        )
    if watch.num_looks < 1:
        raise ValueError(f"num_looks = {watch.num_looks}: must be at least 1; count the looks")
    if not 0 < watch.alarm_rate < 0.5:
        remedy = "must lie between 0 and .5; .05 is usual"
        raise ValueError(f"alarm_rate = {watch.alarm_rate}: {remedy}")
    if RESAMPLES * watch.alarm_rate / watch.num_looks <= FEWEST_BEYOND:
        raise ValueError(
            f"num_looks = {watch.num_looks}: too many for alarms as rare as alarm_rate = "
            f"{watch.alarm_rate:g} by {RESAMPLES:,} resamples; look less often"
        )
    confidence = confidence_of_a_look(watch.num_looks, watch.alarm_rate)
    if RESAMPLES * tail_fraction(len(watch.suspects), confidence) < FEWEST_BEYOND:
        raise ValueError(
            f"num_looks = {watch.num_looks} with {len(watch.suspects)} items a side: too few items "
            f"for alarms as rare as alarm_rate = {watch.alarm_rate:g}; give more items (in a "
            "recipe evaluation.stories) or fewer looks"
        )
