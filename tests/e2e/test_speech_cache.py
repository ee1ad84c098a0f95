"""The second time a speech comes from the disk."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.speech_requests import FAKE, LIGHTS, entries, parts, read_events, sentences, speak
from running_server import RunningServer, wait_until
from utils.audio.encoding import FORMATS

StartServer = Callable[..., AbstractContextManager[RunningServer]]


@dataclass(frozen=True)
class Caching:
    """A server and its cache."""

    server: RunningServer
    folder: Path


@pytest.fixture(scope="module")
def caching(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caching]:
    folder = tmp_path_factory.mktemp("cache")
    with start_server("tts", TTS_CACHE_DIR=str(folder), **FAKE) as server:
        yield Caching(server, folder)


@pytest.fixture
def server(caching: Caching) -> RunningServer:
    return caching.server


def _outcome(server: RunningServer, text: str, headers: dict[str, str] | None = None, **fields: object) -> str:
    answer = speak(server, text, headers, **fields)
    assert answer.status_code == 200, answer.text
    return str(answer.headers.get("x-cache"))


@pytest.mark.parametrize("format_name", FORMATS)
def test_what_was_streamed_comes_back_as_an_exact_file(server: RunningServer, format_name: str) -> None:
    text = sentences(3, format_name)
    streamed = speak(server, text, response_format=format_name)
    assert (streamed.headers["x-cache"], "content-length" in streamed.headers) == ("miss", False)
    again = speak(server, text, response_format=format_name)
    assert (again.headers["x-cache"], int(again.headers["content-length"])) == ("hit", len(again.content))
    assert again.headers["content-type"] == streamed.headers["content-type"]
    patient = speak(server, text, response_format=format_name, stream=False)
    assert patient.headers["x-cache"] == "hit"
    whole = speak(server, text, response_format=format_name, stream=False, cache=False)
    assert again.content == patient.content == whole.content
    events = speak(server, text, response_format=format_name, stream_format="sse")
    assert events.headers["x-cache"] == "hit"
    told = read_events(events.text)
    assert (told.audio, told.file) == (streamed.content, whole.content)


def test_events_say_the_same_live_and_from_the_cache(server: RunningServer) -> None:
    text = sentences(4, "as events")
    live = read_events(speak(server, text, stream_format="sse").text)
    kept = read_events(speak(server, text, stream_format="sse").text)
    assert (kept.audio, kept.last, kept.characters) == (live.audio, live.last, live.characters)
    assert live.characters == sorted(live.characters)
    assert live.characters[-1] == len(text)
    assert live.last["type"] == "speech.audio.done"


def test_a_patient_answer_is_kept_too(server: RunningServer) -> None:
    text = sentences(2, "patiently")
    patient = speak(server, text, response_format="wav", stream=False)
    assert patient.headers["x-cache"] == "miss"
    assert speak(server, text, response_format="wav").content == patient.content


@pytest.mark.parametrize("change", [{"speed": 1.25}, {"response_format": "wav"}, {"text": "Another text."}], ids=str)
def test_what_sounds_different_is_another_speech(server: RunningServer, change: dict[str, object]) -> None:
    text = f"The same text but for {change}."
    first = speak(server, text)
    other = speak(server, **{"text": text, **change})
    assert (first.headers["x-cache"], other.headers["x-cache"]) == ("miss", "miss")
    assert first.headers["etag"] != other.headers["etag"]
    assert speak(server, text).headers["etag"] == first.headers["etag"]


def test_who_has_the_answer_is_told_so(server: RunningServer) -> None:
    tag = speak(server, "Ask me twice.").headers["etag"]
    for given in (tag, f'"other", {tag}', tag.removeprefix("W/")):
        answer = speak(server, "Ask me twice.", {"if-none-match": given})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert _outcome(server, "Ask me twice.", {"if-none-match": 'W/"other"'}) == "hit"
    # Events are another answer than bytes.
    assert _outcome(server, "Ask me twice.", {"if-none-match": tag}, stream_format="sse") == "hit"


@pytest.mark.parametrize("refusal", [({}, {"cache": False}), ({"cache-control": "max-age=0, No-Store"}, {})], ids=str)
def test_a_request_may_refuse_the_cache(caching: Caching, refusal: tuple[dict[str, str], dict[str, object]]) -> None:
    headers, fields = refusal
    text, before = f"Never keep this, please {fields}.", entries(caching.folder)
    for _ in range(2):
        answer = speak(caching.server, text, headers, **fields)
        assert (answer.status_code, answer.headers["x-cache"], "etag" in answer.headers) == (200, "off", False)
    assert _outcome(caching.server, text) == "miss"
    assert _outcome(caching.server, text) == "hit"
    assert len(entries(caching.folder)) == len(before) + 1
    assert _outcome(caching.server, text, headers, **fields) == "off"


def test_no_cache_makes_it_anew_and_keeps_that(caching: Caching) -> None:
    text = "Say it once more, with feeling."
    before = set(entries(caching.folder))
    assert _outcome(caching.server, text) == "miss"
    wait_until(lambda: len(entries(caching.folder)) == len(before) + 1, 10, "the speech is kept")
    (entry,) = set(entries(caching.folder)) - before
    old = entry.stat().st_ino
    tag = speak(caching.server, text).headers["etag"]
    assert _outcome(caching.server, text, {"cache-control": "no-cache", "if-none-match": tag}) == "miss"
    wait_until(lambda: entry.stat().st_ino != old, 10, "the new speech is kept")
    assert _outcome(caching.server, text) == "hit"


@pytest.mark.parametrize("damage", ["cut off", "one bit", "emptied"])
def test_a_damaged_entry_is_made_anew(caching: Caching, damage: str) -> None:
    text, before = f"This one will be {damage}.", set(entries(caching.folder))
    good = speak(caching.server, text)
    wait_until(lambda: set(entries(caching.folder)) - before, 10, "the speech is kept")
    (entry,) = set(entries(caching.folder)) - before
    content = bytearray(entry.read_bytes())
    content[100] ^= 1
    entry.write_bytes(bytes({"cut off": content[: len(content) // 2], "one bit": content, "emptied": b""}[damage]))
    again = speak(caching.server, text)
    assert (again.headers["x-cache"], again.content) == ("miss", good.content)
    wait_until(lambda: _outcome(caching.server, text) == "hit", 10, "the entry is mended")


def test_an_old_entry_is_not_served(caching: Caching) -> None:
    text, before = "A week is a long time.", set(entries(caching.folder))
    speak(caching.server, text)
    wait_until(lambda: set(entries(caching.folder)) - before, 10, "the speech is kept")
    (entry,) = set(entries(caching.folder)) - before
    week_s = 7 * 24 * 3600
    for age_s, outcome in ((week_s - 60, "hit"), (week_s + 60, "miss")):
        made_at = entry.stat().st_ctime - age_s
        os.utime(entry, (made_at, made_at))
        assert _outcome(caching.server, text) == outcome


def test_a_hit_needs_no_engine_and_the_cache_is_shared_by_servers(start_server: StartServer, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    settings = {**FAKE, "TTS_CACHE_DIR": str(folder)}
    with start_server("tts", **settings) as first:
        made = speak(first, LIGHTS)
        wait_until(lambda: entries(folder), 10, "the speech is kept")
        with start_server("tts", **settings) as second:
            found = speak(second, LIGHTS)
            assert (found.headers["x-cache"], found.content) == ("hit", made.content)
            assert second.engines() == []
            new = speak(second, "And off again.")
        wait_until(lambda: _outcome(first, "And off again.") == "hit", 10, "one finds what the other made")
        assert speak(first, "And off again.").content == new.content
    with start_server("tts", **settings) as restarted:
        assert _outcome(restarted, LIGHTS) == "hit"
        assert restarted.engines() == []


def test_the_cache_can_be_off(start_server: StartServer, tmp_path: Path) -> None:
    with start_server("tts", TTS_CACHE_MB="0", TTS_CACHE_DIR=str(tmp_path), **FAKE) as server:
        answers = [speak(server, LIGHTS, stream=stream) for stream in (True, False)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert [answer.headers["x-cache"] for answer in answers] == ["off", "off"]
        assert not any("etag" in answer.headers for answer in answers)
    assert (entries(tmp_path), parts(tmp_path)) == ([], [])
