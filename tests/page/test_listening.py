"""The page listens: captions of a microphone that hears people, files as text with their picture."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from chat.scripted_model import run_scripted_model
from conftest import StartServer
from e2e.sound import samples_of, tone, wrap_pcm
from e2e.test_translated_subtitles import german
from long.test_diarization import Talk, talk  # noqa: F401 - a fixture
from page.conftest import expect_accessible, take_picture
from running_server import RunningServer

Open = Callable[..., Page]
SPEECH_DIR = os.environ.get("VOICE_STACK_SPEECH_DIR")
SAID = ("Please water the plants in the kitchen before you leave.", "Then lock the front door.")
RECORDED = ("librivox-0870", "librivox-0880")
PAUSE_S = 1.5
PATIENCE_MS = 120_000
"""For a machine on which everything is tried at once."""
WATCHED = """
const Real = WebSocket;
window.shown = [];
window.WebSocket = class extends Real {
  constructor(...given) {
    super(...given);
    window.socket = this;
    this.addEventListener("message", ({ data }) => {
      const { type, delta, transcript } = JSON.parse(data);
      if (delta || transcript) window.lastTold = { type, text: (delta || transcript).trim(), atMs: performance.now() };
    });
  }
};
addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
  const told = window.lastTold;
  if (!told) return;
  const place = document.querySelector(told.type.endsWith("delta") ? ".drafts" : ".captions");
  if (!place.textContent.includes(told.text)) return;
  window.lastTold = undefined;
  requestAnimationFrame(() => setTimeout(() => shown.push(performance.now() - told.atMs)));
}).observe(document.body, { childList: true, subtree: true, characterData: true }));
"""


@pytest.fixture(scope="module")
def texts() -> tuple[str, ...]:
    """What the microphone hears."""
    return tuple((Path(SPEECH_DIR) / f"{name}.txt").read_text("utf-8") for name in RECORDED) if SPEECH_DIR else SAID


@pytest.fixture(scope="module")
def sounds(spoken: Callable[[str], bytes]) -> list[bytes]:
    if SPEECH_DIR:
        return [(Path(SPEECH_DIR) / f"{name}.wav").read_bytes() for name in RECORDED]
    return [spoken(text) for text in SAID]


@pytest.fixture(scope="module")
def microphone(sounds: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of people where there are some, else a voice of ours; two turns with a pause between and after."""
    heard, rate = [samples_of(sound)[0] for sound in sounds], samples_of(sounds[0])[1]
    quiet = np.zeros(int(PAUSE_S * rate), np.int16)
    path = tmp_path_factory.mktemp("microphone") / "heard.wav"
    path.write_bytes(wrap_pcm(np.concatenate([heard[0], quiet, heard[1], quiet]).tobytes(), rate))
    return path


