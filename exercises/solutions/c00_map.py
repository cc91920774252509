"""Solutions of chapter 00: one right answer each, of several."""


def text_exercises(tokens: list[int], context_length: int) -> list[tuple[list[int], int]]:
    """Each token but the first as a target, with the up to `context_length` tokens before it."""
    return [
        (tokens[max(0, index - context_length) : index], tokens[index])
        for index in range(1, len(tokens))
    ]


def run_flops(
    num_parameters: int, num_steps: int, batch_size: int, context_length: int
) -> int:
    """FLOPs of a training run whose steps read `batch_size` rows of `context_length` tokens."""
    return 6 * num_parameters * num_steps * batch_size * context_length


def affordable_tokens(minutes: float, flop_per_s: float, num_parameters: int) -> int:
    """How many whole tokens a model of this size can be trained on in these minutes."""
    return int(minutes * 60 * flop_per_s // (6 * num_parameters))


def bill(
    flops: float, flop_per_s: float, watts: float, dollars_per_kwh: float
) -> tuple[float, float]:
    """Kilowatt-hours and dollars of this much arithmetic on a machine of this speed and power."""
    hours = flops / flop_per_s / 3600
    kwh = hours * watts / 1000
    return kwh, kwh * dollars_per_kwh


def same_content(manifests: list[dict]) -> list[int]:
    """For each manifest, the index of the first that has the same files, config and parents.

    A manifest is a dict with the keys `files`, `config`, `parents` (dicts) and `created` (text).
    """
    contents = [(each["files"], each["config"], each["parents"]) for each in manifests]
    return [contents.index(content) for content in contents]


def made_anew(parents: dict[str, list[str]], changed: list[str]) -> list[str]:
    """The stages that are made anew when the configurations of `changed` are altered.

    `parents` names the parents of each stage, and lists stages after their parents. Answer in
    the order of `parents`.
    """
    anew: list[str] = []
    for stage, names in parents.items():
        if stage in changed or any(name in anew for name in names):
            anew.append(stage)
    return anew
