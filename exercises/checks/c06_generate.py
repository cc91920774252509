"""Exercises 06 · Generate

From probabilities to a text in small functions, in plain Python: no tensors, so that every number
can be followed on paper. 06.1 to 06.6 belong to [chapter 06](../notebooks/06_generate.ipynb), those
from 06.7 on to [06b](../notebooks/06b_decoding.ipynb). Run the cell below an answer to have it
checked; a wrong one is told its mistake, if others have made it before you.
"""

import math

from exercises.checks import decoding
from exercises.engine import Exercise, Mistake, close
from exercises.solutions import c06_generate as solutions

# 06.1 temperature


def multiplies_by_temperature(logits: list[float], temperature: float) -> list[float]:
    return solutions.warm_probabilities(logits, 1 / temperature)


def divides_after_the_softmax(logits: list[float], temperature: float) -> list[float]:
    return [each / temperature for each in solutions.warm_probabilities(logits, 1.0)]


def divides_and_normalises_again(logits: list[float], temperature: float) -> list[float]:
    return solutions.warm_probabilities(logits, 1.0)


def forgets_to_normalise(logits: list[float], temperature: float) -> list[float]:
    return [math.exp(logit / temperature) for logit in logits]


def weights_of_the_highest(logits: list[float], temperature: float) -> list[float]:
    return [math.exp((logit - max(logits)) / temperature) for logit in logits]


def overflows(logits: list[float], temperature: float) -> list[float]:
    weights = [math.exp(logit / temperature) for logit in logits]
    return [weight / sum(weights) for weight in weights]


# 06.2 drawing


def takes_the_likeliest(probabilities: list[float], u: float) -> int:
    return probabilities.index(max(probabilities))


def compares_with_one_probability(probabilities: list[float], u: float) -> int:
    for token, probability in enumerate(probabilities):
        if u < probability:
            return token
    return len(probabilities) - 1


def gives_the_boundary_to_the_left(probabilities: list[float], u: float) -> int:
    end = 0.0
    for token, probability in enumerate(probabilities):
        end += probability
        if u <= end:
            return token
    return len(probabilities) - 1


def draws_all_alike(probabilities: list[float], u: float) -> int:
    return int(u * len(probabilities))


def falls_off_the_end(probabilities: list[float], u: float) -> int | None:
    end = 0.0
    for token, probability in enumerate(probabilities):
        end += probability
        if u < end:
            return token
    return None


def gives_the_rest_to_nobody(probabilities: list[float], u: float) -> int:
    token = falls_off_the_end(probabilities, u)
    return len(probabilities) if token is None else token


# 06.3 the nucleus


def leaves_out_the_crossing_token(probabilities: list[float], top_p: float) -> list[int]:
    kept, held = [], 0.0
    for token in solutions.nucleus(probabilities, 2.0):
        held += probabilities[token]
        if held > top_p:
            break
        kept.append(token)
    return kept


def leaves_out_the_one_that_reaches_it(probabilities: list[float], top_p: float) -> list[int]:
    kept, held = [], 0.0
    for token in solutions.nucleus(probabilities, 2.0):
        held += probabilities[token]
        if held >= top_p:
            break
        kept.append(token)
    return kept


def keeps_one_too_many(probabilities: list[float], top_p: float) -> list[int]:
    size = len(solutions.nucleus(probabilities, top_p))
    return solutions.nucleus(probabilities, 2.0)[: size + 1]


def forgets_to_sort(probabilities: list[float], top_p: float) -> list[int]:
    kept, held = [], 0.0
    for token, probability in enumerate(probabilities):
        if held >= top_p:
            break
        kept.append(token)
        held += probability
    return kept


def needs_more_than_p(probabilities: list[float], top_p: float) -> list[int]:
    kept, held = [], 0.0
    for token in solutions.nucleus(probabilities, 2.0):
        if held > top_p:
            break
        kept.append(token)
        held += probabilities[token]
    return kept