@pytest.fixture(scope="module")
def film(sounds: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes of speech."""
    samples, rate = samples_of(sounds[0])
    path = tmp_path_factory.mktemp("film") / "film.wav"
    path.write_bytes(wrap_pcm(np.tile(samples, 600 * rate // samples.size).tobytes(), rate))
    return path


@pytest.fixture(scope="module")
def locked(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server("asr", ASR_ENGINE="fake", ASR_MODEL="fake", API_KEYS="right") as server:
        yield server


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def expect_heard(shown: str, texts: tuple[str, ...]) -> None:
    """Nearly all that was said is there, and nothing twice."""
    said, heard = words(" ".join(texts)), words(shown)
    found = sum(min(said.count(word), heard.count(word)) for word in set(said))
    assert found >= 0.85 * len(said), shown
    assert len(heard) <= 1.15 * len(said), shown


def wait_for_words(page: Page, text: str) -> None:
    """Wait until the last long word of a text is final."""
    last = [word for word in words(text) if len(word) > 2][-1]
    expect(page.get_by_role("log")).to_contain_text(re.compile(last, re.IGNORECASE), timeout=PATIENCE_MS)


def choose_by_key(page: Page, path: Path) -> None:
    """Choose a file where the focus is. What is pressed before Chromium has drawn anything may count for nothing."""
    page.evaluate("new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))")
    with page.expect_file_chooser() as choosing:
        page.keyboard.press("Space")
    choosing.value.set_files(path)


def save(page: Page, place: Page | Locator, button: str) -> tuple[str, str]:
    """The name of the file that a button gives, and what is in it."""
    with page.expect_download() as download:
        place.get_by_role("button", name=button).click()
    return download.value.suggested_filename, Path(download.value.path()).read_text("utf-8")


def test_captions_show_what_is_said_and_keep_it(
    visit: Open, voice_server: RunningServer, texts: tuple[str, ...], record_property: Callable[[str, object], None]
) -> None:
    page = visit(f"{voice_server.url}/#captions", permissions=["clipboard-read", "clipboard-write"])
    page.add_init_script(WATCHED)
    page.reload()
    expect(page.get_by_role("button", name="Start captions")).to_be_visible()
    page.keyboard.press("Alt+l")
    wait_for_words(page, texts[0])
    take_picture(page, "page-captions")
    expect_accessible(page)
    wait_for_words(page, texts[1])
    page.keyboard.press("Alt+l")
    expect(page.get_by_role("button", name="Start captions")).to_be_enabled(timeout=PATIENCE_MS)
    name, text = save(page, page, "Save as text")
    assert name == "captions.txt"
    expect_heard(text, texts)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == text.rstrip("\n")
    for kind in ("srt", "vtt"):
        _, subtitles = save(page, page, f"Save as {kind}")
        expect_heard(re.sub(r"WEBVTT|.*-->.*|^\d+$", "", subtitles, flags=re.MULTILINE), texts)
        cues = re.findall(r"(\d+):(\d+):(\d+)[.,](\d+) --> ", subtitles)
        starts = [int(h) * 3600 + int(m) * 60 + int(s) + int(ms) / 1000 for h, m, s, ms in cues]
        assert starts == sorted(starts)
        assert len(starts) >= len(texts)
    latencies = page.evaluate("shown")
    record_property("caption_ms", [round(one, 1) for one in latencies])
    assert latencies
    assert max(latencies) < 5_000
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("log")).to_have_text("")


def test_a_connection_that_breaks_off_loses_no_word(
    visit: Open, asr_server: RunningServer, texts: tuple[str, ...]
) -> None:
    page = visit(f"{asr_server.url}/try#captions")
    page.add_init_script(WATCHED)
    page.reload()
    page.get_by_role("button", name="Start captions").click()
    expect(page.get_by_text("Listening.")).to_be_visible()
    page.wait_for_timeout(2_500)
    page.evaluate("socket.close()")
    expect(page.get_by_text("The connection was lost, and is there again.")).to_be_visible(timeout=PATIENCE_MS)
    wait_for_words(page, texts[0])
    page.evaluate("socket.close()")  # what is final by now must not come again
    wait_for_words(page, texts[1])
    page.get_by_role("button", name="Stop captions").click()
    expect(page.get_by_role("button", name="Start captions")).to_be_enabled(timeout=PATIENCE_MS)
    expect_heard(save(page, page, "Save as text")[1], texts)
    _, subtitles = save(page, page, "Save as srt")
    expect_heard(re.sub(r".*-->.*|^\d+$", "", subtitles, flags=re.MULTILINE), texts)


def test_a_wrong_key_is_told_and_asked_for_again(browser: Browser, locked: RunningServer) -> None:
    page = browser.new_page()  # whose console tells of the refusal
    page.goto(f"{locked.url}/try#captions")
    page.evaluate("sessionStorage['voice-stack-key'] = 'wrong-key'")
    page.get_by_role("button", name="Start captions").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Incorrect API key provided")
    dialog.get_by_label("Key").fill("right")
    dialog.get_by_label("Key").press("Enter")
    expect(page.get_by_text("Listening.")).to_be_visible()
    page.close()


def test_a_microphone_that_is_denied_is_told_in_plain_words(visit: Open, asr_server: RunningServer) -> None:
    page = visit(f"{asr_server.url}/try#captions")
    page.add_init_script(
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('x', 'NotAllowedError'))"
    )
    page.reload()
    page.get_by_role("button", name="Start captions").click()
    expect(page.get_by_role("alert")).to_contain_text("The microphone is denied")
    expect(page.get_by_role("button", name="Start captions")).to_be_enabled()


def test_a_file_becomes_subtitles_by_keyboard_alone(
    visit: Open, asr_server: RunningServer, sounds: list[bytes], tmp_path: Path
) -> None:
    heard = tmp_path / "my talk.wav"
    heard.write_bytes(sounds[0] + b"no sound" * 3_000)
    page = visit(f"{asr_server.url}/try#files")
    chooser = page.get_by_label("Recordings and films")
    expect(chooser).to_be_visible()
    while not chooser.evaluate("(input) => input === document.activeElement"):
        page.keyboard.press("Tab")
    choose_by_key(page, heard)
    row = page.get_by_role("article", name="my talk.wav")
    expect(row.get_by_role("status")).to_have_text("Done.", timeout=PATIENCE_MS)
    with asr_server.http() as client:
        form = {"model": "whisper-1", "response_format": "srt"}
        plain = client.post("/v1/audio/transcriptions", data=form, files={"file": heard.read_bytes()})
    expect(row.get_by_role("list").first).to_contain_text(plain.headers["x-warnings"])
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(row.get_by_role("button", name="Save")).to_be_focused()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "my talk.en.srt"
    assert Path(download.value.path()).read_text("utf-8") == plain.text
    row.get_by_label("Shown as").select_option("vtt")
    expect(row.locator("pre")).to_contain_text("WEBVTT")


def test_the_picture_shows_who_speaks_and_plays(visit: Open, asr_server: RunningServer, talk: Talk) -> None:  # noqa: F811
    page = visit(f"{asr_server.url}/try#files")
    page.get_by_label("Who speaks").select_option("2")
    page.get_by_label("Result").select_option("text")
    page.get_by_label("Recordings and films").set_input_files(
        {"name": "talk.wav", "mimeType": "audio/wav", "buffer": talk.sound}
    )
    row = page.get_by_role("article", name="talk.wav")
    expect(row.get_by_role("status")).to_have_text("Done.", timeout=PATIENCE_MS)
    expect(row.locator("pre")).to_contain_text("SPEAKER_01: ")
    row.get_by_text("2 speakers, 4 turns").click()
    turns = row.get_by_role("listitem")
    expect(turns).to_have_count(4)
    place = row.get_by_role("slider", name="Place in talk.wav")
    place.press("End")
    place.press("PageDown")
    expect(place).to_have_attribute("aria-valuetext", re.compile("^0:00 of"))
    colours = place.evaluate(
        """(canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const place = (x, y) => 4 * (Math.round(canvas.width * x) + canvas.width * (canvas.height - y));
          const at = (x, y) => data.slice(place(x, y), place(x, y) + 4).join();
          return [at(0.05, 6), at(0.3, 6), at(0.05, 32), at(0.3, 32)];
        }"""
    )
    assert len(set(colours)) == 4, colours  # who speaks first is silent where the other one speaks
    page.set_viewport_size({"width": 800, "height": 640})
    row.evaluate("(row) => row.scrollIntoView()")
    take_picture(page, "page-files")
    expect_accessible(page)
    turns.nth(2).get_by_role("button").click()
    player = row.locator("audio")
    page.wait_for_function("(player) => !player.paused && player.currentTime > 0", arg=player.element_handle())
    assert player.evaluate("(player) => player.currentTime") == pytest.approx(talk.ends_s[1], abs=2)
    place.press("Space")
    page.wait_for_function("(player) => player.paused", arg=player.element_handle())


def test_subtitles_in_another_language_have_what_was_said_beside_them(visit: Open, start_server: StartServer) -> None:
    fake = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_WINDOW_S": "2", "ASR_VAD_ENABLED": "false"}
    with run_scripted_model() as model, start_server("asr", ASR_LLM_URL=model.url, **fake) as server:
        model.answer_by = german
        page = visit(f"{server.url}/try#files")
        page.get_by_label("Translate into").select_option("German")
        page.get_by_label("With what was said beside it").check()
        page.get_by_label("Recordings and films").set_input_files(
            {"name": "film.wav", "mimeType": "audio/wav", "buffer": tone(4.8)}
        )
        row = page.get_by_role("article", name="film.wav")
        expect(row.get_by_role("status")).to_have_text("Done.", timeout=PATIENCE_MS)
        expect(row.locator("pre")).to_contain_text(re.compile(r"Fenster 1\.6 s\.\nwindow 1\.6 s\."))
        expect(row.get_by_text("3 turns")).to_be_visible()
        assert save(page, row, "Save")[0] == "film.de.srt"


def test_a_job_outlives_the_page_and_is_cancelled(visit: Open, asr_server: RunningServer, film: Path) -> None:
    page = visit(f"{asr_server.url}/try#files")
    page.get_by_label("Recordings and films").set_input_files([film, film])
    rows = page.get_by_role("article", name="film.wav")
    expect(rows).to_have_count(2)
    expect(rows.last.get_by_role("status")).to_have_text("Is heard.", timeout=PATIENCE_MS)
    expect(rows.last).to_contain_text(re.compile(r"\d %, .* left"), timeout=PATIENCE_MS)
    expect_accessible(page)
    page.wait_for_function("JSON.parse(sessionStorage['voice-stack-files']).length === 2")
    page.reload()
    expect(rows).to_have_count(2)
    jobs = [known["id"] for known in json.loads(page.evaluate("sessionStorage['voice-stack-files']"))]
    for row in rows.all():
        row.get_by_role("button", name="Cancel").click()
        expect(row.get_by_role("status")).to_have_text("Cancelled.")
    with asr_server.http() as client:
        assert [client.get(f"/v1/jobs/{job}").json()["status"] for job in jobs] == ["cancelled"] * 2
        for row in reversed(rows.all()):
            row.get_by_role("button", name="Remove").click()
        expect(rows).to_have_count(0)
        page.wait_for_function("sessionStorage['voice-stack-files'] === '[]'")


def test_what_the_server_refuses_is_told_in_its_words(visit: Open, asr_server: RunningServer) -> None:
    broken = {"name": "broken.mp3", "mimeType": "audio/mpeg", "buffer": b"no sound" * 1_000}
    with asr_server.http() as client:
        refusal = client.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files={"file": broken["buffer"]})
    page = visit(f"{asr_server.url}/try#files")
    page.get_by_label("Recordings and films").set_input_files(broken)
    row = page.get_by_role("article", name="broken.mp3")
    expect(row.get_by_role("status")).to_have_text(refusal.json()["error"]["message"], timeout=PATIENCE_MS)
