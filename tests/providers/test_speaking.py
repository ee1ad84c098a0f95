"""Providers that speak in place of an engine: what they are asked, how it sounds, and what goes wrong with them."""

import base64
import json
import logging
import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.sync.client import connect

from providers.serving import serve
from providers.speaking_stand_ins import KEY, S_PER_CHAR, SpeakingStandIn, run_speaking_stand_in, tone
from running_server import wait_until
from voice_stack.core import provider_client
from voice_stack.tts.app import create_app
from voice_stack.tts.settings import TtsSettings

FIRST, SECOND = "Dr. Smith paid $12.50 for it.", "That is all that he has said."
RACHEL, SARAH = "21m00Tcm4TlvDq8ikWAM", "EXAVITQu4vr4xnSDxMaL"
EACH = [
    ("openai/tts-1", "alloy", "alloy"),
    ("elevenlabs/eleven_flash_v2_5", "Rachel", RACHEL),
    ("deepgram/aura-2-thalia-en", "alloy", "aura-2-thalia-en"),
]
"""A model of each provider, a voice that a client names, and the one that is to be heard."""


@contextmanager
def _serve(stand_in: SpeakingStandIn, folder: Path, **settings: object) -> Iterator[httpx2.Client]:
    """A TTS server of this process whose providers are the stand-in."""
    keys = {f"provider_{name}_key": KEY for name in ("openai", "elevenlabs", "deepgram")}
    urls = {f"provider_{name}_url": stand_in.url for name in ("openai", "elevenlabs", "deepgram")}
    folders = {"cache_dir": folder / "cache", "model_dir": folder / "models", "voice_dir": folder / "voices"}
    own: dict[str, object] = {"engine": "fake", "model": "fake", "preload": False, "loudness_lufs": "off"}
    with serve(create_app(TtsSettings.read(**{**own, **keys, **urls, **folders, **settings}))) as client:
        yield client


@pytest.fixture(scope="module")
def stand_in() -> Iterator[SpeakingStandIn]:
    with run_speaking_stand_in() as running:
        yield running


@pytest.fixture(scope="module")
def client(stand_in: SpeakingStandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provider_client, "RETRY_WAITS_S", (0.0, 0.0))
        settings: dict[str, object] = {
            "providers": ["openai", "elevenlabs/*", "deepgram/aura-2-*-en"],
            "voice_aliases": [f"nova=elevenlabs/{SARAH}"],
        }
        with _serve(stand_in, tmp_path_factory.mktemp("tts"), **settings) as serving:
            yield serving


def _ask(client: httpx2.Client, model: str, voice: str, text: str, **fields: object) -> httpx2.Response:
    body = {"model": model, "voice": voice, "input": text, "response_format": "pcm", **fields}
    return client.post("/audio/speech", json=body)


def _voiced(sound: bytes) -> NDArray[np.int16]:
    """The samples of the tone, without what is silent around it and inside."""
    samples = np.frombuffer(sound, "<i2")
    loud = np.convolve(np.abs(samples) > 500, np.ones(240), "same") > 0
    return samples[loud]


def _pitch(sound: bytes) -> float:
    samples = _voiced(sound).astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * 24_000 / samples.size)


def _tone_s(text: str) -> float:
    return len(text) * S_PER_CHAR


@pytest.mark.parametrize(("model", "voice", "heard"), EACH)
def test_a_provider_speaks_what_was_written(
    client: httpx2.Client, stand_in: SpeakingStandIn, model: str, voice: str, heard: str
) -> None:
    del stand_in.asked[:]
    answer = _ask(client, model, voice, f"# {FIRST}\n\n**{SECOND}**", cache=False)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-provider"] == model.partition("/")[0]
    assert [asked.text for asked in stand_in.spoken()] == [FIRST, SECOND]
    assert _voiced(answer.content).size / 24_000 == pytest.approx(_tone_s(FIRST + SECOND), abs=0.1)
    assert _pitch(answer.content) == pytest.approx(_pitch(tone(FIRST, heard)), abs=2)
    first, second = (asked.body for asked in stand_in.spoken())
    if model.startswith("elevenlabs"):
        assert (first.get("previous_text"), first["next_text"]) == (None, SECOND)
        assert (second["previous_text"], second.get("next_text")) == (FIRST, None)


