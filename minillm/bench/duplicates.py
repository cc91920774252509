"""Our near-duplicates against datasketch, rensa and datatrove: time, memory and truth.

In: 50,000 short documents made from a seed: stories, articles of one template, words at random, and
copies of all of them with edits; and the pages on which the report judges families, cleaned as
there. Out: median seconds, peak memory, how many of the true pairs each finds, and whether its
families are ours, and those planted. The truth is exact: two texts with Jaccard ≥ t share one of
their rarest shingles (prefix filter; Chaudhuri et al., 2006). datasketch and rensa get sets of
shingles, as they want them, and the making of these is timed apart; datatrove reads texts, as ours
does. Each runs in one thread.
"""

import gc
import importlib
import math
import os
import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import accumulate

from minillm.bench.measuring import median_seconds
from minillm.bench.memory import in_own_process
from minillm.bench.trove import Pair, its_settings, trove_families, trove_pairs
from minillm.corpus.contamination import Sets
from minillm.corpus.copyscores import pages_to_compare, planted_copies
from minillm.corpus.dirty.texts import make_article
from minillm.corpus.duplicates import THRESHOLD, family_heads, jaccard, near_duplicates, shingles
from minillm.corpus.hits import precision_recall_f1
from minillm.corpus.report import HELD_OUT_SEED, NUM_PAGES, cleaned_web
from minillm.corpus.signatures import (
    NUM_BANDS,
    NUM_HASHES,
    ROWS_PER_BAND,
    SHINGLE_WORDS,
    candidate_pairs,
    minhash,
)
from minillm.corpus.storyworld import tell_story

NUM_DOCUMENTS, REPEATS = 50_000, 3
STORY_SHARE, ARTICLE_SHARE, COPY_SHARE = 0.08, 0.02, 0.35
# Copies of all degrees, around the threshold above all.
COPY_SIMILARITY = (0.4, 1.0)
SALAD_WORDS = (30, 150)

Finders = Mapping[str, Callable[[], set[Pair]]]


# package only
def edited(text: str, vocabulary: Sequence[str], rng: random.Random) -> str:
    """The text with words replaced, so many that its Jaccard is near a number drawn.

    k replaced words change 5k of the n shingles, if far apart: J = (n − 5k)/(n + 5k).
    """
    words, similarity = text.split(), rng.uniform(*COPY_SIMILARITY)
    num_shingles = max(1, len(words) - SHINGLE_WORDS + 1)
    num_changed = num_shingles * (1 - similarity) / (SHINGLE_WORDS * (1 + similarity))
    for place in rng.sample(range(len(words)), round(num_changed)):
        words[place] = rng.choice(vocabulary)
    return " ".join(words)


# package only
def planted_corpus(num_documents: int, seed: int = 0) -> list[str]:
    """Short texts in random order, about a third of them copies of others with edits."""
    rng = random.Random(f"copies {seed}")
    stories, articles = int(STORY_SHARE * num_documents), int(ARTICLE_SHARE * num_documents)
    texts = [tell_story(rng.randrange(10**6), 2).text for _ in range(stories)]
    texts += [make_article(rng) for _ in range(articles)]
    vocabulary = sorted({word for text in texts for word in text.split()})
    rng.shuffle(vocabulary)
    weights = list(accumulate(1 / rank for rank in range(1, len(vocabulary) + 1)))
    num_originals = int((1 - COPY_SHARE) * num_documents)
    while len(texts) < num_originals:
        words = rng.choices(vocabulary, cum_weights=weights, k=rng.randrange(*SALAD_WORDS))
        texts.append(" ".join(words))
    originals = texts[:]
    while len(texts) < num_documents:
        texts.append(edited(rng.choice(originals), vocabulary, rng))
    rng.shuffle(texts)
    return texts


