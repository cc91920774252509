"""Two old ways to predict text, which a model must beat: an n-gram model and a compressor.

Interpolated Kneser–Ney (Kneser and Ney 1995; Chen and Goodman 1999, section 2.7) over the same
tokens and the same training text, and `xz -9` on the held-out text. All in numpy: an n-gram is an
integer, the context's number times the vocabulary plus the token, so that counting is sorting.
"""

import lzma
from dataclasses import dataclass

import numpy as np

NOT_SEEN = -1


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """The n-grams of one length, sorted, with counts; each context's total and variety."""

    keys: np.ndarray
    count: np.ndarray
    context_total: np.ndarray
    context_variety: np.ndarray
    discount: float


# package only
class KneserNey:
    """p_n(w|h) = max(c(hw) − d, 0)/c(h) + d·N₁₊(h•)/c(h) · p_{n−1}(w|h').

    Below the longest order c counts the distinct tokens before a gram, not its occurrences.
    """

    def __init__(self, tokens: np.ndarray, vocab_size: int, length: int = 5) -> None:
        self.vocab_size, self.orders = vocab_size, []
        tokens = tokens.astype(np.int64)
        ids, num_contexts, previous = np.zeros(len(tokens) + 1, np.int64), 1, None
        for order in range(1, length + 1):
            # ids[i] numbers the (order-1)-gram that ends just before position i + order - 1
            position_keys = ids[:-1] * vocab_size + tokens[order - 1 :]
            keys, first, next_ids, count = np.unique(
                position_keys, return_index=True, return_inverse=True, return_counts=True
            )
            if previous is not None:
                # a gram of length order-1 is continued from the left by each distinct longer gram
                suffix_ids = previous[2][1:][first]
                continuation = np.bincount(suffix_ids, minlength=len(previous[0]))
                self.orders.append(
                    finished_order(previous[0], continuation, vocab_size, previous[1])
                )
            previous = keys, num_contexts, next_ids
            ids, num_contexts = next_ids, len(keys)
        self.orders.append(finished_order(keys, count, vocab_size, previous[1]))

    def probability(self, tokens: np.ndarray) -> np.ndarray:
        """p of each token given up to length−1 tokens before it, shape `[len(tokens)]`."""
        tokens = tokens.astype(np.int64)
        probability = np.full(len(tokens), 1 / self.vocab_size)
        context = np.zeros(len(tokens), np.int64)
        for order in self.orders:
            is_known = context != NOT_SEEN
            known_context = context[is_known]
            key = known_context * self.vocab_size + tokens[is_known]
            place = np.minimum(np.searchsorted(order.keys, key), len(order.keys) - 1)
            is_seen = order.keys[place] == key
            total = order.context_total[known_context]
            share = np.where(is_seen, np.maximum(order.count[place] - order.discount, 0), 0)
            lower = order.discount * order.context_variety[known_context] * probability[is_known]
            has_total = total > 0
            mixed = np.where(
                has_total, (share + lower) / np.maximum(total, 1), probability[is_known]
            )
            probability[is_known] = mixed
            gram = np.full(len(tokens), NOT_SEEN)
            gram[is_known] = np.where(is_seen, place, NOT_SEEN)
            context = np.concatenate(([NOT_SEEN], gram[:-1]))
        return probability


# package only
def finished_order(
    keys: np.ndarray, count: np.ndarray, vocab_size: int, num_contexts: int
) -> Order:
    """Sums by context, and the discount n₁/(n₁ + 2n₂) that Ney, Essen and Kneser derive."""
    context = keys // vocab_size
    once, twice = int((count == 1).sum()), int((count == 2).sum())
    return Order(
        keys=keys,
        count=count,
        context_total=np.bincount(context, weights=count, minlength=num_contexts),
        context_variety=np.bincount(context, weights=count > 0, minlength=num_contexts),
        discount=once / (once + 2 * twice) if once else 0.5,
    )


# package only
def n_gram_bits_per_byte(
    training: np.ndarray,
    held_out: np.ndarray,
    vocab_size: int,
    boundary: int,
    num_bytes: int,
    length: int = 5,
) -> float:
    """Kneser–Ney's bits per byte on held-out tokens; the mark `boundary` is not scored."""
    probability = KneserNey(training, vocab_size, length).probability(held_out)
    return float(-np.log2(probability[held_out != boundary]).sum() / num_bytes)


# package only
def xz_bits_per_byte(held_out: bytes) -> float:
    """`xz -9` on the text alone."""
    return 8 * len(lzma.compress(held_out, preset=9)) / len(held_out)
