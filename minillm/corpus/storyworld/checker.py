"""A reader with a memory: it reads a story and names what contradicts itself.

In: a text. Out: a `StoryReport` with a verdict on every sentence. The one idea: believe what has
been said so far, and compare the next sentence with it. It knows nothing of the generator's events
and plots: its rules are its own, and what it cannot read it calls unreadable. Left out on purpose:
taste, and whether a story has a point.
"""

from dataclasses import dataclass

from minillm.corpus.storyworld.clauses import read_sentence
from minillm.corpus.storyworld.memory import Contradiction, Memory
from minillm.corpus.storyworld.rules import believe
from minillm.corpus.storyworld.sentences import Unreadable, split_sentences


@dataclass(frozen=True, kw_only=True, slots=True)
class SentenceVerdict:
    """What the checker says of one sentence."""

    text: str
    readable: bool
    contradiction: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoryReport:
    """The verdicts on all sentences of a text."""

    sentences: tuple[SentenceVerdict, ...]

    @property
    def readable_fraction(self) -> float:
        return sum(verdict.readable for verdict in self.sentences) / max(1, len(self.sentences))

    @property
    def contradictions(self) -> tuple[str, ...]:
        return tuple(v.contradiction for v in self.sentences if v.contradiction is not None)

    @property
    def is_consistent(self) -> bool:
        """Every sentence is readable and none contradicts; an empty text tells no story."""
        return bool(self.sentences) and self.readable_fraction == 1 and not self.contradictions


def check_sentence(sentence: str, memory: Memory) -> SentenceVerdict:
    """Read one sentence and believe it, if what is known allows it."""
    try:
        clauses = read_sentence(sentence)
        believe(clauses, memory)
    except Unreadable:
        return SentenceVerdict(text=sentence, readable=False)
    except Contradiction as found:
        return SentenceVerdict(text=sentence, readable=True, contradiction=str(found))
    return SentenceVerdict(text=sentence, readable=True)


def check_story(text: str) -> StoryReport:
    """Read a whole text sentence by sentence; what contradicts is not believed."""
    memory = Memory()
    verdicts = [check_sentence(sentence, memory) for sentence in split_sentences(text)]
    return StoryReport(sentences=tuple(verdicts))