def true_pairs(sets: Sequence[set[str]], threshold: float = THRESHOLD) -> set[Pair]:
    """Exactly the pairs whose Jaccard is at least the threshold, without comparing all.

    Of |A| shingles ⌈t·|A|⌉ must be shared, so one of the |A| − ⌈t·|A|⌉ + 1 rarest is.
    """
    frequency = Counter(shingle for each in sets for shingle in each)
    seen, pairs = defaultdict(list), set()
    for number, each in enumerate(sets):
        rarest = sorted(each, key=lambda shingle: (frequency[shingle], shingle))
        prefix = rarest[: len(each) - math.ceil(threshold * len(each) - 1e-9) + 1]
        others = {other for shingle in prefix for other in seen[shingle]}
        pairs |= {(o, number) for o in others if jaccard(sets[o], each) >= threshold}
        for shingle in prefix:
            seen[shingle].append(number)
    return pairs


# package only
def our_pairs(texts: Sequence[str]) -> set[Pair]:
    """Ours, from texts to candidates."""
    return set(map(tuple, candidate_pairs(minhash(texts)).tolist()))


# package only
def datasketch_pairs(sets: Sequence[set[str]]) -> set[Pair]:
    """datasketch's bulk form with its cheapest hash, and an insertion session without checks."""
    from datasketch import MinHash, MinHashLSH

    tokens = [[shingle.encode() for shingle in each] for each in sets]
    made = MinHash.bulk(tokens, num_perm=NUM_HASHES, hashfunc=zlib.crc32)
    index = MinHashLSH(num_perm=NUM_HASHES, params=(NUM_BANDS, ROWS_PER_BAND))
    with index.insertion_session() as session:
        for number, each in enumerate(made):
            session.insert(number, each, check_duplication=False)
    return {(one, n) for n, each in enumerate(made) for one in index.query(each) if one < n}


# package only
def rensa_pairs(sets: Sequence[set[str]]) -> set[Pair]:
    """rensa's bulk form and index, both in Rust, in one thread."""
    os.environ["RAYON_NUM_THREADS"] = "1"
    from rensa import RMinHash, RMinHashLSH

    made = RMinHash.from_token_sets(sets, NUM_HASHES, 0)
    index = RMinHashLSH(THRESHOLD, NUM_HASHES, NUM_BANDS)
    index.insert_many(made)
    found = enumerate(index.query_all(made))
    return {(one, number) for number, others in found for one in others if one < number}


# package only
def families_of(pairs: Iterable[Pair], sets: Sequence[set[str]]) -> list[int]:
    """Families of candidates whose exact Jaccard is enough."""
    alike = [(one, two) for one, two in pairs if jaccard(sets[one], sets[two]) >= THRESHOLD]
    return family_heads(len(sets), alike)


