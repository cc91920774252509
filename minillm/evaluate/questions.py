"""Does the model answer what a story says, and say so where the story does not say it?

Questions about held-out stories go in as chats, one a conversation; greedy replies come out and are
compared with the answer that follows from the story's events. Exact match is fair here: the answers
have one form. The guess to beat names the person whom the story names last.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from minillm.align.chat import chat_replies, prompt_tokens
from minillm.align.instructions import ANSWER_TOKENS, question_prompt
from minillm.corpus.storyworld import Story
from minillm.corpus.storyworld.questions import UNKNOWN, Question
from minillm.corpus.storyworld.words import SEX
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer


@dataclass(frozen=True, slots=True)
class Answer:
    """A question about a story, and what the model said."""

    story: Story
    question: Question
    reply: str

    @property
    def is_exact(self) -> bool:
        """The same words, whatever the case and the spaces around."""
        return normal_form(self.reply) == normal_form(self.question.answer)

    @property
    def is_abstention(self) -> bool:
        """The reply is that the story does not say."""
        return normal_form(self.reply) == normal_form(UNKNOWN)


def normal_form(text: str) -> str:
    """Lower case, single spaces, no full stop at the end."""
    return " ".join(text.lower().split()).rstrip(".")


def ask(
    model: Transformer, tokenizer: Tokenizer, stories: Sequence[Story], batch_size: int = 64
) -> list[Answer]:
    """Every question of every story, each in a conversation of its own, answered greedily.

    A story that leaves no room for a reply in the context gets an empty one: it counts as wrong.
    """
    asked = [(story, question) for story in stories for question in story.questions]
    prompts = [[question_prompt(story.text, question.text)] for story, question in asked]
    limit = model.config.context_length - ANSWER_TOKENS
    fits = [len(prompt_tokens(prompt, tokenizer)) <= limit for prompt in prompts]
    fitting = [prompt for prompt, is_short in zip(prompts, fits, strict=True) if is_short]
    replies = iter(
        chat_replies(
            model, tokenizer, fitting,
            max_tokens=ANSWER_TOKENS, batch_size=batch_size, temperature=0.0,
        )
    )  # fmt: skip
    return [
        Answer(*each, next(replies) if is_short else "")
        for each, is_short in zip(asked, fits, strict=True)
    ]


def last_mention(story: Story) -> str:
    """The person whom the story names last: the guess of a reader who only saw the end."""
    names = [name for name in re.findall(r"[A-Z][a-z]+", story.text) if name in SEX]
    return f"{names[-1]}."


def fraction(answers: Sequence[Answer], name: str) -> float:
    """The share of these answers that are so (`is_exact`, `is_abstention`); nan for none."""
    return sum(getattr(each, name) for each in answers) / len(answers) if answers else float("nan")


def question_scores(answers: Sequence[Answer]) -> dict[str, float]:
    """What is answered right, what is left open though the story says it, and what rightly so."""
    told = [each for each in answers if each.question.answerable]
    untold = [each for each in answers if not each.question.answerable]
    guessed = [normal_form(last_mention(a.story)) == normal_form(a.question.answer) for a in told]
    return {
        "answerable_exact": fraction(told, "is_exact"),
        "last_mention_exact": sum(guessed) / max(1, len(guessed)),
        "false_abstention": fraction(told, "is_abstention"),
        "abstention": fraction(untold, "is_abstention"),
    }
