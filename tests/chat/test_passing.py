"""One address: what the ASR and the TTS server answer is the same through the Voice server."""

import base64
import io
import json
import re
import socket
import wave
from collections.abc import Callable, Iterator

import httpx2
import pytest
from deepgram import DeepgramClient
from deepgram.core.api_error import ApiError as DeepgramError
from elevenlabs.client import ElevenLabs
from elevenlabs.core import ApiError
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed

from chat.odd_servers import OddServer, header, run_chat, run_odd_server, run_odd_sockets
from core.http.sockets.doors import ask_refusal, open_socket
from e2e.realtime import encode, live
from e2e.test_deepgram import environment
from running_server import RunningServer, wait_until
from voice_stack.asr.app import create_app as create_asr
from voice_stack.asr.settings import AsrSettings
from voice_stack.chat.app import create_app as create_chat
from voice_stack.chat.passing import API_PATHS, ROOT_PATHS
from voice_stack.chat.settings import ChatSettings
from voice_stack.tts.app import create_app as create_tts
from voice_stack.tts.settings import TtsSettings

SPEECH = {"model": "tts-1", "voice": "alloy", "input": "One address for all of it.", "response_format": "pcm"}
OF_ITS_OWN = {"date", "x-replica", "x-request-id", "x-cache", "x-queue-wait-s", "x-queue-jobs"}


def hum(duration_s: float) -> bytes:
    with io.BytesIO() as file:
        with wave.open(file, "wb") as writer:
            writer.setparams((1, 2, 16_000, 0, "NONE", ""))
            writer.writeframes(b"\x10\x20" * int(duration_s * 16_000))
        return file.getvalue()


@pytest.fixture(scope="module")
def odd() -> Iterator[OddServer]:
    with run_odd_server() as server:
        yield server


