"""What an assistant is taught: conversations made from stories whose truth is known.

In: stories (and documents of an encyclopaedia and of recipes, where the run has them). Out:
`Conversation`s of a user and an assistant. The one idea: the world that wrote a story also answers
for it, so every reply is right, and the reply to what the story does not say is to say so. Kinds:
questions, a story with given words, a story continued, a story summed up; what is X, how to make X.
Where it is given a share, also a story told again in other words.
Left out: conversations that people wrote, and a second model as the writer (arXiv:2212.10560).
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from minillm.align.chat import Message
from minillm.corpus.sources import Document
from minillm.corpus.storyworld import Story
from minillm.corpus.storyworld.questions import Question, ask_questions, holders, people_of
from minillm.corpus.storyworld.stories import LEVELS
from minillm.corpus.storyworld.tell import people_in, slots, usable_phrases, with_pronouns
from minillm.corpus.storyworld.words import (
    DAYTIMES,
    GLAD,
    PLACES,
    SEX,
    SPOTS,
    THINGS,
    UNHAPPY,
    WEATHERS,
)  # fmt: skip
from minillm.corpus.storyworld.world import Event

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
# what a sentence may tell of an event or not, and what a question may then ask for
DETAILS = {word.split()[-1] for word in (*WEATHERS, *DAYTIMES, *PLACES, *SPOTS)}
DETAILS |= {look for thing in THINGS.values() for look in thing.looks}
# who is meant, and which of the words for glad and sad is taken: no other phrase by itself
LOOSE_WORDS = {*SEX, *GLAD, *UNHAPPY, "he", "she", "him", "her", "his", "hers"}


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
    place = next(each.place for each in story.events if each.place in PLACES)
    return next(iter(holders(list(story.events)))), place, first.who


def summary(story: Story) -> str:
    """Who, where, and who has what in the end: true, because it is read off the events."""
    events = list(story.events)
    place = PLACES[events[0].place or ""][0]
    ends = [(who, thing) for thing, (who, _) in holders(events).items() if who in SEX]
    has = listed([f"{who} has the {thing}" for who, thing in ends])
    return f"{listed(people_of(events))} are {place}, and in the end {has}."


def questions_of(story: Story, count: int, rng: random.Random) -> list[Question]:
    """Up to `count` different questions: each kind is asked three times, what comes twice goes.

    Of each kind one at most is not told: there is no end to what a story does not say, and who is
    asked mostly that learns to shrug.
    """
    found: dict[str, Question] = {}
    for _ in range(3):
        asked = ask_questions(list(story.events), list(story.sentences), rng)
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
def details(sentence: str) -> set[str]:
    """The words that say the weather, the time of day, a place, a spot, or how a thing looks."""
    return DETAILS.intersection(re.findall(r"\b[a-z]+", sentence))


# package only
def wording(sentence: str) -> list[str]:
    """The words of the phrase in which something is said, without those that fill it."""
    words = [word if word in SEX else word.lower() for word in re.findall(r"[A-Za-z]+", sentence)]
    return [word for word in words if word not in LOOSE_WORDS]


# package only
def ways_to_say(
    event: Event, sentence: str, looks: dict[str, str], recent: set[str], doer: str,
    rng: random.Random,
) -> list[str]:
    """The event in each phrase that tells the details of the sentence: no more and no less."""
    told, found = details(sentence), []
    for phrase in usable_phrases(event):
        words = slots(event, looks, rng)
        words |= {"weather": word for word in told if word in WEATHERS}
        words |= {"daytime": word for word in told if word in DAYTIMES}
        said = phrase.format_map(with_pronouns(event, phrase, words, recent, doer, rng))
        if details(said) == told:
            found.append(said[0].upper() + said[1:])
    return found


# package only
def retelling(story: Story, rng: random.Random) -> list[str]:
    """The events of a story once more, each in another phrase where there is one that fits.

    As `tell` of the story world, but with the details of the first telling. ValueError for level 4.
    """
    if story.level not in LEVELS or not story.events:
        raise ValueError(
            f"a story of level {story.level} with {len(story.events)} events cannot be told again; "
            f"give one from tell_story, of a level of {LEVELS}"
        )
    looks = {
        event.thing: next(iter(details(sentence)), "")
        for event, sentence in zip(story.events, story.sentences, strict=True)
        if event.kind == "have"
    }
    sentences: list[str] = []
    doer, recent = "", set()
    for event, sentence in zip(story.events, story.sentences, strict=True):
        ways = ways_to_say(event, sentence, looks, recent, doer, rng)
        others = [each for each in ways if wording(each) != wording(sentence)]
        sentences.append(rng.choice(others or ways))
        doer = "" if event.kind == "go" else event.who
        recent = people_in(event, sentences[-1])
    return sentences


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
