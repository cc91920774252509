"""The page in a browser: everything is drawn, nothing is fetched, nothing from the log is run."""

import dataclasses
import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from minillm.monitor.chart import Series, chart, round_top
from minillm.monitor.watch import watch, write_report
from tests.browser import browser  # noqa: F401  a fixture
from tests.monitor.logs import usual
from tests.monitor.test_watch import CONFIG, planted_log


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report's folder, from a log in which a client has an ugly name."""
    folder = tmp_path_factory.mktemp("report")
    requests, events = planted_log()
    loud = requests[200].client
    ugly = [
        dataclasses.replace(each, client='<img src=x onerror="alert(1)">')
        if each.client == loud else each
        for each in requests
    ]
    write_report(watch(ugly, CONFIG, event_by_id=events), folder)
    return folder


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_shows_on_desk_and_phone_without_errors_or_requests(
    report: Path, browser: Browser, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    faults, asked = [], []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((report / "index.html").as_uri())
    assert faults == [] and [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert page.locator("svg").count() == 11
    assert page.locator("li.alarm").count() == 1 and page.locator("li.misuse").count() == 1
    assert page.locator("td.alarm").count() == 1
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, "the page scrolls sideways"
    for name in ("drift", "attack"):
        assert page.locator("svg text", has_text=name).count() == 11
    page.close()


def test_what_users_wrote_is_shown_and_never_run(report: Path) -> None:
    text = (report / "index.html").read_text()
    assert "<img" not in text and "&lt;img src=x" in text and "<script" not in text
    lines = json.loads((report / "drift.json").read_text())["lines"]
    assert any("<img" in line for line in lines), "the JSON keeps the name as it is"


def test_without_an_alarm_the_page_says_so(tmp_path: Path) -> None:
    import numpy as np

    write_report(watch(usual(200, np.random.default_rng(1)), CONFIG), tmp_path)
    assert '<li class="quiet">no alarm</li>' in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    "value, top", [(0, 1), (0.3, 0.5), (1, 1), (1.01, 2), (37, 50), (501, 1000)]
)
def test_the_axis_ends_at_a_round_number(value: float, top: float) -> None:
    assert round_top(value) == pytest.approx(top)


@pytest.mark.parametrize("values", [[None, None], [3.0, None], [0.0, 0.0]])
def test_a_chart_without_values_or_with_gaps_is_still_drawn(values: list[float | None]) -> None:
    picture = chart("Traffic", "requests/s", [Series(name="a", values=values)], ["calm"])
    assert picture.count("<circle") == sum(value is not None for value in values)
    assert "nan" not in picture and "inf" not in picture
