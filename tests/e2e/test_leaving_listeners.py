"""Listeners who leave while their speech is encoded: the server must not close a codec that a thread works with."""

import httpx2
import pytest

from running_server import RunningServer, wait_until

# Clauses of 13 s: their encoding takes long enough to be left in the middle.
TEXT = ("the river bends and turns and runs on through the fields and woods " * 3 + "to the sea. ") * 4
LEAVERS = 3


@pytest.mark.parametrize(("audio_format", "stream_format"), [("mp3", "audio"), ("mp3", "sse"), ("opus", "audio")])
def test_the_server_outlives_listeners_who_leave(
    fake_tts: RunningServer, audio_format: str, stream_format: str
) -> None:
    body = {"model": "tts-1", "input": TEXT, "response_format": audio_format, "stream_format": stream_format}
    for number in range(LEAVERS):
        with fake_tts.http() as client, client.stream("POST", "/v1/audio/speech", json=body) as answer:
            assert answer.status_code == 200
            chunks = answer.iter_raw()
            for _ in range(1 + number):
                next(chunks)
    with fake_tts.http() as client:
        try:
            assert client.get("/health").status_code == 200
        except httpx2.TransportError:
            pytest.fail(f"the server died: exit code {fake_tts.process.wait(10)}")
    wait_until(lambda: sum(fake_tts.count_jobs()) == 0, 30, "nobody listens, nothing is spoken")
