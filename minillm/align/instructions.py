"""What an assistant is taught: conversations made from stories whose truth is known.

In: stories (and documents of an encyclopaedia and of recipes, where the run has them). Out:
`Conversation`s of a user and an assistant. The one idea: the world that wrote a story also answers
for it, so every reply is right, and the reply to what the story does not say is to say so. Kinds:
questions, a story with given words, a story continued, a story summed up; what is X, how to make X.
Where it is given a share, also a story told again in other words.
Left out: conversations that people wrote, and a second model as the writer (arXiv:2212.10560).
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from minillm.align.chat import Message
from minillm.align.retelling import retelling
from minillm.corpus.sources import Document
from minillm.corpus.storyworld import Story
from minillm.corpus.storyworld.questions import KINDS, Question, ask_questions, holders, people_of
from minillm.corpus.storyworld.wide.questions import WIDE_KINDS
from minillm.corpus.storyworld.wide.words import EVERY_PLACE
from minillm.corpus.storyworld.words import SEX

STORY_KINDS = ("questions", "continue", "words", "summary")
# of a hundred stories so many serve each kind: a story that the assistant tells teaches at each of
# its tokens, one that it is told only at the answers
KIND_WEIGHTS = (60, 30, 5, 5)
# the last can be asked for too, and has no share by default
EVERY_KIND = (*STORY_KINDS, "rewrite")
MAX_QUESTIONS = 6
# room for the answer to a question: every one of them is shorter
ANSWER_TOKENS = 24
CONTINUE = "Continue this story:"
SUMMARY = "Sum up this story:"
REWRITE = "Tell this story again in other words:"
WHAT_IS = "What is {title}?"
HOW_TO_MAKE = "How do I make {title}?"


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages, what kind of task they are, and where they come from."""

    kind: str
    source: str
    messages: tuple[Message, ...]


def listed(names: Sequence[str]) -> str:
    """Names as a person lists them: Ann, Ben and Cleo."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def question_prompt(story_text: str, question_text: str) -> Message:
    """A story and a question about it, in one message; without a story the question alone."""
    return Message("user", f"{story_text} {question_text}".strip())


def words_prompt(words: Sequence[str]) -> Message:
    """The wish for a story in which these words occur."""
    return Message("user", f"Write a story with these words: {', '.join(words)}.")


def continue_prompt(opening: str) -> Message:
    """The wish to hear how a story goes on."""
    return Message("user", f"{CONTINUE} {opening}")


def summary_prompt(story_text: str) -> Message:
    """The wish for a story in one sentence."""
    return Message("user", f"{SUMMARY} {story_text}")


def words_of(story: Story) -> tuple[str, str, str]:
    """A thing, a place and a person of the story: words that a request can ask for."""
    first = story.events[0]
    place = next(each.place for each in story.events if each.place in EVERY_PLACE)
    return next(iter(holders(list(story.events)))), place, first.who


def summary(story: Story) -> str:
    """Who, where, and who has what in the end: true, because it is read off the events."""
    events = list(story.events)
    place = EVERY_PLACE[events[0].place or ""][0]
    ends = [(who, thing) for thing, (who, _) in holders(events).items() if who in SEX]
    has = listed([f"{who} has the {thing}" for who, thing in ends])
    return f"{listed(people_of(events))} are {place}, and in the end {has}."


def questions_of(story: Story, count: int, rng: random.Random) -> list[Question]:
    """Up to `count` different questions: each kind is asked three times, what comes twice goes.

    Of each kind one at most is not told: there is no end to what a story does not say, and who is
    asked mostly that learns to shrug.
    """
    found: dict[str, Question] = {}
    # the same five kinds at every level, as that level asks them: a hotel is no hot day
    kinds = KINDS if story.level < 4 else {kind: WIDE_KINDS[kind] for kind in KINDS}
    for _ in range(3):
        asked = ask_questions(list(story.events), list(story.sentences), rng, kinds)
        for each in asked:
            found.setdefault(each.text if each.answerable else each.kind, each)
    questions = list(found.values())
    rng.shuffle(questions)
    return questions[:count]


def question_turns(questions: Sequence[Question], story_text: str = "") -> Iterator[Message]:
    """Each question and its answer; a story not told yet stands before the first question."""
    for question in questions:
        yield question_prompt(story_text, question.text)
        yield Message("assistant", question.answer)
        story_text = ""


def story_conversation(story: Story, kind: str, rng: random.Random) -> Conversation:
    """One story as a conversation of this kind; but for a summary, questions about it follow."""
    if kind == "summary":
        turns = (summary_prompt(story.text), Message("assistant", summary(story)))
        return Conversation(kind, f"stories/{story.level}/{story.seed}", turns)
    questions = questions_of(story, rng.randint(1, MAX_QUESTIONS), rng)
    if kind == "questions":
        turns = [*question_turns(questions, story.text)]
    elif kind == "continue":
        rest = Message("assistant", story.text.removeprefix(story.opening))
        turns = [continue_prompt(story.opening), rest, *question_turns(questions)]
    else:
        told = Message("assistant", story.text)
        turns = [words_prompt(words_of(story)), told, *question_turns(questions)]
    return Conversation(kind, f"stories/{story.level}/{story.seed}", tuple(turns))


def story_conversations(stories: Sequence[Story], seed: int) -> Iterator[Conversation]:
    """Every story once, as a conversation of a kind that is drawn."""
    for story in stories:
        rng = random.Random(f"conversation {seed} {story.level} {story.seed}")
        (kind,) = rng.choices(STORY_KINDS, KIND_WEIGHTS)
        yield story_conversation(story, kind, rng)


# package only
def rewrite_prompt(story_text: str) -> Message:
    """The wish for a story in other words."""
    return Message("user", f"{REWRITE} {story_text}")


# package only
def conversation_of(story: Story, kind: str, rng: random.Random) -> Conversation:
    """As `story_conversation`, for every kind; a story told again is followed by questions too."""
    if kind not in EVERY_KIND:
        raise ValueError(f"kind = {kind!r}: unknown; choose one of {EVERY_KIND}")
    if kind in STORY_KINDS:
        return story_conversation(story, kind, rng)
    questions = questions_of(story, rng.randint(1, MAX_QUESTIONS), rng)
    told = Message("assistant", " ".join(retelling(story, rng)))
    turns = (rewrite_prompt(story.text), told, *question_turns(questions))
    return Conversation(kind, f"stories/{story.level}/{story.seed}", turns)


# package only
def weighted_conversations(
    stories: Sequence[Story], seed: int, weights: Mapping[str, int]
) -> Iterator[Conversation]:
    """As `story_conversations`, with a weight for each kind; a kind that is not named has none."""
    unknown = set(weights) - set(EVERY_KIND)
    if unknown or min(weights.values(), default=0) < 0 or not any(weights.values()):
        raise ValueError(
            f"weights = {dict(weights)}: give at least 0 for kinds of {EVERY_KIND}, one above 0"
        )
    for story in stories:
        rng = random.Random(f"conversation {seed} {story.level} {story.seed}")
        (kind,) = rng.choices(list(weights), list(weights.values()))
        yield conversation_of(story, kind, rng)


def document_conversation(document: Document) -> Conversation | None:
    """A lead or a recipe as question and answer; None for a text without a title above it."""
    title, gap, body = document.text.partition("\n\n")
    question = {"encyclopaedia": WHAT_IS, "recipes": HOW_TO_MAKE}.get(document.source)
    if question is None or not gap or not body.strip() or "\n" in title:
        return None
    turns = (Message("user", question.format(title=title)), Message("assistant", body))
    return Conversation(document.source, document.id, turns)
