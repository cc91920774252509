"""The chat page in a browser: it opens, streams, stops, takes judgements, and asks nobody else."""

import hashlib
from pathlib import Path

from playwright.sync_api import Browser, Page

from minillm.serve.config import ServeConfig
from minillm.serve.process import running_server
from minillm.serve.request_log import REQUEST_LOG, read_requests
from tests.browser import browser  # noqa: F401  a fixture
from tests.serve.small import small_run

KEY = "correct-horse"
REPLY = "article.assistant .said"


def open_page(browser: Browser, url: str, **size: int) -> tuple[Page, list[str]]:
    """A page, and what it complains about or asks of others."""
    page, complaints = browser.new_page(viewport=size or None), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request", lambda asked: asked.url.startswith(url) or complaints.append(asked.url)
    )
    page.goto(url)
    page.set_default_timeout(10_000)
    return page, complaints


def say(page: Page, text: str, tokens: int) -> None:
    page.locator("details").evaluate("each => each.open = true")
    page.fill("#tokens", str(tokens))
    page.fill("#text", text)
    page.press("#text", "Enter")


def length_above(page: Page, least: int) -> int:
    """How long the reply is, once it is longer than that."""
    for _ in range(500):
        length = len(page.locator(REPLY).text_content())
        if length > least:
            return length
        page.wait_for_timeout(10)
    raise AssertionError(f"the reply stays at {length} characters")


def test_a_conversation_on_the_page(browser: Browser, tmp_path: Path) -> None:
    run = small_run(tmp_path, kind="assistant")
    with running_server(run, ServeConfig(max_tokens=2000, log_text=True)) as url:
        page, complaints = open_page(browser, url)
        page.wait_for_selector("text=small-assistant")
        assert page.input_value("#mode") == "chat"
        say(page, "Who has the <b>ball</b>?", 20)
        page.wait_for_selector(".judge")
        assert page.locator("article.user .said").inner_text() == "Who has the <b>ball</b>?"
        assert len(page.locator(REPLY).inner_text()) > 10
        assert page.locator("#text").evaluate("each => each === document.activeElement")
        page.click("[aria-label='A good reply']")
        page.wait_for_selector("text=Thank you.")
        page.click("[aria-label='A bad reply']")
        page.fill("[aria-label='Correction']", "Tom has the ball.")
        page.click("button:text('Save')")
        page.wait_for_selector("text=Correction kept.")
        assert page.get_attribute("[aria-label='A bad reply']", "aria-pressed") == "true"
        (row,) = read_requests(run.path / REQUEST_LOG)
        assert (row.rating, row.correction) == (-1, "Tom has the ball.")
        assert row.prompt == "Who has the <b>ball</b>?"
        assert page.locator(REPLY).text_content().strip() == row.reply.strip()
        assert complaints == []


def test_a_reply_grows_and_escape_stops_it(browser: Browser, tmp_path: Path) -> None:
    run = small_run(tmp_path)
    with running_server(run, ServeConfig(max_tokens=2000)) as url:
        page, complaints = open_page(browser, url, width=360, height=640)
        page.wait_for_selector("text=continues what you write")
        assert page.input_value("#mode") == "continue"
        say(page, "Ann has a", 1900)
        early = length_above(page, 20)
        length_above(page, early)
        assert page.is_visible("#stop") and not page.is_visible("#send")
        page.keyboard.press("Escape")
        page.wait_for_selector(".judge")
        assert page.is_visible("#send")
        page.wait_for_timeout(200)
        (row,) = read_requests(run.path / REQUEST_LOG)
        assert row.status == 499 and 0 < row.completion_tokens < 1900
        page.click("[aria-label='A bad reply']")
        page.wait_for_selector("text=Thank you.")
        # nothing is wider than a phone
        wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert page.evaluate(wide)
        assert complaints == []


def test_the_page_asks_for_the_key_and_shows_errors(browser: Browser, tmp_path: Path) -> None:
    run = small_run(tmp_path, context_length=64)
    sha256 = hashlib.sha256(KEY.encode()).hexdigest()
    with running_server(run, ServeConfig(api_key_sha256=sha256)) as url:
        page, _ = open_page(browser, url)  # a browser reports each 401 in its console
        page.wait_for_selector("#key:visible")
        page.fill("#key", KEY)
        page.press("#key", "Tab")
        page.wait_for_selector("text=small-model")
        say(page, "a" * 200, 5)
        page.wait_for_selector("article.fault")
        assert "do not fit" in page.locator("article.fault .said").inner_text()
        assert page.input_value("#text") == "a" * 200, "what was written is not lost"
        say(page, "Ann", 5)
        page.wait_for_selector(".judge")
