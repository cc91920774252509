"""Solutions of chapter 02: one right answer each, of several."""

import codecs


def count_pairs(ids: list[int]) -> dict[tuple[int, int], int]:
    """How often each pair of neighbours occurs in `ids`; pairs may overlap."""
    counts: dict[tuple[int, int], int] = {}
    for pair in zip(ids, ids[1:]):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def best_pair(counts: dict[tuple[int, int], int]) -> tuple[int, int]:
    """The pair of the largest count; of equal counts, the one of smallest ids."""
    return min(counts, key=lambda pair: (-counts[pair], pair))


def merge(ids: list[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """A new list in which each occurrence of `pair`, from left to right, became `new_id`."""
    result, index = [], 0
    while index < len(ids):
        is_pair = tuple(ids[index : index + 2]) == tuple(pair)
        result.append(new_id if is_pair else ids[index])
        index += 2 if is_pair else 1
    return result


def encode_word(word: bytes, merges: list[tuple[bytes, bytes]]) -> list[bytes]:
    """The tokens of one word; `merges` are in the order in which they were learned."""
    tokens = [word[index : index + 1] for index in range(len(word))]
    rank_by_pair = {pair: rank for rank, pair in enumerate(merges)}
    while known := [pair for pair in zip(tokens, tokens[1:]) if pair in rank_by_pair]:
        pair = min(known, key=rank_by_pair.__getitem__)
        index = list(zip(tokens, tokens[1:])).index(pair)
        tokens[index : index + 2] = [pair[0] + pair[1]]
    return tokens


def stream_text(tokens: list[bytes]) -> list[str]:
    """The text to show after each token: half a character waits until its bytes are complete.

    What is still incomplete after the last token is shown as � with it.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    last = len(tokens) - 1
    return [decoder.decode(token, final=index == last) for index, token in enumerate(tokens)]


def bytes_per_token(texts: list[str], token_ids: list[list[int]]) -> float:
    """Bytes of all texts (in UTF-8) over tokens of all texts; `token_ids[i]` encodes `texts[i]`."""
    num_bytes = sum(len(text.encode("utf-8")) for text in texts)
    return num_bytes / sum(len(ids) for ids in token_ids)


def merge_behind(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two tokens that were merged to `token`: what the rules learned before it leave of it."""
    parts = [token[index : index + 1] for index in range(len(token))]
    while len(parts) > 2:
        known = [ranks.get(left + right, len(ranks)) for left, right in zip(parts, parts[1:])]
        place = known.index(min(known))
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts[0], parts[1]
