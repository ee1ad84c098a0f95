"""A server behind a load balancer: it is still there while that looks elsewhere, and tells whose sockets are open."""

import json
from collections.abc import Callable
from contextlib import ExitStack

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from chat.scripted_model import run_scripted_model
from core.http.limits.conftest import FAKE_ASR, StartServer
from core.http.limits.raw_client import connect as raw_connect
from e2e.sound import tone, transcode
from running_server import RunningServer, wait_until

Heard = tuple[list[dict[str, object]], int | None]
LISTEN = "/v1/listen?encoding=linear16&sample_rate=16000"
WORDS = "/v1/realtime?intent=transcription"


def test_a_load_balancer_has_time_to_look_elsewhere(start_server: StartServer) -> None:
    with start_server("asr", "--shutdown-delay-s", "8", **FAKE_ASR) as server, server.http() as client:

        def post() -> tuple[int, str | None]:
            files = {"file": ("a.wav", tone(1.0))}
            answer = client.post("/v1/audio/transcriptions", files=files, data={"model": "whisper-1"})
            return answer.status_code, answer.headers.get("connection")

        assert post() == (200, None)
        server.process.terminate()
        wait_until(lambda: client.get("/ready").status_code == 503, 6, "it is not ready any more")
        assert post() == (200, "close")
        assert server.process.wait(60) == 0


def _open(stack: ExitStack, server: RunningServer, path: str) -> ClientConnection:
    return stack.enter_context(connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None, max_size=None))


def _hear_out(sock: ClientConnection) -> Heard:
    """The messages that still come, sound left out, and the code of the end."""
    told: list[dict[str, object]] = []
    try:
        while True:
            message = sock.recv(30)
            told += [json.loads(message)] if isinstance(message, str) else []
    except ConnectionClosed as closed:
        return told, closed.rcvd and closed.rcvd.code


def _expect_end(server: RunningServer) -> None:
    assert server.process.wait(60) == 0
    assert "Traceback" not in server.log.read_text()


def test_every_socket_of_a_voice_server_that_stops_ends_with_1001(start_server: StartServer) -> None:
    with (
        run_scripted_model() as model,
        start_server("asr", **FAKE_ASR, ASR_API_DEEPGRAM="true") as asr,
        start_server("tts", TTS_ENGINE="fake", TTS_MODEL="fake") as tts,
        start_server("chat", CHAT_ASR_URL=asr.url, CHAT_TTS_URL=tts.url, CHAT_LLM_URL=model.url) as server,
        ExitStack() as stack,
    ):
        model.say("One. ", 1.0, "Two.")
        with server.http() as client:
            paths = [f"/v1/voice/sessions/{client.post('/v1/voice/sessions').json()['id']}/ws" for _ in range(2)]
        paths += ["/v1/realtime?model=gpt-realtime", LISTEN, WORDS, "/v1/audio/speech/stream"]
        speaking, *others = [_open(stack, server, path) for path in paths]
        speaking.send(json.dumps({"type": "input.text", "text": "Count."}))
        while "text.delta" not in str(speaking.recv(30)):
            pass
        server.process.terminate()
        wait_until(lambda: _is_unready(server), 10, "it stops")
        speaking.send(json.dumps({"type": "input.text", "text": "And now?", "interrupt": True}))
        told, code = _hear_out(speaking)
        assert [event["type"] for event in told if event["type"] in {"done", "error"}] == ["error", "done"]
        assert told[-1]["message"]["text"] == "One. Two."  # type: ignore[index]
        assert "shutting_down" in str(told)
        assert [code, *(_hear_out(sock)[1] for sock in others)] == [1001] * 6
        _expect_end(server)


def _is_unready(server: RunningServer) -> bool:
    with server.http() as client:
        return client.get("/ready").status_code == 503


def test_what_was_heard_is_told_by_an_asr_server_that_stops_also_through_the_voice_server(
    start_server: StartServer, spoken: Callable[[str], bytes]
) -> None:
    texts = "The garden gate was open again.", "My sister lives in the old house by the river."
    first, second = (transcode(spoken(text), "s16le", "pcm_s16le", 16_000, "mono") for text in texts)
    with (
        start_server("asr", ASR_API_DEEPGRAM="true") as asr,
        start_server("chat", CHAT_ASR_URL=asr.url) as chat,
        ExitStack() as stack,
    ):
        talking = [_open(stack, server, f"{LISTEN}&interim_results=true") for server in (asr, chat)]
        silent = [_open(stack, server, WORDS) for server in (asr, chat)]
        begun = [list[dict[str, object]]() for _ in talking]
        for sock, told in zip(talking, begun, strict=True):
            sock.send(first + bytes(32_000 * 2) + second)
            while "sister" not in str(told):
                told.append(json.loads(sock.recv(60)))
        asr.process.terminate()
        for sock, told in zip(talking, begun, strict=True):
            rest, code = _hear_out(sock)
            finals = str([event for event in told + rest if event.get("is_final")])
            assert ("garden gate" in finals, "house by the river" in finals, code) == (True, True, 1001), told + rest
        assert [_hear_out(sock)[1] for sock in silent] == [1001, 1001]
        _expect_end(asr)


def test_an_upload_on_its_way_to_one_of_several_replicas_is_brought_to_its_end(start_server: StartServer) -> None:
    form = "--BB\r\nContent-Disposition: form-data; name="
    body = f'{form}"model"\r\n\r\nwhisper-1\r\n{form}"file"; filename="a.wav"\r\n\r\n'.encode()
    body += tone(200.0) + b"\r\n--BB--\r\n"
    head = "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=BB\r\n"
    with (
        start_server("asr", "--shutdown-delay-s", "0.5", REPLICA="r1", **FAKE_ASR) as server,
        raw_connect(server.port) as sock,
    ):
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-1000])
        wait_until(server.uploads, 20, "it has begun")
        server.process.terminate()
        with server.http() as client:
            wait_until(lambda: client.post("/v1/audio/transcriptions").status_code == 503, 20, "no more work is taken")
        sock.sendall(body[-1000:])
        sock.settimeout(60)
        assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
        _expect_end(server)
