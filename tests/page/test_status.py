"""What the servers do, as the page shows it."""

import io
import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from page.conftest import StartServer, take_picture
from running_server import RunningServer, free_port

Open = Callable[..., Page]
HIDE = """(is_hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => is_hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_work_is_seen_while_it_is_done_and_its_speed_afterwards(
    visit: Open, voice_server: RunningServer, spoken: Callable[[str], bytes]
) -> None:
    page = visit(f"{voice_server.url}/#status", viewport={"width": 900, "height": 900})
    card = page.get_by_role("article", name="Speech to text")
    expect(card).to_contain_text("Ready")
    recording = io.BytesIO(spoken("The lamp in the living room is on. Please switch it off before you leave."))
    voice_server.openai().audio.transcriptions.create(model="whisper-1", file=("lamp.wav", recording))
    engine = card.get_by_role("listitem").filter(has_text="faster-whisper/base")
    expect(engine).to_contain_text(re.compile(r"× real time.*MB"))
    expect(card.get_by_role("img", name=re.compile(r"^Speed: [\d.]+× real time now"))).to_be_visible()
    voice_server.openai().audio.speech.create(model="tts-1", voice="alloy", input="The lamp is off.").read()
    spoke = page.get_by_role("article", name="Text to speech").get_by_role("listitem")
    expect(spoke).to_contain_text("× real time")
    take_picture(page, "page-status")


def test_nobody_is_asked_while_nobody_looks(visit: Open, fake_asr: RunningServer) -> None:
    page = visit(f"{fake_asr.url}/try#status")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_event("request")
    page.evaluate(HIDE, True)
    page.wait_for_load_state("networkidle")
    asked.clear()
    page.wait_for_timeout(3000)
    assert asked == []
    page.evaluate(HIDE, False)
    page.wait_for_event("request")


def test_a_server_that_is_away_is_told_and_the_others_are_shown(
    visit: Open, start_server: StartServer, fake_tts: RunningServer
) -> None:
    with start_server("chat", CHAT_ASR_URL=f"http://127.0.0.1:{free_port()}", CHAT_TTS_URL=fake_tts.url) as server:
        page = visit(server.url + "/#status", refusals=(502, 503))
        expect(page.get_by_role("article", name="Speech to text")).to_contain_text("CHAT_ASR_URL")
        expect(page.get_by_role("article", name="Text to speech")).to_contain_text("Ready")