def test_speed_formats_and_instructions(client: httpx2.Client, stand_in: SpeakingStandIn) -> None:
    del stand_in.asked[:]
    for model, voice, _ in EACH:
        fields = {"speed": 2.0, "instructions": "Whisper.", "language": "en"}
        answer = _ask(client, model, voice, FIRST, **fields)
        assert _voiced(answer.content).size / 24_000 == pytest.approx(_tone_s(FIRST) / 2, rel=0.05), model
        ignored = set(answer.headers.get("x-ignored-fields", "").split(", "))
        assert ignored == {"instructions"} | ({"language"} if not model.startswith("elevenlabs") else set())
    heeding = _ask(client, "openai/gpt-4o-mini-tts", "alloy", FIRST, instructions="Whisper.", emotion="happy")
    assert "x-ignored-fields" not in heeding.headers
    assert stand_in.spoken()[-1].body["instructions"] == "Whisper. Sound happy."
    assert _ask(client, *EACH[0][:2], FIRST, response_format="mp3").content[:2] in {b"ID", b"\xff\xf3", b"\xff\xfb"}
    assert _ask(client, *EACH[0][:2], FIRST, response_format="flac").content[:4] == b"fLaC"


def test_words_have_the_times_that_the_provider_tells(client: httpx2.Client) -> None:
    def words(model: str, voice: str) -> dict[str, object]:
        answer = _ask(client, model, voice, "Hello over there.", timestamps="word", stream=False)
        path = answer.headers["x-captions"].removeprefix("/v1")
        sentence: dict[str, object] = client.get(path).json()["sentences"][0]
        return sentence

    told = words("elevenlabs/eleven_flash_v2_5", "Rachel")
    starts = [(word["word"], word["start"]) for word in told["words"]]  # type: ignore[attr-defined]
    assert [word for word, _ in starts] == ["Hello", "over", "there."]
    # A blank is spoken for as long as a letter.
    assert [start - starts[0][1] for _, start in starts] == pytest.approx(
        [0, 6 * S_PER_CHAR, 11 * S_PER_CHAR], abs=0.01
    )
    assert "estimated" not in told
    assert words("openai/tts-1", "alloy")["estimated"] is True


def test_only_who_is_named_is_asked(client: httpx2.Client, stand_in: SpeakingStandIn) -> None:
    listed = {voice["id"]: voice for voice in client.get("/audio/voices").json()["voices"]}
    assert {"openai/alloy", f"elevenlabs/{RACHEL}", "deepgram/aura-2-luna-en"} <= listed.keys()
    assert "deepgram/aura-2-celeste-es" not in listed
    assert listed[f"elevenlabs/{RACHEL}"]["name"] == "Rachel"
    models = [model["id"] for model in client.get("/models").json()["data"]]
    assert {"openai/tts-1", "elevenlabs/eleven_flash_v2_5", "deepgram/aura-2-thalia-en"} <= set(models)
    del stand_in.asked[:]
    assert "x-provider" not in _ask(client, "tts-1", "alloy", FIRST).headers
    refused = [
        _ask(client, "deepgram/aura-2-celeste-es", "alloy", FIRST),
        _ask(client, "elevenlabs/eleven_flash_v2_5", "alloy", FIRST),
        _ask(client, "openai/tts-1", "nobody", FIRST),
    ]
    assert [answer.status_code for answer in refused] == [404, 400, 400]
    messages = [answer.json()["error"]["message"] for answer in refused[1:]]
    assert "Rachel" in messages[0]
    assert "TTS_VOICE_ALIASES" in messages[0]
    assert "Coral" in messages[1]
    assert stand_in.spoken() == []
    by_name = _ask(client, "tts-1", "elevenlabs/sarah", FIRST)
    by_alias = _ask(client, "tts-1", "nova", FIRST)
    assert _ask(client, "openai/tts-1", "nova", FIRST).headers["x-provider"] == "openai"  # who has a nova of its own
    assert [answer.headers["x-provider"] for answer in (by_name, by_alias)] == ["elevenlabs"] * 2
    assert by_name.content == by_alias.content
    assert len(stand_in.spoken()) == 2  # what is the same was kept
    shown = client.get(f"/audio/voices/elevenlabs/{SARAH}").json()
    assert shown["name"] == "Sarah - Mature, Reassuring"


