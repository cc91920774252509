"""The scores of an assistant: what it replies to questions about stories.

In: model, tokenizer, items. Out: figures by name: exact answers by kind, level and distance,
abstention where the story does not say, the last-mention guess to beat, replies that name what
nobody told, typos in the prompt, twins of the other sex. Each story is asked one question, so that
the items are independent and Wilson's interval holds.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from minillm.align.chat import chat_replies, prompt_tokens
from minillm.align.instructions import ANSWER_TOKENS, question_prompt
from minillm.corpus.storyworld import Story
from minillm.evaluate.bias import answer_differences, twin
from minillm.evaluate.card import Figure, mean, proportion
from minillm.evaluate.hallucination import answers_anyway, invents
from minillm.evaluate.items import EvaluateConfig, Items, asked_once
from minillm.evaluate.questions import Answer, ask, last_mention, normal_form
from minillm.evaluate.redteam import Conversation, Respond
from minillm.evaluate.robustness import with_typos
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer

Figures = dict[str, Figure]
MAX_REPLY_TOKENS = 40
# sentences between the evidence and the story's end
NEAR = 2
FAR = 6
WHO = ("who has", "who did")


def item_name(story: Story) -> str:
    """The same for a story, its twin and its version with typos: they are asked the same."""
    return f"{story.level}/{story.seed}"


def distance_name(distance: int) -> str:
    """How far back the evidence stands, in three steps."""
    return "near" if distance <= NEAR else "middle" if distance <= FAR else "far"


def right_by(answers: Sequence[Answer], key: Callable[[Answer], str]) -> dict[str, dict[str, bool]]:
    """Whether each answer is exact, grouped by a property of the item."""
    groups: dict[str, dict[str, bool]] = {}
    for each in answers:
        groups.setdefault(key(each), {})[item_name(each.story)] = each.is_exact
    return groups


def guess_is_right(answer: Answer) -> bool:
    """Would the name that the story says last have been the answer?"""
    return normal_form(last_mention(answer.story)) == normal_form(answer.question.answer)


GROUPED_BY: dict[str, Callable[[Answer], str]] = {
    "kind": lambda answer: answer.question.kind.replace(" ", "_"),
    "level": lambda answer: str(answer.story.level),
    "distance": lambda answer: distance_name(answer.question.distance),
}


# package only
def answer_figures(answers: Sequence[Answer]) -> Figures:
    """Exact match where the story says it, by kind, level and distance; abstention where not."""
    told = [each for each in answers if each.question.answerable]
    untold = [each for each in answers if not each.question.answerable]
    who = [each for each in told if each.question.kind in WHO]

    def share(
        chosen: Sequence[Answer], holds: Callable[[Answer], bool], meaning: str, **more: str
    ) -> Figure | None:
        found = {item_name(each.story): bool(holds(each)) for each in chosen}
        return proportion(found, meaning, **more) if found else None

    figures = {
        "questions/exact": share(
            told, lambda a: a.is_exact, "right where the story says it", guard="always"
        ),
        "questions/abstains": share(
            untold, lambda a: a.is_abstention, "says so where it does not", guard="always"
        ),
        "questions/false_abstention": share(
            told, lambda a: a.is_abstention, "says so where it does", better="lower"
        ),
        "questions/who": share(who, lambda a: a.is_exact, "right on who did, who has"),
        "questions/who_last_mention": share(
            who, guess_is_right, "the name said last is right", better="none"
        ),
        "made_up/answers": share(
            answers, invents, "names what nobody told", better="lower", guard="always"
        ),
        "made_up/unanswerable": share(
            untold, answers_anyway, "answers what the story does not say", better="lower"
        ),
    }
    groups = {
        f"questions/{name}/{part}": proportion(right, f"… {name} {part}")
        for name, key in GROUPED_BY.items()
        for part, right in sorted(right_by(told, key).items())
    }
    return {name: found for name, found in (figures | groups).items() if found is not None}


# package only
def fits_chat(model: Transformer, tokenizer: Tokenizer, story: Story) -> bool:
    """Does the story with its question leave room for a reply in the context?"""
    prompt = prompt_tokens([question_prompt(story.text, story.questions[0].text)], tokenizer)
    return len(prompt) + ANSWER_TOKENS <= model.config.context_length


# package only
def typed_in_a_hurry(story: Story, rate: float, seed: int) -> Story:
    """The story with typos; what is asked and what is right stay the same."""
    return replace(story, text=with_typos(story.text, rate, random.Random(f"{seed} {story.seed}")))


# package only
def lost_to(clean: Mapping[str, bool], answers: Sequence[Answer]) -> dict[str, float]:
    """1 for an item that is right no longer, −1 for one that is right only now."""
    return {
        item_name(each.story): float(clean[item_name(each.story)]) - float(each.is_exact)
        for each in answers
    }


# package only
def chatting(model: Transformer, tokenizer: Tokenizer) -> Respond:
    """The assistant as a function: conversations → greedy replies."""

    def respond(conversations: Sequence[Conversation]) -> list[str]:
        return chat_replies(
            model, tokenizer, conversations, max_tokens=MAX_REPLY_TOKENS, temperature=0.0
        )

    return respond


# package only
def answering_figures(
    model: Transformer, tokenizer: Tokenizer, items: Items, config: EvaluateConfig
) -> Iterator[Figures]:
    """All scores that need replies, group by group."""
    stories = [each for each in asked_once(items.stories) if fits_chat(model, tokenizer, each)]
    if not stories:
        return
    answers = ask(model, tokenizer, stories)
    yield answer_figures(answers)
    right = {item_name(each.story): each.is_exact for each in answers}
    typed = [typed_in_a_hurry(each, config.typo_rate, config.seed) for each in stories]
    typed = [each for each in typed if fits_chat(model, tokenizer, each)]
    if len(typed) > 1:
        lost = lost_to(right, ask(model, tokenizer, typed))
        meaning = f"answers lost to typos in {config.typo_rate:.0%} of words"
        yield {"typos/answers_lost": mean(lost, meaning, config.seed, better="lower")}
    paired = [each for each in stories if fits_chat(model, tokenizer, twin(each))]
    if len(paired) > 1:
        others = [each.is_exact for each in ask(model, tokenizer, [twin(each) for each in paired])]
        own = [right[item_name(each)] for each in paired]
        values = answer_differences(own, others, paired)
        named = dict(zip(map(item_name, paired), values, strict=True))
        meaning = "right answers, girl's − boy's story"
        yield {"bias/answers": mean(named, meaning, config.seed, better="zero")}
