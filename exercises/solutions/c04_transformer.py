"""Solutions of the exercises of chapter 04: the parts of a transformer, one by one."""

import math

import torch


def causal_mask(num_queries: int, num_keys: int, offset: int) -> torch.Tensor:
    """[T, S], True where query t, which stands at place t + offset, may look at key s."""
    query_T1 = torch.arange(num_queries)[:, None] + offset
    return torch.arange(num_keys)[None, :] <= query_T1


def attention_weights(
    q_TK: torch.Tensor, k_SK: torch.Tensor, mask_TS: torch.Tensor
) -> torch.Tensor:
    """[T, S]: the weights softmax(q kᵀ / √K), 0 where the mask is False."""
    scores_TS = q_TK @ k_SK.T / math.sqrt(q_TK.shape[-1])
    return scores_TS.masked_fill(~mask_TS, -math.inf).softmax(dim=-1)


def rms_norm(x: list[float], epsilon: float) -> list[float]:
    """x divided by its size √(mean(x²) + ε)."""
    size = math.sqrt(sum(value * value for value in x) / len(x) + epsilon)
    return [value / size for value in x]


def rotate_at(x_K: torch.Tensor, place: int, theta: float) -> torch.Tensor:
    """Turn each pair (x_i, x_{i+K/2}) by the angle place · θ^(−2i/K)."""
    half = len(x_K) // 2
    angle = place * theta ** (-torch.arange(half).float() / half)
    first, second = x_K[:half], x_K[half:]
    turned = (
        first * angle.cos() - second * angle.sin(),
        second * angle.cos() + first * angle.sin(),
    )
    return torch.cat(turned)


def num_parameters(V: int, D: int, L: int, H: int, G: int, F: int) -> int:
    """All numbers in our transformer; the head is tied to the embedding."""
    K = D // H
    attention = 2 * D * D + 2 * D * G * K
    feed_forward = 3 * D * F
    norms = 2 * D
    return V * D + L * (attention + feed_forward + norms) + D


def bits_per_byte(text: str, surprise_nats: list[float]) -> float:
    """Bits for each byte of the text, from the surprise (−ln p) at each of its tokens."""
    return sum(surprise_nats) / math.log(2) / len(text.encode("utf-8"))


def places_of(num_cached: int, documents: list[int]) -> list[int]:
    """Where each new token stands; a document that begins among them begins at place 0."""
    places, before = [], documents[0]
    for document in documents:
        last = places[-1] if places else num_cached - 1
        places.append(last + 1 if document == before else 0)
        before = document
    return places


def score_at_distance(
    q_K: torch.Tensor, k_K: torch.Tensor, distance: int, theta: float
) -> torch.Tensor:
    """The product of a query turned to place t and a key turned to s, from t − s alone."""
    half = len(q_K) // 2
    angle = distance * theta ** (-torch.arange(half).float() / half)
    same = q_K[:half] * k_K[:half] + q_K[half:] * k_K[half:]
    crossed = q_K[:half] * k_K[half:] - q_K[half:] * k_K[:half]
    return (same * angle.cos() + crossed * angle.sin()).sum()


def alibi_price(num_heads: int, num_queries: int, num_keys: int) -> torch.Tensor:
    """[H, T, S], added to the scores: −2^(−8h/H) · distance for head h = 1 … H; the last query
    stands at the last key."""
    slopes_H = torch.tensor([2.0 ** (-8 * h / num_heads) for h in range(1, num_heads + 1)])
    query_T1 = torch.arange(num_queries)[:, None] + num_keys - num_queries
    distance_TS = query_T1 - torch.arange(num_keys)
    return -slopes_H[:, None, None] * distance_TS


def first_std(name: str, std: float, num_layers: int) -> float:
    """How large the first weights of the matrix with this name are."""
    writes_to_stream = name.endswith(("o_proj.weight", "down_proj.weight"))
    return std / math.sqrt(2 * num_layers) if writes_to_stream else std


def variance_factors(shapes: list[tuple[int, int]], std: float) -> tuple[float, float]:
    """What a chain of matrices does to the variance: forward, and on the way back."""
    forward = math.prod(columns * std**2 for _, columns in shapes)
    back = math.prod(rows * std**2 for rows, _ in shapes)
    return forward, back


def step_flops(V: int, D: int, L: int, H: int, G: int, F: int, B: int, T: int) -> int:
    """Floating-point operations of a training step over B rows of T tokens."""
    K = D // H
    matrices = L * (2 * D * D + 2 * D * G * K + 3 * D * F) + V * D
    forward = B * T * (2 * matrices + 4 * L * D * T)
    return 3 * forward


def mean_in_chunks(nats: list[float | None], chunk_size: int) -> float:
    """The mean over all that count, taken chunk by chunk; None does not count."""
    total, count = 0.0, 0
    for start in range(0, len(nats), chunk_size):
        counted = [value for value in nats[start : start + chunk_size] if value is not None]
        total += sum(counted)
        count += len(counted)
    return total / count
