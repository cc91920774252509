"""datatrove's near-duplicates: the four MinHash stages of its pipeline on texts, offline.

In: texts, and settings: ours or its own. Out: the pairs of texts that share a bucket, and families.
Whoever meets in a bucket is one family there; nothing is compared exactly, so its own settings are
stricter: 14 bands of 8 rows. A text of fewer than five words is in no bucket. Two things are not as
it ships them: words are split at spaces, for its own come from spaCy; and shingles are hashed with
SHA-1, for its default, xxhash, must be older than version 4. Left out: its many tasks and machines.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from minillm.corpus.duplicates import words_of
from minillm.corpus.signatures import NUM_BANDS, ROWS_PER_BAND, SHINGLE_WORDS

if TYPE_CHECKING:
    from datatrove.data import Document
    from datatrove.pipeline.base import PipelineStep
    from datatrove.pipeline.dedup import MinhashConfig, MinhashDedupSignature

    Settings = tuple[MinhashConfig, Callable[[str], list[str]]]
    Stage = PipelineStep | Callable[..., Iterator[Document]]

Pair = tuple[int, int]


# package only
def our_settings() -> "Settings":
    """Our words, shingles, bands and width of hash, and none of its ways to fold texts."""
    from datatrove.pipeline.dedup import MinhashConfig
    from datatrove.utils.hashing import HashConfig
    from datatrove.utils.text import TextNormConfig

    hashing, folding = HashConfig(32, "sha1"), TextNormConfig(*[False] * 5)
    config = MinhashConfig(
        SHINGLE_WORDS, NUM_BANDS, ROWS_PER_BAND, norm_config=folding, hash_config=hashing
    )
    return config, words_of


# package only
def its_settings() -> "Settings":
    """Its defaults: 14 bands of 8 rows, 64 bits; numbers, accents and punctuation folded."""
    from datatrove.pipeline.dedup import MinhashConfig
    from datatrove.utils.hashing import HashConfig

    return MinhashConfig(hash_config=HashConfig(64, "sha1")), str.split


# package only
def run_stage(folder: Path, name: str, stages: "Sequence[Stage]", tasks: int = 1) -> None:
    """Run stages with its local executor, one task after another, without its log and bars."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.utils.logging import logger

    logger.disable("datatrove")
    log = str(folder / "log" / name)
    with redirect_stderr(io.StringIO()):
        LocalPipelineExecutor(list(stages), tasks=tasks, workers=1, logging_dir=log).run()


# package only
def reader(texts: Sequence[str]) -> "Stage":
    """A stage that reads texts from memory; their numbers are their ids."""
    from datatrove.data import Document

    def read(data: object, rank: int, world_size: int) -> "Iterator[Document]":
        return (Document(text=text, id=str(number)) for number, text in enumerate(texts))

    return read


# package only
def chained_pairs(chain: Iterable[Sequence[int]]) -> set[Pair]:
    """All pairs of each bucket, of which only neighbours are written: ab, bc → ab, ac, bc."""
    pairs: set[Pair] = set()
    bucket: list[int] = []
    for left, right in chain:
        if bucket[-1:] != [left]:
            bucket = [left]
        pairs |= {(each, right) for each in bucket}
        bucket.append(right)
    return pairs


# package only
def signing(settings: "Settings", folder: Path) -> "MinhashDedupSignature":
    """Stage 1, which writes the signatures of texts, and splits them into words as told."""
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.utils.word_tokenizers import WhitespaceTokenizer

    config, words = settings

    class Words(WhitespaceTokenizer):
        def word_tokenize(self, text: str) -> list[str]:
            return words(text)

    return MinhashDedupSignature(str(folder / "signatures"), config, Words())


# package only
def find_buckets(texts: Sequence[str], settings: "Settings", folder: Path) -> set[Pair]:
    """Stages 1 and 2: the signatures of texts, and pairs that share a bucket in some band."""
    from datatrove.pipeline.dedup import MinhashDedupBuckets

    config, _ = settings
    run_stage(folder, "1", [reader(texts), signing(settings, folder)])
    found = folder / "buckets"
    buckets = MinhashDedupBuckets(str(folder / "signatures"), str(found), config=config)
    run_stage(folder, "2", [buckets], config.num_buckets)
    files = [np.fromfile(path, "<u4").reshape(-1, 4) for path in found.glob("*.dups")]
    return set().union(*(chained_pairs(each[:, [1, 3]].tolist()) for each in files))


# package only
def families_of_buckets(texts: Sequence[str], settings: "Settings", folder: Path) -> list[int]:
    """Stages 3 and 4: for each text the first of its family, of which the filter leaves one."""
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter

    removed, kept = folder / "removed", []

    def note(data: "Iterable[Document]", rank: int, world_size: int) -> "Iterator[Document]":
        for each in data:
            kept.append(int(each.id))
            yield each

    config, _ = settings
    clusters = MinhashDedupCluster(str(folder / "buckets"), str(removed), config, True)
    run_stage(folder, "3", [clusters])
    run_stage(folder, "4", [reader(texts), MinhashDedupFilter(str(removed)), note])
    first: dict[int, int] = {}
    heads = list(range(len(texts)))
    path = removed / f"{0:06d}.clusters"
    rows = np.fromfile(path, "<u4").reshape(-1, 2).tolist() if path.is_file() else []
    for text, cluster in sorted(rows):
        heads[text] = first.setdefault(cluster, text)
    assert sorted(heads[each] for each in kept) == sorted(set(heads)), (len(kept), len(set(heads)))
    return heads


# package only
def trove_pairs(texts: Sequence[str]) -> set[Pair]:
    """With our settings, from texts to candidates."""
    with TemporaryDirectory() as folder:
        return find_buckets(texts, our_settings(), Path(folder))


# package only
def trove_families(texts: Sequence[str], settings: "Settings") -> list[int]:
    """All four stages: for each text the first of its family."""
    with TemporaryDirectory() as folder:
        find_buckets(texts, settings, Path(folder))
        return families_of_buckets(texts, settings, Path(folder))
