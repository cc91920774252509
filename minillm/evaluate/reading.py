"""The scores of any model: what it makes of text, whether or not it answers chats.

In: model, tokenizer, items. Out: figures by name: bits per byte by source, minimal pairs with and
without typos, girls against boys, stories that it writes, words that it makes up, training text
that it knows by heart. The one idea: each figure keeps its value per item. Left out: benchmarks of
world knowledge, at which models of this size guess (see the chapter).
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from minillm.align.instructions import CONTINUE
from minillm.corpus.sources import Document
from minillm.corpus.storyworld import Story, check_story
from minillm.evaluate.bias import logprob_differences, twin
from minillm.evaluate.card import Figure, mean, proportion, ratio
from minillm.evaluate.hallucination import invented
from minillm.evaluate.items import EvaluateConfig, Items
from minillm.evaluate.likelihood import bits, document_nats, fits
from minillm.evaluate.minimal_pairs import CHANGES, Pair, fitting, pair_likelihoods, prefers_true
from minillm.evaluate.redteam import LEAK, PROBES, Conversation, Respond, leak_attacks, outcomes
from minillm.evaluate.robustness import with_typos
from minillm.evaluate.stories import SamplingConfig, continue_openings
from minillm.model.generate import generate_batch
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer

Figures = dict[str, Figure]
MAX_CONTINUATION_TOKENS = 40


# package only
def source_figures(
    model: Transformer, tokenizer: Tokenizer, documents: Sequence[Document], seed: int
) -> Figures:
    """Bits per byte of each source's held-out documents: Σ bits / Σ bytes over documents."""
    tokens = [[tokenizer.end_of_text, *tokenizer.encode(each.text)] for each in documents]
    nats = document_nats(model, tokens, model.config.context_length)
    by_source: dict[str, dict[str, tuple[float, float]]] = {}
    for document, value in zip(documents, nats, strict=True):
        items = by_source.setdefault(document.source, {})
        items[document.id] = bits(value), float(len(document.text.encode()))
    return {
        f"bits_per_byte/{source}": ratio(
            items, f"held-out {source}, bits a byte", seed, better="lower", guard="same form"
        )
        for source, items in by_source.items() if len(items) > 1
    }  # fmt: skip


# package only
def pairs_right(
    model: Transformer, tokenizer: Tokenizer, pairs: Sequence[Pair]
) -> dict[str, bool]:
    """For each pair, whether the true sentence is likelier, per byte."""
    found = pair_likelihoods(model, tokenizer, pairs)
    return {
        pair.id: prefers_true(*both) for pair, both in zip(pairs, found, strict=True)
    }


# package only
def with_typed_context(pairs: Sequence[Pair], rate: float, seed: int) -> list[Pair]:
    """The same pairs, the story before them typed in a hurry."""
    return [
        replace(pair, context=with_typos(pair.context, rate, random.Random(f"{seed} {pair.id}")))
        for pair in pairs
    ]


# package only
def pair_figures(
    model: Transformer, tokenizer: Tokenizer, pairs: Sequence[Pair], config: EvaluateConfig
) -> Figures:
    """Minimal pairs: all, by what was changed, and how much typos in the story cost."""
    typed = {pair.id: pair for pair in with_typed_context(pairs, config.typo_rate, config.seed)}
    # a pair is asked if it fits with typos too: they make more tokens of a word
    seen = {pair.id for pair in fitting(model, tokenizer, list(typed.values()))}
    pairs = [pair for pair in fitting(model, tokenizer, pairs) if pair.id in seen]
    if len(pairs) < 2:
        return {}
    right = pairs_right(model, tokenizer, pairs)
    disturbed = pairs_right(model, tokenizer, [typed[pair.id] for pair in pairs])
    lost = {name: float(right[name]) - float(disturbed[name]) for name in right}
    figures = {"pairs/all": proportion(right, "true sentence likelier", guard="always")}
    for kind in CHANGES:
        part = {pair.id: right[pair.id] for pair in pairs if pair.change == kind}
        if part:
            figures[f"pairs/{kind}"] = proportion(part, f"… a {kind} was changed")
    meaning = f"pairs lost to typos in {config.typo_rate:.0%} of words"
    return figures | {"typos/pairs_lost": mean(lost, meaning, config.seed, better="lower")}


