"""Conversations before real servers: a crowd, silence, clients that come and go, the server's stop."""

import asyncio
import base64
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from random import Random

import httpx2
import pytest

from chat.scripted_model import ScriptedModel, run_scripted_model
from chat.talking import Conversation, wav
from running_server import RunningServer, wait_until

StartServer = Callable[..., AbstractContextManager[RunningServer]]
ROOM = {"system": "Be brief."}


@pytest.fixture(scope="module")
def shared_model() -> Iterator[ScriptedModel]:
    with run_scripted_model() as model:
        yield model


@pytest.fixture
def model(shared_model: ScriptedModel) -> ScriptedModel:
    shared_model.replies.clear()
    shared_model.requests.clear()
    return shared_model


@pytest.fixture(scope="module")
def chat(
    start_server: StartServer, asr_server: RunningServer, tts_server: RunningServer, shared_model: ScriptedModel
) -> Iterator[RunningServer]:
    around = {"CHAT_ASR_URL": asr_server.url, "CHAT_TTS_URL": tts_server.url, "CHAT_LLM_URL": shared_model.url}
    with start_server("chat", CHAT_CACHE="query", **around) as server:
        yield server


def open_session(client: httpx2.Client, **fields: object) -> Conversation:
    session = client.post("/v1/voice/sessions", json=ROOM | fields).json()
    return Conversation(client, f"/v1/voice/sessions/{session['id']}")


async def test_twenty_talk_at_once_and_nobody_hears_another(
    chat: RunningServer, model: ScriptedModel, spoken: Callable[[str], bytes]
) -> None:
    speech = spoken("The weather is fine today.")

    async def talk(number: int) -> None:
        client = httpx2.AsyncClient(base_url=chat.url, timeout=300, trust_env=False)
        async with client:
            session = (await client.post("/v1/voice/sessions", json=ROOM)).json()
            url = f"/v1/voice/sessions/{session['id']}/messages"
            for text in (f"I am number {number}.", f"Again, number {number}."):
                told = (await client.post(url, json={"text": text, "response_format": "pcm"})).json()
                assert told["message"]["text"] == f"You said: {text}"
                assert len(base64.b64decode(told["audio"]["data"])) > 48_000 * 0.5
            told = (await client.post(url, files={"file": ("a.wav", speech)}, data={"modalities": "text"})).json()
            assert "weather is fine" in told["transcript"]["text"]
            kept = (await client.get(url)).json()["data"]
            assert [message["status"] for message in kept] == ["completed"] * 6
            assert all(str(number) in message["text"] for message in kept[:4])

    await asyncio.gather(*(talk(number) for number in range(100, 120)))
    chat.expect_no_uploads()


def test_where_nobody_speaks_nothing_is_asked(chat: RunningServer, model: ScriptedModel) -> None:
    with chat.http() as client:
        talk = open_session(client)
        for sound in (wav(3.0, volume=0), wav(3.0, volume=200)):
            told = client.post(f"{talk.url}/messages", files={"file": ("a.wav", sound)}).json()
            assert (told["status"], told["message"], told["transcript"]["text"]) == ("completed", None, "")
        assert talk.messages() == []
    assert model.requests == []


def test_a_reply_that_is_kept_is_spoken_without_the_model(chat: RunningServer, model: ScriptedModel) -> None:
    with chat.http() as client:
        talk = open_session(client)
        first, second = (talk.post(text="When do you open?") for _ in range(2))
        fresh = talk.post({"cache-control": "no-cache"}, text="When do you open?")
    assert [answer.headers["x-cache"] for answer in (first, second, fresh)] == ["miss", "hit", "miss"]
    assert first.json()["audio"] == second.json()["audio"]
    assert len(model.requests) == 2


def test_who_comes_back_with_the_key_gets_the_whole_reply(chat: RunningServer, model: ScriptedModel) -> None:
    text = "One two three four five. Six seven eight nine ten."
    model.say("One two three four five. Six", 1.0, " seven eight nine ten.")
    key = {"idempotency-key": "k", "accept": "text/event-stream"}
    with chat.http() as client:
        talk = open_session(client)
        with client.stream("POST", f"{talk.url}/messages", json={"text": "Count."}, headers=key) as answer:
            next(line for line in answer.iter_lines() if "audio.delta" in line)
        told = talk.post({"idempotency-key": "k"}, text="Count.").json()
        assert (told["status"], told["message"]["text"]) == ("completed", text)
        assert told["audio"]["data"]
        assert talk.statuses() == ["user completed", "assistant completed"]
    assert len(model.requests) == 1


async def test_a_killed_server_has_all_that_it_told(
    start_server: StartServer, fake_asr: RunningServer, fake_tts: RunningServer, model: ScriptedModel, tmp_path: Path
) -> None:
    around = {"CHAT_ASR_URL": fake_asr.url, "CHAT_TTS_URL": fake_tts.url, "CHAT_LLM_URL": model.url}
    told, random = dict[str, list[str]](), Random(17)

    async def talk(client: httpx2.AsyncClient, text: str) -> None:
        session = (await client.post("/v1/voice/sessions", json=ROOM)).json()["id"]
        body = {"text": text, "stream": True}
        with suppress(httpx2.TransportError):
            async with client.stream("POST", f"/v1/voice/sessions/{session}/messages", json=body) as answer:
                async for line in answer.aiter_lines():
                    if '"type":"transcript"' in line:
                        told[session] = [text]
                    elif '"type":"done"' in line:
                        told[session] += ["One two three. Four five six. Seven."]

    for life in range(10):
        with start_server("chat", CHAT_DB=str(tmp_path / "chat.db"), **around) as server:
            async with httpx2.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as client:
                for session, texts in told.items():
                    kept = (await client.get(f"/v1/voice/sessions/{session}/messages")).json()["data"]
                    assert [message["text"] for message in kept][: len(texts)] == texts
                    assert all(message["status"] in {"completed", "failed"} for message in kept)
                for _ in range(5):
                    model.say("One two three. ", 0.1, "Four five six. ", 0.1, "Seven.")
                turns = [asyncio.create_task(talk(client, f"{life} {number}")) for number in range(5)]
                if life % 2:
                    await asyncio.wait(turns, timeout=30, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await asyncio.sleep(random.uniform(0.05, 0.6))
                server.process.kill()
                await asyncio.gather(*turns)
            model.replies.clear()
    assert len(told) > 20
    assert 0 < sum(len(texts) for texts in told.values()) - len(told) < len(told)


def test_a_stop_keeps_what_was_heard(
    start_server: StartServer, asr_server: RunningServer, tts_server: RunningServer, model: ScriptedModel
) -> None:
    model.say("One two three four five. Six", 60.0, "never")
    around = {"CHAT_ASR_URL": asr_server.url, "CHAT_TTS_URL": tts_server.url, "CHAT_LLM_URL": model.url}
    with start_server("chat", CHAT_SHUTDOWN_GRACE_S="1", **around) as server, server.http() as client:
        talk = open_session(client)
        body = {"text": "Count.", "stream": True}
        with client.stream("POST", f"{talk.url}/messages", json=body) as answer:
            lines = answer.iter_lines()
            next(line for line in lines if "audio.delta" in line)
            server.process.send_signal(signal.SIGTERM)
            last = [line for line in lines if line.startswith("data: ")][-1]
        assert '"type":"done","status":"interrupted"' in last
        wait_until(lambda: server.process.poll() is not None, 10, "the server ends")
        assert server.process.poll() == 0