FAULTS = "cut odd empty page 429 500"


@pytest.mark.parametrize(
    ("model", "voice", "fault"),
    # A clean end in the middle shows where the times of the letters come with the sound.
    [*((*one[:2], fault) for one in EACH for fault in FAULTS.split()), (*EACH[1][:2], "short"), (*EACH[1][:2], "less")],
)
def test_a_clause_that_goes_wrong_is_asked_for_again_whole(
    client: httpx2.Client, stand_in: SpeakingStandIn, model: str, voice: str, fault: str
) -> None:
    del stand_in.asked[:]
    stand_in.faults[SECOND] = [fault]
    answer = _ask(client, model, voice, f"{FIRST} {SECOND}", cache=False)
    assert answer.status_code == 200
    assert _voiced(answer.content).size / 24_000 == pytest.approx(_tone_s(FIRST + SECOND), abs=0.1)
    assert sorted(asked.text for asked in stand_in.spoken()) == sorted([FIRST, SECOND, SECOND])


def test_what_stays_wrong_ends_between_two_clauses(client: httpx2.Client, stand_in: SpeakingStandIn) -> None:
    model, voice, _ = EACH[0]
    stand_in.faults[SECOND] = ["cut"] * 9
    first = _ask(client, model, voice, SECOND)
    assert (first.status_code, first.json()["error"]["code"]) == (502, "provider_failed")
    answer = _ask(client, model, voice, f"{FIRST} {SECOND}", stream_format="sse", cache=False)
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert '"provider_failed"' in events[-1]
    deltas = [json.loads(event) for event in events if "speech.audio.delta" in event]
    sound = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    assert _voiced(sound).size / 24_000 == pytest.approx(_tone_s(FIRST), abs=0.05)
    with pytest.raises(httpx2.RemoteProtocolError):
        _ask(client, model, voice, f"{FIRST} {SECOND}", cache=False)
    stand_in.faults.clear()


