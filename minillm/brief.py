"""The brief: the first decision of any project, and the model size that follows from it.

Training a model of N parameters on D tokens takes about 6·N·D floating-point operations (Kaplan et
al., arXiv:2001.08361; `model.counting` counts them exactly). With the speed of the machine and D in
proportion to N, the minutes give N.
"""

from dataclasses import dataclass

from minillm.model.counting import TRAINING_FLOPS_PER_WEIGHT
from minillm.model.transformer import ModelConfig

# Training arithmetic that arrives in the model, a second, on two cores without bfloat16 units, as
# in the recorded run (README): 6 · parameters · tokens / seconds, rounded down from 4.3e10.
TRAINING_FLOP_PER_S = 4.0e10
# What the recorded run read for each parameter, rounded down from 2.7; a large run takes 20 and
# more (Hoffmann et al., arXiv:2203.15556).
TOKENS_PER_PARAMETER = 2.5
# Standard deviation of the first weights, times √width: the usual .02 is for wide models; a narrow
# one begins to copy names sooner with more (LOG.md).
FIRST_WEIGHTS = 0.62
# Weight, gradient and two averages, four bytes each; they may take half of the memory, because
# activations and the text want room too.
TRAINING_BYTES_PER_PARAMETER = 16
# width, layers, query heads, key/value heads, feed-forward width: each 1.5 to 3 times the
# parameters of the one before. Heads of 64: faster than of 32 (LOG.md).
SHAPES = (
    (128, 4, 2, 2, 344),
    (192, 5, 3, 3, 512),
    (256, 6, 4, 2, 688),
    (320, 7, 5, 1, 856),
    (384, 8, 6, 2, 1024),
    (512, 8, 8, 2, 1376),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Brief:
    """The first decision of any project: for whom, in which languages, from what, with how much.

    Languages and licences choose the text, minutes and memory the size; purpose and users are
    words, kept with the model.
    """

    purpose: str = "write small English stories and show how it was done"
    users: str = "people who learn how language models work"
    languages: tuple[str, ...] = ("en",)
    licences: tuple[str, ...] = ("CC0-1.0", "CC-BY-SA-4.0", "PSF-2.0", "public-domain", "user")
    minutes: float = 10.0
    memory_gib: float = 4.0

    def __post_init__(self) -> None:
        for name in ("minutes", "memory_gib"):
            if not getattr(self, name) > 0:  # NaN is not either
                value = getattr(self, name)
                raise ValueError(f"{name} = {value}: must be above 0; say what this run may use")
        if not self.languages or not self.licences:
            raise ValueError("languages and licences must each name at least one")

    @property
    def num_parameters(self) -> float:
        """The N whose 6·N·D FLOPs fill the minutes, with D = TOKENS_PER_PARAMETER · N tokens."""
        flops = TRAINING_FLOP_PER_S * 60 * self.minutes
        return (flops / (TRAINING_FLOPS_PER_WEIGHT * TOKENS_PER_PARAMETER)) ** 0.5

    @property
    def max_parameters(self) -> float:
        """How many can be trained in half of the memory."""
        return self.memory_gib * 2**30 / 2 / TRAINING_BYTES_PER_PARAMETER


def model_for(
    brief: Brief, vocab_size: int, context_length: int, max_parameters: float | None = None
) -> ModelConfig:
    """The largest shape that minutes and memory can train, of at most `max_parameters`."""
    wanted = min(brief.num_parameters, brief.max_parameters, max_parameters or float("inf"))
    configs = [
        ModelConfig(
            vocab_size=vocab_size, width=width, num_layers=num_layers, num_heads=num_heads,
            num_kv_heads=num_kv_heads, ffn_width=ffn_width, context_length=context_length,
            initial_std=FIRST_WEIGHTS / width**0.5,
        )
        for width, num_layers, num_heads, num_kv_heads, ffn_width in SHAPES
    ]
    fitting = [config for config in configs if config.num_parameters <= wanted]
    return fitting[-1] if fitting else configs[0]
