"""Exercises 02 · The tokenizer

You write byte-pair encoding once more, in seven small functions, without looking at the notebook:
count, choose, merge, encode, show text as it comes, measure, find the merge behind a token. An
eighth cuts a word where pieces have probabilities, after [02b](../notebooks/02b_unigram.ipynb). Run
the cell below an answer to have it checked; a wrong one is told its mistake, if others have made it
before you.
"""

from exercises.checks import unigram
from exercises.engine import Exercise, Mistake, close
from exercises.solutions import c02_tokenizer as solutions

Pair = tuple[int, int]


def counts_each_pair_once(ids: list[int]) -> dict[Pair, int]:
    return {pair: 1 for pair in zip(ids, ids[1:])}


def counts_without_overlap(ids: list[int]) -> dict[Pair, int]:
    counts, used = {}, {}
    for index, pair in enumerate(zip(ids, ids[1:])):
        if used.get(pair, -2) < index - 1:
            counts[pair] = counts.get(pair, 0) + 1
            used[pair] = index
    return counts


def counts_regardless_of_order(ids: list[int]) -> dict[Pair, int]:
    counts = {}
    for pair in zip(ids, ids[1:]):
        key = tuple(sorted(pair))
        counts[key] = counts.get(key, 0) + 1
    return counts


def takes_the_first_seen(counts: dict[Pair, int]) -> Pair:
    return max(counts, key=counts.get)


def takes_the_largest_ids(counts: dict[Pair, int]) -> Pair:
    return max(counts, key=lambda pair: (counts[pair], pair))


def takes_the_rarest(counts: dict[Pair, int]) -> Pair:
    return min(counts, key=lambda pair: (counts[pair], pair))


