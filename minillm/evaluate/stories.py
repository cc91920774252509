"""Does the model write stories that make sense? The story world's checker reads them and counts.

Held-out openings go in, the model continues them, each sentence is parsed and checked against what
the story said before. Training watches this score; other files add intervals and tasks.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from minillm.core.progress import track
from minillm.corpus.storyworld import Story, check_story
from minillm.model.generate import generate_batch
from minillm.model.loss import bits_per_byte
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer

RUN_WORDS = 3
NEAR_DUPLICATE = 0.8


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingConfig:
    """How stories are sampled: `count` of each level, at this temperature and nucleus."""

    count: int = 200
    temperature: float = 0.8
    top_p: float = 0.95
    batch_size: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("count", "batch_size"):
            if getattr(self, name) < 1:
                remedy = "must be at least 1: a story is sampled, and so is a batch of them"
                raise ValueError(f"{name} = {getattr(self, name)}: {remedy}")
        if not 0 <= self.temperature < math.inf:
            remedy = "must be a number of at least 0, where 0 takes the likeliest token"
            raise ValueError(f"temperature = {self.temperature}: {remedy}")
        if not 0 < self.top_p <= 1:
            remedy = "must lie above 0 and be at most 1, where 1 keeps every token"
            raise ValueError(f"top_p = {self.top_p}: {remedy}")


# package only
def continue_openings(
    model: Transformer, tokenizer: Tokenizer, openings: Sequence[str], config: SamplingConfig
) -> list[str]:
    """Whole stories: each opening with its continuation up to `<|endoftext|>`."""
    generator = torch.Generator(device=next(model.parameters()).device).manual_seed(config.seed)
    stories = []
    for begin in range(0, len(openings), config.batch_size):
        chosen = openings[begin : begin + config.batch_size]
        prompts = [[tokenizer.end_of_text, *tokenizer.encode(opening)] for opening in chosen]
        continuations = generate_batch(
            model,
            prompts,
            max_tokens=model.config.context_length,
            temperature=config.temperature,
            top_p=config.top_p,
            stop_ids=[tokenizer.end_of_text],
            generator=generator,
        )
        stories += [
            opening + tokenizer.decode(tokens)
            for opening, tokens in zip(chosen, continuations, strict=True)
        ]
    return stories


# package only
def word_runs(text: str) -> set[tuple[str, ...]]:
    """Every run of three words, in lower case."""
    words = text.lower().split()
    return {
        tuple(words[index : index + RUN_WORDS])
        for index in range(len(words) - RUN_WORDS + 1)
    }


# package only
def near_duplicate_fraction(texts: Sequence[str], known_texts: Iterable[str]) -> float:
    """The share of `texts` whose runs of words agree (Jaccard ≥ 0.8) with some known text."""
    runs_of = [word_runs(text) for text in texts]
    holders: dict[tuple[str, ...], list[int]] = {}
    for index, own in enumerate(runs_of):
        for run in own:
            holders.setdefault(run, []).append(index)
    is_near = [False] * len(texts)
    for known in known_texts:
        known_runs = word_runs(known)
        shared = Counter(index for run in known_runs for index in holders.get(run, ()))
        for index, count in shared.items():
            union = len(runs_of[index]) + len(known_runs) - count
            is_near[index] |= count >= NEAR_DUPLICATE * union
    return sum(is_near) / len(texts)


# package only
def story_scores(texts: Sequence[str]) -> dict[str, float]:
    """What the checker says: readable sentences, bad sentences, stories without any."""
    reports = [check_story(text) for text in texts]
    verdicts = [verdict for report in reports for verdict in report.sentences]
    num_bad = sum(not verdict.readable or verdict.contradiction is not None for verdict in verdicts)
    return {
        "stories": len(texts),
        "readable_fraction": sum(verdict.readable for verdict in verdicts) / max(1, len(verdicts)),
        "consistent_fraction": sum(report.is_consistent for report in reports) / len(reports),
        "bad_sentences_per_story": num_bad / len(texts),
    }


# package only
def probe(
    model: Transformer, tokenizer: Tokenizer, held_out: Sequence[Story], config: SamplingConfig
) -> dict[int, dict[str, float]]:
    """Scores by level for the first `count` held-out stories of each level."""
    scores = {}
    for level in track(sorted({story.level for story in held_out}), "telling stories"):
        openings = [story.opening for story in held_out if story.level == level][: config.count]
        scores[level] = story_scores(continue_openings(model, tokenizer, openings, config))
    return scores


# package only
def story_bits_per_byte(
    model: torch.nn.Module, tokenizer: Tokenizer, stories: Sequence[Story], context_length: int
) -> float:
    """Bits a byte of these stories, each by itself; that it ends is not asked."""
    texts = [story.text for story in stories]
    documents = ([tokenizer.end_of_text, *tokenizer.encode(text)] for text in texts)
    num_bytes = sum(len(text.encode()) for text in texts)
    return bits_per_byte(model, documents, num_bytes, context_length)
