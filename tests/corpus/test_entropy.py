"""The bits of a text are those of its lots: by hand, by enumeration, and of the world's cast."""

import itertools
import math
import random
from collections import Counter

import pytest

from minillm.corpus.storyworld import stories, tell_story
from minillm.corpus.storyworld.entropy import CAST_BITS, lot_bits, story_bits
from minillm.corpus.storyworld.stories import ALL_PLACES, ALL_THINGS, cast_of_three, tell_by_lot
from minillm.corpus.storyworld.words import BOYS, GIRLS


def bits_of(tell, seed=0):
    return sum(lot_bits(tell, str(seed)))


def test_a_choice_costs_the_logarithm_of_its_outcomes():
    assert [bits_of(lambda lots: lots.choice("abcdefgh"), seed) for seed in range(8)] == [3.0] * 8


def test_draws_without_a_trace_cost_nothing():
    def tell(lots):
        lots.choice(range(50)), lots.random()
        return lots.choice("ab")

    for seed in range(8):
        assert lot_bits(tell, str(seed)) == [0.0, 0.0, 1.0]


def test_two_words_of_four_that_look_alike_cost_one_bit():
    for seed in range(8):
        said = random.Random(str(seed)).choice("aabc")
        assert bits_of(lambda lots: lots.choice("aabc"), seed) == (1.0 if said == "a" else 2.0)


def test_a_coin_costs_what_its_side_is_worth():
    for seed in range(12):
        is_yes = random.Random(str(seed)).random() < 0.4
        bits = bits_of(lambda lots: "yes" if lots.random() < 0.4 else "no", seed)
        assert bits == pytest.approx(-math.log2(0.4 if is_yes else 0.6))


def test_a_coin_that_is_no_multiple_of_a_twentieth_is_noticed():
    with pytest.raises(AssertionError, match="no multiple of a twentieth"):
        for seed in range(1000):
            bits_of(lambda lots: "yes" if lots.random() < 0.01 else "no", seed)


def test_a_later_draw_counts_only_where_it_is_made():
    def tell(lots):
        return lots.choice("abcd") if lots.random() < 0.5 else ""

    for seed in range(12):
        told = tell(random.Random(str(seed)))
        assert bits_of(tell, seed) == pytest.approx(3.0 if told else 1.0)


def test_on_average_it_is_the_entropy_of_the_texts():
    def tell(lots):
        name = lots.choice("abcd")
        return name + lots.choice("xy") if name == "a" else name

    # p = 1/8 for ax and ay, 1/4 for b, c, d
    entropy = 2 * 3 / 8 + 3 * 2 / 4
    bits = [bits_of(tell, seed) for seed in range(2000)]
    assert sum(bits) / len(bits) == pytest.approx(entropy, abs=0.04)


def told_cast(lots):
    cast = cast_of_three(lots, ALL_PLACES[0])
    return f"{cast.a} {cast.b} {cast.c}"


def test_the_casts_lots_make_up_for_each_other_and_that_is_put_right(monkeypatch):
    """All casts of a small world, counted: four times as likely as its lots one at a time say."""
    girls, boys = GIRLS[:2], BOYS[:2]
    monkeypatch.setattr(stories, "GIRLS", girls)
    monkeypatch.setattr(stories, "BOYS", boys)
    pairs = itertools.product(itertools.permutations(girls), itertools.permutations(boys))
    dealt = [parts for two, other in pairs for parts in itertools.permutations([*two, *other], 3)]
    counts = Counter(dealt)
    for seed in range(20):
        cast = tuple(told_cast(random.Random(str(seed))).split())
        exact = -math.log2(counts[cast] / len(dealt))
        assert bits_of(told_cast, seed) - CAST_BITS[2] == pytest.approx(exact)


def test_a_cast_of_twenty_names_each_is_seldom_counted_too_high_and_never_too_low():
    """Two ways to draw the pair, two for the third and 19 for whom nobody sees, of all."""
    exact = -math.log2(2 * 2 * 19 / (20 * 19 * 20 * 19 * 24))
    excess = [bits_of(told_cast, seed) - CAST_BITS[2] - exact for seed in range(60)]
    assert min(excess) > -1e-9
    # `sample` moves the last name to the place of the first drawn: who is drawn there next
    assert sum(each > 1e-9 for each in excess) <= 6


def test_the_first_lots_of_a_small_story_by_hand():
    """A girl, a boy, who of them has the thing (the second of two lots has no choice), the thing;
    the place, if it is told."""
    first = [len(GIRLS), len(BOYS), 2, 1, len(ALL_THINGS)]
    for seed in range(5):
        bits = lot_bits(lambda lots: " ".join(tell_by_lot(1, lots)[-1]), f"story 1 {seed}")
        assert bits[:5] == pytest.approx([math.log2(count) for count in first])
        is_told = any(place in tell_story(seed, 1).text for place in ALL_PLACES)
        assert (bits[5] == pytest.approx(math.log2(len(ALL_PLACES)))) is is_told


@pytest.mark.parametrize(("level", "low", "high"), [(1, 45, 65), (2, 60, 95), (3, 100, 150)])
def test_a_story_is_worth_its_people_things_and_places_and_its_wording(level, low, high):
    for seed in range(3):
        story = tell_story(seed, level)
        assert low < story_bits(story) < high, story.text
        rng = random.Random(f"story {level} {seed}")
        assert " ".join(tell_by_lot(level, rng)[-1]) == story.text


def test_level_4_is_refused():
    with pytest.raises(ValueError, match="level = 4: choose one of"):
        story_bits(tell_story(1, 4))