def merges_from_the_right(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    flipped = solutions.merge(ids[::-1], (pair[1], pair[0]), new_id)
    return flipped[::-1]


def merges_the_first_only(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    for index in range(len(ids) - 1):
        if tuple(ids[index : index + 2]) == tuple(pair):
            return [*ids[:index], new_id, *ids[index + 2 :]]
    return list(ids)


def merges_overlapping_pairs(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    result, previous = [], False
    for index, one in enumerate(ids):
        is_pair = tuple(ids[index : index + 2]) == tuple(pair)
        if is_pair:
            result.append(new_id)
        elif not previous:
            result.append(one)
        previous = is_pair
    return result


def merges_and_loses_the_last(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    result, index = [], 0
    while index < len(ids) - 1:
        is_pair = tuple(ids[index : index + 2]) == tuple(pair)
        result.append(new_id if is_pair else ids[index])
        index += 2 if is_pair else 1
    return result


def takes_the_longest_token(word: bytes, merges: list[tuple[bytes, bytes]]) -> list[bytes]:
    known, tokens = {left + right for left, right in merges}, []
    while word:
        length = next((n for n in range(len(word), 1, -1) if word[:n] in known), 1)
        tokens.append(word[:length])
        word = word[length:]
    return tokens


def takes_the_leftmost_pair(word: bytes, merges: list[tuple[bytes, bytes]]) -> list[bytes]:
    tokens = [word[index : index + 1] for index in range(len(word))]
    while known := [i for i, pair in enumerate(zip(tokens, tokens[1:])) if pair in merges]:
        index = known[0]
        tokens[index : index + 2] = [tokens[index] + tokens[index + 1]]
    return tokens


def takes_the_last_learned(word: bytes, merges: list[tuple[bytes, bytes]]) -> list[bytes]:
    return solutions.encode_word(word, merges[::-1])


def merges_once(word: bytes, merges: list[tuple[bytes, bytes]]) -> list[bytes]:
    tokens = [word[index : index + 1] for index in range(len(word))]
    for left, right in merges:
        pairs = list(zip(tokens, tokens[1:]))
        if (left, right) in pairs:
            index = pairs.index((left, right))
            tokens[index : index + 2] = [left + right]
    return tokens


def decodes_each_token_alone(tokens: list[bytes]) -> list[str]:
    return [token.decode("utf-8", errors="replace") for token in tokens]


def leaves_torn_characters_out(tokens: list[bytes]) -> list[str]:
    return [token.decode("utf-8", errors="ignore") for token in tokens]


def waits_for_the_end(tokens: list[bytes]) -> list[str]:
    text = b"".join(tokens).decode("utf-8", errors="replace")
    return [""] * (len(tokens) - 1) + [text] if tokens else []


def decodes_bytes_as_characters(tokens: list[bytes]) -> list[str]:
    return [token.decode("latin-1") for token in tokens]


def counts_characters(texts: list[str], token_ids: list[list[int]]) -> float:
    return sum(map(len, texts)) / sum(map(len, token_ids))


def averages_the_ratios(texts: list[str], token_ids: list[list[int]]) -> float:
    ratios = [len(text.encode()) / len(ids) for text, ids in zip(texts, token_ids)]
    return sum(ratios) / len(ratios)


def turns_it_over(texts: list[str], token_ids: list[list[int]]) -> float:
    return 1 / solutions.bytes_per_token(texts, token_ids)


def cuts_off_the_longest_beginning(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    length = next(n for n in range(len(token) - 1, 0, -1) if token[:n] in ranks)
    return token[:length], token[length:]


def takes_the_first_two_that_exist(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    for length in range(1, len(token)):
        if token[:length] in ranks and token[length:] in ranks:
            return token[:length], token[length:]
    return token[:1], token[1:]


def merges_what_was_learned_last(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    parts = [token[index : index + 1] for index in range(len(token))]
    while len(parts) > 2:
        known = [
            ranks.get(left + right, -1) if left + right != token else -1
            for left, right in zip(parts, parts[1:])
        ]
        place = known.index(max(known))
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts[0], parts[1]


LEARNED = [(b"b", b"c"), (b"a", b"b"), (b"a", b"bc"), (b"d", b"e"), (b"abc", b"de"), (b"c", b"d")]
EMOJI = "🙂".encode()
# Tokens in the order of learning, as a file of ranks lists them; first the bytes.
RANKS = {
    token: rank
    for rank, token in enumerate(
        [b"a", b"b", b"c", b"d", b"e", b"bc", b"ab", b"abc", b"cd", b"de", b"bcd", b"abcde", b"aa"]
        + [b"aaa"]
    )
}

EXERCISES = (
    Exercise(
        id="02.1",
        title="Count the pairs",
        question="How often does each pair of neighbours occur in `ids`? In `[7, 7, 7]` the pair "
        "`(7, 7)` occurs twice: in places 0–1 and 1–2.",
        solution=solutions.count_pairs,
        cases=(([1, 2, 1, 2],), ([],), ([5],), ([7, 7, 7],), ([3, 1, 3, 1, 1],), ([2, 1, 2],)),
        mistakes=(
            Mistake(
                "counts a pair once",
                "A pair that comes again has to raise the count that is already there.",
                counts_each_pair_once,
            ),
            Mistake(
                "skips pairs that overlap",
                "`[7, 7, 7]` holds `(7, 7)` twice. *Merging* takes tokens away, counting does not.",
                counts_without_overlap,
            ),
            Mistake(
                "takes (1, 2) and (2, 1) for the same",
                "Order matters: `th` and `ht` are different pairs; leave the ids as they stand.",
                counts_regardless_of_order,
            ),
        ),
        hints=(
            "What pairs a list with itself, moved by one?",
            "`zip(ids, ids[1:])` gives the pairs; `counts.get(pair, 0) + 1` counts them.",
        ),
    ),
    Exercise(
        id="02.2",
        title="Choose the pair to merge",
        question="Which pair does the next merge take? The most frequent; of equal counts the one "
        "with the smallest ids, compared as tuples. Without such a rule two machines could learn "
        "two tokenizers from one text.",
        solution=solutions.best_pair,
        cases=(
            ({(1, 2): 3, (2, 3): 5, (3, 1): 1},),
            ({(9, 1): 4, (2, 8): 4, (2, 7): 4, (1, 1): 3},),
            ({(5, 5): 1},),
            ({(3, 3): 2, (4, 1): 2},),
        ),
        mistakes=(
            Mistake(
                "leaves ties to chance",
                "`max(counts, key=counts.get)` takes whichever pair stands first in the "
                "dictionary: another order of the text, another tokenizer.",
                takes_the_first_seen,
            ),
            Mistake(
                "takes the largest ids at a tie",
                "`max` over (count, pair) prefers the *large* ids. Turn one of the two signs.",
                takes_the_largest_ids,
            ),
            Mistake(
                "takes the rarest pair",
                "`min` over (count, pair) finds the smallest count; the count's sign has to turn.",
                takes_the_rarest,
            ),
        ),
        hints=(
            "One `min` can do both: large counts first, small ids first.",
            "A key of two parts: the count made negative, then the pair itself.",
        ),
    ),
    Exercise(
        id="02.3",
        title="Merge a pair everywhere",
        question="Write the list in which every occurrence of `pair` became `new_id`. Go from left "
        "to right; a token that was merged is used up. Leave `ids` as it is.",
        solution=solutions.merge,
        cases=(
            ([1, 2, 3, 1, 2], (1, 2), 9),
            ([7, 7, 7], (7, 7), 9),
            ([7, 7, 7, 7], (7, 7), 9),
            ([1, 3, 2], (1, 2), 9),
            ([], (1, 2), 9),
            ([2, 1, 2, 5], (1, 2), 9),
        ),
        mistakes=(
            Mistake(
                "goes from right to left",
                "Of `7 7 7` the *first* two are merged. Encoding and training must agree on this.",
                merges_from_the_right,
            ),
            Mistake(
                "merges the first occurrence only",
                "The pair can come again: go on behind the merged place.",
                merges_the_first_only,
            ),
            Mistake(
                "uses a token twice",
                "After a merge go on *two* places further: the right half is used up.",
                merges_overlapping_pairs,
            ),
            Mistake(
                "loses the last token",
                "The last token has no right neighbour, but it still belongs to the result.",
                merges_and_loses_the_last,
            ),
        ),
        hints=(
            "A `while` loop with an index that grows by 1 or by 2.",
            "At the end `ids[index : index + 2]` is just shorter: it can be compared safely.",
        ),
    ),
    Exercise(
        id="02.4",
        title="Encode a word",
        question="Cut `word` into tokens as training did: of the pairs that are in `merges`, the "
        "one *learned first* is merged first, until none is left. With `bc` learned before `ab`, "
        "the word `abc` becomes `a bc`.",
        solution=solutions.encode_word,
        cases=(
            (b"abc", [(b"b", b"c"), (b"a", b"b")]),
            (b"abcde", LEARNED),
            (b"abab", LEARNED),
            (b"bcd", LEARNED),
            (b"cde", LEARNED),
            (b"aaaa", [(b"a", b"a"), (b"aa", b"aa")]),
            (b"", LEARNED),
            (b"xyz", LEARNED),
            (b"abcd", [(b"a", b"b"), (b"b", b"c"), (b"c", b"d"), (b"bc", b"d")]),
        ),
        mistakes=(
            Mistake(
                "takes the longest token that fits",
                "`merges` is a list of rules in order, not a set of words: a long token is reached "
                "only if its parts are merged first.",
                takes_the_longest_token,
            ),
            Mistake(
                "goes from left to right",
                "Look at all pairs of the word; take the one of lowest rank, wherever it is.",
                takes_the_leftmost_pair,
            ),
            Mistake(
                "takes the pair learned last",
                "Low ranks go first: they were more frequent, and later ones are built on them.",
                takes_the_last_learned,
            ),
            Mistake(
                "uses each merge at most once",
                "A pair can stand in a word several times: repeat until no known pair is left.",
                merges_once,
            ),
        ),
        hints=(
            "Begin with single bytes: `word[i : i + 1]` is the byte at place i, as bytes.",
            "A dictionary from pair to rank; in a loop, the pair of the smallest rank; stop when "
            "no pair of the word is in it.",
        ),
    ),
    Exercise(
        id="02.5",
        title="Show text while it is being written",
        question="A model writes token by token, and a token may end in the middle of a "
        "character: `🙂` has four bytes. Return what can be shown after each token: nothing torn, "
        "nothing lost, nothing later than necessary. What is incomplete after the *last* token is "
        "shown as `�`.",
        solution=solutions.stream_text,
        cases=(
            ([b"Hi", b" there"],),
            ([EMOJI[:2], EMOJI[2:], b"!"],),
            ([b"a", EMOJI[:1], EMOJI[1:3], EMOJI[3:] + b"b"],),
            (["é".encode()[:1], "é".encode()[1:] + "ж".encode()],),
            ([b"end", EMOJI[:3]],),
            ([],),
        ),
        mistakes=(
            Mistake(
                "decodes each token alone",
                "Half a character shows as �, twice. Keep the incomplete bytes for the next token.",
                decodes_each_token_alone,
            ),
            Mistake(
                "drops what is torn",
                "`errors='ignore'` loses the character for good: its bytes come in two tokens.",
                leaves_torn_characters_out,
            ),
            Mistake(
                "waits for the end",
                "Right, but late: whole characters can be shown as soon as they are there.",
                waits_for_the_end,
            ),
            Mistake(
                "takes every byte for a character",
                "One character has up to four bytes: decode as UTF-8, not as Latin-1.",
                decodes_bytes_as_characters,
            ),
        ),
        hints=(
            "Python can decode in pieces: look at `codecs.getincrementaldecoder`.",
            "`decoder = codecs.getincrementaldecoder('utf-8')(errors='replace')`, then "
            "`decoder.decode(token, final=…)`, where `final` is true for the last token.",
        ),
    ),
    Exercise(
        id="02.6",
        title="Bytes per token",
        question="How many bytes does a token stand for on average, over all texts together? This "
        "is the number that compares tokenizers; characters would favour alphabets of one byte.",
        solution=solutions.bytes_per_token,
        cases=(
            (["abcd"], [[1, 2]]),
            (["aaaaaaaa", "b"], [[1], [2]]),
            (["é", "女孩"], [[1, 2], [3, 4, 5]]),
        ),
        mistakes=(
            Mistake(
                "counts characters",
                "`len(text)` counts characters; `é` is one character of two bytes: encode first.",
                counts_characters,
            ),
            Mistake(
                "averages the ratios",
                "A short text would weigh as much as a long one: divide the sums, not each text.",
                averages_the_ratios,
            ),
            Mistake("is upside down", "Bytes belong above, tokens below.", turns_it_over),
        ),
        hints=("Two sums and one division.", "`len(text.encode('utf-8'))` counts bytes."),
        judge=close(1e-9),
    ),
    Exercise(
        id="02.7",
        title="The merge behind a token",
        question="A file of ranks lists tokens in the order of learning and says nothing of "
        "merges. Which two tokens was `token` made from? Begin with its bytes; the pair whose "
        "joined token has the lowest rank is merged, again and again, until two parts are left. "
        "With the tokens `a b c bc abc` in this order, `abc` was made from `a` and `bc`.",
        solution=solutions.merge_behind,
        cases=(
            (b"abc", {b"a": 0, b"b": 1, b"c": 2, b"bc": 3, b"abc": 4}),
            (b"abc", {b"a": 0, b"b": 1, b"c": 2, b"ab": 3, b"bc": 4, b"abc": 5}),
            (b"abc", {b"a": 0, b"b": 1, b"c": 2, b"bc": 3, b"ab": 4, b"abc": 5}),
            (b"bc", RANKS),
            (b"abcde", RANKS),
            (b"bcd", RANKS),
            (b"aaa", RANKS),
        ),
        mistakes=(
            Mistake(
                "cuts off the longest beginning",
                "What is longest does not matter; the rules go in the order of learning.",
                cuts_off_the_longest_beginning,
            ),
            Mistake(
                "takes the first two tokens that fit",
                "Several cuts may give two tokens; only the rules learned before say which it was.",
                takes_the_first_two_that_exist,
            ),
            Mistake(
                "begins with the rule learned last",
                "Low ranks go first, as in encoding.",
                merges_what_was_learned_last,
            ),
        ),
        hints=(
            "It is encoding once more, stopped when two parts are left.",
            "`ranks.get(left + right, len(ranks))` is the rank of a pair, or more than any.",
        ),
    ),
    *unigram.EXERCISES,
)
