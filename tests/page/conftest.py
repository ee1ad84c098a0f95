"""The page in headless Chromium, with a file for its microphone, on servers with models.

A file of tests that needs a microphone says what it hears by a fixture of its own:

    @pytest.fixture(scope="module")
    def microphone() -> Path:
        return SPEECH / "whats_your_name.wav"
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from benchmarks.small_model import run_small_model
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from running_server import RunningServer

TESTS = Path(__file__).parents[1]
AXE = TESTS / "js" / "node_modules" / "axe-core" / "axe.min.js"
MOST_PICTURE_BYTES = 80_000
FLAGS = [
    "--no-sandbox",  # for root, as in containers; it opens nothing but this page
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
StartServer = Callable[..., AbstractContextManager[RunningServer]]


@dataclass
class Visit:
    """A tab with the page in it, and what went wrong there."""

    page: Page
    origin: str
    refusals: tuple[int, ...]
    problems: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self._follow(request.url))

    def _note(self, kind: str, text: str) -> None:
        is_expected = any(
            f"Failed to load resource: the server responded with a status of {status}" in text
            for status in self.refusals
        )
        if kind in {"error", "warning"} and not is_expected:
            self.problems.append(text)

    def _follow(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"blob", "data"} and f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.strangers.append(url)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def microphone() -> Path | None:
    """What the microphone hears, once, from the moment it is opened; None: Chromium's own beeps."""
    return None


@pytest.fixture(scope="module")
def browser(playwright: Playwright, microphone: Path | None) -> Iterator[Browser]:
    """Chromium; one for each file of tests."""
    hears = [f"--use-file-for-fake-audio-capture={microphone}%noloop"] if microphone else []
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "these tests want Chromium: apt-get install chromium"
    running = playwright.chromium.launch(executable_path=program, args=[*FLAGS, *hears])
    yield running
    running.close()


@pytest.fixture(scope="session")
def voice_server(
    start_server: StartServer, asr_server: RunningServer, tts_server: RunningServer
) -> Iterator[RunningServer]:
    """The Voice server with real models behind it: Whisper, a voice, a small language model."""
    with run_small_model() as model:
        around = {"CHAT_ASR_URL": asr_server.url, "CHAT_TTS_URL": tts_server.url, "CHAT_LLM_URL": model.url}
        around["CHAT_LLM_OPTIONS"] = '{"temperature": 0}'  # the same words in every run
        with start_server("chat", **around) as server:
            yield server


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`visit(server.url + "/#captions")`: the page in a new tab, with Playwright's options of a context.

    At the end of the test there must have been no error or warning in its console, and no request to somebody else.
    `refusals=(401,)`: statuses that are meant to come.
    """
    visits: list[Visit] = []

    def open_page(url: str, *, refusals: tuple[int, ...] = (), **options: object) -> Page:
        page = browser.new_page(**{"viewport": {"width": 1000, "height": 800}, "reduced_motion": "reduce", **options})
        parts = urlsplit(url)
        visits.append(Visit(page, f"{parts.scheme}://{parts.netloc}", refusals))
        visits[-1].watch()
        page.goto(url)
        return page

    yield open_page
    for one in visits:
        one.page.close()
    assert [(one.problems, one.strangers) for one in visits] == [([], [])] * len(visits)


def expect_accessible(page: Page) -> None:
    """axe-core finds no serious or critical fault in what is shown."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run().then((result) => result.violations)")
    faults = {
        fault["id"]: [node["html"] for node in fault["nodes"]]
        for fault in found
        if fault["impact"] in {"serious", "critical"}
    }
    assert faults == {}


def take_picture(page: Page, name: str) -> None:
    """The picture `name.png` of the docs, where `SCREENSHOTS` names their folder."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        path = Path(folder) / f"{name}.png"
        page.screenshot(path=path, animations="disabled", caret="hide")
        assert path.stat().st_size < MOST_PICTURE_BYTES, f"{path} is too large for the docs"
