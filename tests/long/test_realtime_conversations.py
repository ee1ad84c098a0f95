"""Conversations over `/v1/realtime` with what takes its time: JavaScript's agents, real speech, crashes, a crowd."""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from benchmarks.small_model import run_small_model
from websockets.exceptions import InvalidStatus
from whisper_normalizer.basic import BasicTextNormalizer

from chat.scripted_model import ScriptedModel, Step, run_scripted_model
from e2e.realtime import RATE, encode, live, quiet
from running_server import RunningServer
from voice_stack.core.http.keys import KeyFile, make_key

JS = Path(__file__).parents[1] / "js"
CONVERSATION = {"model": "gpt-realtime"}
QUESTION = "Please water the plants in the kitchen before you leave."
STORY: list[Step] = ["This is a long story, and it goes on and on. " * 10, 0.05] * 40
SESSIONS = 50
normalize = BasicTextNormalizer()
StartServer = Callable[..., AbstractContextManager[RunningServer]]


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with run_scripted_model() as scripted:
        yield scripted


@pytest.fixture(scope="module")
def question(spoken: Callable[[str], bytes]) -> bytes:
    return encode(spoken(QUESTION))


@pytest.fixture(scope="module")
def server(
    start_server: StartServer, asr_server: RunningServer, tts_server: RunningServer, model: ScriptedModel
) -> Iterator[RunningServer]:
    """The Voice server before real speech, with a language model that says what it is told."""
    around = {"CHAT_ASR_URL": asr_server.url, "CHAT_TTS_URL": tts_server.url, "CHAT_LLM_URL": model.url}
    with start_server("chat", **around) as started:
        yield started


def _is_up(server: RunningServer) -> bool:
    try:
        return httpx2.get(f"{server.url}/health", timeout=5, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def test_agents_of_javascript_write_call_speak_and_interrupt(
    server: RunningServer, model: ScriptedModel, question: bytes, tmp_path: Path
) -> None:
    assert (JS / "node_modules" / "@openai" / "agents-realtime").is_dir(), "missing: npm install --prefix tests/js"
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Bonn"}'}}
    model.say({"tool_calls": [{"index": 0, **call}]})
    model.say("It rains.")
    model.say(*STORY)
    sound = tmp_path / "question.pcm"
    sound.write_bytes(question)
    command = ["node", "converse.mjs", f"ws://127.0.0.1:{server.port}/v1/realtime?model=gpt-realtime", str(sound)]
    done = subprocess.run(command, cwd=JS, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["errors"] == []
    assert told["tools"] == ["Bonn"]
    assert told["audioBytes"] > RATE
    assert told["last"] == {"type": "cancelled", "reason": "turn_detected"}
    assert told["interrupted"] >= 1
    roles = [role for kind, role, _ in told["history"] if kind == "message"]
    assert roles[:4] == ["user", "assistant", "user", "assistant"]


async def test_real_speech_is_answered_and_a_word_stops_the_answer_at_once(
    server: RunningServer, model: ScriptedModel, question: bytes
) -> None:
    delays = list[float]()
    for _ in range(3):
        model.say(*STORY)
        async with live(server, CONVERSATION) as session:
            sound = {"input": {"transcription": {"model": "whisper-1"}}}
            await session.send("session.update", session={"type": "realtime", "audio": sound})
            await session.say(question + quiet(0.8), bytes_per_s=2 * RATE)
            heard = await session.wait_for("transcription.completed")
            assert normalize(heard["transcript"]) == normalize(QUESTION)
            await session.wait_for("output_audio.delta")
            speaking = asyncio.create_task(session.say(question, bytes_per_s=2 * RATE))
            last = started = 0.0
            while True:
                event = await session.next()
                if event["type"] == "response.output_audio.delta":
                    last = time.monotonic()
                elif event["type"].endswith("speech_started"):
                    started = time.monotonic()
                elif event["type"] == "response.done":
                    break
            await speaking
            assert event["response"]["status_details"]["reason"] == "turn_detected"
            delays.append(last - started)
    print(f"last sound minus speech_started: {[round(1000 * delay) for delay in delays]} ms")
    assert max(delays) < 0.15


async def test_the_asr_server_may_die_and_come_back(
    start_server: StartServer, tts_server: RunningServer, model: ScriptedModel, question: bytes
) -> None:
    typed = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Are you there?"}]}
    with start_server("asr") as asr:
        around = {"CHAT_ASR_URL": asr.url, "CHAT_TTS_URL": tts_server.url, "CHAT_LLM_URL": model.url}
        with start_server("chat", **around) as server:
            async with live(server, CONVERSATION) as session:
                sound = {"input": {"transcription": {"model": "whisper-1"}}}
                await session.send("session.update", session={"type": "realtime", "audio": sound})
                await session.say(question, bytes_per_s=4 * RATE)
                await session.wait_for("speech_started")
                asr.process.kill()
                assert "ASR server" in (await session.wait_for("error"))["error"]["message"]
                await session.say(question)
                assert "CHAT_ASR_URL" in (await session.wait_for("error"))["error"]["message"]
                await session.say(question)  # it is not asked again at each piece of sound
                await session.send("conversation.item.create", item=typed)
                await session.send("response.create")
                assert (await session.wait_for("response.done"))["response"]["status"] == "completed"
                assert len(session.of("error")) == 2
                is_back = partial(_is_up, asr)
                with start_server("asr", "--port", str(asr.port), is_ready=is_back):
                    await asyncio.sleep(5)
                    await session.say(question + quiet(1))
                    assert (await session.wait_for("response.done"))["response"]["status"] == "completed"


async def test_a_server_with_no_live_sessions_says_so_and_texts_are_answered(
    start_server: StartServer, tts_server: RunningServer, model: ScriptedModel, question: bytes
) -> None:
    around = {"CHAT_ASR_URL": tts_server.url, "CHAT_TTS_URL": tts_server.url, "CHAT_LLM_URL": model.url}
    typed = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]}
    with start_server("chat", **around) as server:
        async with live(server, CONVERSATION) as session:
            await session.say(question)
            assert "no live sessions" in (await session.wait_for("error"))["error"]["message"]
            await session.send("conversation.item.create", item=typed)
            await session.send("response.create")
            assert (await session.wait_for("response.done"))["response"]["status"] == "completed"
    with start_server("chat", **{**around, "CHAT_LLM_URL": ""}) as server:
        async with live(server, CONVERSATION) as session:
            await session.send("conversation.item.create", item=typed)
            await session.send("response.create")
            done = (await session.wait_for("response.done"))["response"]
            assert done["status"] == "failed"
            assert "CHAT_LLM_URL" in done["status_details"]["error"]["message"]


