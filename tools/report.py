"""The page at the end of a course: what was made, how large, how good, how long it took.

One folder, `runs/<run>/report/`, that needs nothing from outside: `index.html` with tables, the
loss curve and sample texts, and every executed notebook as a page. `runs/<run>/figures.json` holds
the same figures for programs.
"""

import base64
import html
import io
import json
import os
import platform
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from nbconvert import HTMLExporter

from minillm.core import draw
from minillm.core.progress import duration
from minillm.core.records import Artifact, Run, atomic_write, read_json_lines
from minillm.model.generate import continued_text
from minillm.stages import STAGES
from minillm.train.checkpoint import load_model

FIGURES = "figures.json"
LOG = Path("logs") / "pretrain.jsonl"
OPENINGS = ("Once upon a time", "One morning", "In the village")
SAMPLE_TEMPERATURE, SAMPLE_TOP_P, SAMPLE_TOKENS = 0.8, 0.95, 160
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse } td, th { padding: .2em 1em .2em 0; text-align: left }
td.number { text-align: right; font-variant-numeric: tabular-nums }
blockquote { border-left: 4px solid #bbb; margin: 1em 0; padding: 0 1em; white-space: pre-wrap }
img { max-width: 100% } .muted { color: #666 }
"""
# Nothing on a page is fetched from elsewhere; formulas stay as they were typed.
OFFLINE = {
    "mathjax_url": "",
    "require_js_url": "",
    "jquery_url": "",
    "mermaid_js_url": "",
    "widget_renderer_url": "",
    "jupyter_widgets_base_url": "",
}


def peak_memory_gib() -> float | None:
    """The most that one notebook's process has held; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(peak / (2**30 if sys.platform == "darwin" else 2**20), 2)


def artifacts(run: Run) -> list[Artifact]:
    """The run's finished artifacts, in the order of the stages."""
    paths = [run.path / kind for kind in STAGES]
    return [Artifact.load(path) for path in paths if (path / "manifest.json").is_file()]


def samples(model_folder: Path) -> list[str]:
    """What the model writes: one text for each opening, the same every time."""
    model, tokenizer = load_model(model_folder)
    generator = torch.Generator().manual_seed(0)
    options = {"temperature": SAMPLE_TEMPERATURE, "top_p": SAMPLE_TOP_P, "generator": generator}
    return [
        opening + continued_text(model, tokenizer, opening, max_tokens=SAMPLE_TOKENS, **options)
        for opening in OPENINGS
    ]


def loss_curve(log: Path) -> str:
    """The loss of every step, as an image inside the page."""
    # a spike has a loss, too, and stands under a step that was left out or given up
    lines = [line for line in read_json_lines(log) if line["event"] == "step"]
    draw.use_style()
    fig, ax = plt.subplots(figsize=(7, 3))
    ax.plot([x["step"] for x in lines], [x["loss"] for x in lines], color=draw.COLOUR["model"])
    ax.set(xlabel="step", ylabel="loss (nats per token)", title="Loss over training")
    picture = io.BytesIO()
    fig.savefig(picture, format="png", bbox_inches="tight")
    plt.close(fig)
    data = base64.b64encode(picture.getvalue()).decode()
    return f'<img alt="loss over training steps" src="data:image/png;base64,{data}">'


def table(rows: list[tuple[str, str]]) -> str:
    """Two columns: a name (or a link), and its value."""
    lines = [f'<tr><td>{name}</td><td class="number">{value}</td></tr>' for name, value in rows]
    return f"<table>{''.join(lines)}</table>"


def number(value: object) -> str:
    """A figure as a person reads it; groups and lists in one line."""
    if isinstance(value, dict):
        pairs = [f"{html.escape(key)} {number(one)}" for key, one in value.items()]
        return ", ".join(pairs) or "none"
    if isinstance(value, list):
        return ", ".join(map(number, value)) or "none"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else html.escape(str(value))


def page_path(run: Run, name: str) -> Path:
    """Where the report has the page of this notebook."""
    return run.path / "report" / f"{Path(name).stem}.html"


def forget_report(run: Run) -> None:
    """A notebook is to run again: what was said of the whole course holds no more."""
    for path in (run.path / "report" / "index.html", run.path / FIGURES):
        path.unlink(missing_ok=True)


def write_page(run: Run, name: str) -> None:
    """Write the run's executed notebook as a page of the report."""
    exporter = HTMLExporter(**OFFLINE)
    # the guard against strangers' notebooks costs most of a second, and this one is our own
    exporter.register_filter("clean_html", lambda text: text)
    page, _ = exporter.from_filename(str(run.path / "notebooks" / name))
    atomic_write(page_path(run, name), page)


def gathered(
    run: Run, seconds: dict[str, float], total: float, peak: float | None
) -> dict[str, object]:
    """The figures of a run: each artifact's own, and what the course took."""
    return {
        "run": run.name,
        "artifacts": {artifact.kind: artifact.figures for artifact in artifacts(run)},
        "seconds": seconds,
        "total_seconds": round(total, 1),
        "peak_memory_gib": peak,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def headline(figures: dict[str, object]) -> str:
    """The figures that matter most, in one line."""
    model = figures["artifacts"].get("model", {})
    names = [name for name in ("parameters", "tokens", "loss") if name in model]
    whole = [name for name in model if "/" not in name]  # of each source: in the log
    names += [name for name in whole if "bits_per_byte" in name or "consistent" in name]
    shown = [f"{name.replace('_', ' ')} {number(model[name])}" for name in names]
    memory = figures["peak_memory_gib"]
    shown += [f"largest notebook {memory:.2f} GiB"] if memory else []
    return " · ".join([*shown, f"time {duration(figures['total_seconds'])}"])


def sections(run: Run, figures: dict[str, object], links: dict[str, str]) -> list[str]:
    """The body of the page, section by section."""
    made = artifacts(run)
    body = [f"<h1>Run {html.escape(run.name)}</h1>", f"<p>{html.escape(headline(figures))}</p>"]
    body += ["<h2>What was made</h2>", table([(a.kind, html.escape(a.summary)) for a in made])]
    if (run.path / LOG).is_file():
        body += ["<h2>How it learned</h2>", loss_curve(run.path / LOG)]
    for artifact in made:
        if artifact.kind == "model":
            body += ["<h2>What it writes</h2>", '<p class="muted">As it comes, faults and all.</p>']
            body += [f"<blockquote>{html.escape(t)}</blockquote>" for t in samples(artifact.path)]
    for artifact in made:
        rows = [(html.escape(name), number(value)) for name, value in artifact.figures.items()]
        body += [f"<h2>Figures: {artifact.kind}</h2>", table(rows)]
    times = [(links[name], duration(value)) for name, value in figures["seconds"].items()]
    each_s = figures["seconds"].values()  # each rounded to a tenth, and so is the total
    is_in_a_row = figures["total_seconds"] >= sum(each_s) - 0.05 * (len(each_s) + 1)
    words = "all" if is_in_a_row else "all, some side by side"
    total = (words, duration(figures["total_seconds"]))
    return [*body, "<h2>How long it took</h2>", table([*times, total])]


def write_report(
    run: Run, seconds: dict[str, float], total: float, peak: float | None = None
) -> tuple[Path, str]:
    """Write the report of a finished course; its page, and the headline figures in one line.

    `seconds`: of each notebook; `total`: of all, where some ran beside others less than their sum.
    """
    folder = run.path / "report"
    links = {}
    for name in seconds:
        page = page_path(run, name)
        executed = run.path / "notebooks" / name
        if not page.is_file() or page.stat().st_mtime < executed.stat().st_mtime:
            write_page(run, name)
        links[name] = f'<a href="{page.name}">{page.stem}</a>'
    figures = gathered(run, seconds, total, peak)
    atomic_write(run.path / FIGURES, json.dumps(figures, indent=1, ensure_ascii=False))
    body = "\n".join(sections(run, figures, links))
    head = f'<meta charset="utf-8"><title>minillm · {html.escape(run.name)}</title>'
    head = f"<head>{head}<style>{STYLE}</style></head>"
    page = f"<!doctype html>\n<html>{head}<body>{body}</body></html>\n"
    atomic_write(folder / "index.html", page)
    return folder / "index.html", headline(figures)