# package only
def bias_figures(
    model: Transformer, tokenizer: Tokenizer, stories: Sequence[Story], seed: int
) -> Figures:
    """Nats by which stories of a girl who owns the thing are likelier than their twins."""
    seen = [
        story for story in stories
        if all(fits(model, tokenizer, each.text) for each in (story, twin(story)))
    ]  # fmt: skip
    if len(seen) < 2:
        return {}
    values = logprob_differences(model, tokenizer, seen)
    items = {f"{s.level}/{s.seed}": value for s, value in zip(seen, values, strict=True)}
    return {"bias/girl_owner": mean(items, "log p, girl's − boy's story", seed, better="zero")}


# package only
def writing_figures(
    model: Transformer, tokenizer: Tokenizer, stories: Sequence[Story], config: EvaluateConfig
) -> Figures:
    """Stories that the model writes: free of contradictions? With people or things of its own?"""
    chosen = [
        each
        for level in config.levels
        for each in [story for story in stories if story.level == level][: config.sampled_stories]
        if fits(model, tokenizer, each.opening)
    ]
    if not chosen:
        return {}
    sampling = SamplingConfig(count=len(chosen), seed=config.seed)
    texts = continue_openings(model, tokenizer, [each.opening for each in chosen], sampling)
    figures: Figures = {}
    for level in config.levels:
        told = {
            f"{level}/{story.seed}": (story, text)
            for story, text in zip(chosen, texts, strict=True) if story.level == level
        }  # fmt: skip
        if not told:
            continue
        sound = {name: check_story(text).is_consistent for name, (_, text) in told.items()}
        words = f"own stories of level {level} free of contradictions"
        figures[f"stories/level{level}"] = proportion(sound, words, guard="same form")
        if level == 1:  # nobody and nothing enters after the opening of such a story
            made_up = {
                name: bool(invented(text, story.opening, ("person", "thing")))
                for name, (story, text) in told.items()
            }
            figures["stories/made_up"] = proportion(
                made_up, "own stories with people or things from nowhere", better="lower"
            )
    return figures


# package only
def continuing(model: Transformer, tokenizer: Tokenizer) -> Respond:
    """A model that answers nobody as one that does: it goes on with what the last message says."""

    def respond(conversations: Sequence[Conversation]) -> list[str]:
        texts = [each[-1].content.removeprefix(CONTINUE).strip() for each in conversations]
        rows = generate_batch(
            model, [[tokenizer.end_of_text, *tokenizer.encode(text)] for text in texts],
            max_tokens=MAX_CONTINUATION_TOKENS, temperature=0.0, stop_ids=[tokenizer.end_of_text],
        )  # fmt: skip
        return [tokenizer.decode(row) for row in rows]

    return respond


# package only
def attack_figures(
    respond: Respond, items: Items, count: int, fits_whole: Callable[[Conversation], bool],
    is_chat: bool,
) -> Figures:
    """Success of each probe's attacks; and text by heart, of training and of held-out documents."""
    stories = [each for each in items.stories if each.level == 1][:count]
    figures: Figures = {}
    for probe in PROBES:
        if probe.needs_chat and not is_chat:
            continue
        seen = [attack for attack in probe.attacks(stories) if fits_whole(attack.messages)]
        if seen:
            figures[f"redteam/{probe.name}"] = proportion(
                outcomes(probe, seen, respond), probe.meaning, better="lower", guard="always"
            )
    for name, documents in (("trained_on", items.trained_on), ("held_out", items.held_out)):
        seen = [each for each in leak_attacks(documents) if fits_whole(each.messages)][: 2 * count]
        if seen:
            guard = "same form" if name == "trained_on" else "never"
            text = {"trained_on": "training", "held_out": "held-out"}[name]
            words = f"goes on with 13 words of {text} text"
            found = outcomes(LEAK, seen, respond)
            figures[f"memory/{name}"] = proportion(found, words, better="lower", guard=guard)
    return figures


# package only
def reading_figures(
    model: Transformer, tokenizer: Tokenizer, items: Items, config: EvaluateConfig
) -> Iterator[Figures]:
    """All scores that any model can have, group by group."""
    yield source_figures(model, tokenizer, items.held_out, config.seed)
    yield pair_figures(model, tokenizer, items.pairs, config)
    yield bias_figures(model, tokenizer, items.stories, config.seed)
    yield writing_figures(model, tokenizer, items.stories, config)
