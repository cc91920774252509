"""The course's pictures: one palette, one meaning per colour, and the map of the pipeline.

The colours are Okabe and Ito's (Color Universal Design, 2008): colour-blind readers can tell them
apart.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

COLOUR = {
    "data": "#0072B2",
    "model": "#D55E00",
    "reference": "#555555",
    "good": "#009E73",
    "wrong": "#CC79A7",
    "highlight": "#E69F00",
    "muted": "#BBBBBB",
    "level1": "#56B4E9",
    "level2": "#0072B2",
    "level3": "#003A5D",
    "level4": "#000000",
}

ROOMS = (
    ("corpus", "documents"),
    ("tokenizer", "tokens"),
    ("batches", "batches"),
    ("model", "logits"),
    ("train", "checkpoint"),
    ("align", "assistant"),
    ("evaluate", "scores"),
    ("compress", "smaller"),
    ("serve", "replies"),
    ("monitor", "alarm"),
)


# package only
def use_style() -> None:
    """Set matplotlib's defaults for the whole course; call it once, in a notebook's first cell."""
    plt.rcParams.update(
        {
            "figure.dpi": 80,
            "savefig.dpi": 80,
            "figure.figsize": (8, 3.6),
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.grid": True,
            "grid.color": "#EEEEEE",
            "axes.axisbelow": True,
            "axes.prop_cycle": plt.cycler(
                color=[
                    COLOUR[name]
                    for name in ("data", "model", "good", "highlight", "wrong", "reference")
                ]
            ),
            "image.cmap": "cividis",
            "legend.frameon": False,
        }
    )


# package only
def draw_room(ax: Axes, index: int, is_lit: bool) -> None:
    """One box of the map: a room's name, and below it what the room leaves."""
    room, leaves = ROOMS[index]
    face = COLOUR["highlight"] if is_lit else "#F2F2F2"
    edge = COLOUR["reference"] if is_lit else COLOUR["muted"]
    corner, style = (index + 0.04, 0.3), "round,pad=0.03"
    ax.add_patch(
        FancyBboxPatch(corner, 0.78, 0.5, boxstyle=style, facecolor=face, edgecolor=edge)
    )
    words = {"ha": "center", "va": "center"}
    ax.text(index + 0.43, 0.62, room, fontsize=9, weight="bold" if is_lit else "normal", **words)
    ax.text(index + 0.43, 0.42, f"→ {leaves}", fontsize=7, color=COLOUR["reference"], **words)


# package only
def pipeline(lit: str | Sequence[str]) -> None:
    """The map of the course: every room with what it leaves, this notebook's own lit."""
    lit_rooms = {lit} if isinstance(lit, str) else set(lit)
    names = [room for room, _ in ROOMS]
    if unknown := lit_rooms - set(names):
        raise ValueError(f"lit = {sorted(unknown)}: choose from {', '.join(names)}")
    _, ax = plt.subplots(figsize=(9.6, 1.0))
    ax.set_axis_off()
    ax.set(xlim=(-0.1, len(ROOMS)), ylim=(0, 1))
    for index, room in enumerate(names):
        draw_room(ax, index, room in lit_rooms)
    back = {"arrowstyle": "->", "color": COLOUR["muted"], "connectionstyle": "arc3,rad=-0.02"}
    ax.annotate("", xy=(0.4, 0.24), xytext=(len(ROOMS) - 0.57, 0.24), arrowprops=back)
    ax.text(
        len(ROOMS) / 2, 0.1, "new data, and the next round", ha="center", va="center",
        fontsize=7, color=COLOUR["reference"], backgroundcolor="white",
    )  # fmt: skip
    plt.show()


# package only
def label_line(ax: Axes, line_text: str, x: float, y: float, colour: str) -> None:
    """Write a curve's name beside its end instead of in a legend."""
    ax.annotate(
        line_text,
        (x, y),
        xytext=(4, 0),
        textcoords="offset points",
        color=colour,
        va="center",
        fontsize=9,
    )


# package only
def token_strip(ax: Axes, tokens: Sequence[str], colours: Sequence[str], per_row: int = 16) -> None:
    """Tokens as coloured boxes in reading order; spaces are shown as ␣ and line ends as ⏎."""
    assert len(tokens) == len(colours), f"{len(tokens)} tokens but {len(colours)} colours"
    num_rows = -(-len(tokens) // per_row)
    ax.set_axis_off()
    ax.set(xlim=(0, per_row), ylim=(num_rows, 0))
    for index, (token, colour) in enumerate(zip(tokens, colours, strict=True)):
        row, column = divmod(index, per_row)
        ax.add_patch(
            plt.Rectangle((column + 0.03, row + 0.1), 0.94, 0.8, color=colour, alpha=0.35, lw=0)
        )
        shown = token.replace(" ", "␣").replace("\n", "⏎")
        ax.text(column + 0.5, row + 0.5, shown, ha="center", va="center", fontsize=8)
