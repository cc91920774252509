"""Training and encoding against `tokenizers`, `rustbpe` and `tiktoken`: equal results, then times.

In: real text of the pinned sources. Out: medians of interleaved repeats, one thread each, and the
ratios that follow. A comparison counts only if the results are the same, so merges and ids are
compared first; rustbpe breaks ties by another rule, so only its time is taken. `python -m
minillm.bench.tokenizer` counts the awkward strings that get the same ids, and measures no time.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from minillm.bench.fuzz import fuzz_strings, told_apart
from minillm.bench.measuring import median_seconds
from minillm.corpus.sources import known_sources, read_source
from minillm.tokenizer.alphabet import SPLIT_PATTERN, Merge, vocabulary
from minillm.tokenizer.bytepair import Tokenizer
from minillm.tokenizer.formats import from_printable
from minillm.tokenizer.merges import count_words, learn_merges

SOURCES = ("encyclopaedia", "recipes", "plays")
NUM_MERGES = (4096, 8192)
NUM_FUZZ_STRINGS = 10_000
REPEATS = 5
ONE_THREAD = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

Encode = Callable[[str], list[int]]


# package only
def real_texts() -> list[str]:
    """English articles, recipes and plays: 12.6 MB."""
    sources = [known_sources()[name] for name in SOURCES]
    return [each.text for source in sources for each in read_source(source, ("en",))]


# package only
def peer_merges(texts: list[str], num_tokens: int) -> list[Merge]:
    """What Hugging Face's trainer learns with the same pattern from the same items."""
    from tokenizers import Regex, models, pre_tokenizers, trainers
    from tokenizers import Tokenizer as Peer

    peer = Peer(models.BPE())
    split = pre_tokenizers.Split(Regex(SPLIT_PATTERN), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    peer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    peer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=num_tokens,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    pairs = json.loads(peer.to_str())["model"]["merges"]
    return [(from_printable(left), from_printable(right)) for left, right in pairs]


# package only
def train_rustbpe(texts: list[str], num_tokens: int) -> None:
    """A trainer in Rust with the same pattern."""
    import rustbpe

    rustbpe.Tokenizer().train_from_iterator(iter(texts), num_tokens, pattern=SPLIT_PATTERN)


# package only
def training_figures(texts: list[str], repeats: int) -> dict[str, float | bool]:
    """Seconds to each size, and how many times faster than the peers that is."""
    figures: dict[str, float | bool] = {}
    for num_merges in NUM_MERGES:
        size = 256 + num_merges
        learned = learn_merges(count_words(texts), size)
        figures[f"merges_equal_at_{num_merges}"] = learned == peer_merges(texts, size)
        seconds = median_seconds(
            {
                "ours": lambda size=size: learn_merges(count_words(texts), size),
                "tokenizers": lambda size=size: peer_merges(texts, size),
                "rustbpe": lambda size=size: train_rustbpe(texts, size),
            },
            repeats,
        )
        for name, value in seconds.items():
            figures[f"train_{num_merges}_{name}_s"] = value
        for peer in ("tokenizers", "rustbpe"):
            figures[f"train_{num_merges}_times_{peer}"] = seconds[peer] / seconds["ours"]
    return figures


# package only
def encoders(merges: list[Merge], folder: Path) -> Iterator[tuple[str, Callable[[], Encode]]]:
    """How to get each encoder as it is before its first text; all give the same ids."""
    import tiktoken
    from tokenizers import Tokenizer as Peer

    path = folder / "tokenizer.json"
    Tokenizer(merges).save(path)

    def hugging_face() -> Encode:
        peer = Peer.from_file(str(path))
        peer.encode_special_tokens = True
        return lambda text: peer.encode(text).ids

    def ranked() -> Encode:
        ranks = vocabulary(merges)
        return tiktoken.Encoding(
            "ours", pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens={}
        ).encode_ordinary

    yield "ours", lambda: Tokenizer(merges).encode
    yield "tokenizers", hugging_face
    yield "tiktoken", ranked


# package only
def encoding_figures(texts: list[str], repeats: int) -> dict[str, float | bool]:
    """MB/s from the first text on, and once all words have been met; the ratios of these."""
    merges = learn_merges(count_words(texts), 256 + NUM_MERGES[0])
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    with TemporaryDirectory() as folder:
        fresh = dict(encoders(merges, Path(folder)))

        def encode_all(encode: Encode) -> None:
            for text in texts:
                encode(text)

        warm = {name: make() for name, make in fresh.items()}
        is_equal = all(
            warm["ours"](text) == warm["tokenizers"](text) == warm["tiktoken"](text)
            for text in texts
        )
        cold_s = median_seconds(
            {name: lambda make=make: encode_all(make()) for name, make in fresh.items()}, repeats
        )
        warm_s = median_seconds(
            {name: lambda each=each: encode_all(each) for name, each in warm.items()}, repeats
        )
    figures: dict[str, float | bool] = {"ids_equal": is_equal}
    for state, seconds in (("cold", cold_s), ("warm", warm_s)):
        for name, value in seconds.items():
            figures[f"encode_{state}_{name}_mb_per_s"] = megabytes / value
    figures["encode_cold_times_tokenizers"] = cold_s["tokenizers"] / cold_s["ours"]
    figures["encode_cold_times_tiktoken"] = cold_s["tiktoken"] / cold_s["ours"]
    figures["encode_warm_times_tokenizers"] = warm_s["tokenizers"] / warm_s["ours"]
    figures["encode_warm_times_tiktoken"] = warm_s["tiktoken"] / warm_s["ours"]
    return figures


# package only
def fuzz_figures(texts: list[str]) -> dict[str, int]:
    """How many strings over all planes of Unicode get the same ids from all, and of how many.

    Code points that are letters to one library's Unicode and not to another's are left out.
    """
    strings = fuzz_strings(NUM_FUZZ_STRINGS)
    merges = learn_merges(count_words(texts), 256 + NUM_MERGES[0])
    with TemporaryDirectory() as folder:
        encoded = {
            name: [encode(text) for text in strings]
            for name, encode in ((name, make()) for name, make in encoders(merges, Path(folder)))
        }
    return {
        "fuzz_strings": len(strings),
        "fuzz_strings_equal": sum(
            ours == hugging_face == ranked
            for ours, hugging_face, ranked in zip(*encoded.values(), strict=True)
        ),
        "fuzz_code_points_left_out": len(told_apart()),
    }


# package only
def measure(texts: list[str] | None = None, repeats: int = REPEATS) -> dict[str, float | bool]:
    """All figures; `texts` in place of the pinned sources."""
    os.environ |= ONE_THREAD  # read by the peers when they begin
    texts = real_texts() if texts is None else texts
    size = {"megabytes": sum(len(text.encode()) for text in texts) / 1e6}
    figures = training_figures(texts, repeats) | encoding_figures(texts, repeats)
    return size | figures | fuzz_figures(texts)


if __name__ == "__main__":
    print(json.dumps(fuzz_figures(real_texts())))