@pytest.fixture(scope="module")
def before_odd(odd: OddServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Voice server before that one, in place of the ASR server; its TTS server is away."""
    with run_chat(tmp_path_factory.mktemp("chat"), asr_url=odd.url, tts_url="http://127.0.0.1:9") as url:
        yield url


def _paths(app: FastAPI) -> set[str]:
    included = [route for route in app.routes if hasattr(route, "original_router")]
    return {
        router.include_context.path_for(route).rstrip("/")
        for router in included
        for route in router.original_router.routes
    }


def test_every_path_of_both_servers_is_answered_here() -> None:
    asr = _paths(create_asr(AsrSettings(_env_file=None, engine="fake", model="fake", api_deepgram=True)))
    tts = _paths(create_tts(TtsSettings(_env_file=None, engine="fake", model="fake", api_elevenlabs=True)))
    assert asr & tts <= _paths(create_chat(ChatSettings(_env_file=None)))
    passed = {**{f"/v1{path}": server for path, server in API_PATHS.items()}, **ROOT_PATHS}
    for server, paths in {"asr": asr - tts, "tts": tts - asr}.items():
        owners = {path: {passed[above] for above in passed if f"{path}/".startswith(f"{above}/")} for path in paths}
        assert owners == {path: {server} for path in paths}


def test_answers_are_the_same_as_without_it(
    chat_server: RunningServer, fake_asr: RunningServer, fake_tts: RunningServer
) -> None:
    form = {"data": {"model": "whisper-1"}, "files": {"file": ("a.wav", hum(3))}}
    calls: list[tuple[RunningServer, str, str, dict[str, object]]] = [
        (fake_tts, "POST", "/v1/audio/speech", {"json": SPEECH}),
        (fake_tts, "POST", "/v1/audio/speech", {"json": {"model": "tts-1", "voice": "alloy"}}),
        (fake_tts, "GET", "/v1/audio/voices?limit=2", {}),
        (fake_tts, "HEAD", "/v1/audio/voices", {}),
        (fake_asr, "POST", "/v1/audio/transcriptions", form),
        (fake_asr, "PUT", "/v1/audio/transcriptions", {}),
        (fake_asr, "GET", "/v1/models/whisper%2D1", {}),
        (fake_asr, "GET", "/v1/models/no/models/such%2Fmodel", {}),
        (fake_asr, "GET", "/detect-language", {}),
    ]
    for server, method, path, options in calls:
        with server.http() as direct, chat_server.http() as passed:
            headers = {"x-request-id": "the-same-7"}
            expected = direct.request(method, path, headers=headers, **options)
            answer = passed.request(method, path, headers=headers, **options)
        assert (answer.status_code, answer.content) == (expected.status_code, expected.content), path
        told = {name: value for name, value in answer.headers.multi_items() if name not in OF_ITS_OWN}
        assert told == {n: v for n, v in expected.headers.multi_items() if n not in OF_ITS_OWN}, path
        assert answer.headers["x-request-id"] == "the-same-7"
    line = next(line for line in chat_server.log.read_text().splitlines() if "path=/v1/audio/speech" in line)
    assert "request_id=the-same-7" in line
    assert "passed_to=tts" in line
    with chat_server.http() as client:
        metrics = client.get("/metrics").text
    assert 'route="/v1/audio/speech"' in metrics


def test_an_app_with_one_base_url(chat_server: RunningServer) -> None:
    with chat_server.openai() as client:
        with client.audio.speech.with_streaming_response.create(**{**SPEECH, "response_format": "wav"}) as speech:
            sound = b"".join(speech.iter_bytes())
        heard = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound))
        assert heard.text.startswith("window")
        events = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", hum(6)), stream=True)
        kinds = [event.type for event in events]
        assert kinds.count("transcript.text.delta") > 1
        assert kinds[-1] == "transcript.text.done"
        names = [model.id for model in client.models.list()]
        assert names.index("whisper-1") < names.index("tts-1") < names.index("scripted")
        assert len(names) == len(set(names))
        for name in ("whisper-1", "tts-1", "scripted"):
            assert client.models.retrieve(name).id == name
    with chat_server.http() as http:
        form = {"model": "whisper-1", "background": "true"}
        begun = http.post("/v1/audio/transcriptions", data=form, files={"file": ("a.wav", hum(1))})
        assert begun.status_code == 202
        job = begun.headers["location"]
        wait_until(lambda: http.get(job).json()["status"] == "completed", 10, "the job")
        assert http.get(f"{job}/result").json()["text"].startswith("window")
        assert {"id": "tts-1"} in http.get("/v1/audio/models").json()["models"]


def test_sound_and_events_come_as_they_are_made_and_end_with_who_leaves(
    chat_server: RunningServer, fake_tts: RunningServer
) -> None:
    slow = {**SPEECH, "input": "This is passed on at once. " + "Then a sentence of sleep=1 seconds. " * 20}
    with chat_server.http() as client, client.stream("POST", "/v1/audio/speech", json=slow) as answer:
        next(answer.iter_raw())
        wait_until(lambda: fake_tts.count_jobs() != (0, 0), 5, "the rest is being made")
    wait_until(lambda: fake_tts.count_jobs() == (0, 0), 10, "the work for the client that left ends")


def test_clients_of_other_services_at_one_address(chat_server: RunningServer, spoken: Callable[[str], bytes]) -> None:
    speaks = ElevenLabs(base_url=chat_server.url, api_key="unused")
    text = "One address for all."
    answer = speaks.text_to_speech.convert_with_timestamps("alloy", text=text, output_format="pcm_16000")
    assert answer.alignment
    assert "".join(answer.alignment.characters) == text
    assert [voice.voice_id for voice in speaks.voices.search(search="alloy").voices] == ["alloy"]
    assert "fake" in [model.model_id for model in speaks.models.list()]
    with pytest.raises(ApiError) as failed:
        speaks.voices.get("nobody")
    assert failed.value.status_code == 404
    assert failed.value.body["detail"]["message"]
    listens = DeepgramClient(api_key="unused", environment=environment(chat_server.url))
    heard = listens.listen.v1.media.transcribe_file(request=hum(2), model="nova-3")
    assert heard.results.channels[0].alternatives[0].transcript.startswith("window")
    with pytest.raises(DeepgramError) as refused:
        listens.listen.v1.media.transcribe_file(request=b"no sound", model="nova-3")
    assert refused.value.status_code == 400
    assert "file" in str(refused.value.body)
    path = "/v1/listen?encoding=linear16&sample_rate=24000"
    with open_socket(chat_server.port, path, offered=("token", "a-key")) as session:
        assert session.subprotocol == "token"
        session.send(encode(spoken("The second one is here.")))
        session.send(json.dumps({"type": "CloseStream"}))
        told = [json.loads(session.recv(30)) for _ in range(2)]
    assert [event["type"] for event in told] == ["Results", "Metadata"]
    assert told[0]["channel"]["alternatives"][0]["transcript"].startswith("window")


async def test_realtime_transcription(chat_server: RunningServer, spoken: Callable[[str], bytes]) -> None:
    async with live(chat_server) as session:
        await session.set(turn_detection=None)
        await session.say(encode(spoken("The second one is here.")))
        await session.send("input_audio_buffer.commit")
        assert (await session.wait_for(".completed"))["transcript"].startswith("window")
        session_id = session.events[0]["session"]["id"]
    with chat_server.http() as client:
        wait_until(
            lambda: "window" in client.get(f"/v1/realtime/sessions/{session_id}/transcript").text, 10, "the transcript"
        )


def test_sockets_are_refused_and_closed_as_without_it(
    chat_server: RunningServer, fake_asr: RunningServer, fake_tts: RunningServer
) -> None:
    wrong = "/v1/realtime?intent=transcription&call_id=1"
    status, headers, error = ask_refusal(fake_asr.port, wrong, {"x-request-id": "r-1"})
    passed = ask_refusal(chat_server.port, wrong, {"x-request-id": "r-1"})
    assert passed == (status, {**headers, "date": passed[1]["date"], "x-replica": "r3"}, error)
    for port in (fake_tts.port, chat_server.port):
        with open_socket(port, "/v1/audio/speech/stream") as speaking:
            speaking.send(json.dumps({"type": "start", **SPEECH, "input": None}))
            speaking.send(json.dumps({"type": "text", "delta": "A sentence."}))
            speaking.send(json.dumps({"type": "end"}))
            messages = [speaking.recv(5)]
            while not (isinstance(messages[-1], str) and json.loads(messages[-1])["type"] == "done"):
                messages.append(speaking.recv(5))
            assert any(isinstance(message, bytes) for message in messages)
            speaking.send("x" * (22 << 20))
            with pytest.raises(ConnectionClosed, match="1009"):
                speaking.recv(5)
    text = json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(12 << 20)).decode()})
    with open_socket(chat_server.port, "/v1/realtime?intent=transcription", offered=("realtime",)) as session:
        assert session.subprotocol == "realtime"
        assert session.response
        assert "sec-websocket-extensions" not in session.response.headers
        session.send(text)
        session.send(json.dumps({"type": "input_audio_buffer.clear"}))
        while "cleared" not in str(session.recv(10)):
            pass


def test_how_sockets_end_is_told_both_ways(tmp_path_factory: pytest.TempPathFactory) -> None:
    with run_odd_sockets() as odd, run_chat(tmp_path_factory.mktemp("chat"), tts_url=odd.url) as url:
        port = int(url.rpartition(":")[2])
        for say, code, reason in (("4321", 4321, "because"), ("0", 1014, "upstream_failed")):
            with open_socket(port, "/v1/audio/speech/stream") as speaking:
                speaking.send(say)
                with pytest.raises(ConnectionClosed) as closed:
                    speaking.recv(5)
                assert closed.value.rcvd
                assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, reason)
        with open_socket(port, "/v1/audio/speech/stream") as speaking:
            speaking.send(b"sound")
            assert speaking.recv(5) == b"sound"
            speaking.close(4444, "enough")
        wait_until(lambda: odd.ends, 5, "the end")
        assert odd.ends == [(4444, "enough")]


def test_a_refusal_comes_before_the_rest_of_the_upload(before_odd: str) -> None:
    port = int(before_odd.rpartition(":")[2])
    head = "POST /v1/audio/transcriptions/early HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n"
    for more in ("\r\n" + "x" * 100_000, "expect: 100-continue\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall((head + more).encode())
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 401 ")


def test_an_answer_that_breaks_off_never_looks_whole(before_odd: str) -> None:
    for name in ("short", "unended"):
        with httpx2.Client(trust_env=False) as client, pytest.raises(httpx2.RemoteProtocolError):
            client.get(f"{before_odd}/v1/jobs/{name}")


def test_connections_are_kept_and_one_that_was_closed_is_not_used(before_odd: str, odd: OddServer) -> None:
    with httpx2.Client(trust_env=False) as client:
        client.get(f"{before_odd}/v1/jobs/ok")
        before = odd.connections
        assert [client.get(f"{before_odd}/v1/jobs/ok").status_code for _ in range(5)] == [203] * 5
        assert odd.connections == before
        assert [client.get(f"{before_odd}/v1/jobs/quits").status_code for _ in range(5)] == [200] * 5
        assert [client.post(f"{before_odd}/v1/jobs/quits", content=b"x").status_code for _ in range(5)] == [200] * 5


def test_whoever_leaves_while_the_server_says_nothing_is_noticed(before_odd: str, odd: OddServer) -> None:
    with pytest.raises(httpx2.ReadTimeout), httpx2.Client(trust_env=False, timeout=0.2) as client:
        client.post(f"{before_odd}/v1/audio/translations/silent", content=b"x")
    assert odd.lost.wait(5)


def test_what_is_told_and_what_is_not(before_odd: str, odd: OddServer) -> None:
    said = {"authorization": "Bearer mine", "x-forwarded-for": "192.0.2.7", "sec-fetch-site": "same-origin"}
    by_hop = {"connection": "x-private, keep-alive", "x-private": "1", "te": "trailers", "x-mine": "yes"}
    with httpx2.Client(trust_env=False) as client:
        answer = client.get(f"{before_odd}/v1/jobs/a%2Fb?c=d%20e", headers={**said, **by_hop})
    assert answer.status_code == 203
    assert [value for name, value in answer.headers.multi_items() if name == "set-cookie"] == ["a=1", "b=2"]
    assert "x-hop" not in answer.headers
    assert answer.headers["x-end"] == "1"
    head = odd.passed()[-1]
    assert head.startswith("GET /v1/jobs/a%2Fb?c=d%20e HTTP/1.1\r\n")
    own = before_odd.removeprefix("http://")
    expected = {"authorization": "Bearer mine", "x-mine": "yes", "host": odd.url.removeprefix("http://")}
    forwarded = {"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", "x-forwarded-host": own}
    absent = dict.fromkeys(("x-private", "te", "connection", "sec-fetch-site"))
    for name, value in {**expected, **forwarded, **absent}.items():
        assert header(head, name) == value, head
    assert header(head, "x-request-id") == answer.headers["x-request-id"]
    for path in (b"/v1/jobs/%2e%2e/metrics", b"/v1/models/%2e%2e%2fjobs"):
        with socket.create_connection(("127.0.0.1", int(own.rpartition(":")[2])), timeout=10) as sock:
            sock.sendall(b"GET %s HTTP/1.1\r\nhost: localhost\r\n\r\n" % path)
            assert sock.recv(1 << 16).startswith(b"HTTP/1.1 404 ")
    assert odd.passed()[-1] == head


def test_a_server_that_is_away(before_odd: str) -> None:
    with httpx2.Client(base_url=before_odd, trust_env=False) as client:
        answer = client.post("/v1/audio/speech", json=SPEECH)
        assert answer.status_code == 502
        assert re.search("TTS server cannot be reached .* CHAT_TTS_URL", answer.json()["error"]["message"])
        assert answer.json()["error"]["code"] == "upstream_failed"
    status, _, error = ask_refusal(int(before_odd.rpartition(":")[2]), "/v1/audio/speech/stream")
    assert (status, error["code"]) == (502, "upstream_failed")


def test_models_without_a_server_that_is_away(
    fake_asr: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("chat")
    with (
        run_chat(folder, asr_url=f"{fake_asr.url}/v1", tts_url="http://127.0.0.1:9") as url,
        httpx2.Client(base_url=url, trust_env=False) as client,
    ):
        answer = client.get("/v1/models")
        assert "whisper-1" in [model["id"] for model in answer.json()["data"]]
        assert "CHAT_TTS_URL" in answer.headers["x-warnings"]
        assert client.get("/v1/models/tts-1").status_code == 502
        assert client.get("/v1/models/whisper-1").status_code == 200


def test_keys(odd: OddServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With keys of its own the Voice server lets nobody pass without; a key for a server is sent in place of theirs."""
    keys = {"api_keys": ["sk-of-the-voice-server"]}
    with run_chat(
        tmp_path_factory.mktemp("chat"), asr_url=f"{odd.url}/deep/v1", tts_url=odd.url, asr_key="sk-asr", **keys
    ) as url:
        port = int(url.rpartition(":")[2])
        passed_before = len(odd.passed())
        with httpx2.Client(base_url=url, trust_env=False) as client:
            for path in ("/v1/jobs/a", "/v1/audio/voices", "/v1/models", "/asr"):
                assert client.get(path).status_code == 401
            assert ask_refusal(port, "/v1/realtime?intent=transcription")[0] == 401
            assert len(odd.passed()) == passed_before
            mine = {"authorization": "Bearer sk-of-the-voice-server", "cookie": "a=b"}
            for path in ("/asr", "/v1/jobs/a", "/v1/audio/voices"):
                client.get(path, headers=mine)
    film, jobs, voices = odd.passed()[-3:]
    assert film.startswith("GET /deep/asr ")
    assert jobs.startswith("GET /deep/v1/jobs/a ")
    assert header(jobs, "authorization") == "Bearer sk-asr"
    assert header(jobs, "cookie") is None
    assert header(voices, "authorization") == "Bearer sk-of-the-voice-server"
