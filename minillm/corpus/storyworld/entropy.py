"""How many bits is a story? What a reader who knew the whole world would still have to guess.

In: a teller that draws lots. Out: −log₂ of the probability of its text; no model takes fewer bits
on average (Shannon 1948). The one idea: a lot counts as much as its trace. Tell the text again with
one lot replaced by each of its other outcomes: where k of n outcomes give the same text, it cost
log₂ (n / k) bits, so a word that nobody says costs none. Lots are counted one at a time: where two
can make up for each other the text is likelier than that, so the sum is too high. The cast's lots
do, and are put right; a spot that is drawn after one that nobody names adds up to one bit too many.
"""

import math
import random
from collections.abc import Callable, Sequence

from minillm.corpus.storyworld.stories import LEVELS, Story, tell_by_lot

# outcomes of a coin: chances that are multiples of a twentieth are told apart exactly
COIN = tuple((number + 0.5) / 20 for number in range(20))
# Two girls and two boys are drawn, then three of the four get their parts. Draw the girls or the
# boys the other way round, deal the parts accordingly, and the story is the same: four ways to it.
CAST_BITS = {1: 0.0, 2: 2.0, 3: 2.0}
# how many outcomes a lot had (None for a coin), and which it took
Draw = tuple[int | None, float]


class Lots(random.Random):
    """Chance that notes each draw; what was noted before comes again, but for one draw."""

    def __init__(self, seed: str, noted: Sequence[Draw] = ()) -> None:
        super().__init__(seed)
        self.noted, self.draws = noted, []

    def drawn(self, count: int | None, fresh: Callable[[], float]) -> float:
        """The outcome noted at this place for as many outcomes, else a fresh one; noted again."""
        place = len(self.draws)
        is_noted = place < len(self.noted) and self.noted[place][0] == count
        outcome = self.noted[place][1] if is_noted else fresh()
        self.draws.append((count, outcome))
        return outcome

    def random(self) -> float:
        return self.drawn(None, super().random)

    # what Python's choice, sample and shuffle draw by; a subclass may define it
    def _randbelow(self, count: int) -> int:
        return self.drawn(count, lambda: self._randbelow_with_getrandbits(count))


def lot_bits(tell: Callable[[random.Random], str], seed: str) -> list[float]:
    """What each lot adds to −log₂ p of the text that `tell` tells from this seed, in order."""
    lots, bits = Lots(seed), []
    text = tell(lots)
    for place, (count, outcome) in enumerate(lots.draws):
        outcomes = COIN if count is None else range(count)
        num_same = 0
        for other in outcomes:
            noted = [*lots.draws[:place], (count, other), *lots.draws[place + 1 :]]
            num_same += other == outcome or tell(Lots(seed, noted)) == text
        assert num_same, "a coin whose chance is no multiple of a twentieth"
        bits.append(math.log2(len(outcomes) / num_same))
    return bits


def story_bits(story: Story) -> float:
    """Bits of a story for who knows the world: which of all texts of its level it is.

    Levels 1 to 3; ValueError otherwise, for level 4 draws by weight.
    """
    if story.level not in LEVELS:
        raise ValueError(f"level = {story.level}: choose one of {LEVELS}, whose lots are even")

    def tell(lots: random.Random) -> str:
        return " ".join(tell_by_lot(story.level, lots)[-1])

    bits = lot_bits(tell, f"story {story.level} {story.seed}")
    return sum(bits) - CAST_BITS[story.level]
