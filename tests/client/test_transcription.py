"""Speech to text: what is sent, what comes back."""

import asyncio
import gzip
import io
import os
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from fastapi import Response
from fastapi.responses import HTMLResponse, JSONResponse

from client.conftest import Connect
from client.protocol_server import (
    SRT,
    VERBOSE_TRANSCRIPT,
    ProtocolServer,
    error,
)
from voice_stack.client import (
    AsyncVoiceStackClient,
    AudioFile,
    InvalidResponseError,
    Segment,
    ServerError,
    Transcript,
    VoiceStackClient,
    Word,
)

SPEECH = os.urandom(150_000)


def _as_path(folder: Path) -> AudioFile:
    return folder / "é ü.mp3"


def _as_text_path(folder: Path) -> AudioFile:
    return str(folder / "é ü.mp3")


def _as_bytes(folder: Path) -> AudioFile:
    return SPEECH


def _as_memory_file(folder: Path) -> AudioFile:
    file = io.BytesIO(SPEECH)
    file.seek(1000)
    return file


def _as_open_file(folder: Path) -> AudioFile:
    return (folder / "é ü.mp3").open("rb")


def _as_packed_file(folder: Path) -> AudioFile:
    # Its descriptor tells the packed length, which is not the one to send.
    packed = folder / "packed.gz"
    packed.write_bytes(gzip.compress(SPEECH))
    return io.BufferedReader(gzip.open(packed))


@pytest.mark.parametrize(
    ("make_file", "filename", "content_type"),
    [
        (_as_path, "é ü.mp3", "audio/mpeg"),
        (_as_text_path, "é ü.mp3", "audio/mpeg"),
        (_as_open_file, "é ü.mp3", "audio/mpeg"),
        (_as_bytes, "upload", "application/octet-stream"),
        (_as_memory_file, "upload", "application/octet-stream"),
        (_as_packed_file, None, None),
    ],
)
def test_every_kind_of_file_arrives_whole_and_again_on_retry(
    client: VoiceStackClient,
    server: ProtocolServer,
    tmp_path: Path,
    make_file: Callable[[Path], AudioFile],
    filename: str | None,
    content_type: str | None,
) -> None:
    (tmp_path / "é ü.mp3").write_bytes(SPEECH)
    server.script.append(error(503))
    file = make_file(tmp_path)
    assert client.transcribe(file).text == "Guten Tag."
    assert [received.content == SPEECH for received in server.received] == [True, True]
    assert [int(received.headers["content-length"]) > len(SPEECH) for received in server.received] == [True, True]
    if filename:
        assert {(received.filename, received.content_type) for received in server.received} == {
            (filename, content_type)
        }
    if not isinstance(file, str | os.PathLike | bytes):
        assert not file.closed, "a file that the caller opened is the caller's to close"
        file.close()


def _pipe(content: bytes) -> BinaryIO:
    reading, writing = os.pipe()

    def fill() -> None:
        with open(writing, "wb") as end:  # noqa: PTH123 - a descriptor has no path
            end.write(content)

    threading.Thread(target=fill).start()
    return open(reading, "rb")  # noqa: PTH123 - a descriptor has no path; the caller closes it


def test_a_pipe_arrives_whole(client: VoiceStackClient, server: ProtocolServer) -> None:
    with _pipe(SPEECH) as pipe:
        client.transcribe(pipe)
    assert server.received[0].content == SPEECH


async def test_a_slow_pipe_does_not_hold_up_the_event_loop(server: ProtocolServer) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb") as end:
        # Ends the wait of a client that blocks the loop, so that the test fails instead of hanging.
        deadline = threading.Timer(5, end.close)
        deadline.start()
        async with AsyncVoiceStackClient(server.url, server.url) as client:
            call = asyncio.create_task(client.transcribe(pipe))
            await asyncio.sleep(0.2)
            end.write(SPEECH[:1000])
            end.close()
            await call
        deadline.cancel()
    assert server.received[0].content == SPEECH[:1000]


def test_a_pipe_is_not_sent_again_as_it_is_gone(client: VoiceStackClient, server: ProtocolServer) -> None:
    server.script.append(error(503))
    reading, writing = os.pipe()
    os.write(writing, b"RIFF")
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, pytest.raises(ServerError):
        client.transcribe(pipe)
    assert [received.content for received in server.received] == [b"RIFF"]


