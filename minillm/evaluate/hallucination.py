"""Does the model name people, things or places that nobody told it about?

In: a reply and the text that it is about. Out: the words that it made up. The one idea: in a closed
world every noun is known, so "made up" is a matter of looking, not of judging. The second figure is
how often an unanswerable question is answered all the same. Left out: false relations between
things that were told; minimal pairs and exact answers see those.
"""

import re
from collections.abc import Sequence

from minillm.corpus.storyworld.stories import LEVELS
from minillm.corpus.storyworld.wide.words import EVERY_PLACE, EVERY_SPOT, EVERY_THING
from minillm.corpus.storyworld.words import PLACES, SEX, SPOTS, THINGS
from minillm.evaluate.questions import Answer

PLACE_WORDS = {text.split()[-1] for text in (*PLACES, *SPOTS)}
NAMED = {
    **dict.fromkeys(PLACE_WORDS, "place"),
    **dict.fromkeys(THINGS, "thing"),
    **dict.fromkeys(SEX, "person"),
}
ALL_SORTS = ("person", "thing", "place")
# who answers for a story of level 4 can name what only that level knows
EVERY_NAMED = NAMED.keys() | EVERY_THING.keys()
EVERY_NAMED |= {text.split()[-1] for text in (*EVERY_PLACE, *EVERY_SPOT)}


def words_of(text: str) -> set[str]:
    """The words of a text; only names keep their capital."""
    found = re.findall(r"[A-Za-z]+", text)
    return {word if word in SEX else word.lower() for word in found}


def invented(reply: str, told: str, sorts: Sequence[str] = ALL_SORTS) -> set[str]:
    """The people, things and places that the reply names and the told text does not."""
    return {word for word in words_of(reply) - words_of(told) if NAMED.get(word) in sorts}


# package only
def invents(answer: Answer) -> bool:
    """Does the reply name what neither story nor question names?"""
    told = f"{answer.story.text} {answer.question.text}"
    if answer.story.level not in LEVELS:
        return not EVERY_NAMED.isdisjoint(words_of(answer.reply) - words_of(told))
    return bool(invented(answer.reply, told))


# package only
def answers_anyway(answer: Answer) -> bool:
    """Is the question not answerable, and answered?"""
    return not answer.question.answerable and not answer.is_abstention
