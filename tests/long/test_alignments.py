"""`POST /v1/audio/alignments`: when a given text is said, and that nothing is made up for what is not."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from e2e.sound import tone, wrap_pcm
from running_server import RunningServer, wait_until
from voice_stack.client import Alignment, AsyncVoiceStackClient, VoiceStackClient

Spoken = Callable[[str], bytes]
Align = Callable[..., httpx2.Response]
REST = "window 1.6 s. window 1.6 s. window 1.2 s."
"""What the fake engine hears in six seconds, after the first window, which is the same as the second."""
STORY = "The old harbour wakes before the town does. At five in the morning the first boats come back."


def aligner(server: RunningServer) -> Iterator[Align]:
    with server.http() as client:

        def align(text: str, sound: bytes | None = None, **fields: str) -> httpx2.Response:
            file = ("a.wav", sound or tone(6.0))
            return client.post("/v1/audio/alignments", data={"text": text, **fields}, files={"file": file})

        yield align


@pytest.fixture
def fake(fake_asr: RunningServer) -> Iterator[Align]:
    yield from aligner(fake_asr)


@pytest.fixture
def real(asr_server: RunningServer) -> Iterator[Align]:
    yield from aligner(asr_server)


def heard(body: dict[str, list[dict[str, object]]]) -> list[object]:
    return [word["word"] for word in body["words"] if word["start"] is not None]


def test_words_and_sentences_of_speech_have_times(real: Align, spoken: Spoken) -> None:
    text = f"Chapter Twelve\n\n{STORY}\n\nAll rights reserved by the publisher."
    answer = real(text, spoken(STORY), language="en")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["task"], body["language"], body["text"]) == ("align", "english", text)
    assert [word["word"] for word in body["words"]] == text.split()
    assert heard(body) == STORY.split()
    edges = [edge for word in body["words"] if word["start"] is not None for edge in (word["start"], word["end"])]
    assert edges == sorted(edges)
    assert 0 < edges[0] < edges[-1] <= body["duration"]
    assert all(0 <= word["score"] <= 1 and (word["start"] or word["score"] <= 0.05) for word in body["words"])
    assert [(part["text"], part["start"] is None) for part in body["sentences"]] == [
        ("Chapter Twelve", True),
        ("The old harbour wakes before the town does.", False),
        ("At five in the morning the first boats come back.", False),
        ("All rights reserved by the publisher.", True),
    ]
    cues = real(text, spoken(STORY), language="en", response_format="srt").text
    assert "Chapter" not in cues
    assert "wakes" in cues


def test_a_foreign_text_gets_no_times(real: Align, spoken: Spoken) -> None:
    text = "An old captain sits on his bench and names every ship that passes the lighthouse."
    body = real(text, spoken(STORY)).json()
    assert heard(body) == []
    assert body["score"] < 0.1


def test_numbers_are_heard_however_they_are_written(real: Align, spoken: Spoken) -> None:
    sound = spoken("In nineteen eighty-four the company sold twenty-five cars.")
    for text in ("In 1984 the company sold 25 cars.", "In nineteen eighty-four the company sold twenty-five cars."):
        assert heard(real(text, sound, language="en").json()) == text.split()


def test_silence_says_nothing(real: Align) -> None:
    body = real(STORY, wrap_pcm(bytes(96_000))).json()
    assert heard(body) == []
    assert body["sentences"][0]["end"] is None


def test_what_is_misheard_is_laid_beside_the_sound(fake: Align) -> None:
    body = fake(f"Something else: {REST}").json()
    assert heard(body) == [word["word"] for word in body["words"]]
    assert all(0 <= word["start"] < word["end"] <= 1.62 for word in body["words"][:2])
    body = fake(f"Something unsaid: {REST}").json()
    assert heard(body) == REST.split()
    assert body["words"][1] == {"word": "unsaid:", "start": None, "end": None, "score": 0.0}


def test_an_engine_that_dies_over_a_text_is_replaced(fake: Align) -> None:
    with tempfile.TemporaryDirectory() as folder:
        marker = Path(folder) / "x"
        answer = fake(f"crash-once={marker} {REST}")
        assert marker.exists()
    assert answer.status_code == 200, answer.text
    assert heard(answer.json())[-9:] == REST.split()


def test_a_job_in_the_background(fake: Align, fake_asr: RunningServer) -> None:
    job = fake(REST, background="true").json()
    assert job["task"] == "align"
    with fake_asr.http() as client:
        path = f"/v1/jobs/{job['id']}"
        wait_until(lambda: client.get(path).json()["status"] == "completed", 30, "the job is over")
        body = client.get(f"{path}/result").json()
        assert client.get(f"{path}/result?response_format=vtt").text.startswith("WEBVTT")
        assert client.get(f"{path}/result?response_format=text").text == f"{REST}\n"
    assert heard(body) == REST.split()


def test_the_second_look_is_progress_and_can_be_cancelled(fake: Align, fake_asr: RunningServer) -> None:
    with tempfile.TemporaryDirectory() as folder, fake_asr.http() as client:
        gate = Path(folder) / "x"
        job = fake(f"until={gate} {REST}", background="true").json()
        path = f"/v1/jobs/{job['id']}"
        wait_until(lambda: (client.get(path).json()["percent"] or 0) >= 75, 30, "the first look is over")
        assert client.get(path).json()["status"] == "running"
        assert client.delete(path).json()["status"] == "cancelled"
        gate.touch()
        wait_until(lambda: fake_asr.count_jobs() == (0, 0), 30, "the engine lets go")


def test_both_clients_align(fake_asr: RunningServer) -> None:
    with VoiceStackClient(asr_url=fake_asr.url) as client:
        alignment = client.align(tone(6.0), f"Something unsaid: {REST}", language="en")
        with pytest.raises(TypeError, match="no such option: prompt"):
            client.align(tone(6.0), REST, prompt="x")  # type: ignore[call-arg]
    assert [word.text for word in alignment.words if word.start_s is None] == ["Something", "unsaid:"]
    assert [part.end_s for part in alignment.sentences] == [6.0]

    async def ask() -> Alignment:
        async with AsyncVoiceStackClient(asr_url=fake_asr.url) as client:
            return await client.align(tone(6.0), f"Something unsaid: {REST}", language="en")

    assert replace(asyncio.run(ask()), request_id=None) == replace(alignment, request_id=None)


@pytest.mark.parametrize(
    ("text", "fields", "said"),
    [
        ("", {}, "you must provide 'text'"),
        ("\n ...", {}, "holds no word"),
        ("a" * 200_001, {}, "200000"),
        ("a", {"response_format": "text"}, "'json', 'srt' or 'vtt'"),
        ("a", {"language": "xx"}, "Unknown language 'xx'"),
    ],
)
def test_what_cannot_be_asked(fake: Align, text: str, fields: dict[str, str], said: str) -> None:
    answer = fake(text, **fields)
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]
    assert len(answer.text) < 1000


def test_fields_of_a_transcription_that_mean_nothing_are_named(fake: Align) -> None:
    assert fake(REST, prompt="x", stream="true").headers["x-ignored-fields"] == "prompt, stream"
