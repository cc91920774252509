"""The story world as a text: how fast it is told, how varied it is, how much there is to guess.

In: nothing. Out, by level: megabytes a second on one core, words a story, distinct words, the zlib
ratio, stories that are near copies of another, bits a story for whoever knows the world; and what
the checker says: false alarms on true stories, and how many broken ones it notices by what was
changed. Beside them the pinned encyclopaedia's zlib ratio, of as many bytes.
"""

import random
import re
import time
import zlib
from collections.abc import Sequence

from minillm.corpus.duplicates import near_duplicates
from minillm.corpus.sources import known_sources, read_source
from minillm.corpus.storyworld import Story, check_story, tell_story
from minillm.corpus.storyworld.entropy import story_bits
from minillm.corpus.storyworld.mutations import MUTATIONS
from minillm.corpus.storyworld.stories import ALL_LEVELS, LEVELS

NUM_STORIES, NUM_COMPARED, NUM_WEIGHED = 4000, 2000, 20
NUM_BROKEN = 1000  # of each kind of change at each level
FIRST_CHECKED = 900_000  # far from the seeds that the grammar was tried on
SAMPLE_BYTES = 500_000


# package only
def zlib_ratio(texts: Sequence[str]) -> float:
    """Compressed bytes over bytes of the first half a megabyte."""
    data = "\n".join(texts).encode()[:SAMPLE_BYTES]
    return len(zlib.compress(data, 9)) / len(data)


# package only
def of_level(level: int, num_stories: int, num_compared: int, num_weighed: int) -> dict:
    """The figures of one level; the clock is the processor's own."""
    begin_s = time.process_time()
    stories: list[Story] = [tell_story(seed, level) for seed in range(num_stories)]
    seconds = time.process_time() - begin_s
    texts = [story.text for story in stories]
    num_bytes = sum(len(text.encode()) for text in texts)
    heads = near_duplicates(texts[:num_compared])
    figures = {
        "megabytes_per_s": num_bytes / 1e6 / seconds,
        "words_a_story": sum(len(text.split()) for text in texts) / num_stories,
        "distinct_words": len({word for text in texts for word in re.findall("[a-z]+", text)}),
        "zlib_ratio": zlib_ratio(texts),
        "near_copies": sum(head != place for place, head in enumerate(heads)) / len(heads),
    }
    if level in LEVELS:
        weighed = stories[:num_weighed]
        bits = sum(map(story_bits, weighed))
        figures["bits_a_story"] = bits / len(weighed)
        figures["bits_a_byte"] = bits / sum(len(story.text.encode()) for story in weighed)
    return figures


# package only
def of_checker(level: int, num_stories: int, num_broken: int) -> dict:
    """False alarms on true stories; and how many of the first ones, broken, are noticed, by way."""
    seeds = range(FIRST_CHECKED, FIRST_CHECKED + num_stories)
    stories: list[Story] = [tell_story(seed, level) for seed in seeds]
    changes = {}
    for name, mutation in MUTATIONS.items():
        rng = random.Random(name)
        broken = [mutation(story, rng) for story in stories[:num_broken]]
        texts = [" ".join(sentences) for sentences in broken if sentences is not None]
        noticed = sum(not check_story(text).is_consistent for text in texts)
        changes[name] = {
            "broken": len(texts), "noticed": noticed,
            "noticed_fraction": noticed / len(texts) if texts else None,
        }  # fmt: skip
    fractions = [each["noticed_fraction"] for each in changes.values() if each["broken"]]
    return {
        "true_stories": num_stories,
        "false_alarms": sum(not check_story(story.text).is_consistent for story in stories),
        "changes": changes,
        "least_noticed_fraction": min(fractions),
    }


# package only
def measure(
    num_stories: int = NUM_STORIES,
    num_compared: int = NUM_COMPARED,
    num_weighed: int = NUM_WEIGHED,
    num_broken: int = NUM_BROKEN,
) -> dict[str, object]:
    """All levels, and real text beside them."""
    encyclopaedia = read_source(known_sources()["encyclopaedia"], ("en",))
    articles = [document.text for document in encyclopaedia]
    return {
        "stories": num_stories,
        "zlib_ratio_of_an_encyclopaedia": zlib_ratio(articles),
        "levels": {
            str(level): of_level(level, num_stories, num_compared, num_weighed)
            for level in ALL_LEVELS
        },
        "checker": {
            str(level): of_checker(level, num_stories, num_broken) for level in ALL_LEVELS
        },
    }
