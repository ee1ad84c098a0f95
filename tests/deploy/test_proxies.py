"""nginx, Caddy and Traefik with the files of deploy/, before the servers, as clients see them."""

import io
import json
import re
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from openai import InternalServerError, OpenAI
from websockets.exceptions import ConnectionClosed

from core.http.sockets.doors import ask_refusal, open_socket, serving_doors
from deploy.proxies import PROXIES, RunningProxy, run_proxy
from running_server import RunningServer, free_port, wait_until

MIB = 1 << 20
SAMPLE_RATE = 16_000
UPLOAD = {"nginx": 1024 * MIB, "caddy": 64 * MIB, "traefik": 64 * MIB}
FORM_MARGIN = 64 << 10  # the whole form has to stay below ASR_MAX_UPLOAD_MB
BOUNDARY = "boundary-of-this-test"
# A clause at once and one that takes its time, so that the first sound is long there when the last is made.
SLOW_TEXT = "This is there soon. And this later, after sleep=2.5 seconds."


@pytest.fixture(scope="module", params=sorted(PROXIES))
def proxy(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    fake_asr: RunningServer,
    fake_tts: RunningServer,
    chat: RunningServer,
) -> Iterator[RunningProxy]:
    with run_proxy(request.param, tmp_path_factory.mktemp(request.param), fake_asr, fake_tts, chat) as running:
        yield running


def _openai(proxy: RunningProxy, path: str) -> OpenAI:
    return OpenAI(base_url=f"{proxy.url}{path}", api_key="unused", max_retries=0, timeout=120)


def _speech(proxy: RunningProxy, text: str) -> dict[str, str]:
    """A request that no other proxy's test has made, so that its speech is not kept already."""
    return {"model": "tts-1", "voice": "alloy", "response_format": "pcm", "input": f"With {proxy.name}. {text}"}