def test_a_missing_file_is_the_usual_error(client: VoiceStackClient, server: ProtocolServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.transcribe(tmp_path / "none.wav")
    assert server.received == []


def test_a_large_file_is_never_whole_in_memory(connect: Connect, server: ProtocolServer, tmp_path: Path) -> None:
    size = 48 * 1024 * 1024
    with (tmp_path / "film.mkv").open("wb") as film:
        film.truncate(size)
    client = connect(api_prefix="/count")
    client.health()
    before = server.uploaded_bytes
    tracemalloc.start()
    try:
        client.transcribe(tmp_path / "film.mkv")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert server.uploaded_bytes - before > size
    assert peak < size / 8


def test_transcribe_sends_openais_fields_and_types_the_answer(client: VoiceStackClient, server: ProtocolServer) -> None:
    transcript = client.transcribe(
        b"RIFF", model="base", language="de", prompt="Grüße", temperature=0.2, word_timestamps=True, request_id="req_me"
    )
    assert server.received[0].path == "/v1/audio/transcriptions"
    assert sorted(server.received[0].form) == [
        ("language", "de"),
        ("model", "base"),
        ("prompt", "Grüße"),
        ("response_format", "verbose_json"),
        ("temperature", "0.2"),
        ("timestamp_granularities[]", "segment"),
        ("timestamp_granularities[]", "word"),
    ]
    assert transcript == Transcript(
        text="Guten Tag.",
        language="german",
        duration_s=2.5,
        segments=(Segment(0, " Guten Tag.", 0.5, 2.0, avg_logprob=-0.25, no_speech_prob=0.01),),
        words=(Word("Guten", 0.5, 1.0), Word("Tag.", 1.0, 2.0)),
        request_id="req_me",
    )


def test_what_is_not_given_is_not_sent(client: VoiceStackClient, server: ProtocolServer) -> None:
    transcript = client.transcribe(b"RIFF")
    assert sorted(server.received[0].form) == [("model", "whisper-1"), ("response_format", "verbose_json")]
    assert "x-request-id" not in server.received[0].headers
    assert transcript.request_id == "req_server"


def test_a_segment_needs_only_its_text_and_times(client: VoiceStackClient, server: ProtocolServer) -> None:
    segment = {"id": 3, "start": 1, "end": 2, "text": "Hi"}
    server.script.append(JSONResponse(VERBOSE_TRANSCRIPT | {"segments": [segment], "words": None}))
    transcript = client.transcribe(b"RIFF")
    assert (transcript.segments, transcript.words) == ((Segment(3, "Hi", 1.0, 2.0),), ())


@pytest.mark.parametrize(
    "answer",
    [
        HTMLResponse("<p>Welcome</p>"),
        JSONResponse(["Hello"]),
        JSONResponse({"text": "Hello", "language": "english", "duration": "2.5"}),
        JSONResponse({"text": "Hello", "language": "english", "duration": 2.5, "words": [{"word": "Hello"}]}),
    ],
)
def test_answers_in_another_shape_are_quoted(
    client: VoiceStackClient, server: ProtocolServer, answer: Response
) -> None:
    server.script.append(answer)
    with pytest.raises(InvalidResponseError, match=r"Hello|Welcome") as caught:
        client.transcribe(b"RIFF")
    assert caught.value.request_id == "req_server"


def test_subtitles_come_as_the_server_wrote_them(client: VoiceStackClient, server: ProtocolServer) -> None:
    assert client.transcribe_as(b"RIFF", "srt", language="de") == SRT
    assert ("response_format", "srt") in server.received[0].form


def test_translate(client: VoiceStackClient, server: ProtocolServer) -> None:
    transcript = client.translate(b"RIFF", prompt="names", request_id="req_1")
    assert (transcript.text, transcript.language, transcript.request_id) == ("Good day.", "english", "req_1")
    assert server.received[0].path == "/v1/audio/translations"
    expected = {"model": "whisper-1", "prompt": "names", "response_format": "verbose_json"}
    assert dict(server.received[0].form) == expected


def test_option_of_another_method_is_told_with_those_there_are(client: VoiceStackClient) -> None:
    with pytest.raises(TypeError, match=r"no such option: word_timestamps; .* prompt"):
        client.translate(b"RIFF", word_timestamps=True)  # type: ignore[call-arg]
