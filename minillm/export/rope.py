"""How positions are said in other engines' words, and what cannot be said is refused by name.

Llama's shape knows rotary positions, plain or scaled, and no others. NTK-aware scaling by a fixed
factor is nothing but a larger theta, so it leaves, and comes back, as plain positions of that
theta; what transformers calls "dynamic" raises theta while a text grows, so that the keys of a
cache were turned by other angles than those that come after them: not taken.
"""

from pathlib import Path

from minillm.model.rope_scaling import FAST, SLOW, ntk_theta
from minillm.model.transformer import ModelConfig

# what yarn may say of itself besides factor and length, and the only values that we compute
YARN_DEFAULTS = {
    "attention_factor": (None,), "mscale": (None,), "mscale_all_dim": (None,),
    "beta_fast": (None, FAST), "beta_slow": (None, SLOW), "truncate": (None, True),
}  # fmt: skip
TYPES = ("default", "linear", "yarn")


# package only
def refuse_other_positions(config: ModelConfig, engine: str) -> None:
    """ValueError for positions that Llama's shape has no words for."""
    if config.positions != "rotary":
        raise ValueError(
            f"positions = {config.positions!r}: {engine} would load the model as a Llama, whose "
            "positions are rotary, and compute something else; serve it with minillm serve, or "
            "train it with positions = 'rotary'"
        )


# package only
def exported_theta(config: ModelConfig) -> float:
    """The theta that plain rotary positions need to be ours."""
    if config.rope_scaling != "ntk":
        return config.rope_theta
    return ntk_theta(config.head_width, config.rope_theta, config.rope_factor)


# package only
def exported_rope(config: ModelConfig) -> dict[str, object]:
    """The fields of a Llama's config.json; twice, since older libraries read the first form."""
    theta = exported_theta(config)
    parameters: dict[str, object] = {"rope_type": "default", "rope_theta": theta}
    if config.rope_scaling in ("linear", "yarn"):
        parameters |= {"rope_type": config.rope_scaling, "factor": config.rope_factor}
    if config.rope_scaling == "yarn":
        parameters["original_max_position_embeddings"] = config.rope_trained_length
    old = {} if parameters["rope_type"] == "default" else {"rope_scaling": parameters}
    return {"rope_theta": theta, "rope_parameters": parameters, **old}


# package only
def imported_rope(fields: dict, path: Path) -> dict[str, object]:
    """The same in our fields; ValueError for what our model would compute otherwise."""
    # where both forms are there, transformers reads the first
    rope = fields.get("rope_scaling") or fields.get("rope_parameters") or {}
    by_layer = next((name for name, each in rope.items() if isinstance(each, dict)), None)
    kind = rope.get("rope_type", rope.get("type", "default")) if by_layer is None else by_layer
    if kind not in TYPES:
        raise ValueError(f"{path}: rope_type = {kind!r}; only {', '.join(TYPES)} can be loaded")
    theta = rope.get("rope_theta", fields.get("rope_theta", 10_000.0))
    ours: dict[str, object] = {"rope_theta": theta}
    if kind == "default":
        return ours
    factor = float(rope["factor"])
    if factor < 1:
        raise ValueError(f"{path}: factor = {factor}; only 1 or more can be loaded")
    ours |= {"rope_scaling": kind, "rope_factor": factor}
    if kind == "yarn":
        for name, allowed in YARN_DEFAULTS.items():
            if rope.get(name) not in allowed:
                raise ValueError(
                    f"{path}: yarn's {name} = {rope[name]!r}; only {allowed[-1]!r} can be loaded"
                )
        length = rope.get("original_max_position_embeddings")
        ours["rope_trained_length"] = length or fields["max_position_embeddings"]
    return ours