def _wav(duration_s: float) -> bytes:
    """A hum: text over digital silence would be dropped."""
    times = np.arange(int(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    samples = (8000 * np.sin(2 * np.pi * 220 * times)).astype("<i2")
    with io.BytesIO() as file:
        with wave.open(file, "wb") as writer:
            writer.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            writer.writeframes(samples.tobytes())
        return file.getvalue()


def _large_form(size: int, at_half: Callable[[], None]) -> Iterator[bytes]:
    """A form with a WAV file of about that size: a second of sound behind a chunk that decoders leave out."""
    wav, junk = _wav(1), size - FORM_MARGIN
    riff = (len(wav) + junk).to_bytes(4, "little")
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="film.wav"\r\n\r\n'
    model = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    yield (model + head).encode() + b"RIFF" + riff + b"WAVEJUNK" + junk.to_bytes(4, "little")
    block = bytes(MIB)
    blocks, rest = divmod(junk, MIB)
    for number in range(blocks):
        if number == blocks // 2:
            at_half()
        yield block
    yield bytes(rest) + wav[12:] + f"\r\n--{BOUNDARY}--\r\n".encode()


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _rss_mib(process: int) -> float:
    return float(psutil.Process(process).memory_info().rss) / MIB


def test_the_first_sound_is_there_before_the_last_is_made(proxy: RunningProxy) -> None:
    speech = _speech(proxy, SLOW_TEXT)
    with proxy.http() as client, client.stream("POST", "/tts/v1/audio/speech", json=speech) as answer:
        assert answer.status_code == 200
        chunks = answer.iter_raw()
        next(chunks)
        first = time.monotonic()
        count = sum(len(chunk) for chunk in chunks)
    assert time.monotonic() - first > 1
    assert count > 0


def test_events_arrive_one_by_one(proxy: RunningProxy) -> None:
    create = _openai(proxy, "/asr/v1").audio.transcriptions.create
    times: list[float] = []
    with create(model="whisper-1", file=("six.wav", _wav(6)), prompt="sleep=1", stream=True) as stream:
        kinds = [event.type for event in stream if times.append(time.monotonic()) is None]  # type: ignore[func-returns-value]
    assert kinds[-1] == "transcript.text.done"
    assert len(kinds) > 2
    assert times[-1] - times[0] > 1


def test_all_servers_have_one_base_url(proxy: RunningProxy) -> None:
    client = _openai(proxy, "/v1")
    sound = client.audio.speech.create(model="tts-1", voice="alloy", input="Hello.", response_format="wav").read()
    assert sound.startswith(b"RIFF")
    heard = client.audio.transcriptions.create(model="whisper-1", file=("hello.wav", sound))
    assert heard.usage is not None
    with pytest.raises(InternalServerError, match="CHAT_LLM_URL"):  # the Voice server's own words
        client.chat.completions.create(model="any", messages=[{"role": "user", "content": "Hello."}])


@pytest.mark.timeout(600)
def test_a_large_upload_is_passed_on_as_it_comes(proxy: RunningProxy, fake_asr: RunningServer) -> None:
    size = UPLOAD[proxy.name]

    def look() -> None:
        wait_until(lambda: _bytes_below(fake_asr.spool_dir) > size // 4, 120, "the server has what was sent")
        assert _bytes_below(proxy.folder) < MIB

    before_mib = _rss_mib(fake_asr.process.pid)
    with proxy.http() as client:
        content = _large_form(size, look)
        headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        answer = client.post("/asr/v1/audio/transcriptions", content=content, headers=headers, timeout=300)
    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"]["seconds"] == 1
    assert _rss_mib(fake_asr.process.pid) < before_mib + 100
    fake_asr.expect_no_uploads()


def test_whoever_leaves_stops_the_work(proxy: RunningProxy, fake_tts: RunningServer) -> None:
    text = "At first this. " + "Then a sentence of sleep=1 seconds. " * 60
    speech = _speech(proxy, text)
    with proxy.http() as client, client.stream("POST", "/tts/v1/audio/speech", json=speech) as _:
        assert fake_tts.count_jobs() != (0, 0)
    wait_until(lambda: fake_tts.count_jobs() == (0, 0), 20, "the work for the client that left ends")


def test_paths_errors_and_what_is_not_for_clients(proxy: RunningProxy) -> None:
    with proxy.http() as client:
        assert client.get("/asr/health").json()["server"] == "asr"
        assert client.get("/tts/health").json()["server"] == "tts"
        assert client.get("/chat/health").json()["server"] == "chat"
        refused = client.post("/tts/v1/audio/speech", json={"model": "tts-1", "voice": "alloy"})
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "input"
        assert client.get("/asr/metrics").status_code == 404
        assert client.get("/tts/metrics").status_code == 404
        assert client.get("/chat/metrics").status_code == 404
        assert client.get("/elsewhere").status_code == 404


@pytest.mark.parametrize("name", sorted(PROXIES))
def test_a_socket_is_passed_on(name: str, tmp_path: Path, fake_tts: RunningServer) -> None:
    servers, files = tmp_path / "servers", tmp_path / "proxy"
    servers.mkdir()
    files.mkdir()
    settings = {"root_path": "/asr", "trusted_proxies": ["127.0.0.1"], "api_keys": ["a-key-of-16-letters"]}
    with serving_doors(servers, **settings) as asr, run_proxy(name, files, asr, fake_tts, asr) as proxy:
        port, offered = int(proxy.url.rpartition(":")[2]), ("realtime", "openai-insecure-api-key.a-key-of-16-letters")
        with open_socket(port, "/asr/v1/echo", offered=offered) as sock:
            assert sock.subprotocol == "realtime"
            for message in ("words", b"x" * MIB):
                sock.send(message)
                assert sock.recv(10) == message
        with open_socket(port, "/asr/v1/whoami", offered=offered) as sock:
            assert json.loads(sock.recv(10))["url"] == f"ws://127.0.0.1:{port}/asr/v1/whoami"
        assert ask_refusal(port, "/asr/v1/echo")[0] == 401
        status, _, told = ask_refusal(port, "/v1/realtime", offered=offered)
        assert (status, told["message"]) == (404, "Unknown WebSocket URL: /asr/v1/realtime.")
        with open_socket(port, "/asr/v1/polite", offered=offered) as sock:
            asr.process.terminate()
            assert sock.recv(10) == "good bye"
            with pytest.raises(ConnectionClosed):
                sock.recv(10)
            assert sock.close_code == 1001


@pytest.mark.parametrize("server", ["asr", "tts", "chat"])
def test_the_pages_below_a_path_find_their_parts(proxy: RunningProxy, server: str) -> None:
    with proxy.http() as client:
        page = client.get(f"/{server}/docs").text
        parts = re.findall(r"(?:href|src|url)(?:=|: )[\"'](/[^\"']+)", page)
        assert f"/{server}/openapi.json" in parts
        assert [(part, client.get(part).status_code) for part in parts] == [(part, 200) for part in parts]


@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_a_server_that_is_away_is_an_error_that_clients_read(
    name: str, tmp_path: Path, fake_asr: RunningServer, chat: RunningServer
) -> None:
    away = RunningServer(free_port(), fake_asr.process, fake_asr.log, fake_asr.spool_dir)
    with run_proxy(name, tmp_path, fake_asr, away, chat) as proxy, proxy.http() as client:
        answer = client.post("/tts/v1/audio/speech", json=_speech(proxy, SLOW_TEXT))
        assert answer.status_code in {502, 503}
        assert answer.json()["error"]["type"] == "server_error"
        assert int(answer.headers["retry-after"]) > 0
        assert client.get("/asr/health").status_code == 200
