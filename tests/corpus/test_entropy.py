import math
import random

import pytest

from minillm.corpus.storyworld import tell_story
from minillm.corpus.storyworld.entropy import story_bits, surprisal
from minillm.corpus.storyworld.stories import tell_by_lot
from minillm.corpus.storyworld.words import BOYS, GIRLS


def bits_of_many(tell, count=8):
    return [surprisal(tell, str(seed)) for seed in range(count)]


def test_a_choice_costs_the_logarithm_of_its_outcomes():
    assert bits_of_many(lambda lots: lots.choice("abcdefgh")) == [3.0] * 8


def test_draws_without_a_trace_cost_nothing():
    def tell(lots):
        lots.choice(range(50)), lots.random()
        return lots.choice("ab")

    assert bits_of_many(tell) == [1.0] * 8


def test_two_words_of_four_that_look_alike_cost_one_bit():
    for seed in range(8):
        bits = surprisal(lambda lots: lots.choice("aabc"), str(seed))
        said = random.Random(str(seed)).choice("aabc")
        assert bits == (1.0 if said == "a" else 2.0)


def test_a_coin_costs_what_its_side_is_worth():
    for seed in range(12):
        bits = surprisal(lambda lots: "yes" if lots.random() < 0.4 else "no", str(seed))
        is_yes = random.Random(str(seed)).random() < 0.4
        assert bits == pytest.approx(-math.log2(0.4 if is_yes else 0.6))


def test_a_sample_in_order_costs_its_permutations():
    def tell(lots):
        return "".join(lots.sample("abcdef", 2))

    assert bits_of_many(tell) == pytest.approx([math.log2(30)] * 8)


def test_a_later_draw_counts_only_where_it_is_made():
    def tell(lots):
        return lots.choice("abcd") if lots.random() < 0.5 else ""

    for seed in range(12):
        told = tell(random.Random(str(seed)))
        assert surprisal(tell, str(seed)) == pytest.approx(3.0 if told else 1.0)


def test_on_average_it_is_the_entropy_of_the_texts():
    def tell(lots):
        name = lots.choice("abcd")
        return name + lots.choice("xy") if name == "a" else name

    # p = 1/8 for ax and ay, 1/4 for b, c, d
    entropy = 2 * 3 / 8 + 3 * 2 / 4
    bits = bits_of_many(tell, count=2000)
    assert sum(bits) / len(bits) == pytest.approx(entropy, abs=0.04)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_the_text_is_the_storys_own_and_a_name_is_among_its_bits(level):
    for seed in range(3):
        story = tell_story(seed, level)
        rng = random.Random(f"story {level} {seed}")
        assert " ".join(tell_by_lot(level, rng)[-1]) == story.text
        # two people out of twenty each, a thing and a place are the least that is drawn
        assert story_bits(story) > math.log2(len(GIRLS) * len(BOYS)) + 5
        # and a byte of it is worth less than a fifth of a bit more than that of its words
        assert 0.1 < story_bits(story) / len(story.text.encode()) < 0.3


def test_level_4_is_refused():
    with pytest.raises(ValueError, match="level = 4: choose one of"):
        story_bits(tell_story(1, 4))
