"""The same story with other names, or in another place: what must not matter, counterfactually.

In: a story of any level. Out: its twin, as true as the first, with its questions and answers. The
one idea is that of `bias.py`, for whatever else a story can be told about: if a model answers one
and not the other, it has learned the name and not the deed (Kaushik et al., arXiv:1909.12434).
Left out on purpose: things, since what one does with them would have to change too.
"""

import random
import re
from collections.abc import Callable
from dataclasses import replace

from minillm.corpus.storyworld import Story
from minillm.corpus.storyworld.wide.words import EVERY_PLACE, EVERY_SPOT
from minillm.corpus.storyworld.words import BOYS, EVERY_BOY, EVERY_GIRL, GIRLS, PLACES, SEX


def retold(story: Story, tell: Callable[[str], str]) -> Story:
    """The story with each of its texts told anew; the events are dropped."""
    questions = tuple(
        replace(each, text=tell(each.text), answer=tell(each.answer)) for each in story.questions
    )
    sentences = tuple(tell(sentence) for sentence in story.sentences)
    return replace(
        story, text=" ".join(sentences), sentences=sentences, opening=tell(story.opening),
        events=(), questions=questions,
    )  # fmt: skip


def substituted(words: dict[str, str]) -> Callable[[str], str]:
    """Replace whole phrases, all at once, and keep the capital with which one begins."""
    longest_first = sorted(words, key=lambda phrase: (-len(phrase), phrase))
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, longest_first))})\b", re.IGNORECASE)

    def other(match: re.Match[str]) -> str:
        found = match.group()
        phrase = words.get(found) or words.get(found[0].lower() + found[1:])
        if phrase is None:
            return found
        return phrase[0].upper() + phrase[1:] if found[0].isupper() else phrase

    return lambda text: pattern.sub(other, text)


def renamed(story: Story, rng: random.Random) -> Story:
    """The story told of other people of the same sex, who are not in it."""
    girls, boys = (EVERY_GIRL, EVERY_BOY) if story.level == 4 else (GIRLS, BOYS)
    here = [word for word in dict.fromkeys(re.findall(r"[A-Z][a-z]+", story.text)) if word in SEX]
    others: dict[str, str] = {}
    for name in here:
        names = girls if SEX[name] == "girl" else boys
        free = [other for other in names if other not in here and other not in others.values()]
        others[name] = rng.choice(free)
    return retold(story, substituted(others))


# package only
def moved(story: Story, rng: random.Random) -> Story:
    """The story told in another place, with that place's spots in the order of the first one's."""
    if not story.events or story.events[0].place not in EVERY_PLACE:
        raise ValueError("a story without events has no place; give one from tell_story")
    place = story.events[0].place
    places = EVERY_PLACE if story.level == 4 else PLACES
    told = {spot for spot in EVERY_SPOT if re.search(rf"\b{spot}\b", story.text)}
    taken = {event.place for event in story.events}
    free = [
        other
        for other, (_, spots) in places.items()
        if other not in taken and not told & set(spots)
    ]
    other = rng.choice(free)
    (where, spots), (other_where, other_spots) = EVERY_PLACE[place], EVERY_PLACE[other]
    words = {where: other_where, place: other} | dict(zip(spots, other_spots, strict=True))
    return retold(story, substituted(words))