def takes_p_as_a_threshold(probabilities: list[float], top_p: float) -> list[int]:
    order = solutions.nucleus(probabilities, 2.0)
    return [token for token in order if probabilities[token] >= top_p]


def takes_p_as_a_threshold_unsorted(probabilities: list[float], top_p: float) -> list[int]:
    return [token for token, probability in enumerate(probabilities) if probability >= top_p]


def larger_token_first(probabilities: list[float], top_p: float) -> list[int]:
    kept, held = [], 0.0
    for probability, token in sorted(((p, t) for t, p in enumerate(probabilities)), reverse=True):
        if held >= top_p:
            break
        kept.append(token)
        held += probability
    return kept


# 06.4 stopping


def keeps_the_stop_token(tokens: list[int], stop_ids: list[int], max_tokens: int) -> list[int]:
    for index, token in enumerate(tokens[:max_tokens]):
        if token in stop_ids:
            return tokens[: index + 1]
    return tokens[:max_tokens]


def only_removes_stop_tokens(tokens: list[int], stop_ids: list[int], max_tokens: int) -> list[int]:
    return [token for token in tokens if token not in stop_ids][:max_tokens]


def looks_for_the_first_id_only(
    tokens: list[int], stop_ids: list[int], max_tokens: int
) -> list[int]:
    return solutions.finished_text(tokens, stop_ids[:1], max_tokens)


def stops_at_the_last(tokens: list[int], stop_ids: list[int], max_tokens: int) -> list[int]:
    places = [index for index, token in enumerate(tokens[:max_tokens]) if token in stop_ids]
    return tokens[: places[-1]] if places else tokens[:max_tokens]


def forgets_max_tokens(tokens: list[int], stop_ids: list[int], max_tokens: int) -> list[int]:
    return solutions.finished_text(tokens, stop_ids, len(tokens))


# 06.5 places


def begins_at_zero(num_cached: int, num_tokens: int) -> list[int]:
    return list(range(num_tokens - num_cached))


def counts_from_one(num_cached: int, num_tokens: int) -> list[int]:
    return list(range(num_cached + 1, num_tokens + 1))


def reads_the_last_cached_again(num_cached: int, num_tokens: int) -> list[int]:
    return list(range(max(0, num_cached - 1), num_tokens))


def begins_one_place_early(num_cached: int, num_tokens: int) -> list[int]:
    return list(range(num_cached - 1, num_tokens))


def leaves_out_the_first(num_cached: int, num_tokens: int) -> list[int]:
    return list(range(num_cached + 1, num_tokens))


def reads_only_the_newest(num_cached: int, num_tokens: int) -> list[int]:
    return [num_tokens - 1]


def reads_everything_again(num_cached: int, num_tokens: int) -> list[int]:
    return list(range(num_tokens))


# 06.6 the price of a text


def reads_the_last_one_too(num_prompt: int, num_written: int, use_cache: bool) -> int:
    if num_written == 0:
        return 0
    more = num_prompt + num_written
    return solutions.tokens_read(num_prompt, num_written, use_cache) + (1 if use_cache else more)


def reads_the_last_even_of_none(num_prompt: int, num_written: int, use_cache: bool) -> int:
    end = num_prompt + num_written
    return end if use_cache else sum(range(num_prompt, end + 1))


def reads_to_write_nothing(num_prompt: int, num_written: int, use_cache: bool) -> int:
    last = num_prompt + num_written
    return last - 1 if use_cache else sum(range(num_prompt, last))


def reads_the_prompt_first(num_prompt: int, num_written: int, use_cache: bool) -> int:
    if use_cache:
        return num_prompt + max(0, num_written - 1)
    return solutions.tokens_read(num_prompt, num_written, False)


def forgets_the_prompt(num_prompt: int, num_written: int, use_cache: bool) -> int:
    return solutions.tokens_read(1, num_written, use_cache)


