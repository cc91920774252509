"""The report as one page of HTML: time series, tests, planted events; no script, nothing fetched.

In: a report's fields as `drift.json` has them. Out: a page that opens from disk, on a desk and on a
phone. The one idea: it must show on any machine and for years, so it holds all that it needs; and
all text from the log is escaped, since users choose it.
"""

import math
from collections.abc import Sequence
from html import escape

from minillm.monitor.chart import Series, chart, short

Fields = dict
DECISION_COLOURS = {"alarm": "wrong", "warning": "highlight", "none": "good", "too few": "muted"}
# drawn where a p-value is so small that its logarithm would flatten all others
SMALLEST_P = 1e-12


STYLE = """
:root { color-scheme: light; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; }
main { max-width: 72rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.charts { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
figure { margin: 0; } figcaption { font-weight: 600; font-size: .95rem; }
svg { display: block; width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; }
.lines { list-style: none; padding: 0; } .lines li { padding: .35rem .6rem; margin: .3rem 0;
  background: #f6f6f6; border-left: 4px solid #BBBBBB; overflow-wrap: anywhere; }
.lines .alarm, .lines .misuse { border-color: #B0467F; } .lines .warning { border-color: #E69F00; }
.lines .quiet { border-color: #009E73; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid #ddd;
  white-space: nowrap; }
th:first-child, td:first-child, .words { text-align: left; }
td.alarm { color: #B0467F; font-weight: 600; } td.warning { color: #8a5d00; font-weight: 600; }
"""


# package only
def estimates(
    healths: Sequence[Fields], field: str, name: str, colour: str = "data", bars: bool = True
) -> Series:
    """A series of estimates with their intervals."""
    found = [each[field] for each in healths]
    return Series(
        name=name, values=[each and each["value"] for each in found], colour=colour,
        intervals=[(e["low"], e["high"]) if e else (None, None) for e in found] if bars else (),
    )  # fmt: skip


# package only
def health_charts(report: Fields, planted: Sequence[str]) -> list[str]:
    """How the service felt, window by window; the bars are 95 % intervals."""
    healths = [report["reference"], *(each["health"] for each in report["windows"])]
    rate = Series(name="requests", values=[each["requests_per_s"] for each in healths])
    tokens = Series(name="tokens written", values=[each["tokens_per_s"] for each in healths])
    latency = [
        estimates(healths, "latency_median_ms", "median"),
        estimates(healths, "latency_p95_ms", "95 % are faster", "model", bars=False),
    ]
    errors = [
        estimates(healths, "client_errors", "refused (4xx)", "highlight"),
        estimates(healths, "server_errors", "failed (5xx)", "wrong"),
    ]
    first = [estimates(healths, "first_token_median_ms", "median")]
    return [
        chart("Traffic", "requests/s", [rate], planted),
        chart("Latency", "ms", latency, planted),
        chart("Time to first token", "ms", first, planted),
        chart("Throughput", "tokens/s", [tokens], planted),
        chart("Errors", "share", errors, planted),
        chart("Thumbs up", "share", [estimates(healths, "thumbs_up", "of ratings")], planted),
    ]


# package only
def evidence(p_value: float | None) -> float | None:
    """−log10 of a p-value: 1.3 at .05, 3 at .001."""
    return None if p_value is None else -math.log10(max(p_value, SMALLEST_P))


# package only
def drift_charts(report: Fields, planted: Sequence[str]) -> list[str]:
    """For each signal how strong the evidence of drift is, and what an alarm asks for."""
    windows, charts = report["windows"], []
    levels = Series(
        name="alarm from here", colour="reference", is_step=True,
        values=[None, *(evidence(each["drift"]["alarm_level"]) for each in windows)],
    )  # fmt: skip
    for index, signal in enumerate(windows[0]["drift"]["signals"]):
        found = [each["drift"]["signals"][index] for each in windows]
        colours = ["muted", *(DECISION_COLOURS[each["decision"]] for each in found)]
        strength = Series(
            name=signal["test"], point_colours=colours,
            values=[None, *(evidence(each["adjusted_p"]) for each in found)],
        )  # fmt: skip
        title = signal["signal"].capitalize()
        charts.append(chart(title, "−log10 adjusted p", [strength, levels], planted))
    return charts


# package only
def misuse_chart(report: Fields, planted: Sequence[str]) -> str:
    """The points of each window's busiest client, flagged ones in another colour."""
    tops = [each["misuse"][0] for each in report["windows"]]
    uses = [verdict["use"] for verdict in tops]
    points = [use["num_requests"] + use["num_repeats"] + use["num_marked"] for use in uses]
    colours = ["muted", *("wrong" if verdict["is_flagged"] else "good" for verdict in tops)]
    series = Series(name="points (pink: flagged)", values=[None, *points], point_colours=colours)
    return chart("Busiest client", "points", [series], planted)


# package only
def table(heads: Sequence[str], rows: Sequence[Sequence[str]], mark: int | None = None) -> str:
    """A table that scrolls sideways where it is wider than the screen."""
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = ""
    for row in rows:
        classes = [f' class="{escape(cell)}"' if at == mark else "" for at, cell in enumerate(row)]
        cells = [f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(classes, row, strict=True)]
        body += f"<tr>{''.join(cells)}</tr>"
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


# package only
def drift_rows(windows: Sequence[Fields]) -> list[list[str]]:
    """Every test of every window."""
    return [
        [
            str(window["number"]), each["signal"], each["test"],
            f"{each['num_reference']} : {each['num_live']}",
            short(each["reference_median"]), short(each["live_median"]), short(each["statistic"]),
            short(each["p_value"]), short(each["adjusted_p"]),
            short(window["drift"]["alarm_level"]), each["decision"],
        ]
        for window in windows for each in window["drift"]["signals"]
    ]  # fmt: skip


# package only
def said(lines: Sequence[str]) -> str:
    """The lines for an operator, each with the colour of its kind."""
    items = [
        f'<li class="{escape(line.partition(":")[0])}">{escape(line)}</li>' for line in lines
    ] or ['<li class="quiet">no alarm</li>']
    return f'<ul class="lines">{"".join(items)}</ul>'


# package only
def page(report: Fields) -> str:
    """The whole page, from a report's fields and its lines."""
    windows, size = report["windows"], report["config"]["drift"]["window_requests"]
    planted = [each["planted"][0] if each["planted"] else "" for each in windows]
    alpha = report["config"]["drift"]["alpha"]
    heads = ("window", "signal", "test", "n", "median before", "median now", "statistic", "p",
             "adjusted p", "alarm at", "decision")  # fmt: skip
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    intro = (
        f"{len(windows)} windows of {size} requests after a reference of "
        f"{report['reference']['count']}. Bars: 95 % intervals. Shaded: planted events, if known."
    )
    drift_note = (
        f"Without drift at most {100 * alpha:g} % of watches ever see an alarm (pink), and at most "
        f"{100 * alpha:g} % of windows a warning (orange). One request of each client counts."
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,"><title>Requests watched</title><style>{STYLE}</style></head>
<body><main><h1>Requests watched</h1><p>{escape(intro)}</p>{said(report["lines"])}
<h2>Health</h2><div class="charts">{"".join(health_charts(report, planted))}</div>
<h2>Drift</h2><p>{escape(drift_note)}</p>
<div class="charts">{"".join(drift_charts(report, planted))}</div>
<h2>Misuse</h2><div class="charts">{misuse_chart(report, planted)}</div>
<h2>Every test</h2>{table(heads, drift_rows(windows), mark=len(heads) - 1)}
</main></body></html>
"""
