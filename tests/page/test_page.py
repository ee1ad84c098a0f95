"""The page itself: what it loads, how it looks, who can use it."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from page.conftest import StartServer, expect_accessible
from running_server import RunningServer
from voice_stack.core.http.keys import KeyFile, make_key

Open = Callable[..., Page]
KEY = "key-of-these-tests"


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    return KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture(scope="module")
def listening_key(keys_file: KeyFile) -> str:
    """Of somebody who may have speech written down, and look at nothing."""
    key, named = make_key("listener", ["asr"])
    keys_file.add(named)
    return key


@pytest.fixture(scope="module")
def locked(
    start_server: StartServer, fake_asr: RunningServer, fake_tts: RunningServer, keys_file: KeyFile
) -> Iterator[RunningServer]:
    """A Voice server that wants a key, below a path and with another prefix."""
    around = {"CHAT_ASR_URL": f"{fake_asr.url}/v1", "CHAT_TTS_URL": f"{fake_tts.url}/v1", "API_KEYS": KEY}
    around |= {"API_KEYS_FILE": str(keys_file.path), "CHAT_ROOT_PATH": "/voice", "API_V1_STR": "/api"}
    with start_server("chat", **around) as server:
        yield server


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_part_is_accessible_on_a_wide_screen_and_on_a_phone(
    visit: Open, voice_server: RunningServer, scheme: str
) -> None:
    page = visit(voice_server.url, color_scheme=scheme)
    for tab in page.get_by_role("tab").all():
        tab.click()
        expect(page.get_by_role("tabpanel")).to_have_count(1)
        expect_accessible(page)
        page.set_viewport_size({"width": 360, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") == 360, tab.text_content()
        expect_accessible(page)
        page.set_viewport_size({"width": 1000, "height": 800})


def test_a_key_is_asked_for_once_and_stays_in_the_tab(visit: Open, locked: RunningServer) -> None:
    page = visit(f"{locked.url}/voice/#status", refusals=(401,))
    dialog = page.get_by_role("dialog")
    for wrong, told in (("no-such-key", "Incorrect API key"), ("schlüssel☂", "characters that no key has")):
        dialog.get_by_label("Key").fill(wrong)
        dialog.get_by_label("Key").press("Enter")
        expect(dialog).to_contain_text(told)
    expect_accessible(page)
    dialog.get_by_label("Key").fill(KEY)
    dialog.get_by_label("Key").press("Enter")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("article", name="Text to speech")).to_contain_text("Ready")
    expect(page.locator("#key")).to_contain_text("API_KEYS[1]")
    page.reload()
    expect(page.get_by_role("article", name="Voice server")).to_contain_text("Ready")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]


def test_a_browser_that_keeps_nothing_for_pages_has_a_key_all_the_same(visit: Open, locked: RunningServer) -> None:
    page = visit(f"{locked.url}/voice/#status")
    page.add_init_script(
        "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('no'); } });"
    )
    page.reload()
    page.get_by_role("dialog").get_by_label("Key").fill(KEY)
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("article", name="Text to speech")).to_contain_text("Ready")


def test_who_gives_no_key_is_left_alone_and_who_may_do_less_is_told(
    visit: Open, locked: RunningServer, listening_key: str
) -> None:
    page = visit(f"{locked.url}/voice/#status", refusals=(403,))
    page.get_by_role("button", name="Not now").click()
    expect(page.get_by_role("article", name="Voice server")).to_contain_text("This server wants a key")
    page.wait_for_timeout(2500)  # it would ask again after 2 s
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Give a key").click()
    page.get_by_role("dialog").get_by_label("Key").fill(listening_key)
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#key")).to_contain_text("listener (asr)")
    expect(page.get_by_role("article", name="Voice server")).to_contain_text("Missing scopes: admin")


def test_the_arrow_keys_walk_through_the_tabs(visit: Open, voice_server: RunningServer) -> None:
    page = visit(voice_server.url)
    tabs = page.get_by_role("tab")
    tabs.first.focus()
    for number in range(1, tabs.count() + 1):
        page.keyboard.press("ArrowRight")
        walked = tabs.nth(number % tabs.count())
        expect(walked).to_be_focused()
        expect(walked).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Tab")
    expect(tabs.first).not_to_be_focused()
    assert re.search(r"#\w+$", page.url)
