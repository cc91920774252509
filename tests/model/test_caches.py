"""Three caches, one set of numbers: what is kept is what would be computed again."""

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F

from minillm.model.attention import ATTENTION
from minillm.model.caches import KeyValueCache, SlidingCache, StaticCache
from minillm.model.generate import last_logits
from minillm.model.transformer import Cache, Transformer
from tests.model.small import seeded, small_model

EXTEND = KeyValueCache.extend
CACHES = {"plain": KeyValueCache, "static": lambda: StaticCache(29)}
SPLITS = [(1,), (28,), (7, 8, 20), tuple(range(1, 29)), ()]


def largest_cache_error(
    model: Transformer, splits: Sequence[int], make: Callable[[], Cache] = KeyValueCache
) -> float:
    """Read 29 tokens in pieces that end at `splits`; the largest difference to them whole."""
    tokens_BT = torch.randint(61, (2, 29), generator=seeded(1))
    with torch.no_grad():
        whole_BTV, cache = model(tokens_BT), make()
        differences = [
            last_logits(model, tokens_BT[:, :stop], cache) - whole_BTV[:, stop - 1]
            for stop in (*splits, 29)
        ]
    return max(float(difference.abs().max()) for difference in differences)


@pytest.mark.parametrize("name", CACHES)
@pytest.mark.parametrize("attention", ["reference", "torch"])
@pytest.mark.parametrize("splits", SPLITS)
def test_logits_with_a_cache_are_the_logits_without(
    name: str, attention: str, splits: Sequence[int]
) -> None:
    # sums of 24 to 37 products in another order: logits of about 5 move by a few times 2⁻²³ · 5
    assert largest_cache_error(small_model(attention=attention), splits, CACHES[name]) < 1e-5


def test_the_cache_holds_every_layers_keys_in_order() -> None:
    model, cache = small_model(), KeyValueCache()
    last_logits(model, torch.tensor([[1, 2, 3, 4, 5]]), cache)
    last_logits(model, torch.tensor([[1, 2, 3, 4, 5, 6, 7]]), cache)
    whole = KeyValueCache()
    last_logits(model, torch.tensor([[1, 2, 3, 4, 5, 6, 7]]), whole)
    assert sorted(cache.layers) == [0, 1, 2]
    assert cache.num_tokens == whole.num_tokens == 7
    for layer, (k_BGSK, v_BGSK) in whole.layers.items():
        torch.testing.assert_close(cache.layers[layer][0], k_BGSK)
        torch.testing.assert_close(cache.layers[layer][1], v_BGSK)


def test_few_tokens_make_the_cache_move() -> None:
    model, cache, rooms = small_model(), KeyValueCache(), []
    tokens_BT = torch.randint(61, (2, 29), generator=seeded(1))
    with torch.no_grad():
        for stop in range(1, 30):
            last_logits(model, tokens_BT[:, :stop], cache)
            # the rooms are kept alive here: no address is given out twice
            rooms += [cache.rooms[0]] * (not rooms or rooms[-1] is not cache.rooms[0])
    assert [room.shape[3] for room in rooms] == [1, 2, 4, 8, 16, 32]


@pytest.mark.parametrize("make", [KeyValueCache, lambda: StaticCache(9), lambda: SlidingCache(9)])
def test_no_graph_of_earlier_tokens_stays_alive(make: Callable) -> None:
    model, cache = small_model(), make()
    for stop in (3, 5):
        logits_BV = last_logits(model, torch.tensor([[3, 1, 4, 1, 5]])[:, :stop], cache)
        logits_BV.sum().backward()
    assert not any(room.requires_grad for room in cache.rooms.values())


def test_a_cache_of_two_rows_takes_no_single_row() -> None:
    model, cache = small_model(), KeyValueCache()
    last_logits(model, torch.tensor([[1, 2], [3, 4]]), cache)
    with pytest.raises(AssertionError, match=r"the cache has B, G = \(2, 2\), not \(1, 2\)"):
        last_logits(model, torch.tensor([[1, 2, 3]]), cache)


