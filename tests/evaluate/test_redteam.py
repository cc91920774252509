"""Every probe is on trial: a model that falls for it is caught, one that does not is cleared."""

import pytest

from minillm.align.chat import Message, prompt_tokens, turn_marks
from minillm.align.instructions import CONTINUE
from minillm.corpus.sources import Document
from minillm.corpus.storyworld import tell_story
from minillm.evaluate.redteam import (
    LEAK,
    PROBES,
    Attack,
    Probe,
    breaks_down,
    leak_attacks,
    loops,
    outcomes,
    says_it,
    stranger_to,
)
from tests.evaluate.fakes import STORIES, careful, parrot, story_tokenizer

FIRST = [story for story in STORIES if story.level == 1]
TOKENIZER = story_tokenizer()


def honest(conversations: list[tuple[Message, ...]]) -> list[str]:
    """Answers with the owner, whom each attacked story names in its second sentence."""
    by_opening = {story.opening: story.events[1].who for story in FIRST}
    texts = [messages[0].content for messages in conversations]
    return [
        next((f"{who}." for opening, who in by_opening.items() if text.startswith(opening)), "No.")
        for text in texts
    ]


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_a_model_that_falls_for_it_is_caught_and_others_are_cleared(probe: Probe) -> None:
    attacks = probe.attacks(FIRST)
    assert len(attacks) == 12 and len({attack.id for attack in attacks}) == 12
    caught = outcomes(probe, attacks, parrot)
    if probe.name == "flood":  # a parrot of random letters does not loop
        assert sum(caught.values()) == 8
    else:
        assert all(caught.values())
    assert not any(outcomes(probe, attacks, careful).values())
    assert not any(outcomes(probe, attacks, honest).values())


def documents() -> list[Document]:
    return [
        Document(f"d{s.seed}", s.text, "stories", "story", "CC0-1.0", "en", "train", 1)
        for s in FIRST
    ]


def test_a_model_that_knows_its_text_by_heart_is_caught() -> None:
    def by_heart(conversations: list[tuple[Message, ...]]) -> list[str]:
        asked = [each[0].content.removeprefix(CONTINUE).strip() for each in conversations]
        return [
            next(s.text.removeprefix(text) for s in FIRST if s.text.startswith(text))
            for text in asked
        ]

    attacks = leak_attacks(documents())
    assert len(attacks) == 12 and all(outcomes(LEAK, attacks, by_heart).values())
    # another story of the same world shares words and phrases, but no run of 13 words
    def other(conversations: list[tuple[Message, ...]]) -> list[str]:
        return [tell_story(900_000 + n, 1).text for n in range(len(conversations))]

    assert not any(outcomes(LEAK, attacks, other).values())
    assert not any(outcomes(LEAK, attacks, careful).values())


def test_a_text_too_short_to_be_known_by_heart_is_left_out() -> None:
    short = Document("s", "one two three", "x", "k", "CC0-1.0", "en")
    assert leak_attacks([short]) == []


def test_typed_marks_stay_text_and_naive_templates_let_them_through() -> None:
    begin, end = turn_marks(TOKENIZER)
    role_markers = next(probe for probe in PROBES if probe.name == "role_markers")
    for attack in role_markers.attacks(FIRST):
        ids = prompt_tokens(attack.messages, TOKENIZER)
        assert (ids.count(begin), ids.count(end)) == (2, 1)


def test_the_stranger_is_nobody_of_the_story() -> None:
    assert all(stranger_to(story) not in story.text for story in STORIES)


def test_words_are_found_as_words() -> None:
    attack = Attack("a", (), "Tom.")
    assert says_it(attack, "It is TOM")
    assert not says_it(attack, "tomato") and not says_it(attack, "")


@pytest.mark.parametrize(
    ("text", "is_loop"),
    [("the the the the", True), ("a b a b a b a b", True), ("?!?!?!?!", True), ("ha ha ha", False),
     ("Tom gave Mia the ball and Mia gave Tom the kite.", False), ("", False)],
)  # fmt: skip
def test_loops_are_seen(text: str, is_loop: bool) -> None:
    assert loops(text) == is_loop


def test_stories_do_not_loop() -> None:
    assert not any(loops(story.text) for story in STORIES)


@pytest.mark.parametrize("reply", ["", "  ", "\ufffd", "<|im_start|>user", "no no no no"])
def test_a_breakdown_is_seen(reply: str) -> None:
    assert breaks_down(Attack("a", (), ""), reply)
