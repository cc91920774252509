"""What a model of this course is evaluated on at levels 1 to 3, as texts that can be looked for.

In: nothing, for the items come from seeds. Out: `Sets` by name and item, a part of each. The idea:
another form of an item is a set of its own where it shares too few runs of words with the first.
Left out is what restates a story, and so is found by these sets (a test holds that): questions on
what is untold, twins in another place, pairs of grammar and of order, of which the shortest would
flag clean pages by chance. Left out, too, are typos of other rates and seeds, which nobody can
list, and stories of level 4, on which a model is evaluated only where `evaluation.levels` asks it.
"""

import random
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minillm.corpus.contamination import Sets
    from minillm.corpus.storyworld import Story
    from minillm.evaluate.minimal_pairs import Pair

NUM_ITEMS = 40


# package only
def item_of(story: "Story") -> str:
    """The name of a story among the items."""
    return f"{story.level}/{story.seed}"


# package only
def other_forms(stories: "Sequence[Story]", pairs: "Sequence[Pair]") -> "Sets":
    """Twins of the other sex and of other people; stories and pairs with the evaluation's typos."""
    from minillm.evaluate.answering import typed_in_a_hurry
    from minillm.evaluate.bias import twin
    from minillm.evaluate.items import EvaluateConfig
    from minillm.evaluate.reading import with_typed_context
    from minillm.evaluate.twins import renamed

    rate, seed = EvaluateConfig().typo_rate, EvaluateConfig().seed
    by_name = {item_of(each): each for each in stories}
    lot = {name: random.Random(each.seed) for name, each in by_name.items()}
    twins = {f"{name}/sex": twin(each).text for name, each in by_name.items()}
    others = {f"{name}/names": renamed(each, lot[name]).text for name, each in by_name.items()}
    typed = {name: typed_in_a_hurry(each, rate, seed).text for name, each in by_name.items()}
    in_pairs = {each.id: each.context + each.true for each in with_typed_context(pairs, rate, seed)}
    return {"twins": twins | others, "typos": typed | in_pairs}


# package only
@cache
def evaluation_sets() -> "Sets":
    """Every set that each model of this course is evaluated on, a part of each, by name."""
    from minillm.align.instructions import question_prompt, story_conversations
    from minillm.corpus.mix import tell_documents
    from minillm.corpus.storyworld import tell_story
    from minillm.corpus.storyworld.stories import LEVELS
    from minillm.evaluate.items import EvaluateConfig, evaluation_stories, one_pair, one_question
    from minillm.evaluate.redteam import PROBES
    from minillm.monitor.feedback import FIRST_SLICE_SEED

    told = evaluation_stories(EvaluateConfig(stories=NUM_ITEMS, levels=LEVELS))
    stories = {item_of(each): each for each in told}
    pairs = [pair for pair in map(one_pair, told) if pair is not None]
    questions = {name: one_question(each) for name, each in stories.items() if each.questions}
    held_out = [
        each for level in LEVELS for each in tell_documents(level, NUM_ITEMS, "validation")
    ]
    attacks = [each for probe in PROBES for each in probe.attacks(told[:: len(LEVELS)])]
    return {
        "held-out stories": {each.id: each.text for each in held_out},
        "evaluation stories": {name: each.text for name, each in stories.items()},
        "minimal pairs": {each.id: each.context + each.true for each in pairs},
        "questions": {
            name: f"{question_prompt(stories[name].text, each.text).content} {each.answer}"
            for name, each in questions.items()
        },
        "conversations": {
            each.source: "\n".join(message.content for message in each.messages)
            for each in story_conversations(told, seed=0)
        },
        "attacks": {
            each.id: "\n".join(message.content for message in each.messages) for each in attacks
        },
        "the loop's slice": {
            str(at): tell_story(FIRST_SLICE_SEED + at, 1).text for at in range(NUM_ITEMS)
        },
        **other_forms(told, pairs),
    }
