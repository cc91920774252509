"""Solutions of chapter 04 from 04.14 on, which belong to notebook 04d."""

import math


def one_step(x: list[float], scale: float, shift: float, position: str) -> list[float]:
    """A step along the stream: the part is scale · x + shift, the norm x / √(mean(x²)), and it
    stands before the part ("pre") or behind the sum ("post")."""

    def norm(values: list[float]) -> list[float]:
        size = math.sqrt(sum(value * value for value in values) / len(values))
        return [value / size for value in values]

    inputs = norm(x) if position == "pre" else x
    total = [value + scale * each + shift for value, each in zip(x, inputs, strict=True)]
    return total if position == "pre" else norm(total)


def seen_keys(place: int, layer: int, window: int, full_every: int) -> list[int]:
    """The keys that the query at `place` sees in this layer: `window` of them, itself among them;
    all so far where the layer, counted from 0, is the last of `full_every`."""
    if (layer + 1) % full_every == 0:
        return list(range(place + 1))
    return list(range(max(0, place - window + 1), place + 1))


def expert_weights(logits: list[float], num_chosen: int) -> dict[int, float]:
    """The chosen experts of one token, each with how much it counts; the weights add up to 1."""
    largest = max(logits)
    strength = [math.exp(logit - largest) for logit in logits]
    chosen = sorted(range(len(logits)), key=lambda expert: -logits[expert])[:num_chosen]
    total = sum(strength[expert] for expert in chosen)
    return {expert: strength[expert] / total for expert in chosen}


def balance(probabilities: list[list[float]], num_chosen: int) -> float:
    """E · Σ_e share_e · mean probability_e, from each token's probabilities of the experts."""
    num_tokens, num_experts = len(probabilities), len(probabilities[0])
    counts, means = [0] * num_experts, [0.0] * num_experts
    for token in probabilities:
        for expert in sorted(range(num_experts), key=lambda e: -token[e])[:num_chosen]:
            counts[expert] += 1
        for expert, probability in enumerate(token):
            means[expert] += probability / num_tokens
    shares = [count / (num_tokens * num_chosen) for count in counts]
    return num_experts * sum(s * p for s, p in zip(shares, means, strict=True))


def normed_query(
    q: list[float], weight: list[float], head: int, place: int, theta: float
) -> list[float]:
    """The query of one head, of width K = len(weight), out of those of all heads side by side:
    normed, scaled by `weight`, and then turned to its place as in 04.4."""
    K = len(weight)
    own = q[head * K : (head + 1) * K]
    size = math.sqrt(sum(value * value for value in own) / K)
    scaled = [value / size * w for value, w in zip(own, weight, strict=True)]
    turned = [0.0] * K
    for i in range(K // 2):
        angle = place * theta ** (-2 * i / K)
        a, b = scaled[i], scaled[i + K // 2]
        turned[i] = a * math.cos(angle) - b * math.sin(angle)
        turned[i + K // 2] = b * math.cos(angle) + a * math.sin(angle)
    return turned
