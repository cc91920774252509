"""The report card as one page: a table of all figures, a column for each model, intervals drawn.

In: cards and the report. Out: HTML that needs nothing else: no script, no font, no picture from
outside. Each interval is a small inline SVG on the scale of its row, so that columns can be
compared by eye; whether two models differ is for the gate to say, which compares in pairs.
"""

import html
from collections.abc import Iterator, Mapping

from minillm.evaluate.card import Card, Figure
from minillm.evaluate.gate import RULE

PAGE = "card.html"
WIDTH, HEIGHT = 120, 14
COLOUR = {"interval": "#0072B2", "value": "#D55E00", "axis": "#BBBBBB"}
WAY = {"higher": "↑", "lower": "↓", "zero": "→ 0", "none": ""}
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem;
  padding: 0 1rem; color: #222 }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #e5e5e5;
  vertical-align: top }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap }
tr.group th { padding-top: 1.2rem; border-bottom: 2px solid #222 }
small { color: #555 } .no { color: #b00020; font-weight: bold } .yes { color: #00694f }
"""


# package only
def page(cards: Mapping[str, Card], report: Mapping[str, object]) -> str:
    """The whole page."""
    heads = "".join(
        f"<th>{html.escape(kind)} <small>({card.form}, {card.sha256[:8]})</small></th>"
        for kind, card in cards.items()
    )
    rows = "".join(table_rows(cards))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Report card</title><style>{STYLE}</style></head><body><h1>Report card</h1>"
        "<p>Each score with its 95 % interval and the number of items. ↑ higher is better, "
        "↓ lower is better. ● is guarded by the gate.</p>"
        f"{gate_text(report)}<table><thead><tr><th>score</th>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table>{contamination_text(report)}</body></html>\n"
    )


# package only
def table_rows(cards: Mapping[str, Card]) -> Iterator[str]:
    """A row for each figure that some model has, below the name of its group."""
    names = dict.fromkeys(name for card in cards.values() for name in card.figures)
    group = None
    for name in sorted(names, key=lambda each: each.partition("/")[0]):
        first, _, rest = name.partition("/")
        if first != group:
            group = first
            words = html.escape(first.replace("_", " "))
            yield f'<tr class="group"><th colspan="{len(cards) + 1}">{words}</th></tr>'
        yield row(rest.replace("_", " "), [card.figures.get(name) for card in cards.values()])


# package only
def row(name: str, figures: list[Figure | None]) -> str:
    """One score of every model, all on one scale."""
    there = [each for each in figures if each is not None]
    low, high = min(0.0, *(f.low for f in there), 0.0), max(f.high for f in there)
    # a share is drawn from 0 to 1, anything else as far as its widest interval reaches
    high = 1.0 if 0 <= low and high <= 1 else high
    one = there[0]
    mark = " ●" if one.guard != "never" else ""
    label = f"{html.escape(name)} {WAY[one.better]}{mark}<br><small>{html.escape(one.meaning)}"
    cells = "".join(f'<td class="number">{cell(each, low, high)}</td>' for each in figures)
    return f"<tr><td>{label}</small></td>{cells}</tr>"


# package only
def cell(figure: Figure | None, low: float, high: float) -> str:
    """Value, interval, number of items, and the picture of it."""
    if figure is None:
        return "<small>—</small>"
    ends = f"[{figure.low:.3f}, {figure.high:.3f}]"
    words = f"{figure.value:.3f} <small>{ends} n = {figure.n}, seed {figure.seed}</small>"
    return f"{interval_svg(figure, low, high)}<br>{words}"


# package only
def interval_svg(figure: Figure, low: float, high: float) -> str:
    """The interval as a bar on the scale from `low` to `high`, the value as a stroke."""
    span = (high - low) or 1.0

    def place(value: float) -> float:
        return round(4 + (WIDTH - 8) * (value - low) / span, 1)

    left, right, middle = place(figure.low), place(figure.high), place(figure.value)
    title = f"{figure.value:.3f}, interval {figure.low:.3f} to {figure.high:.3f}"
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{title}">'
        f'<line x1="4" x2="{WIDTH - 4}" y1="7" y2="7" stroke="{COLOUR["axis"]}"/>'
        f'<rect x="{left}" y="4" width="{max(1.0, round(right - left, 1))}" height="6" '
        f'fill="{COLOUR["interval"]}" opacity=".45"/>'
        f'<line x1="{middle}" x2="{middle}" y1="1" y2="13" stroke="{COLOUR["value"]}" '
        'stroke-width="2"/></svg>'
    )


# package only
def gate_text(report: Mapping[str, object]) -> str:
    """Which model is the best, by which rule, and what each comparison found."""
    lines = []
    for each in report["gate"]:
        said = "accepted" if each["accepted"] else "refused"
        tone = "yes" if each["accepted"] else "no"
        why = "; ".join(each["reasons"] or each["changes"] or ["no guarded score in common"])
        lines.append(
            f'<li>{html.escape(each["candidate"])} against {html.escape(each["against"])}: '
            f'<span class="{tone}">{said}</span>: <small>{html.escape(why)}</small></li>'
        )
    rule = html.escape(RULE.format(margin=report["margin"]))
    best = html.escape(str(report["best"]))
    return f"<p>Best by the gate: <b>{best}</b>. Rule: {rule}.</p><ul>{''.join(lines)}</ul>"


# package only
def contamination_text(report: Mapping[str, object]) -> str:
    """How many items share words with the training text."""
    lines = "".join(
        f"<li>{html.escape(kind)}: {each['share_a_run']} of {each['items']} share a run of 13 "
        f"words with a training document, {each['wholly_in_training']} stand there wholly</li>"
        for kind, each in report["contamination"].items()
    )
    unknown = "<p>The training text of this model is not known here.</p>"
    return f"<h2>Contamination</h2>{f'<ul>{lines}</ul>' if lines else unknown}"