def test_refusals_are_told_without_the_key(
    client: httpx2.Client, stand_in: SpeakingStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [("401", 502, "provider_auth"), ("429", 503, "provider_busy"), ("400", 400, "invalid_request_error")]
    with caplog.at_level(logging.DEBUG):
        for status, told, code in answers:
            stand_in.faults[FIRST] = [status] * 3
            answer = _ask(client, *EACH[0][:2], FIRST, cache=False)
            assert (answer.status_code, answer.json()["error"]["code"]) == (told, code)
            assert ("retry-after" in answer.headers) == (status == "429")
            stand_in.faults.clear()
    assert KEY not in caplog.text


def test_a_file_in_place_of_samples_is_read(client: httpx2.Client, stand_in: SpeakingStandIn) -> None:
    stand_in.faults[FIRST] = ["wav"]
    answer = _ask(client, *EACH[0][:2], FIRST, cache=False)
    assert _voiced(answer.content).size / 24_000 == pytest.approx(_tone_s(FIRST), abs=0.05)


def test_a_text_is_spoken_while_it_is_written(client: httpx2.Client, stand_in: SpeakingStandIn) -> None:
    del stand_in.asked[:]
    sound, told = b"", list[dict[str, object]]()

    def hear(last: str) -> None:
        nonlocal sound
        while not told or told[-1]["type"] != last:
            message = socket.recv(timeout=30)
            sound += message if isinstance(message, bytes) else b""
            told.extend([json.loads(message)] if isinstance(message, str) else [])

    start = {"type": "start", "model": EACH[1][0], "voice": "Rachel", "response_format": "pcm", "timestamps": True}
    with connect(f"{str(client.base_url).replace('http', 'ws')}audio/speech/stream", proxy=None) as socket:
        for message in (start, {"type": "text", "delta": f"{FIRST} That is all"}):
            socket.send(json.dumps(message))
        hear("words")
        assert [asked.text for asked in stand_in.spoken()] == [FIRST]
        for message in ({"type": "flush"}, {"type": "text", "delta": "that he `has` said."}, {"type": "end"}):
            socket.send(json.dumps(message))
        hear("done")
    assert [asked.text for asked in stand_in.spoken()] == [FIRST, "That is all", "that he has said."]
    assert stand_in.spoken()[-1].body["previous_text"] == "That is all"
    assert [message["type"] for message in told] == ["started", "words", "words", "flushed", "words", "done"]
    assert told[-1]["provider"] == "elevenlabs"
    assert _voiced(sound).size / 24_000 == pytest.approx(_tone_s(FIRST + "That is all" + "that he has said."), abs=0.1)


def test_who_leaves_is_spoken_for_no_longer(client: httpx2.Client, stand_in: SpeakingStandIn) -> None:
    del stand_in.asked[:]
    stand_in.answers = 2
    text = " ".join(f"Sentence number {number} is quite a long one." for number in range(40))
    body = {"model": EACH[0][0], "voice": "alloy", "input": text, "response_format": "pcm", "cache": False}
    with client.stream("POST", "/audio/speech", json=body) as answer:
        next(answer.iter_bytes())
    wait_until(lambda: stand_in.at_once == 0, 20, "nobody is asked any more")
    assert len(stand_in.spoken()) <= 4
    stand_in.answers = math.inf


def test_many_at_once_wait_without_a_thread_each(client: httpx2.Client, stand_in: SpeakingStandIn) -> None:
    before, stand_in.answers = threading.active_count(), 0
    with ThreadPoolExecutor(40) as pool:
        texts = [f"Number {number} of them." for number in range(40)]
        answers = [pool.submit(_ask, client, *EACH[0][:2], text) for text in texts]
        wait_until(lambda: stand_in.at_once == 40, 20, "all are asked at once")
        threads = threading.active_count() - before - 40
        stand_in.answers = math.inf
    assert [answer.result().status_code for answer in answers] == [200] * 40
    assert threads < 15


def test_another_model_speaks_for_a_provider_that_fails(stand_in: SpeakingStandIn, tmp_path: Path) -> None:
    settings: dict[str, object] = {
        "engine": "",
        "model": "elevenlabs/eleven_flash_v2_5",
        "fallback_model": "openai/tts-1",
        "providers": ["elevenlabs/*", "openai/tts-1"],
        "provider_elevenlabs_key": "wrong",
    }
    stand_in.lists_voices = False
    with _serve(stand_in, tmp_path, **settings) as client:
        # Where voices are not listed the provider itself says which there are.
        refused = _ask(client, "openai/tts-1", "nobody", FIRST)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "voice")
        assert "'coral'" in refused.json()["error"]["message"]
        stand_in.has_samples = False
        filed = _ask(client, "openai/tts-1", "coral", f"{FIRST} {SECOND}")
        assert _voiced(filed.content).size / 24_000 == pytest.approx(_tone_s(FIRST + SECOND), abs=0.1)
        answer = _ask(client, "tts-1", "Rachel", FIRST)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-fallback-model"] == "openai/tts-1"
        assert answer.headers["x-provider"] == "openai"
        assert _pitch(answer.content) == pytest.approx(_pitch(tone(FIRST, "alloy")), abs=2)
