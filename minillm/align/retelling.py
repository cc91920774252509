"""A story told again in other words: what happened stays, and what a question may ask for too.

In: a story with its events, of any level. Out: a sentence for each event, in another phrase where
there is one that tells the same details: weather, places, looks, and at level 4 what else was
drawn for it, down to the adverb. The one idea: every phrase of an event tells the same event, so
the world's own phrases serve as paraphrases. Left out on purpose: another order, and sentences
joined or cut.
"""

import random
import re
from functools import cache

from minillm.corpus.storyworld.stories import ALL_LEVELS, LEVELS, Story
from minillm.corpus.storyworld.tell import PRONOUNS, people_in, slots, usable_phrases, with_pronouns
from minillm.corpus.storyworld.wide.tell import (
    DRAWN,
    LEADING,
    LEADS,
    phrases_for,
    slots_of,
    words_for,
)
from minillm.corpus.storyworld.wide.words import CREATURES, EVERY_GLAD, EVERY_UNHAPPY, KIN
from minillm.corpus.storyworld.words import (
    DAYTIMES,
    PLACES,
    SEX,
    SPOTS,
    THINGS,
    WEATHERS,
    with_article,
)
from minillm.corpus.storyworld.world import Event

# what a sentence may tell of an event or not, and what a question may then ask for
DETAILS = {word.split()[-1] for word in (*WEATHERS, *DAYTIMES, *PLACES, *SPOTS)}
DETAILS |= {look for thing in THINGS.values() for look in thing.looks}
# who is meant, and which of the words for glad and sad is taken: no other phrase by itself
LOOSE_WORDS = {*SEX, *EVERY_GLAD, *EVERY_UNHAPPY, "he", "she", "him", "her", "his", "hers"}
# what level 4 draws when it tells an event, and who tells it again must keep
MOODS = ("glad", "sad")
CHOSEN = {slot: words for slot, words in DRAWN.items() if slot not in MOODS}
CHOSEN |= {"kin": KIN, "did": sorted({did for each in CREATURES.values() for did in each})}
# what a phrase tells of an event beyond who does what with which thing
TOLD = {slot: slot for slot in (*CHOSEN, "s", "d")} | {"at": "place", "place": "place"}


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
@cache
def literals(phrase: str) -> tuple[str, ...]:
    """What a phrase says whatever fills it: a sentence without it is not worth a pattern."""
    return tuple(piece.lower() for piece in re.split(r"\{\w+\}", phrase))


# package only
def drawn_for(phrase: str, event: Event, sentence: str) -> dict[str, str] | None:
    """What level 4 drew when it told the event in this phrase, by slot; None if it did not.

    "{A} {how} thanked {B}." and "Soon Mia kindly thanked Tom." give lead "Soon ", how "kindly".
    """
    lower = sentence.lower()
    if not all(piece in lower for piece in literals(phrase)):
        return None
    words = words_for(event, phrase, {event.thing or "": ""}, random.Random(0))
    forms = {slot: re.escape(word or "") for slot, word in words.items()}
    for slot, choices in CHOSEN.items():
        if slot != "kin" or event.kind != "kin":  # there it is the event's own
            forms[slot] = f"(?P<{slot}>{'|'.join(choices)})"
            forms[f"a_{slot}"] = f"an? {forms[slot]}"
    forms |= {slot: f"(?:{'|'.join(DRAWN[slot])})" for slot in MOODS}
    forms |= {"A": f"(?:{event.who}|{words['he']})", "a_t": rf"an? (?P<look>\w+ )?{event.thing}"}
    if event.whom is not None:
        forms["b_him"] = f"(?:{event.whom}|{PRONOUNS[SEX[event.whom]][1]})"
    is_led = (event.manner or event.kind) in LEADING and phrase.startswith("{A} ")
    pieces = [f"(?P<lead>{'|'.join(LEADS)})?" if is_led else ""]
    for piece in re.split(r"(\{\w+\})", phrase):
        pieces.append(forms[piece[1:-1]] if piece.startswith("{") else re.escape(piece))
    match = re.fullmatch("".join(pieces), sentence, re.IGNORECASE)
    return match and {slot: word for slot, word in match.groupdict().items() if word is not None}


# package only
def wide_ways_to_say(
    event: Event, sentence: str, looks: dict[str, str], recent: set[str], doer: str,
    rng: random.Random,
) -> list[str]:
    """As `ways_to_say`, at level 4; notes how a thing looks where somebody first has it."""
    is_mixed = event.whom is None or SEX[event.who] != SEX[event.whom]
    phrases = phrases_for(event.manner or event.kind, event.thing is not None, is_mixed)
    drawn = ((phrase, drawn_for(phrase, event, sentence)) for phrase in phrases)
    first = next(((phrase, words) for phrase, words in drawn if words is not None), None)
    if first is None:
        raise ValueError(f"{sentence!r} does not tell {event}; give a story from tell_story")
    taken, words = first
    if event.kind == "have":
        looks[event.thing] = words.pop("look", "").strip()
    lead = words.pop("lead", "")
    words |= {f"a_{slot}": with_article(word) for slot, word in words.items()}
    found = []
    for phrase in phrases:
        told, told_first = (
            {TOLD.get(slot.removeprefix("a_")) for slot in slots_of(each)} - {None}
            for each in (phrase, taken)
        )
        if told == told_first and (not lead or phrase.startswith("{A} ")):
            filled = words_for(event, phrase, looks, rng) | words
            filled = with_pronouns(event, phrase, filled, recent, doer, rng)
            said = lead + phrase.format_map(filled)
            found.append(said[0].upper() + said[1:])
    return found


# package only
def retelling(story: Story, rng: random.Random) -> list[str]:
    """The events of a story once more, each in another phrase where there is one that fits.

    As `tell` and `tell_wide` of the story world, but with the details of the first telling.
    """
    if story.level not in ALL_LEVELS or not story.events:
        raise ValueError(
            f"a story of level {story.level} with {len(story.events)} events cannot be told again; "
            f"give one from tell_story, of a level of {ALL_LEVELS}"
        )
    is_wide = story.level not in LEVELS
    looks = {
        event.thing: "" if is_wide else next(iter(details(sentence)), "")
        for event, sentence in zip(story.events, story.sentences, strict=True)
        if event.kind == "have"
    }
    sentences: list[str] = []
    doer, recent = "", set()
    for event, sentence in zip(story.events, story.sentences, strict=True):
        ways_of = wide_ways_to_say if is_wide else ways_to_say
        ways = ways_of(event, sentence, looks, recent, doer, rng)
        others = [each for each in ways if wording(each) != wording(sentence)]
        sentences.append(rng.choice(others or ways))
        doer = "" if event.kind == "go" else event.who
        recent = people_in(event, sentences[-1])
    return sentences
