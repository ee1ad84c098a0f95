"""Two replicas of each server with one Redis: what one makes the other one knows; without Redis nothing fails."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import httpx2
import pytest

from chat.scripted_model import ScriptedModel, run_scripted_model
from core.http.sockets.doors import ask_refusal, open_socket
from e2e.sound import tone
from redis_server import RedisServer, run_redis
from running_server import RunningServer, wait_until
from voice_stack.core.http.keys import KeyFile, make_key

StartServer = Callable[..., AbstractContextManager[RunningServer]]
FAKE = {
    "asr": {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_WINDOW_S": "2", "ASR_VAD_ENABLED": "false"},
    "tts": {"TTS_ENGINE": "fake", "TTS_MODEL": "fake"},
}


def slow(seconds: int) -> dict[str, object]:
    """A speech that begins at once and takes its time in the end."""
    text = " ".join(f"This is clause number {n}, which is long enough." for n in range(8))
    said = {"input": f"{text} And sleep={seconds} at the end.", "response_format": "pcm"}
    return {"model": "tts-1", **said, "cache": False, "timestamps": "word"}


@dataclass(frozen=True)
class Site:
    """The replicas of each server, what they share, and keys of theirs."""

    redis: RedisServer
    model: ScriptedModel
    asr: list[RunningServer]
    tts: list[RunningServer]
    chat: list[RunningServer]
    keys: dict[str, str]

    def client(self, server: RunningServer, key: str = "any") -> httpx2.Client:
        headers = {"authorization": f"Bearer {self.keys[key]}"}
        return httpx2.Client(base_url=server.url, headers=headers, timeout=120, trust_env=False)


@pytest.fixture(scope="module")
def site(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("shared")
    keys, file = {}, KeyFile(folder / "keys.json")
    for name, limits in {"any": {}, "minute": {"requests_per_minute": 5}, "once": {"jobs_at_once": 1}}.items():
        keys[name], known = make_key(name, ("asr", "tts", "chat", "admin"), **limits)
        file.add(known)
    with ExitStack() as stack:
        redis, model = stack.enter_context(run_redis(folder)), stack.enter_context(run_scripted_model())
        common = {"SHARED_URL": redis.url, "API_KEYS_FILE": str(file.path)}

        def pair(kind: str, settings: list[dict[str, str]]) -> list[RunningServer]:
            return [stack.enter_context(start_server(kind, **common, **one)) for one in settings]

        asr, tts = pair("asr", [FAKE["asr"]] * 2), pair("tts", [FAKE["tts"]] * 2)
        behind = [
            {"CHAT_ASR_URL": a.url, "CHAT_TTS_URL": t.url, "CHAT_LLM_URL": model.url}
            for a, t in zip(asr, tts, strict=True)
        ]
        yield Site(redis, model, asr, tts, pair("chat", behind), keys)


def speak(client: httpx2.Client, text: str) -> tuple[bytes, str]:
    """A speech, and where its captions are."""
    body = {"model": "tts-1", "input": text, "timestamps": "word", "response_format": "wav"}
    answer = client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    return answer.content, answer.headers["x-captions"]


def test_captions_of_either_replica_are_known_to_both_at_once(site: Site) -> None:
    with site.client(site.tts[0]) as one, site.client(site.tts[1]) as other:
        for number in range(20):
            _, path = speak(one, f"Sentence number {number} is here. And one more. Then the last one of all.")
            there, here = (client.get(path).json() for client in (other, one))
            assert there["status"] == "completed"
            assert there == here
            assert other.get(path, params={"format": "srt"}).text == one.get(path, params={"format": "srt"}).text
        with one.stream("POST", "/v1/audio/speech", json=slow(8)) as answer:
            path = answer.headers["x-captions"]
            wait_until(lambda: len(other.get(path).json()["sentences"]) == 8, 15, "all but the last are told")
            assert other.get(path).json()["status"] == "in_progress"
        wait_until(lambda: other.get(path).json()["status"] == "incomplete", 60, "its listener has left")
        assert other.get("/v1/audio/speech/speech_none/captions").status_code == 404


def test_a_client_secret_opens_the_other_replica(site: Site) -> None:
    heard = {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1", "language": "de"}}}}
    for servers in (site.asr, site.chat):  # the Voice server has it made by the ASR server behind it
        with site.client(servers[0]) as client:
            granted = client.post("/v1/realtime/client_secrets", json={"session": heard}).json()
        secret = {"authorization": f"Bearer {granted['value']}"}
        with open_socket(servers[1].port, "/v1/realtime?intent=transcription", secret) as socket:
            session = json.loads(socket.recv())["session"]
        assert session["audio"]["input"]["transcription"]["language"] == "de"
        touched = {"authorization": secret["authorization"][:-1] + "x"}
        assert ask_refusal(servers[1].port, "/v1/realtime?intent=transcription", touched)[0] == 401
    with site.client(site.chat[0]) as client:
        session = {"type": "realtime", "instructions": "Be brief."}
        granted = client.post("/v1/realtime/client_secrets", json={"session": session}).json()
    with open_socket(site.chat[1].port, "/v1/realtime", {"authorization": f"Bearer {granted['value']}"}) as socket:
        assert json.loads(socket.recv())["session"]["instructions"] == "Be brief."


def test_the_sound_of_a_reply_is_named_at_the_other_replica(site: Site) -> None:
    site.model.say("It is noon.")
    asked = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    question = {"role": "user", "content": "How late is it?"}
    with site.client(site.chat[0]) as one, site.client(site.chat[1]) as other:
        reply = one.post("/v1/chat/completions", json={**asked, "messages": [question]}).json()["choices"][0]
        named = {"role": "assistant", "audio": {"id": reply["message"]["audio"]["id"]}}
        again = [question, named, {"role": "user", "content": "And now?"}]
        site.model.say("Later.")
        assert other.post("/v1/chat/completions", json={**asked, "messages": again}).status_code == 200
    assert {"role": "assistant", "content": "It is noon."} in site.model.requests[-1]["messages"]  # type: ignore[operator]


def test_a_file_of_an_older_service_is_fetched_from_the_other_replica(site: Site) -> None:
    with site.client(site.chat[0]) as one, site.client(site.chat[1]) as other:
        made = one.post("/voice/tts", json={"text": "Good morning."}).json()
        files = [client.get(f"/voice/audio/{made['audio_file_id']}").content for client in (one, other)]
    assert files[0][:44] == files[1][:44]  # it is spoken anew where it is not kept
    assert len(files[0]) == len(files[1]) > 44


def test_a_key_is_counted_over_both_replicas(site: Site) -> None:
    with site.client(site.tts[0], "minute") as one, site.client(site.tts[1], "minute") as other:
        statuses = [client.get("/v1/audio/voices").status_code for _ in range(4) for client in (one, other)]
    assert statuses == [200] * 5 + [429] * 3
    with site.client(site.tts[0], "once") as one, site.client(site.tts[1], "once") as other:
        with one.stream("POST", "/v1/audio/speech", json=slow(3)) as answer:
            refused = other.get("/v1/audio/voices")
            assert refused.json()["error"]["code"] == "too_many_open_requests"
            answer.read()
        assert other.get("/v1/audio/voices").status_code == 200


def test_what_a_killed_replica_had_open_is_let_go(site: Site, start_server: StartServer) -> None:
    settings = {**FAKE["tts"], "SHARED_URL": site.redis.url, "TTS_REQUESTS_AT_ONCE_PER_CLIENT": "1"}
    with start_server("tts", **settings) as dying, start_server("tts", **settings) as living, ExitStack() as stack:
        client = stack.enter_context(dying.http())
        stack.enter_context(client.stream("POST", "/v1/audio/speech", json=slow(100)))
        with living.http() as other:
            assert other.get("/v1/audio/voices").status_code == 429
            dying.process.kill()
            wait_until(lambda: other.get("/v1/audio/voices").status_code == 200, 120, "the lease is over")


def test_a_film_is_heard_once(site: Site) -> None:
    film = tone(6)
    path = "/asr?task=transcribe&language=en&output=srt&encode=true"
    texts = list[str]()
    for server in site.asr:
        with site.client(server) as client:
            answer = client.post(path, files={"audio_file": ("film.wav", film)})
            assert answer.status_code == 200
            texts.append(answer.text.strip())
    assert texts[0] == texts[1]
    assert "-->" in texts[0]
    with site.client(site.asr[1]) as client:
        assert 'voice_stack_shared_requests_total{kind="film",outcome="hit"} 1.0' in client.get("/metrics").text


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_without_redis_no_request_fails(site: Site, how: str) -> None:
    """Under load: all requests are answered rightly before, while and after it is away."""
    wanted = {"model": "tts-1", "timestamps": "word", "response_format": "pcm", "cache": False}
    answers, ends = list[tuple[int, str]](), asyncio.Event()

    async def talk(number: int) -> None:
        server, turn = site.tts[number % 2], 0
        headers = {"authorization": f"Bearer {site.keys['any']}"}
        async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=120, trust_env=False) as client:
            while not ends.is_set():
                turn += 1
                body = {**wanted, "input": f"This is turn {turn} of talker {number}."}
                answer = await client.post("/v1/audio/speech", json=body)
                captions = await client.get(answer.headers.get("x-captions", "/"))
                answers.append((answer.status_code, str(captions.json().get("status"))))

    def states() -> set[str]:
        with ExitStack() as stack:
            clients = [stack.enter_context(site.client(server)) for server in site.tts]
            return {client.get("/status").json()["shared"]["state"] for client in clients}

    talkers = [asyncio.create_task(talk(number)) for number in range(6)]
    try:
        await asyncio.to_thread(wait_until, lambda: states() == {"ok"}, 120, "it is there")
        await asyncio.sleep(1)
        (site.redis.kill if how == "killed" else site.redis.stop)()
        await asyncio.to_thread(wait_until, lambda: states() == {"away"}, 120, "it is away")
        await asyncio.sleep(2)
        (site.redis.start if how == "killed" else site.redis.go_on)()
        await asyncio.to_thread(wait_until, lambda: states() == {"ok"}, 120, "it is back")
    finally:
        ends.set()
        await asyncio.gather(*talkers)
    assert set(answers) == {(200, "completed")}
    assert len(answers) > 20
    for server in site.tts:
        told = server.log.read_text()
        assert told.count("what replicas share is away") <= 2 * 3
        assert "Traceback" not in told
    with site.client(site.tts[0]) as client:
        assert "voice_stack_shared_up 1.0" in client.get("/metrics").text
