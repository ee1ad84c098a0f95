"""The servers on Ray Serve: what a client sees of it, and what becomes of replicas."""

import asyncio
import io
import os
import wave
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx2
import psutil
import pytest
import ray
from openai import OpenAI
from websockets.asyncio.client import connect

from on_ray.conftest import START_S, Cluster, small_config
from running_server import wait_until
from voice_stack.core.errors import ConfigurationError
from voice_stack.ray_serve import servers

HANGING_S = 60.0


def make_wav(seconds: float) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(b"\x10\x01" * int(16_000 * seconds))
    return file.getvalue()


def openai(cluster: Cluster, server: str) -> OpenAI:
    return OpenAI(base_url=f"{cluster.url}/{server}/v1", api_key="unused", max_retries=0, timeout=HANGING_S)


def asr_engine(cluster: Cluster) -> psutil.Process:
    with cluster.http() as http:
        return psutil.Process(http.get("/asr/status").json()["engines"][0]["pid"])


def test_speaks_and_listens(cluster: Cluster) -> None:
    spoken = openai(cluster, "tts").audio.speech.with_raw_response.create(
        model="tts-1", voice="alloy", input="Hello.", response_format="wav"
    )
    heard = openai(cluster, "asr").audio.transcriptions.create(model="whisper-1", file=("a.wav", spoken.content))
    assert heard.text.startswith("window ")
    request_id = spoken.headers["x-request-id"]
    assert request_id
    assert ", " not in request_id  # Serve's proxy adds it, too
    assert spoken.headers["x-replica"] in {path.stem.rpartition("_")[2] for path in cluster.logs.glob("replica_tts_*")}


def test_a_stream_comes_while_it_is_made(cluster: Cluster) -> None:
    with openai(cluster, "asr").audio.transcriptions.create(
        model="whisper-1", file=("a.wav", make_wav(20)), prompt="sleep=0.5", stream=True
    ) as events:
        assert next(iter(events)).type == "transcript.text.delta"
        with cluster.http() as http:
            assert http.get("/asr/status").json()["engines"][0]["jobs_running"] == 1


def test_errors_are_openais(cluster: Cluster) -> None:
    with cluster.http() as http:
        refused = http.post("/asr/v1/audio/transcriptions", json={"model": "whisper-1"})
        assert refused.status_code == 400
        assert refused.json()["error"]["type"] == "invalid_request_error"
        assert http.get("/asr/v1/nothing").json()["error"]["message"].startswith("Unknown request URL: GET /asr/v1")


def test_a_part_of_the_machine(cluster: Cluster) -> None:
    engine = asr_engine(cluster)
    assert engine.environ()["CUDA_VISIBLE_DEVICES"] == "0"
    assert not any("_raylet" in mapped.path for mapped in engine.memory_maps())  # nothing of Ray is in it
    left = ray.available_resources()
    assert left["GPU"] <= 0.5


def test_more_requests_more_replicas(cluster: Cluster) -> None:
    def ask(number: int) -> str:
        heard = openai(cluster, "asr").audio.transcriptions.with_raw_response.create(
            model="whisper-1", file=("a.wav", make_wav(2)), prompt=f"sleep=1 text={number}"
        )
        assert heard.parse().text == str(number)
        return str(heard.headers["x-replica"])

    with ThreadPoolExecutor(8) as threads:
        seen = set[str]()
        for _ in range(10):
            seen |= set(threads.map(ask, range(8)))
            if len(seen) > 1:
                break
    assert len(seen) == 2


async def test_a_socket_is_told_when_its_replica_ends(cluster: Cluster) -> None:
    url = f"ws://127.0.0.1:{cluster.port}/asr/v1/realtime?intent=transcription"
    async with connect(url) as socket:
        assert "session.created" in str(await socket.recv())
        config = small_config(cluster.port)
        config["applications"][0]["args"]["max_audio_s"] = 40_000  # other settings, other replicas
        deploying = asyncio.create_task(asyncio.to_thread(cluster.deploy, config))
        async with asyncio.timeout(HANGING_S):
            await socket.wait_closed()
        await deploying
    assert socket.close_code == 1001


def test_a_killed_replica_is_replaced(cluster: Cluster) -> None:
    wait_until(lambda: cluster.states("asr") == {"RUNNING": 1}, START_S, "one replica")
    engine = asr_engine(cluster)
    replica = engine.parent()
    assert replica is not None
    with cluster.http() as http:
        before = http.get("/asr/health").headers["x-replica"]
        replica.kill()

        def is_replaced() -> bool:
            with suppress(httpx2.HTTPError):
                answer = http.get("/asr/health")
                return answer.status_code == 200 and answer.headers["x-replica"] != before
            return False

        wait_until(is_replaced, START_S, "another replica answers")
    wait_until(lambda: not engine.is_running(), HANGING_S, "its engine is gone")


def test_a_setting_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match="'modle' is no setting of the ASR server; did you mean 'model'"):
        servers.asr({"modle": "base"})
    with pytest.raises(ConfigurationError, match="ASR_MAX_JOBS=-1"):
        servers.asr({"max_jobs": -1})
    assert "ASR_MAX_JOBS" not in os.environ
