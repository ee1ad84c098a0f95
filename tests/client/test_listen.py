"""Speech that becomes text while it is spoken, with both clients."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.protocol_server import connected
from e2e.sound import wrap_pcm
from piper_speech import speak as speak_samples
from running_server import RunningServer
from voice_stack.client import (
    BadRequestError,
    ListeningStarted,
    NotFoundError,
    ServerUnreachableError,
    SpeechStarted,
    SpeechStopped,
    TextCompleted,
    TextDelta,
    VoiceStackClient,
)

RATE, BLOCK = 16_000, 3_200


@pytest.fixture(params=["sync", "async"])
def listener(request: pytest.FixtureRequest, asr_server: RunningServer) -> Iterator[VoiceStackClient]:
    with connected(request.param, asr_server.url, asr_server.url) as client:
        yield client


def pcm(*texts: str, pause_s: float = 1.0) -> bytes:
    """Texts that are spoken, with a silence between them; the last one ends with its last sound."""
    spoken = [(speak_samples(text) * 30_000).astype("<i2").tobytes() for text in texts]
    return bytes(2 * round(RATE * pause_s)).join(spoken)


def blocks(sound: bytes) -> list[bytes]:
    return [sound[start : start + BLOCK] for start in range(0, len(sound), BLOCK)]


def test_each_turn_is_told_and_the_transcript_is_that_of_a_file(listener: VoiceStackClient) -> None:
    sound = pcm("The museum opens in the morning.", "Tickets are sold at the door.")
    events = list(listener.listen(blocks(sound), sample_rate=RATE, language="en"))
    began, *_ = events
    assert isinstance(began, ListeningStarted)
    turns = [event for event in events if isinstance(event, TextCompleted) and event.text]
    assert [turn.text for turn in turns] == ["The museum opens in the morning.", "Tickets are sold at the door."]
    assert turns[0].end_s < turns[1].start_s < turns[1].end_s <= len(sound) / 2 / RATE + 0.1
    starts = [event.start_s for event in events if isinstance(event, SpeechStarted)]
    assert starts == [turn.start_s for turn in turns]
    assert len([event for event in events if isinstance(event, SpeechStopped)]) == 2
    for turn in turns:
        shown = "".join(e.delta for e in events if isinstance(e, TextDelta) and e.item_id == turn.item_id)
        assert shown in ("", turn.text)
    heard = listener.session_transcript(began.session_id)
    assert heard.text == " ".join(turn.text for turn in turns)
    assert heard.language == "english"
    assert heard.duration_s == pytest.approx(len(sound) / 2 / RATE, abs=0.01)
    assert [word.text for word in heard.words][:2] == ["The", "museum"]
    assert "museum opens in the morning" in listener.session_transcript_as(began.session_id, "srt").replace("\n", " ")


def test_without_turns_all_is_one(listener: VoiceStackClient) -> None:
    sound = pcm("The museum opens in the morning.", "Tickets are sold at the door.")
    events = list(listener.listen([sound], sample_rate=RATE, turn_detection=None, hotwords=["museum"]))
    (turn,) = [event for event in events if isinstance(event, TextCompleted)]
    assert "museum" in turn.text
    assert "door" in turn.text
    assert turn.start_s == 0.0
    assert turn.end_s == pytest.approx(len(sound) / 2 / RATE, abs=0.1)


@pytest.mark.parametrize("sound", [[], [b""], [bytes(2)], [bytes(RATE)]], ids=["none", "empty", "a sample", "silence"])
def test_where_nobody_speaks_it_ends_all_the_same(listener: VoiceStackClient, sound: list[bytes]) -> None:
    events = list(listener.listen(sound, sample_rate=RATE))
    assert not [event for event in events[1:] if not isinstance(event, TextCompleted) or event.text]
    assert isinstance(events[0], ListeningStarted)
    if sound == [bytes(RATE)]:
        assert listener.session_transcript_as(events[0].session_id, "vtt") == "WEBVTT\n\n"


def test_what_the_sound_ends_with_is_raised(listener: VoiceStackClient) -> None:
    def sound() -> Iterator[bytes]:
        yield bytes(RATE)
        raise OSError("the microphone is gone")

    with pytest.raises(OSError, match="the microphone is gone"):
        list(listener.listen(sound(), sample_rate=RATE))


def test_what_cannot_be_had_is_told(listener: VoiceStackClient, closed_url: str) -> None:
    with pytest.raises(NotFoundError, match="none-such"):
        list(listener.listen([bytes(RATE)], model="none-such"))
    with pytest.raises(BadRequestError, match="'tlh'"):
        list(listener.listen([bytes(RATE)] * 5, language="tlh"))
    with pytest.raises(NotFoundError, match="sess_none"):
        listener.session_transcript("sess_none")
    with (
        connected("sync", closed_url, closed_url) as nobody,
        pytest.raises(ServerUnreachableError, match="is the server running"),
    ):
        list(nobody.listen([bytes(RATE)]))


def test_the_example_of_the_docs(asr_server: RunningServer, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/clients.md").read_text("utf-8")
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "client.listen(" in block)
    (tmp_path / "talk.wav").write_bytes(wrap_pcm(pcm("The museum opens in the morning."), RATE))
    program = example.replace("http://HOST:5001", asr_server.url)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    line, number, times, *lines = done.stdout.strip().splitlines()
    assert re.fullmatch(r"\d\.\d s: The museum opens in the morning\.", line)
    assert (number, " --> " in times, " ".join(lines)) == ("1", True, "The museum opens in the morning.")
