"""Deepgram's own SDK on the ASR server."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from websockets.exceptions import InvalidStatus

from core.http.sockets.doors import open_socket
from e2e.realtime import encode, quiet
from e2e.sound import tone
from running_server import RunningServer
from voice_stack.asr.app import create_app
from voice_stack.asr.settings import AsrSettings

KEY = "vs-of-the-house"
Spoken = Callable[[str], bytes]
LIVE = {"model": "nova-3", "encoding": "linear16", "sample_rate": "24000"}


def environment(url: str) -> DeepgramClientEnvironment:
    socket = url.replace("http", "ws", 1)
    return DeepgramClientEnvironment(base=url, production=socket, agent=socket, agent_rest=url)


@pytest.fixture(scope="module")
def client(fake_asr: RunningServer) -> DeepgramClient:
    return DeepgramClient(api_key="unused", environment=environment(fake_asr.url))


def test_a_file_is_heard_and_told_as_it_was_asked(client: DeepgramClient) -> None:
    heard = client.listen.v1.media.transcribe_file(
        request=tone(5.0), model="nova-3", smart_format=True, utterances=True, detect_language=True, keyterm=["Anna"]
    )
    (channel,) = heard.results.channels
    (alternative,) = channel.alternatives
    assert alternative.transcript.startswith("window 1.6 s. window")
    assert alternative.confidence == 0.9
    assert (alternative.words[2].word, alternative.words[2].punctuated_word) == ("s", "s.")
    ends = [word.end for word in alternative.words]
    assert ends == sorted(ends)
    assert ends[-1] == heard.metadata.duration == 5.0
    assert channel.detected_language == "en"
    (paragraph,) = alternative.paragraphs.paragraphs
    assert paragraph.sentences[0].text == "window 1.6 s."
    (utterance,) = heard.results.utterances
    assert (utterance.start, utterance.end, utterance.transcript) == (0.0, 5.0, alternative.transcript)
    assert heard.metadata.model_info[heard.metadata.models[0]]["name"] == "fake"
    bare = client.listen.v1.media.transcribe_file(request=tone(1.0), model="nova-3", punctuate=False, utt_split=0.5)
    assert bare.results.channels[0].alternatives[0].transcript == "window 1.0 s"
    assert not bare.results.utterances


async def test_samples_without_a_header_and_the_asynchronous_client(fake_asr: RunningServer) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"\x10\x20" * 8000

    client = AsyncDeepgramClient(api_key="unused", environment=environment(fake_asr.url))
    more = {"additional_query_parameters": {"sample_rate": "16000"}}
    heard = await client.listen.v1.media.transcribe_file(
        request=pieces(), model="nova-2-general", encoding="linear16", request_options=more
    )
    assert heard.metadata.duration == 2.0


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        ({"callback": "http://127.0.0.1/"}, 400, "callback"),
        ({"redact": "pci"}, 400, "redact"),
        ({"model": "sonic"}, 404, "sonic"),
        ({"language": "xx"}, 400, "language 'xx'"),
        ({"encoding": "mulaw"}, 400, "encoding"),
        ({"utt_split": -1.0}, 400, "utt_split"),
        ({"request": b"no sound"}, 400, "file"),
    ],
)
def test_errors_are_deepgrams(client: DeepgramClient, asked: dict[str, Any], status: int, told: str) -> None:
    with pytest.raises(ApiError) as failed:
        client.listen.v1.media.transcribe_file(**{"request": tone(0.5), "model": "nova-3", **asked})
    assert failed.value.status_code == status
    body = failed.value.body
    assert told in str(body), body
    assert failed.value.headers["dg-request-id"] in str(body)


def test_nothing_is_fetched_and_what_means_nothing_is_named(client: DeepgramClient, fake_asr: RunningServer) -> None:
    with pytest.raises(ApiError, match="nothing is fetched"):
        client.listen.v1.media.transcribe_url(url="http://127.0.0.1:1/a.wav", model="nova-3")
    query = "model=nova-3&numerals=true&diarize=false&multichannel=true&summarize=v2&punctuate=true&mip_opt_out=true"
    with fake_asr.http() as http:  # as curl sends it
        form = {"content-type": "application/x-www-form-urlencoded"}
        answer = http.post(f"/v1/listen?{query}", content=tone(0.5), headers=form)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ignored-fields"] == "numerals, multichannel, summarize"
    fake_asr.expect_no_uploads()


def test_a_conversation_is_heard_while_it_goes_on(client: DeepgramClient, spoken: Spoken) -> None:
    events: list[Any] = []
    asked = {**LIVE, "interim_results": "true", "vad_events": "true", "utterance_end_ms": "1000"}
    with client.listen.v1.connect(**asked, diarize="true", endpointing="300") as connection:
        connection.on(EventType.MESSAGE, events.append)
        listening = threading.Thread(target=connection.start_listening)
        listening.start()
        sound = encode(spoken("The second one is here.")) + quiet(0.8)
        for at in range(0, len(sound), 4800):
            connection.send_media(sound[at : at + 4800])
        connection.send_keep_alive()
        connection.send_media(encode(spoken("And another one.")))
        connection.send_finalize()
        connection.send_close_stream()
        listening.join(60)
    kinds = [event.type for event in events]
    assert kinds[0] == "SpeechStarted"
    assert kinds[-2:] == ["UtteranceEnd", "Metadata"]
    finals = [event for event in events if event.type == "Results" and event.is_final]
    assert [final.from_finalize for final in finals] == [False, True]
    assert all(final.speech_final for final in finals)
    assert finals[0].channel.alternatives[0].transcript.startswith("window")
    assert finals[0].channel.alternatives[0].words[0].word == "window"
    assert finals[0].start + finals[0].duration <= finals[1].start + 0.01
    assert events[-1].request_id == finals[0].metadata.request_id


@pytest.mark.parametrize("encoding", ["mulaw", "alaw"])
async def test_the_sound_of_telephones(fake_asr: RunningServer, spoken: Spoken, encoding: str) -> None:
    client = AsyncDeepgramClient(api_key="unused", environment=environment(fake_asr.url))
    sound = encode(spoken("The second one is here."), {"mulaw": "audio/pcmu", "alaw": "audio/pcma"}[encoding])
    async with client.listen.v1.connect(model="nova-2", encoding=encoding, sample_rate="8000") as connection:
        await connection.send_media(sound)
        await connection.send_close_stream()
        async with asyncio.timeout(60):
            events = [event async for event in connection]
    assert [event.type for event in events] == ["Results", "Metadata"]
    assert events[0].channel.alternatives[0].transcript.startswith("window")
    assert events[1].duration == pytest.approx(len(sound) / 8000, abs=0.01)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("encoding=opus&sample_rate=48000", "encoding"),
        ("", "you must provide encoding"),
        ("encoding=linear16", "you must provide sample_rate"),
        ("encoding=mulaw&sample_rate=16000", "8000 Hz"),
        ("encoding=linear16&sample_rate=16000&channels=2", "one channel"),
        ("encoding=linear16&sample_rate=16000&redact=pci", "redact"),
        ("encoding=linear16&sample_rate=16000&endpointing=soon", "endpointing"),
    ],
)
def test_a_socket_is_refused_with_the_reason(fake_asr: RunningServer, query: str, told: str) -> None:
    with pytest.raises(InvalidStatus) as refused, open_socket(fake_asr.port, f"/v1/listen?{query}"):
        pass
    answer = refused.value.response
    assert answer.status_code == 400
    assert told in json.loads(answer.body)["err_msg"]
    assert answer.headers["dg-request-id"] == json.loads(answer.body)["request_id"]


def test_a_browser_shows_its_key_among_the_subprotocols(fake_asr: RunningServer) -> None:
    path = "/v1/listen?encoding=linear16&sample_rate=16000&endpointing=25&smart_format=true&numerals=true"
    with open_socket(fake_asr.port, path, offered=("token", "a-key")) as socket:
        assert socket.subprotocol == "token"
        assert socket.response
        assert socket.response.headers["x-ignored-fields"] == "numerals"
        assert "endpointing=25" in socket.response.headers["x-warnings"]
        socket.send(json.dumps({"type": "CloseStream"}))
        assert json.loads(socket.recv(10))["type"] == "Metadata"


def test_the_key_of_deepgram_opens_its_routes_alone_and_is_off_unless_asked_for() -> None:
    async def ask(path: str, authorization: str, *, is_on: bool) -> tuple[int, object]:
        settings = AsrSettings(_env_file=None, engine="fake", model="fake", api_deepgram=is_on, api_keys=[KEY])
        transport = httpx2.ASGITransport(app=create_app(settings))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            answer = await http.post(path, headers={"authorization": authorization}, content=b"")
            return answer.status_code, answer.json()

    async def check() -> None:
        for scheme in ("Token", "token", "Bearer"):
            status, body = await ask("/v1/listen?model=sonic", f"{scheme} {KEY}", is_on=True)
            assert (status, body["err_code"]) == (404, "MODEL_NOT_FOUND")
        status, body = await ask("/v1/listen", "Token wrong", is_on=True)
        assert (status, body["err_code"]) == (401, "INVALID_AUTH")
        assert (await ask("/v1/audio/transcriptions", f"Token {KEY}", is_on=True))[0] == 401
        assert (await ask("/v1/listen", f"Token {KEY}", is_on=False))[0] == 401
        status, body = await ask("/v1/listen", f"Bearer {KEY}", is_on=False)
        assert (status, body["error"]["type"]) == (404, "invalid_request_error")

    asyncio.run(check())