async def test_a_small_model_answers_real_speech_and_is_interrupted(
    start_server: StartServer, asr_server: RunningServer, tts_server: RunningServer, question: bytes
) -> None:
    with run_small_model() as small:
        around = {"CHAT_ASR_URL": asr_server.url, "CHAT_TTS_URL": tts_server.url, "CHAT_LLM_URL": small.url}
        with start_server("chat", **around) as server:
            async with live(server, CONVERSATION) as session:
                await session.send("session.update", session={"type": "realtime", "max_output_tokens": 400})
                await session.say(question + quiet(0.8), bytes_per_s=2 * RATE)
                await session.wait_for("output_audio.delta")
                await session.say(question, bytes_per_s=2 * RATE)
                first = (await session.wait_for("response.done"))["response"]
                await session.say(quiet(0.8), bytes_per_s=2 * RATE)
                await session.send("session.update", session={"type": "realtime", "max_output_tokens": 30})
                second = (await session.wait_for("response.done"))["response"]
    assert first["status"] in {"cancelled", "completed", "incomplete"}  # it may have been short
    assert first["output"][0]["content"][0]["transcript"]
    assert second["usage"]["input_tokens"] > 0
    assert second["output"][0]["content"][0]["transcript"]


async def test_a_key_for_words_alone_opens_no_conversation(
    start_server: StartServer, tts_server: RunningServer, tmp_path: Path
) -> None:
    file = KeyFile(tmp_path / "keys.json")
    (hearing, one), (talking, other) = make_key("hearing", ("asr",)), make_key("talking", ("chat",))
    for record in (one, other):
        file.add(record)
    wanted = {"session": {"type": "realtime"}}
    around = {"CHAT_TTS_URL": tts_server.url, "API_KEYS_FILE": str(tmp_path / "keys.json")}
    with start_server("chat", **around) as server, server.http() as client:
        made = {
            key: client.post("/v1/realtime/client_secrets", json=wanted, headers={"authorization": f"Bearer {key}"})
            for key in (hearing, talking)
        }
        assert [answer.status_code for answer in made.values()] == [403, 200]
        for key in (talking, made[talking].json()["value"]):
            async with live(server, CONVERSATION, key=key) as session:
                assert session.events[0]["session"]["type"] == "realtime"
        with pytest.raises(InvalidStatus, match="403"):
            async with live(server, CONVERSATION, key=hearing):
                pass


async def test_sessions_in_which_nothing_is_said_cost_nothing(server: RunningServer) -> None:
    process = psutil.Process(server.process.pid)
    async with live(server, CONVERSATION):
        pass
    before = process.memory_info().rss
    async with AsyncExitStack() as stack:
        for _ in range(SESSIONS):
            await stack.enter_async_context(live(server, CONVERSATION))
        await asyncio.sleep(1)
        grown = process.memory_info().rss - before
        busy_s = sum(process.cpu_times()[:2])
        await asyncio.sleep(20)
        busy_s = sum(process.cpu_times()[:2]) - busy_s
        threads = process.num_threads()
    print(f"{SESSIONS} idle sessions: {grown / SESSIONS / 1024:.0f} KiB each, {busy_s / 20:.2%} of a core")
    assert grown / SESSIONS < 200 * 1024
    assert busy_s / 20 < 0.01
    assert threads < 40


async def test_a_server_that_stops_ends_what_it_says(start_server: StartServer, tts_server: RunningServer) -> None:
    with run_scripted_model() as model:
        model.say("One. ", 1.0, "Two.")
        around = {"CHAT_TTS_URL": tts_server.url, "CHAT_LLM_URL": model.url}
        with start_server("chat", **around) as server:
            async with live(server, CONVERSATION) as session:
                await session.send("response.create")
                await session.wait_for("output_audio_transcript.delta")
                server.process.terminate()
                done = (await session.wait_for("response.done"))["response"]
                assert done["output"][0]["content"][0]["transcript"] == "One. Two."
                assert (await session.wait_for("error"))["error"]["code"] == "shutting_down"
                await session.connection._connection.wait_closed()
                assert session.connection._connection.close_code == 1001