def forgetful_extend(
    self: KeyValueCache, layer: int, k_BGTK: torch.Tensor, v_BGTK: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Planted: a room that is made anew does not get what the old one held."""
    before = self.rooms.get(layer)
    known = EXTEND(self, layer, k_BGTK, v_BGTK)
    if before is not None and self.rooms[layer] is not before:
        known[0][:, :, : -k_BGTK.shape[2]] = known[1][:, :, : -k_BGTK.shape[2]] = 0
    return known


def stale_extend(
    self: KeyValueCache, layer: int, k_BGTK: torch.Tensor, v_BGTK: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Planted: returns all, but keeps only what came first."""
    k_before, v_before = self.layers.setdefault(layer, (k_BGTK, v_BGTK))
    if k_before is k_BGTK:
        return k_BGTK, v_BGTK
    return torch.cat((k_before, k_BGTK), dim=2), torch.cat((v_before, v_BGTK), dim=2)


def swapping_extend(
    self: KeyValueCache, layer: int, k_BGTK: torch.Tensor, v_BGTK: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Planted: the fresh tokens are put in front of the old ones."""
    if layer in self.layers:
        k_before, v_before = self.layers[layer]
        k_BGTK = torch.cat((k_BGTK, k_before), dim=2)
        v_BGTK = torch.cat((v_BGTK, v_before), dim=2)
    self.layers[layer] = k_BGTK, v_BGTK
    return k_BGTK, v_BGTK


@pytest.mark.parametrize("extend", [forgetful_extend, stale_extend, swapping_extend])
def test_a_broken_cache_is_seen(extend: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeyValueCache, "extend", extend)
    assert largest_cache_error(small_model(), (7, 8, 20)) > 0.01


def test_a_position_that_is_not_advanced_is_seen() -> None:
    """Planted: the cache grows, but every token after the prompt is rotated as the first one."""
    model, cache = small_model(), KeyValueCache()
    tokens_BT = torch.randint(61, (2, 29), generator=seeded(1))
    with torch.no_grad():
        whole_BTV = model(tokens_BT)
        model(tokens_BT[:, :20], cache)
        logits_BTV = model(tokens_BT[:, 20:], cache)
    assert float((logits_BTV - whole_BTV[:, 20:]).abs().max()) > 0.01


@pytest.mark.parametrize("name", CACHES)
@pytest.mark.parametrize("by", [-1, 1])
def test_a_position_that_is_off_by_one_is_seen(name: str, by: int) -> None:
    """Planted: the cache says that it holds one token fewer, or more, than it does."""
    model, cache = small_model(), CACHES[name]()
    tokens_BT = torch.randint(61, (2, 28), generator=seeded(1))
    with torch.no_grad():
        whole_BTV = model(tokens_BT)
        model(tokens_BT[:, :20], cache)
        cache.num_tokens = 20 + by
        logits_BTV = model(tokens_BT[:, 20:], cache)
    assert float((logits_BTV - whole_BTV[:, 20:]).abs().max()) > 0.01


# rows that go on


def test_rows_that_are_taken_go_on_as_their_own_texts() -> None:
    model, cache = small_model(), KeyValueCache()
    tokens_BT = torch.randint(61, (3, 20), generator=seeded(1))
    rows = [2, 0, 0, 2]
    with torch.no_grad():
        last_logits(model, tokens_BT[:, :12], cache)
        cache.take_rows(rows)
        ours_BV = last_logits(model, tokens_BT[rows], cache)
        wanted_BV = model(tokens_BT[rows])[:, -1]
    assert float((ours_BV - wanted_BV).abs().max()) < 1e-5
    cache.take_rows([1, 1])
    assert {len(room[0]) for room in cache.rooms.values()} == {2}


# the static cache


def test_a_static_cache_never_moves_and_its_bytes_are_known_before() -> None:
    model, static, plain = small_model(), StaticCache(29), KeyValueCache()
    tokens_BT = torch.randint(61, (2, 29), generator=seeded(1))
    places = set()
    with torch.no_grad():
        for stop in (5, *range(6, 30)):
            ours_BV = last_logits(model, tokens_BT[:, :stop], static)
            assert torch.equal(ours_BV, last_logits(model, tokens_BT[:, :stop], plain))
            places.add(tuple(room.data_ptr() for room in static.rooms.values()))
    assert len(places) == 1
    config = model.config
    predicted = 2 * config.num_layers * 2 * config.num_kv_heads * config.head_width * 29 * 4
    assert sum(room.nbytes for room in static.rooms.values()) == predicted


def test_a_static_cache_that_is_full_says_what_to_do() -> None:
    model, cache = small_model(), StaticCache(5)
    last_logits(model, torch.tensor([[1, 2, 3, 4]]), cache)
    with pytest.raises(ValueError, match="max_tokens = 5.*token 6.*more room"):
        last_logits(model, torch.tensor([[1, 2, 3, 4, 5, 6]]), cache)


# the sliding cache


def windowed(window: int) -> Callable[..., torch.Tensor]:
    """Attention in which a query sees itself and the `window` − 1 before it: a mask, no cache.

    The last query belongs to the last key, wherever the first one stands."""

    def attend(
        q_BHTK: torch.Tensor, k_BGSK: torch.Tensor, v_BGSK: torch.Tensor, **options: object
    ) -> torch.Tensor:
        T, S = q_BHTK.shape[2], k_BGSK.shape[2]
        assert options["offset"] == S - T, "a form with a mask of its own is told the same"
        mask_TS = torch.tensor(
            [[t + S - T - window < s <= t + S - T for s in range(S)] for t in range(T)]
        )
        return F.scaled_dot_product_attention(
            q_BHTK, k_BGSK, v_BGSK, attn_mask=mask_TS, enable_gqa=True
        )

    return attend


@pytest.mark.parametrize("window", [1, 2, 7, 28, 29, 40])
@pytest.mark.parametrize("splits", SPLITS)
def test_a_sliding_cache_gives_the_numbers_of_a_windowed_mask(
    window: int, splits: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ATTENTION, "windowed", windowed(window))
    model = small_model(attention="windowed")
    assert largest_cache_error(model, splits, lambda: SlidingCache(window)) < 1e-5


@pytest.mark.parametrize("attention", ["reference", "torch"])
def test_however_many_tokens_come_at_once_a_sliding_cache_shows_as_few(attention: str) -> None:
    """The model has no window of its own: read in pieces = token by token."""
    model = small_model(attention=attention)
    tokens_BT, found = torch.randint(61, (2, 29), generator=seeded(1)), []
    for splits in (range(1, 29), (7, 8, 20), ()):
        cache = SlidingCache(3)
        for stop in splits:
            last_logits(model, tokens_BT[:, :stop], cache)
        found.append(last_logits(model, tokens_BT, cache))
    assert all(float((each - found[0]).abs().max()) < 1e-5 for each in found)
    assert float((last_logits(model, tokens_BT, KeyValueCache()) - found[0]).abs().max()) > 0.01


@pytest.mark.parametrize("window", [1, 2, 7, 29, 40])
@pytest.mark.parametrize("attention", ["reference", "torch"])
def test_token_by_token_no_mask_is_needed(
    window: int, attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ATTENTION, "windowed", windowed(window))
    tokens_BT, cache = torch.randint(61, (2, 29), generator=seeded(1)), SlidingCache(window)
    plain, wanted = small_model(attention=attention), small_model(attention="windowed")
    with torch.no_grad():
        parts = [last_logits(plain, tokens_BT[:, :stop], cache) for stop in range(1, 30)]
        whole_BTV, full_BTV = wanted(tokens_BT), plain(tokens_BT)
    assert float((torch.stack(parts, dim=1) - whole_BTV).abs().max()) < 1e-5
    assert window >= 29 or float((full_BTV - whole_BTV).abs().max()) > 0.01


@pytest.mark.parametrize("window", [1, 3, 8])
def test_a_sliding_cache_holds_the_last_tokens_in_a_room_that_does_not_grow(window: int) -> None:
    cache, written = SlidingCache(window), torch.arange(100.0).view(1, 1, 100, 1)
    rooms = []
    for place in range(100):
        k_BGSK, v_BGSK = cache.extend(0, written[:, :, [place]], -written[:, :, [place]])
        held = list(range(max(0, place - window + 1), place + 1))
        assert k_BGSK.flatten().tolist() == held
        assert v_BGSK.flatten().tolist() == [-each for each in held]
        rooms += [cache.rooms[0]] * (not rooms or rooms[-1] is not cache.rooms[0])
    assert {room.shape[3] for room in rooms} == {2 * window}
    assert len(rooms) <= 1 + 100 / window, "it moves once in a window, not at every token"


@pytest.mark.parametrize("by", [-1, 1])
def test_a_window_that_is_off_by_one_is_seen(by: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: one token too few, or too many, is kept."""
    monkeypatch.setitem(ATTENTION, "windowed", windowed(7))
    tokens_BT, cache = torch.randint(61, (2, 29), generator=seeded(1)), SlidingCache(7 + by)
    with torch.no_grad():
        parts = [last_logits(small_model(), tokens_BT[:, :stop], cache) for stop in range(1, 30)]
        whole_BTV = small_model(attention="windowed")(tokens_BT)
    differences_BTV = (torch.stack(parts, dim=1) - whole_BTV).abs()
    assert float(differences_BTV.max()) > 0.01
    assert float(differences_BTV[:, : 7 + min(by, 0)].max()) < 1e-5, "until the window is full"


def test_a_sliding_cache_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="window = 0: must be at least 1"):
        SlidingCache(0)
