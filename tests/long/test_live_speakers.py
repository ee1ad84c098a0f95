"""Who speaks in a live session: segments behind the text, letters that stay, names of people who are known."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import pytest
from hibari import Hibari

from asr.live.sessions import check
from asr.speakers.test_workload import talk
from chaos.live import LiveSession, listen, silence, to_pcm
from running_server import RunningServer
from voice_stack.client import SpeakerSegment, TextCompleted, VoiceStackClient

StartServer = Callable[..., AbstractContextManager[RunningServer]]
FAKE = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_SPEAKER_MODEL": "fake+each-sleep=0", "ASR_VAD_ENABLED": "false"}
ANNA, BEN, CID = -0.3, 0.3, 0.5
"""Speakers of `FakeSpeakers`: how far their sound lies from zero."""


@pytest.fixture(scope="module")
def server(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    people = tmp_path_factory.mktemp("people")
    talk(people / "Anna.wav", (ANNA, 3))
    with start_server("asr", **FAKE, ASR_SPEAKERS_DIR=str(people)) as server:
        yield server


@pytest.fixture(scope="module")
def speech(spoken: Callable[[str], bytes]) -> Callable[[float, int], bytes]:
    """So many seconds of speech by one of them, as PCM at 24 kHz."""
    words = np.frombuffer(to_pcm(spoken("My sister lives in the old house by the river, and nobody came.")), "<i2")

    def say(level: float, duration_s: int) -> bytes:
        sound = np.resize(words * 0.3, 24_000 * duration_s)
        return (sound + level * 32767).clip(-32768, 32767).astype("<i2").tobytes()

    return say


def speakers(session: LiveSession, turns: int) -> list[str]:
    """Who said what of so many turns, each as often as there are parts of it; in the end."""
    session.until(lambda told: len(told.of("segment")) >= turns, 20)
    return [str(event["speaker"]) for event in session.of("segment")]


def take_turn(session: LiveSession, *parts: bytes) -> None:
    session.say(b"".join(parts))
    session.send("input_audio_buffer.commit")


def test_segments_follow_the_text_with_letters_that_stay_and_names(
    server: RunningServer, speech: Callable[[float, int], bytes]
) -> None:
    with listen(server, turn_detection=None, transcription={"diarize": True}) as session:
        take_turn(session, speech(BEN, 4))
        take_turn(session, speech(ANNA, 4))
        take_turn(session, speech(CID, 3), speech(BEN, 6))
        take_turn(session, speech(CID, 4))
        assert speakers(session, 5) == ["A", "Anna", "B", "A", "B"]
        segments, finals = session.of("segment"), session.of("completed")
    check(segments)
    order = [
        event["type"].rpartition(".")[2] for event in session.events if event.get("item_id") == finals[2]["item_id"]
    ]
    assert order[-3:] == ["completed", "segment", "segment"]
    parts = [event for event in segments if event["item_id"] == finals[2]["item_id"]]
    assert " ".join(str(part["text"]) for part in parts) == finals[2]["transcript"]
    assert [8 <= float(str(part["start"])) <= float(str(part["end"])) <= 17 for part in parts] == [True, True]
    with server.http() as http:
        place = f"/v1/realtime/sessions/{session.events[0]['session']['id']}/transcript"
        for shown in ("srt", "text"):
            assert "Anna: window" in http.get(f"{place}?response_format={shown}").text
        assert '"speaker":"Anna"' in http.get(f"{place}?response_format=diarized_json").text


def test_openais_model_asks_for_speakers_and_no_other_session_pays(
    server: RunningServer, speech: Callable[[float, int], bytes]
) -> None:
    with listen(server, "intent=transcription&model=gpt-4o-transcribe-diarize", turn_detection=None) as session:
        take_turn(session, speech(ANNA, 3))
        assert speakers(session, 1) == ["Anna"]
    with listen(server, turn_detection=None) as session:
        take_turn(session, speech(ANNA, 3))
        session.until_heard(1)
        assert speaker_process(server)["jobs_running"] == 0
        assert not session.of("segment")


def test_a_killed_process_costs_no_speaker(server: RunningServer, speech: Callable[[float, int], bytes]) -> None:
    with listen(server, turn_detection=None, transcription={"diarize": True}) as session:
        take_turn(session, speech(BEN, 40), speech(CID, 40))
        take_turn(session, speech(CID, 4))
        assert speakers(session, 6)[-2:] == ["B", "B"]
        told = len(session.of("segment"))
        os.kill(int(str(speaker_process(server)["pid"])), signal.SIGKILL)
        take_turn(session, speech(CID, 4))
        take_turn(session, speech(BEN, 4))
        assert speakers(session, told + 2)[-2:] == ["B", "A"]
        assert not session.of("error")


def test_the_client_is_told_who_speaks_before_it_ends(
    server: RunningServer, speech: Callable[[float, int], bytes]
) -> None:
    sound = [speech(ANNA, 4), bytes(48_000), speech(BEN, 4)]
    with VoiceStackClient(server.url) as client:
        events = list(client.listen(sound, turn_detection=None, diarize=True))
    told = [event for event in events if isinstance(event, SpeakerSegment)]
    assert [event.speaker for event in told] == ["Anna", "A"]
    (whole,) = (event.text for event in events if isinstance(event, TextCompleted))
    assert " ".join(event.text for event in told) == whole


def test_real_voices_keep_their_letters(asr_server: RunningServer, spoken: Callable[[str], bytes]) -> None:
    """A machine that reads the sound as fast as it is sent: what was said is asked as soon as it is complete."""
    joe = [to_pcm(spoken(text)) for text in ("Where did you leave the keys of the old car?", "And where is the bread?")]
    heart = np.asarray(Hibari(threads=1)("They are on the kitchen table, next to the bread."))
    answer = (heart * 32767).astype("<i2").tobytes()
    with listen(asr_server, transcription={"diarize": True, "language": "en"}) as session:
        for turn in (joe[0], answer, joe[1]):
            session.say(turn + silence(1))
        session.until(lambda told: len({event["item_id"] for event in told.of("segment")}) == 3)
        told = {event["item_id"]: event["speaker"] for event in session.of("segment")}
    assert list(told.values()) == ["A", "B", "A"]


def speaker_process(server: RunningServer) -> dict[str, object]:
    (process,) = (engine for engine in server.engines() if "fake+" in str(engine))
    return process
