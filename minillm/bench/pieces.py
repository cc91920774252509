"""SentencePiece's pieces, and ours at its settings.

In: lines, or words with their counts, and how many pieces. Out: pieces with log-probabilities that
sum to one. What can be made equal for a comparison is here: the words, the seeds, where pruning
ends, the last steps. What stays its own is how a piece's loss is judged.
"""

import io
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from minillm.tokenizer.lattice import expected_counts, make_lattice
from minillm.tokenizer.pieces import (
    EM_STEPS,
    MIN_COUNT,
    SEEDS_PER_PIECE,
    Vocabulary,
    alphabet,
    learn_pieces,
    learnable,
    maximum_likelihood,
    seed_pieces,
)

# Where SentencePiece ends its pruning, in pieces for one that stays: the most probable then stay.
LAST_CUT = 1.1


# package only
def sentencepiece_pieces(num_pieces: int, **options: object) -> Vocabulary:
    """What SentencePiece learns with its rules about scripts and numbers switched off; Σ P = 1."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        model_writer=model, model_type="unigram", vocab_size=num_pieces + 1,
        character_coverage=1.0, max_sentence_length=1 << 20, normalization_rule_name="identity",
        split_by_unicode_script=False, split_by_number=False, unk_id=0, bos_id=-1, eos_id=-1,
        pad_id=-1, num_threads=1, minloglevel=2, **options,
    )  # fmt: skip
    peer = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    scores = {peer.id_to_piece(i): peer.get_score(i) for i in range(1, peer.get_piece_size())}
    log_total = float(np.log(np.exp(list(scores.values())).sum()))
    return {piece: score - log_total for piece, score in scores.items()}


# package only
def sentencepiece_of_lines(texts: Iterable[str], num_pieces: int) -> Vocabulary:
    """As it is meant to be used: it cuts at spaces and finds its seeds in the lines."""
    lines = (line for text in texts for line in text.splitlines())
    return sentencepiece_pieces(num_pieces, sentence_iterator=lines)


# package only
def sentencepiece_of_words(word_counts: Mapping[str, int], num_pieces: int) -> Vocabulary:
    """From words that are cut already, each with its count, and from our seeds."""
    counts = np.array(list(word_counts.values()), float)
    known = alphabet(word_counts, 1.0)
    seeds = seed_pieces(list(word_counts), counts, known, SEEDS_PER_PIECE * num_pieces)
    with tempfile.TemporaryDirectory() as folder:
        words, given = Path(folder) / "words.tsv", Path(folder) / "seeds.tsv"
        words.write_text("".join(f"{word}\t{count}\n" for word, count in word_counts.items()))
        lines = (f"{piece}\t{score:.0f}\n" for piece, score in zip(*seeds, strict=True))
        given.write_text("".join(lines))
        return sentencepiece_pieces(
            num_pieces, input=str(words), input_format="tsv", seed_sentencepieces_file=str(given),
            add_dummy_prefix=False, remove_extra_whitespaces=False, split_by_whitespace=False,
            allow_whitespace_only_pieces=True,
        )  # fmt: skip


# package only
def fitted(word_counts: Mapping[str, int], vocabulary: Vocabulary) -> Vocabulary:
    """The same pieces after the last steps of our training: EM without a prior."""
    parts = learnable(word_counts, alphabet(word_counts, 1.0))
    counts = np.array(list(parts.values()), float)
    pieces = sorted(vocabulary, key=len, reverse=True)
    log_p = np.array([vocabulary[piece] for piece in pieces])
    lattice = make_lattice(list(parts), pieces)
    for _ in range(EM_STEPS):
        expected, _ = expected_counts(lattice, log_p, counts)
        log_p = maximum_likelihood(np.maximum(expected, MIN_COUNT))
    return dict(zip(pieces, log_p.tolist(), strict=True))


# package only
def ours_with_its_last_cut(word_counts: Mapping[str, int], num_pieces: int) -> Vocabulary:
    """Our pruning ended where SentencePiece ends it, from as many seeds (to a hundredth)."""
    many = learn_pieces(
        word_counts, round(LAST_CUT * num_pieces), seeds_per_piece=round(SEEDS_PER_PIECE / LAST_CUT)
    )
    known = alphabet(word_counts, 1.0)
    longer = [piece for piece in many if len(piece) > 1]  # the most probable first
    kept = [*known, *longer[: num_pieces - len(known)]]
    return fitted(word_counts, {piece: many[piece] for piece in kept})
