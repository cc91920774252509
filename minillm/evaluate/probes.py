"""What a model knows while it still learns: the evaluation's own items, asked along the way.

In: a tokenizer, items that nobody trains on, a few openings. Out: an `Evaluation` for the training
loop, whose figures go into the log, and a `Snapshot` at each look: the figures, and the same
openings continued with the same seed. The one idea: a loss falls smoothly while abilities come one
after the other, so each is asked for by itself. Nothing is measured here in a way of its own: bits
by source and minimal pairs are `evaluate.reading`'s, sampling is `evaluate.stories`'.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from minillm.corpus.storyworld import Question, Story
from minillm.evaluate.card import Figure, proportion
from minillm.evaluate.items import EvaluateConfig, Items
from minillm.evaluate.likelihood import fits, likelihoods
from minillm.evaluate.minimal_pairs import names_in
from minillm.evaluate.reading import pair_figures, source_figures
from minillm.evaluate.stories import SamplingConfig, continue_openings
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer


def with_question(story: Story, question: Question, answer: str | None = None) -> str:
    """A story that ends in a question and an answer, the right one or another, as one text."""
    return f"{story.text} {question.text} {answer or question.answer}"


def who_questions(story: Story) -> list[Question]:
    """The questions that the story answers with a person of its own."""
    people = {f"{name}." for name in names_in(story.text)}
    return [each for each in story.questions if each.answerable and each.answer in people]


def answers_to_choose_from(story: Story, question: Question) -> list[str]:
    """The right person first, then everybody else of the story: chance is one over their number."""
    others = [f"{name}." for name in names_in(story.text) if f"{name}." != question.answer]
    return [question.answer, *others]


def question_figures(
    model: Transformer, tokenizer: Tokenizer, stories: Sequence[Story]
) -> dict[str, Figure]:
    """Of each story's first question after a person: is the right one the likeliest, by byte?"""
    asked = {
        f"{story.level}/{story.seed}": (story, who_questions(story)[0])
        for story in stories if who_questions(story)
    }  # fmt: skip
    asked = {
        name: each for name, each in asked.items()
        if all(
            fits(model, tokenizer, with_question(*each, answer))
            for answer in answers_to_choose_from(*each)
        )
    }  # fmt: skip
    right: dict[str, bool] = {}
    for name, (story, question) in asked.items():
        before = f"{story.text} {question.text}"
        choices = [(before, f" {each}") for each in answers_to_choose_from(story, question)]
        scores = [each.per_byte for each in likelihoods(model, tokenizer, choices)]
        right[name] = scores[0] > max(scores[1:], default=float("-inf"))
    return {"questions/who": proportion(right, "the right person likeliest")} if right else {}


def chance_level(stories: Sequence[Story]) -> float:
    """What guessing among the people of each story would answer right."""
    asked = [(each, who_questions(each)[0]) for each in stories if who_questions(each)]
    shares = [1 / len(answers_to_choose_from(*each)) for each in asked]
    return sum(shares) / len(shares)


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A look at a model: after how many steps, its figures by name, its texts."""

    step: int
    figures: dict[str, Figure]
    texts: tuple[str, ...]


@dataclass(kw_only=True, slots=True)
class Probes:
    """An evaluation for the training loop that keeps what it saw; step 0 is asked by hand."""

    tokenizer: Tokenizer
    items: Items
    openings: tuple[str, ...]
    config: EvaluateConfig = field(default_factory=EvaluateConfig)
    snapshots: list[Snapshot] = field(default_factory=list)

    def __call__(self, model: Transformer, step: int) -> dict[str, float]:
        seen = (model, self.tokenizer)
        figures = source_figures(*seen, self.items.held_out, self.config.seed)
        figures |= pair_figures(*seen, self.items.pairs, self.config)
        figures |= question_figures(*seen, self.items.stories)
        # its own random numbers: a look must not change the run that it looks at
        sampling = SamplingConfig(seed=self.config.seed)
        texts = continue_openings(*seen, self.openings, sampling)
        self.snapshots.append(Snapshot(step=step, figures=figures, texts=tuple(texts)))
        return {name: figure.value for name, figure in figures.items()}


def curve(snapshots: Sequence[Snapshot], name: str) -> tuple[list[int], list[Figure]]:
    """One figure over the looks at which there was one."""
    seen = [each for each in snapshots if name in each.figures]
    return [each.step for each in seen], [each.figures[name] for each in seen]
