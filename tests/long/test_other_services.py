"""Real speech over the APIs of other services: ElevenLabs' SDK has it spoken, Deepgram's has it heard."""

import base64
import difflib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from deepgram import DeepgramClient
from deepgram.core.events import EventType
from elevenlabs.client import ElevenLabs

from conftest import StartServer
from e2e.test_deepgram import environment
from running_server import RunningServer

TEXT = "The train to the coast leaves at nine in the morning. Please bring a warm coat."
RATE = 16_000


def likeness(heard: str, text: str = TEXT) -> float:
    """How much of a text was heard, 0 to 1, whatever its marks."""
    words = ["".join(filter(str.isalnum, word)).casefold() for word in (*heard.split(), "|", *text.split())]
    at = words.index("")
    return difflib.SequenceMatcher(None, words[:at], words[at + 1 :], autojunk=False).ratio()


@pytest.fixture(scope="module")
def servers(start_server: StartServer) -> Iterator[tuple[RunningServer, RunningServer]]:
    with start_server("asr", ASR_API_DEEPGRAM="true") as asr, start_server("tts", TTS_API_ELEVENLABS="true") as tts:
        yield asr, tts


def test_what_one_speaks_the_other_hears(servers: tuple[RunningServer, RunningServer]) -> None:
    asr, tts = servers
    speaks = ElevenLabs(base_url=tts.url, api_key="unused", timeout=120)
    hears = DeepgramClient(api_key="unused", environment=environment(asr.url), timeout=120)
    spoken = speaks.text_to_speech.convert_with_timestamps("alloy", text=TEXT, output_format=f"pcm_{RATE}")
    pcm = base64.b64decode(spoken.audio_base_64)

    asked: dict[str, Any] = {
        "encoding": "linear16",
        "request_options": {"additional_query_parameters": {"sample_rate": RATE}},
    }
    heard = hears.listen.v1.media.transcribe_file(
        request=pcm, model="nova-3", language="en", smart_format=True, utterances=True, **asked
    )
    alternative = heard.results.channels[0].alternatives[0]
    assert likeness(alternative.transcript) > 0.9, alternative.transcript
    assert alternative.confidence > 0.7
    assert heard.metadata.duration == pytest.approx(len(pcm) / 2 / RATE, abs=0.02)
    # Both tell when a word is said.
    alignment = spoken.alignment
    assert alignment
    assert "".join(alignment.characters) == TEXT
    for word in ("coast", "morning", "warm"):
        said_s = alignment.character_start_times_seconds[TEXT.index(word)]
        heard_s = next(one.start for one in alternative.words if one.word == word)
        assert heard_s == pytest.approx(said_s, abs=0.35), word

    events: list[Any] = []
    live = {"interim_results": "true", "vad_events": "true", "utterance_end_ms": "1000", "language": "en"}
    with hears.listen.v1.connect(model="nova-3", encoding="linear16", sample_rate=str(RATE), **live) as connection:
        connection.on(EventType.MESSAGE, events.append)
        listening = threading.Thread(target=connection.start_listening)
        listening.start()
        for at in range(0, len(pcm), RATE // 5):
            connection.send_media(pcm[at : at + RATE // 5])
        connection.send_finalize()
        connection.send_close_stream()
        listening.join(120)
    finals = [event.channel.alternatives[0] for event in events if event.type == "Results" and event.is_final]
    assert likeness(" ".join(final.transcript for final in finals)) > 0.9, finals
    ends = [word.end for final in finals for word in final.words]
    assert ends == sorted(ends)
    assert [event.type for event in events][-2:] == ["UtteranceEnd", "Metadata"]
