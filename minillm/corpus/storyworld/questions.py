"""Questions about a story, answered from its events."""

import random
from dataclasses import dataclass

from minillm.corpus.storyworld.world import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question, its true answer, and how far from the end of the story the evidence stands."""

    text: str
    answer: str
    kind: str
    answerable: bool
    distance: int


def ask_questions(
    events: list[Event], sentences: list[str], rng: random.Random
) -> tuple[Question, ...]:
    return ()
