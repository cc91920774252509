"""What every model of a run is asked: the same items, so that answers can be compared in pairs.

In: a configuration and the run's documents. Out: `Items`: stories that nobody was trained on,
minimal pairs, held-out documents, training documents. The one idea: items come from seeds and ids,
so a model scored next year meets the same ones. One question a story: two questions about one
story are not two independent experiments.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from minillm.corpus.mix import chance
from minillm.corpus.sources import Document
from minillm.corpus.storyworld import Question, Story, tell_story
from minillm.corpus.storyworld.questions import ask_untold
from minillm.corpus.storyworld.stories import ALL_LEVELS
from minillm.evaluate.minimal_pairs import Pair, pairs_of

# below a million: no model is trained on these, and no other chapter's stories are among them
FIRST_SEED = 400_000


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """How much is asked, how hard it is disturbed, and how much may be lost."""

    stories: int = 20
    levels: tuple[int, ...] = (1, 2)
    sampled_stories: int = 8
    documents: int = 20
    max_characters: int = 1200
    attacks: int = 8
    typo_rate: float = 0.2
    seed: int = 0
    margin: float = 0.05

    def __post_init__(self) -> None:
        for name in ("stories", "sampled_stories", "documents", "max_characters", "attacks"):
            if getattr(self, name) < 2:
                remedy = "must be at least 2; an interval needs items that can differ"
                raise ValueError(f"{name} = {getattr(self, name)}: {remedy}")
        if not self.levels or not set(self.levels) <= set(ALL_LEVELS):
            raise ValueError(f"levels = {self.levels}: choose some of {ALL_LEVELS}")
        for name in ("typo_rate", "margin"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must lie between 0 and 1")


# package only
@dataclass(frozen=True, slots=True)
class Items:
    """The stories, the pairs, the held-out and the training documents of an evaluation."""

    stories: tuple[Story, ...]
    pairs: tuple[Pair, ...]
    held_out: tuple[Document, ...]
    trained_on: tuple[Document, ...]


# package only
def evaluation_stories(config: EvaluateConfig) -> list[Story]:
    """`stories` of each level, of seeds that are kept for evaluation."""
    return [
        tell_story(FIRST_SEED + index, level)
        for level in config.levels
        for index in range(config.stories)
    ]


# package only
def one_question(story: Story) -> Question:
    """One question by lot; every other story is asked what it does not say, where it can be."""
    unanswerable = [each for each in story.questions if not each.answerable]
    answerable = [each for each in story.questions if each.answerable]
    wanted = unanswerable if story.seed % 2 else answerable
    return random.Random(story.seed).choice(wanted or list(story.questions))


# package only
def one_pair(story: Story) -> Pair | None:
    """One pair by lot, of the changes that this story allows."""
    rng = random.Random(story.seed)
    pairs = pairs_of(story, rng)
    return rng.choice(pairs) if pairs else None


# package only
def asked_once(stories: Iterable[Story]) -> list[Story]:
    """The stories, each with one of its questions; those without any are left out."""
    return [replace(each, questions=(one_question(each),)) for each in stories if each.questions]


# package only
def asked_untold(stories: Iterable[Story]) -> list[Story]:
    """The stories, each with what it leaves open in forms that training always saw answered.

    No report card asks these; `question_scores(ask(model, tokenizer, asked_untold(stories)))` does.
    """
    return [
        replace(each, questions=ask_untold(
            list(each.events), list(each.sentences), random.Random(f"{each.level}/{each.seed}")
        ))
        for each in stories
    ]  # fmt: skip


# package only
def some_of_each_source(
    documents: Iterable[Document], count: int, seed: int, max_characters: int
) -> list[Document]:
    """Up to `count` documents of each source by lot, the beginning of each."""
    chosen: dict[str, list[Document]] = {}
    for document in sorted(documents, key=lambda each: chance(each.id, seed)):
        mine = chosen.setdefault(document.source, [])
        if len(mine) < count:
            mine.append(replace(document, text=document.text[:max_characters]))
    return [document for source in sorted(chosen) for document in chosen[source]]


# package only
def evaluation_items(config: EvaluateConfig, documents: Sequence[Document]) -> Items:
    """All that is asked of each model; without documents, only what needs none."""
    stories = evaluation_stories(config)
    pairs = [pair for pair in map(one_pair, stories) if pair is not None]
    by_split = {
        split: some_of_each_source(
            [each for each in documents if each.split == split],
            count, config.seed, config.max_characters,
        )
        for split, count in (("validation", config.documents), ("train", config.attacks))
    }  # fmt: skip
    return Items(
        tuple(stories), tuple(pairs), tuple(by_split["validation"]), tuple(by_split["train"])
    )
