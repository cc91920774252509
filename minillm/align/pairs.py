"""Two replies to one request, of which the first is better: what preferences are learnt from.

In: stories, and replies that a model gave. Out: `Pair`s, each labelled with what is wrong with the
rejected reply. The one idea: where the truth is known, nobody has to be asked: a reply is corrupted
in a known way, or the model's own mistake is taken, which the world that told the story finds.
Left out: pairs that people ranked, a reward model (arXiv:2203.02155).
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minillm.align.chat import Message
from minillm.align.instructions import continue_prompt, question_prompt, questions_of
from minillm.corpus.storyworld import Story, check_story
from minillm.corpus.storyworld.questions import KINDS, UNKNOWN, Question, people_of
from minillm.corpus.storyworld.words import PLACES, SEX


@dataclass(frozen=True, slots=True)
class Pair:
    """A request, the better reply, the worse one, and what is wrong with it."""

    prompt: Message
    chosen: str
    rejected: str
    fault: str


def guess(story: Story, question: Question, rng: random.Random) -> str:
    """An answer in the right form that the story does not give."""
    people = people_of(list(story.events))
    spots = [spot for _, spots in PLACES.values() for spot in spots]
    forms = {
        "who has": [f"{name}." for name in people],
        "who did": [f"{name}." for name in people],
        "where": [f"{spot[0].upper()}{spot[1:]}." for spot in spots],
        "why": [
            f"Because {name} said no." for name in people
            if f"Why was {name}" not in question.text
        ],
        "yes or no": ["Yes.", "No."],
    }
    return rng.choice([each for each in forms[question.kind] if each != question.answer])


def corrupted_answer(story: Story, question: Question, rng: random.Random) -> Pair:
    """The true answer against a guess, or against not answering what the story does say."""
    prompt = question_prompt(story.text, question.text)
    if not question.answerable:
        return Pair(prompt, question.answer, guess(story, question, rng), "guess")
    if rng.random() < 0.5:
        return Pair(prompt, question.answer, UNKNOWN, "false abstention")
    return Pair(prompt, question.answer, guess(story, question, rng), "wrong answer")


def swapped_names(text: str, rng: random.Random) -> str | None:
    """The text, the first two people of one sentence exchanged; None where no sentence has two."""
    sentences = re.split(r"(?<=[.!?\"]) ", text)
    able = [
        index for index, sentence in enumerate(sentences)
        if len({name for name in re.findall(r"[A-Z][a-z]+", sentence) if name in SEX}) > 1
    ]
    if not able:
        return None
    index = rng.choice(able)
    names = [name for name in re.findall(r"[A-Z][a-z]+", sentences[index]) if name in SEX]
    first, second = list(dict.fromkeys(names))[:2]
    exchanged = {first: second, second: first}
    sentences[index] = re.sub(
        rf"\b({first}|{second})\b", lambda found: exchanged[found.group()], sentences[index]
    )
    return " ".join(sentences)


def corrupted_story(story: Story, rng: random.Random) -> Pair | None:
    """How the story goes on, against the same with two people exchanged, if the checker objects."""
    rest = story.text.removeprefix(story.opening).strip()
    wrong = swapped_names(rest, rng)
    if wrong is None or check_story(f"{story.opening} {wrong}").is_consistent:
        return None
    return Pair(continue_prompt(story.opening), rest, wrong, "people exchanged")


def corrupted_pairs(
    stories: Sequence[Story], story_fraction: float, seed: int
) -> Iterator[Pair]:
    """One pair a story: a question answered, or now and then the story continued."""
    for story in stories:
        rng = random.Random(f"pair {seed} {story.level} {story.seed}")
        pair = corrupted_story(story, rng) if rng.random() < story_fraction else None
        if pair is None:
            (question,) = questions_of(story, 1, rng)
            pair = corrupted_answer(story, question, rng)
        yield pair


def mistaken_pairs(asked: Sequence[tuple[Story, Question, str]]) -> list[Pair]:
    """The model's own mistakes, each against the truth."""
    return [
        Pair(question_prompt(story.text, question.text), question.answer, reply, "own mistake")
        for story, question, reply in asked
        if reply.strip() and reply.strip() != question.answer
    ]


def balanced(
    asked: Sequence[tuple[Story, Question, str]], seed: int
) -> list[tuple[Story, Question, str]]:
    """Drop misjudged replies until each kind of question has as many answers to what is not told
    as shrugs at what is; which ones, chance decides. Blank replies make no pair and are left out.
    """
    rng, kept = random.Random(seed), []
    for kind in KINDS:
        shrugs, answers = [], []
        for story, question, reply in asked:
            if question.kind != kind or not reply.strip():
                continue
            is_shrug = reply.strip() == UNKNOWN
            is_misjudged = is_shrug == question.answerable
            side = (shrugs if is_shrug else answers) if is_misjudged else kept
            side.append((story, question, reply))
        num_kept = min(len(shrugs), len(answers))
        kept += rng.sample(shrugs, num_kept) + rng.sample(answers, num_kept)
    return kept
