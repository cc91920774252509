"""What README.md says of the recorded laptop run, from `data/results/laptop.json` alone.

In: those figures. Out: the README with its first picture and its account of the run made afresh.
"""

from minillm.corpus.storyworld import check_story

PICTURE, SECTION = ("```\nsources ─▶", "```\n"), ("## The recorded laptop run\n", "## ")
STORIES_PER_LEVEL = 200


def pipeline_picture(figures: dict) -> str:
    """The README's first picture, with the sizes of the run."""
    documents, model = figures["documents"], figures["model"]
    sizes = [
        f"{documents['num_documents']:,}", f"{figures['tokenizer']['vocab_size']:,}",
        f"{figures['shards']['train_tokens'] / 1e6:.1f} M", f"{model['parameters'] / 1e6:.1f} M",
    ]  # fmt: skip
    units = [f"{documents['num_bytes'] / 1e6:.1f} MB", "tokens", "tokens", "parameters"]
    rows = ["".join(f"{cell:<13}" for cell in cells).rstrip() for cells in (sizes, units)]
    return (
        "```\n"
        "sources ─▶ documents ─▶ tokenizer ─▶ shards ───▶ model ────▶ text\n"
        + "".join(f"{'':11}{row}\n" for row in rows)
        + "           └ corpus ┘   └tokenizer┘   └batches┘   └ model · train ┘\n"
        "```\n"
    )


def story_table(stories: dict) -> str:
    """What the checker says of the run's stories, a line a level."""
    lines = [
        "| level | readable sentences | stories free of contradictions | bad sentences a story"
        " | near-duplicates of training stories |",
        "|---|---|---|---|---|",
    ]
    for level, scores in stories.items():
        shares = ("readable_fraction", "consistent_fraction")
        readable, consistent = (f"{scores[name]:.1%}" for name in shares)
        bad, near = scores["bad_sentences_per_story"], scores["near_duplicate_fraction"]
        lines.append(f"| {level[-1]} | {readable} | **{consistent}** | {bad:.2f} | {near:.1%} |")
    return "\n".join(lines)


def interval(figure: dict) -> str:
    """A share in per cent, and the interval that holds the true one."""
    return f"{figure['value']:.0%} [{figure['low']:.0%}, {figure['high']:.0%}]"


def assistant_table(figures: dict) -> str:
    """What fine-tuning taught, and what preferences and rewards then changed."""
    before, after = (figures["questions"][name] for name in ("assistant", "aligned"))
    rows = [("answers right where the story says it", before["exact"], after["exact"])]
    rows += [
        (f"… level {level}", before["exact_by_level"][level], after["exact_by_level"][level])
        for level in before["exact_by_level"]
    ]
    rows += [
        (f"… the evidence {far}", *(each["exact_by_distance"][far] for each in (before, after)))
        for far in ("near", "middle", "far")
    ]
    one, two = before["last_mention"], after["last_mention"]
    rows += [("the person named last would be right", one, two)]
    rows += [
        (f"says so where it does not, *{kind}*", share, after["abstention_by_kind"][kind])
        for kind, share in before["abstention_by_kind"].items()
    ]
    one, two = before["false_abstention"], after["false_abstention"]
    rows += [("says so where the story does", one, two)]
    rows += [
        (f"stories of level {level[-1]} continued without a contradiction", share, after_share)
        for (level, share), after_share in zip(
            figures["continued"]["assistant"].items(), figures["continued"]["aligned"].values(),
            strict=True,
        )
    ]  # fmt: skip
    lines = ["| held-out stories | fine-tuned | aligned |", "|---|---|---|"]
    lines += [f"| {name} | {interval(one)} | {interval(two)} |" for name, one, two in rows]
    return "\n".join(lines)


def loop_sentence(figures: dict) -> str:
    """What the second round changed, with intervals."""
    parts = []
    for name, change in figures["changes"].items():
        fraction = change["fraction"]
        parts.append(
            f"{name} {fraction['value']:+.1%} [{fraction['low']:+.1%}, {fraction['high']:+.1%}]"
        )
    return f"One round of the loop changed the bits per byte of conversations: {', '.join(parts)}."


def faults(text: str) -> str:
    """What contradicts itself in a story, in the checker's words."""
    found = check_story(text).contradictions
    return f" *(The checker: {'; '.join(found)}.)*" if found else ""


def assistant_section(figures: dict) -> str:
    """What the run made of its base model: an assistant, an aligned one, a small one, a second."""
    int8, int4 = (figures["smaller"][name] for name in ("int8", "int4"))
    return (
        f"The assistant, asked the questions of {STORIES_PER_LEVEL} stories a level, greedily,"
        f" with 95 % intervals:\n\n{assistant_table(figures)}\n\n"
        f"Aligned and then in int8, {int8['full_bytes'] / int8['bytes']:.1f} times smaller, its"
        f" perplexity changes by {int8['perplexity_change_fraction']:+.2%}; in int4 with a scale"
        f" for 32 weights and GPTQ, {int4['full_bytes'] / int4['bytes']:.1f} times smaller, by"
        f" {int4['perplexity_change_fraction']:+.2%}. {loop_sentence(figures)}\n\n"
    )


def readme_section(figures: dict) -> str:
    """The README's account of the run: every figure is one of `data/results/laptop.json`."""
    model, peers, course = figures["model"], figures["peers"], figures["course"]
    remark = f" ({figures['remark']})" if figures["remark"] else ""
    samples = "\n\n".join(
        f"> {each[0]['text']}{faults(each[0]['text'])}" for each in figures["samples"].values()
    )
    return (
        f"{SECTION[0]}\nMade with `{figures['command']}` on {figures['machine']},"
        f" {figures['date']}; recorded by `python tools/record.py`{remark}. The whole course"
        f" took {course['total_seconds'] / 60:.1f} minutes, {model['seconds'] / 60:.1f} of them"
        " pretraining:"
        f" {model['parameters']:,} parameters, {model['steps']:,} steps over {model['tokens']:,}"
        " tokens.\n\n"
        "Held-out text, bits per byte (`minillm bench`): the model"
        f" **{peers['model_bits_per_byte']:.3f}**, an interpolated Kneser–Ney 5-gram over the same"
        f" tokens and training text {peers['kneser_ney_5_gram_bits_per_byte']:.3f}, `xz -9`"
        f" {peers['xz_bits_per_byte']:.3f}.\n\n"
        f"{STORIES_PER_LEVEL} held-out openings a level, temperature .8, top-p .95, read by the"
        f" story world's checker:\n\n{story_table(figures['stories'])}\n\n"
        f"{assistant_section(figures) if 'questions' in figures else ''}"
        "The training ends with the minutes, so a slower machine reads less and scores lower, and"
        " a faster one the other way round. The first sample of each level, faults and all:\n\n"
        f"{samples}\n\n"
    )


def with_figures(readme: str, figures: dict) -> str:
    """The README with its picture and its account of the run made afresh from the figures."""
    for (begin, end), text in (
        (PICTURE, pipeline_picture(figures)),
        (SECTION, readme_section(figures)),
    ):
        start = readme.index(begin)
        stop = readme.index(end, start + len(begin))
        stop += len(end) if end == PICTURE[1] else 0
        readme = readme[:start] + text + readme[stop:]
    return readme
