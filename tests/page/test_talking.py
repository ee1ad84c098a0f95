"""Speak, Voices and Talk: what the page plays is taken from Web Audio and understood by the ASR server."""

import base64
import re
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import jiwer
import numpy as np
import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect
from whisper_normalizer.english import EnglishTextNormalizer

from chat.scripted_model import ScriptedModel, run_scripted_model
from page.conftest import StartServer, expect_accessible, take_picture
from piper_speech import RATE, speak, speak_wav
from running_server import RunningServer, wait_until
from tts.voices.sounds import BIRCH, wav

Open = Callable[..., Page]
GARDEN = (
    "The garden is quiet after the rain.",
    "Nobody has closed the gate behind the house.",
    "The dog is asleep under the old tree by the wall.",
    "In the morning the children will look for the ball that they lost yesterday.",
    "Their mother has found it already, and keeps it in the kitchen.",
    "When they come home from school, they will have bread and butter.",
    "Then all of them go down to the river and watch the boats.",
    "Late in the evening an elephant walks through the town.",
)
WAIT_MS = 60_000
TAP = """() => {
  const recorders = [], connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to === this.context.destination && this instanceof GainNode) {
      const tap = this.context.createMediaStreamDestination(), chunks = [], recorder = new MediaRecorder(tap.stream);
      connect.call(this, tap);
      recorder.ondataavailable = ({ data }) => chunks.push(data);
      recorder.start();
      recorders.push({ recorder, chunks });
    }
    return connect.call(this, to, ...rest);
  };
  window.takeSound = async () => {
    const { recorder, chunks } = recorders.pop();
    await new Promise((resolve) => { recorder.onstop = resolve; recorder.stop(); });
    const bytes = new Uint8Array(await new Blob(chunks).arrayBuffer());
    return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ""));
  };
}"""
"""All that goes from a player to the loudspeaker is recorded as well."""
MOUTH = """() => {
  const sound = new AudioContext(), mouth = sound.createMediaStreamDestination();
  navigator.mediaDevices.getUserMedia = async () => mouth.stream;
  window.speakUp = async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const source = sound.createBufferSource();
    source.buffer = await sound.decodeAudioData(bytes.buffer);
    source.connect(mouth);
    source.start();
  };
}"""
"""A microphone into which the test speaks when it likes."""
normalize = EnglishTextNormalizer()


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of silence, then a question."""
    path = tmp_path_factory.mktemp("microphone") / "question.wav"
    samples = np.concatenate([np.zeros(RATE), 0.5 * speak("How many days are there in a week?"), np.zeros(RATE)])
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((samples * 32_767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def scripted_model() -> Iterator[ScriptedModel]:
    with run_scripted_model() as model:
        yield model


@pytest.fixture(scope="module")
def scripted_server(
    start_server: StartServer, asr_server: RunningServer, tts_server: RunningServer, scripted_model: ScriptedModel
) -> Iterator[RunningServer]:
    """A Voice server whose model says what a test has written."""
    around = {"CHAT_ASR_URL": asr_server.url, "CHAT_TTS_URL": tts_server.url, "CHAT_LLM_URL": scripted_model.url}
    with start_server("chat", **around) as server:
        yield server


@pytest.fixture
def hear(asr_server: RunningServer) -> Callable[[Page], str]:
    """What was heard of a page on which `TAP` is."""

    def transcribe(page: Page) -> str:
        sound = base64.b64decode(page.evaluate("takeSound()"))
        heard = asr_server.openai().audio.transcriptions.create(
            model="whisper-1", file=("heard.webm", sound), language="en"
        )
        return heard.text

    return transcribe


def word_error_rate(said: str, heard: str) -> float:
    return float(jiwer.wer(normalize(said), normalize(heard)))


def begin_talk(page: Page) -> None:
    page.evaluate(TAP)
    page.get_by_role("button", name="Start").click()
    expect_state(page, "Listening")


def expect_state(page: Page, state: str) -> None:
    expect(page.locator("#part-talk .state")).to_have_text(state, timeout=WAIT_MS)


def lines(page: Page, who: str) -> list[str]:
    return page.locator(f".turns .{who}").all_inner_texts()


def told(model: ScriptedModel) -> list[str]:
    """What the model was told last: all that was said, without the instructions."""
    messages = model.requests[-1]["messages"]
    assert isinstance(messages, list)
    return [message["content"] for message in messages[1:]]


def say(page: Page, text: str) -> None:
    page.evaluate("(wav) => speakUp(wav)", base64.b64encode(speak_wav(text)).decode())


def test_a_spoken_question_is_answered_aloud(
    visit: Open, voice_server: RunningServer, hear: Callable[[Page], str]
) -> None:
    page = visit(f"{voice_server.url}/#talk")
    page.get_by_label("Instructions for the model").fill("Answer in one short sentence.")
    begin_talk(page)
    expect_state(page, "The model speaks")
    expect_state(page, "Listening")
    assert normalize(lines(page, "user")[0].removeprefix("You ")) == "how many days are there in a week"
    said = lines(page, "assistant")[0].removeprefix("Model ")
    assert word_error_rate(said, hear(page)) < 0.2, said
    expect_accessible(page)
    take_picture(page, "page-talk")


def test_who_speaks_up_stops_the_reply_and_the_model_learns_what_was_heard(
    visit: Open, scripted_server: RunningServer, scripted_model: ScriptedModel, hear: Callable[[Page], str]
) -> None:
    page = visit(f"{scripted_server.url}/#talk")
    page.evaluate(MOUTH)
    scripted_model.say(*(f"{sentence} " for sentence in GARDEN))
    scripted_model.say("All right.")
    begin_talk(page)
    say(page, "Tell me something about the garden.")
    expect_state(page, "The model speaks")
    page.wait_for_timeout(3000)
    say(page, "Please stop talking now and listen to me.")
    expect(page.locator(".turns .assistant").first).to_contain_text("(interrupted)", timeout=WAIT_MS)
    expect(page.locator(".turns .assistant").nth(1)).to_contain_text("All right.", timeout=WAIT_MS)
    expect_state(page, "Listening")
    kept = lines(page, "assistant")[0].removeprefix("Model ").removesuffix(" (interrupted)")
    assert " ".join(GARDEN).startswith(kept)
    heard = hear(page)
    assert word_error_rate(f"{kept} All right.", heard) < 0.2, heard
    assert "elephant" not in heard
    assert told(scripted_model) == [
        "Tell me something about the garden.",
        f"{kept}—",
        "Please stop talking now and listen to me.",
    ]


def test_typed_words_are_answered_and_a_lost_connection_is_taken_up_again(
    visit: Open, scripted_server: RunningServer, scripted_model: ScriptedModel
) -> None:
    page = visit(f"{scripted_server.url}/#status")
    opened = list[WebSocketRoute]()

    def pass_on(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        opened.append(socket)

    page.route_web_socket(re.compile("/realtime"), pass_on)
    page.get_by_role("tab", name="Talk").click()
    page.evaluate(MOUTH)
    begin_talk(page)
    page.get_by_role("button", name="Mute").click()
    expect_state(page, "You are not heard: muted")
    page.get_by_label("Push to talk").check()
    hold = page.get_by_role("button", name="Hold to talk")
    hold.hover()
    page.mouse.down()
    expect_state(page, "Listening")
    page.mouse.up()
    expect_state(page, "You are not heard: hold the button to talk")
    hold.focus()
    page.keyboard.down(" ")
    expect_state(page, "Listening")
    page.keyboard.up(" ")
    expect_state(page, "You are not heard: hold the button to talk")
    page.get_by_label("Push to talk").uncheck()
    page.get_by_role("button", name="Mute").click()
    scripted_model.say("Good ", "morning.")
    typed = page.get_by_label("Or type")
    typed.fill("Hello <b>there</b>.")
    typed.press("Enter")
    expect(page.locator(".turns")).to_have_text("You Hello <b>there</b>. Model Good morning. ", timeout=WAIT_MS)
    opened[-1].close(code=1011, reason="broken")
    expect_state(page, "Not connected")
    expect(page.get_by_role("alert")).to_contain_text("The connection is lost (broken). Start goes on where it was.")
    page.get_by_role("button", name="Start").click()
    expect_state(page, "You are not heard: muted")
    typed.fill("Go on.")
    typed.press("Enter")
    wait_until(lambda: told(scripted_model)[-1] == "Go on.", 60, "the next question")
    assert told(scripted_model) == ["Hello <b>there</b>.", "Good morning.", "Go on."]


def test_without_a_language_model_the_page_names_the_setting(
    visit: Open, start_server: StartServer, asr_server: RunningServer, tts_server: RunningServer
) -> None:
    with start_server("chat", CHAT_ASR_URL=asr_server.url, CHAT_TTS_URL=tts_server.url) as server:
        page = visit(f"{server.url}/#talk")
        expect(page.locator("#part-talk > .problem")).to_contain_text("CHAT_LLM_URL")
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_role("alert")).to_contain_text("CHAT_LLM_URL", timeout=WAIT_MS)


def test_typed_text_is_heard_and_kept(visit: Open, tts_server: RunningServer, hear: Callable[[Page], str]) -> None:
    page = visit(f"{tts_server.url}/try#speak")
    page.evaluate(TAP)
    text = page.get_by_label("Text", exact=True)
    text.fill(" ".join(GARDEN[:3]))
    page.get_by_label("How to speak").fill("Cheerfully.")
    text.press("Control+Enter")
    state = page.locator("#part-speak .quiet")
    expect(state).to_contain_text("of speech", timeout=WAIT_MS)
    assert word_error_rate(" ".join(GARDEN[:3]), hear(page)) < 0.1
    expect(page.locator(".notes")).to_have_text("What this voice does not heed: instructions.")
    expect_accessible(page)
    take_picture(page, "page-speak")
    for name, head in (("wav", b"RIFF"), ("flac", b"fLaC")):
        page.get_by_label("Format").select_option(name)
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        assert download.value.suggested_filename == f"speech.{name}"
        assert download.value.path().read_bytes().startswith(head)
    text.fill(" ".join(GARDEN))
    text.press("Control+Enter")
    expect(state).to_contain_text("Speaking", timeout=WAIT_MS)
    page.get_by_role("button", name="Stop").click()
    expect(state).to_have_text("Stopped.")
    page.get_by_role("tab", name="Voices").click()
    expect(page.locator("#part-voices > .problem")).to_contain_text("no engine that clones is installed")


def test_what_the_server_refuses_is_told_in_its_words(visit: Open, tts_server: RunningServer) -> None:
    page = visit(f"{tts_server.url}/try#speak", refusals=(400,))
    page.get_by_label("Text", exact=True).fill("Грустная песня.")
    page.get_by_role("button", name="Speak").click()
    expect(page.get_by_role("alert")).to_contain_text("Cyrillic letters", timeout=WAIT_MS)


def test_a_recording_is_judged_kept_tried_and_deleted(visit: Open, start_server: StartServer, tmp_path: Path) -> None:
    settings = {
        "TTS_ENGINE": "fake",
        "TTS_MODEL": "fake",
        "TTS_VOICE_DIR": str(tmp_path),
        "TTS_REQUIRE_CONSENT": "true",
    }
    with start_server("tts", **settings) as server:
        page = visit(f"{server.url}/try#voices")
        sample, consent = (page.get_by_role("group", name=name) for name in ("The recording", "The consent"))
        verdict, keep = page.locator("#part-voices [role=status]"), page.get_by_role("button", name="Keep this voice")
        record(sample)
        expect(verdict).to_contain_text("This recording cannot be used.", timeout=WAIT_MS)
        expect(verdict).to_contain_text(re.compile(r"too short: \d.* Speak longer"))
        expect(sample.get_by_label("What was recorded")).to_be_visible()
        page.set_viewport_size({"width": 1000, "height": 680})
        take_picture(page, "page-voices")
        choice = sample.get_by_label("or choose a file")
        choice.set_input_files(BIRCH)
        expect(verdict).to_contain_text("This recording is good.", timeout=WAIT_MS)
        expect(keep).to_be_disabled()  # the speaker has not agreed
        record(consent)
        expect(keep).to_be_enabled()
        choice.set_input_files(
            {"name": "silence.wav", "mimeType": "audio/wav", "buffer": wav(np.zeros(5 * RATE, np.float32), RATE)}
        )
        expect(verdict).to_contain_text("see that it is not muted", timeout=WAIT_MS)
        expect(keep).to_be_disabled()
        choice.set_input_files(BIRCH)
        page.get_by_label("Name").fill("Birch")
        page.get_by_label("Language spoken").fill("en-US")
        keep.click()
        voice = page.get_by_role("listitem").filter(has_text="Birch")
        expect(voice).to_contain_text("English", timeout=WAIT_MS)
        expect_accessible(page)
        with page.expect_response("**/audio/speech") as spoken:
            voice.get_by_role("button", name="Try").click()
        assert spoken.value.ok
        page.once("dialog", lambda dialog: dialog.accept())
        voice.get_by_role("button", name="Delete").click()
        expect(page.get_by_text("None yet.")).to_be_visible()
        with server.http() as client:
            assert len(client.get("/v1/audio/voice_consents").json()["data"]) == 1


def record(recorder: Locator) -> None:
    """Record the question that the microphone hears."""
    recorder.get_by_role("button", name="Record").click()
    expect(recorder.locator(".quiet")).to_contain_text("2.", timeout=WAIT_MS)
    recorder.get_by_role("button", name="Stop recording").click()