def num_pairs(groups: Iterable[object]) -> int:
    """How many pairs lie in one group."""
    return sum(count * (count - 1) // 2 for count in Counter(groups).values())


def family_scores(found: Sequence[int], true: Sequence[int]) -> dict[str, float]:
    """Precision, recall and F1 of the pairs of texts that are in one family."""
    right = num_pairs(zip(found, true, strict=True))
    figures = precision_recall_f1(right, num_pairs(found), num_pairs(true))
    return dict(zip(("precision", "recall", "f1"), figures, strict=True))


# package only
def timed(actions: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds without the garbage collector, which slows whoever has most objects."""
    gc.collect()
    gc.disable()
    try:
        return median_seconds(actions, repeats)
    finally:
        gc.enable()


# package only
def finders(texts: Sequence[str], sets: Sequence[set[str]]) -> Finders:
    """Who looks for pairs in these texts, each with the same parameters."""
    return {
        "ours": partial(our_pairs, texts),
        "datasketch": partial(datasketch_pairs, sets),
        "rensa": partial(rensa_pairs, sets),
        "datatrove": partial(trove_pairs, texts),
    }


# package only
def worth(
    texts: Sequence[str], sets: Sequence[set[str]], pairs_by_name: Mapping[str, set[Pair]],
    planted: Sequence[Pair] = (),
) -> dict[str, object]:  # fmt: skip
    """What pairs are worth once compared exactly, and families of datatrove's own settings.

    Where copies were planted their families are a second truth: cleaning can make them less alike.
    """
    true, our_heads = true_pairs(sets), near_duplicates(texts)
    heads_by_truth = {"families": family_heads(len(texts), true)}
    if planted:
        heads_by_truth["planted_families"] = family_heads(len(texts), planted)

    def of_families(heads: Sequence[int]) -> dict[str, float]:
        return {
            f"{truth}_{key}": figure
            for truth, true_heads in heads_by_truth.items()
            for key, figure in family_scores(heads, true_heads).items()
        } | {"agreement_with_ours": family_scores(heads, our_heads)["f1"]}

    figures: dict[str, object] = {"documents": len(texts), "true_pairs": len(true)}
    if planted:
        figures["planted_pairs"] = len(planted)
    for name, pairs in pairs_by_name.items():
        figures[name] = {
            "candidates": len(pairs),
            "recall_of_pairs": len(pairs & true) / max(1, len(true)),
            **of_families(our_heads if name == "ours" else families_of(pairs, sets)),
        }
    heads, _ = in_own_process(partial(trove_families, texts, its_settings()))
    return figures | {"datatrove_own_settings": of_families(heads)}


# package only
def on_the_dirty_web(sets: Sets, num_pages: int = NUM_PAGES) -> dict[str, object]:
    """What each finds on the report's pages: the same ones, if the sets are its own."""
    cleaned = cleaned_web(HELD_OUT_SEED, num_pages, sets)
    pages = pages_to_compare(cleaned)
    texts = [cleaned.texts[page.document.id].text for page in pages]
    parts = [shingles(text) for text in texts]
    pairs = {name: in_own_process(action)[0] for name, action in finders(texts, parts).items()}
    return worth(texts, parts, pairs, planted_copies(pages))


# package only
def measure(
    sets: Sets, num_documents: int = NUM_DOCUMENTS, num_pages: int = NUM_PAGES,
    repeats: int = REPEATS,
) -> dict[str, object]:  # fmt: skip
    """Seconds, ratios, memory and truth of ours and its peers on the same texts."""
    for peer in ("datasketch", "rensa", "datatrove.executor", "datatrove.pipeline.dedup"):
        importlib.import_module(peer)  # so that nobody's time holds an import
    texts = planted_corpus(num_documents)
    parts = [shingles(text) for text in texts]
    actions = finders(texts, parts)
    found = {name: in_own_process(action) for name, action in actions.items()}
    apart = {"datatrove": partial(in_own_process, actions["datatrove"])}
    prepared = {"shingle_sets": lambda: [shingles(text) for text in texts]}
    seconds = timed(actions | apart | prepared, repeats)

    def with_sets(name: str) -> float:
        return seconds[name] + seconds["shingle_sets"]

    figures = worth(texts, parts, {name: pairs for name, (pairs, _) in found.items()}) | {
        "megabytes": sum(len(text.encode()) for text in texts) / 1e6,
        "shingle_sets_for_peers_s": seconds["shingle_sets"],
        "datasketch_over_ours": seconds["datasketch"] / seconds["ours"],
        "ours_over_rensa": seconds["ours"] / seconds["rensa"],
        "datasketch_with_sets_over_ours": with_sets("datasketch") / seconds["ours"],
        "ours_over_rensa_with_sets": seconds["ours"] / with_sets("rensa"),
        "datatrove_over_ours": seconds["datatrove"] / seconds["ours"],
    }
    for name, (_, peak) in found.items():
        figures[name] = {"seconds": seconds[name], "peak_mib": peak, **figures[name]}
    return figures | {"dirty_web": on_the_dirty_web(sets, num_pages)}