def prompt_again_at_each_step(num_prompt: int, num_written: int, use_cache: bool) -> int:
    if use_cache:
        return solutions.tokens_read(num_prompt, num_written, True)
    return num_prompt * num_written


def never_uses_the_cache(num_prompt: int, num_written: int, use_cache: bool) -> int:
    return solutions.tokens_read(num_prompt, num_written, False)


EIGHTHS = [0.125, 0.5, 0.125, 0.25]

EXERCISES = (
    Exercise(
        id="06.1",
        title="The temperature, in the right place",
        question="Turn logits into probabilities at a temperature: "
        "$p_v \\propto e^{z_v/\\tau}$. It has to work for logits of a thousand too: subtracting "
        "the largest logit from all of them first changes no probability.",
        solution=solutions.warm_probabilities,
        cases=(
            ([math.log(4), math.log(2), 0.0], 1.0),
            ([math.log(4), math.log(2), 0.0], 0.5),
            ([math.log(4), math.log(2), 0.0], 2.0),
            ([-3.0, 0.5, 2.0, 2.0], 0.7),
            ([5.0], 0.3),
            ([1000.0, 999.0], 1.0),
        ),
        mistakes=(
            Mistake(
                "multiplies by the temperature",
                "Dividing makes the cold sharp: at τ = ½ the proportions 4 : 2 : 1 become "
                "16 : 4 : 1, not 2 : 1.4 : 1.",
                multiplies_by_temperature,
            ),
            Mistake(
                "divides the probabilities",
                "The temperature belongs *before* the softmax: divide the logits.",
                divides_after_the_softmax,
            ),
            Mistake(
                "the temperature has no effect",
                "It is not used, or it cancels because it was divided out after the softmax. "
                "Divide the logits.",
                divides_and_normalises_again,
            ),
            Mistake(
                "does not sum to 1",
                "Divide each weight by the sum of all.",
                forgets_to_normalise,
            ),
            Mistake(
                "does not sum to 1",
                "Divide each weight by the sum of all.",
                weights_of_the_highest,
            ),
            Mistake(
                "overflows",
                "`math.exp(1000)` is too large for a float: subtract the largest logit first.",
                overflows,
            ),
        ),
        hints=(
            "Three lines: the largest logit, the weights, their shares.",
            "`math.exp((logit - max(logits)) / temperature)`",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="06.2",
        title="Draw with one random number",
        question="Lay the tokens end to end on a line from 0 to 1, each as long as it is "
        "probable. A random number `u` falls into the stretch of one of them: which? A stretch "
        "contains its beginning, but not its end.",
        solution=solutions.draw_token,
        cases=(
            ([0.5, 0.25, 0.25], 0.0),
            ([0.5, 0.25, 0.25], 0.49),
            ([0.5, 0.25, 0.25], 0.5),
            ([0.5, 0.25, 0.25], 0.75),
            ([0.25, 0.5, 0.25], 0.1),
            ([0.25, 0.5, 0.25], 0.7),
            ([0.0, 1.0], 0.0),
            ([0.125, 0.125, 0.75], 0.2),
            ([1.0], 0.99),
            ([0.1] * 10, 1 - 2**-53),
        ),
        mistakes=(
            Mistake(
                "takes the likeliest",
                "That is greedy decoding: `u` has to decide.",
                takes_the_likeliest,
            ),
            Mistake(
                "compares with one probability",
                "`u` lies on the whole line: compare it with the *sum* of probabilities so far.",
                compares_with_one_probability,
            ),
            Mistake(
                "gives the boundary to the left",
                "With `<=` a token of probability 0 could be drawn, at u = 0. Use `<`.",
                gives_the_boundary_to_the_left,
            ),
            Mistake(
                "draws all tokens alike",
                "The stretches are as long as the probabilities, not all of one length.",
                draws_all_alike,
            ),
            Mistake(
                "falls off the end",
                "Ten times .1 are added up to .9999999999999999, and `u` may lie there: what is "
                "left belongs to the last token.",
                falls_off_the_end,
            ),
            Mistake(
                "falls off the end",
                "Ten times .1 are added up to .9999999999999999, and `u` may lie there: what is "
                "left belongs to the last token.",
                gives_the_rest_to_nobody,
            ),
        ),
        hints=(
            "A running sum is where each stretch ends.",
            "Return the first token whose end lies above `u`.",
        ),
    ),
    Exercise(
        id="06.3",
        title="The nucleus",
        question="Which tokens does top-p keep? The fewest that together hold at least `top_p`, "
        "likeliest first; of equal probabilities the smaller token first. Of `[1/2, 1/4, 1/8, "
        "1/8]`, `top_p = 0.75` keeps two and `0.76` three.",
        solution=solutions.nucleus,
        cases=(
            (EIGHTHS, 0.75),
            (EIGHTHS, 0.76),
            (EIGHTHS, 0.5),
            (EIGHTHS, 0.1),
            (EIGHTHS, 1.0),
            ([0.25, 0.25, 0.25, 0.25], 0.5),
            ([1.0], 0.9),
        ),
        mistakes=(
            Mistake(
                "leaves out the token that crosses the line",
                "What is kept has to hold *at least* p: with `top_p = 0.1` nothing would be left.",
                leaves_out_the_crossing_token,
            ),
            Mistake(
                "leaves out the token that crosses the line",
                "What is kept has to hold *at least* p: with `top_p = 0.1` nothing would be "
                "left.",
                leaves_out_the_one_that_reaches_it,
            ),
            Mistake(
                "keeps one too many",
                "Look at what is held *before* a token is taken: if that is enough, stop.",
                keeps_one_too_many,
            ),
            Mistake(
                "goes on at exactly p",
                "*At least* p: when p is held, it is enough; compare with `>=`.",
                needs_more_than_p,
            ),
            Mistake(
                "forgets to sort",
                "The fewest tokens are the likeliest ones: sort by probability first.",
                forgets_to_sort,
            ),
            Mistake(
                "takes p for a threshold",
                "p is what the kept tokens hold *together*, not what each has to reach.",
                takes_p_as_a_threshold,
            ),
            Mistake(
                "takes p for a threshold",
                "p is what the kept tokens hold *together*, not what each has to reach.",
                takes_p_as_a_threshold_unsorted,
            ),
            Mistake(
                "of equals, the larger token",
                "`reverse` turns ties round as well; sort by `(-p, t)`.",
                larger_token_first,
            ),
        ),
        hints=(
            "Sort the tokens by `(-probability, token)`, then take from the front.",
            "Before taking one, ask whether what is held is `>= top_p`.",
        ),
    ),
    Exercise(
        id="06.4",
        title="Stop in time",
        question="A model wrote `tokens`. Which of them make the text? Those before the first "
        "token that is in `stop_ids`, and at most `max_tokens`.",
        solution=solutions.finished_text,
        cases=(
            ([4, 8, 0, 3, 0, 5], [0], 10),
            ([4, 8, 1, 3, 0], [0, 1], 10),
            ([4, 8, 6], [0], 10),
            ([4, 8, 6, 7], [0], 2),
            ([4, 8, 6, 0], [0], 2),
            ([0, 4], [0], 3),
            ([4, 5], [], 3),
            ([], [0], 3),
        ),
        mistakes=(
            Mistake(
                "keeps the stop token",
                "The mark says that the text is over; a reader should not see it.",
                keeps_the_stop_token,
            ),
            Mistake(
                "only removes stop tokens",
                "What follows the first stop token is another document.",
                only_removes_stop_tokens,
            ),
            Mistake(
                "knows one stop token",
                "There can be several: whichever comes first ends the text.",
                looks_for_the_first_id_only,
            ),
            Mistake("stops at the last one", "The *first* stop token ends it.", stops_at_the_last),
            Mistake(
                "forgets max_tokens",
                "Without a stop token the text still ends after `max_tokens`.",
                forgets_max_tokens,
            ),
        ),
        hints=(
            "First shorten, then look for a stop token.",
            "Leave the loop with `return` as soon as one is found.",
        ),
    ),
    Exercise(
        id="06.5",
        title="The place of a cached token",
        question="There are `num_tokens` tokens, and a cache holds the keys and values of the "
        "first `num_cached`. Which places must the model still read? These are also the places by "
        "which the fresh queries and keys are rotated.",
        solution=solutions.places_to_compute,
        cases=((0, 4), (3, 4), (5, 9), (0, 1), (7, 7), (1, 3)),
        mistakes=(
            Mistake(
                "begins at place 0 again",
                "The mistake of section 8: the number of places is right, but each fresh token is "
                "rotated as if it stood at the beginning.",
                begins_at_zero,
            ),
            Mistake(
                "counts from one",
                "Places count from 0: with 3 tokens in the cache, the next stands at place 3.",
                counts_from_one,
            ),
            Mistake(
                "reads the last cached token again",
                "It would be in the cache twice, and be listened to twice.",
                reads_the_last_cached_again,
            ),
            Mistake(
                "reads the last cached token again",
                "It would be in the cache twice, and be listened to twice.",
                begins_one_place_early,
            ),
            Mistake(
                "leaves out the first that is missing",
                "Places 0 to num_cached − 1 are in the cache; num_cached is the first that is "
                "not.",
                leaves_out_the_first,
            ),
            Mistake(
                "reads only the newest",
                "Several can be missing: at the beginning the whole prompt is.",
                reads_only_the_newest,
            ),
            Mistake(
                "reads everything again",
                "What the cache holds need not be read: that is its use.",
                reads_everything_again,
            ),
        ),
        hints=(
            "With 3 of 4 in the cache, only place 3 is missing.",
            "A `range` with a start.",
        ),
    ),
    Exercise(
        id="06.6",
        title="The price of a text",
        question="How many tokens pass through the model, over all steps, to continue a prompt of "
        "`num_prompt` tokens by `num_written`? A prompt of 3 and 4 more: with a cache "
        "3 + 1 + 1 + 1 = 6, without 3 + 4 + 5 + 6 = 18. To write nothing, nothing is read.",
        solution=solutions.tokens_read,
        cases=(
            (3, 4, True),
            (3, 4, False),
            (1, 1, True),
            (1, 1, False),
            (10, 100, True),
            (10, 100, False),
            (5, 0, True),
            (5, 0, False),
        ),
        mistakes=(
            Mistake(
                "reads the last token too",
                "After the last token has been drawn, nobody asks what comes next.",
                reads_the_last_one_too,
            ),
            Mistake(
                "reads the last token too",
                "After the last token has been drawn, nobody asks what comes next.",
                reads_the_last_even_of_none,
            ),
            Mistake(
                "reads the prompt to write nothing",
                "A model reads to say what comes next: to write nothing, nothing is read.",
                reads_to_write_nothing,
            ),
            Mistake(
                "reads the prompt to write nothing",
                "A model reads to say what comes next: to write nothing, nothing is read.",
                reads_the_prompt_first,
            ),
            Mistake(
                "forgets the prompt",
                "The prompt is read too: once with a cache, in every step without.",
                forgets_the_prompt,
            ),
            Mistake(
                "lets the text stand still",
                "Each token that was written is read in the next step.",
                prompt_again_at_each_step,
            ),
            Mistake(
                "never uses the cache",
                "With a cache each token is read once: the prompt in the first step, then one by "
                "one.",
                never_uses_the_cache,
            ),
        ),
        hints=(
            "Write down the number of tokens read in each step, as in the example.",
            "With a cache: all tokens but the last. Without: `sum(range(num_prompt, …))`.",
        ),
    ),
    *decoding.EXERCISES,
)
