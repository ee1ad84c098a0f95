"""What one replica knows the others know, as long as there is a store; without it each is for itself."""

import asyncio
import json
import time

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from scale.balancers import Balancer
from scale.conftest import IS_LONG
from scale.load import expect_all_under_load
from scale.replicas import Replica
from scale.store import Store

LOSSES = ["killed", "unplugged"] if IS_LONG else ["killed"]
SPEECH = {
    "model": "tts-1",
    "voice": "alloy",
    "input": "This is said once, and heard by many.",
    "response_format": "pcm",
    "timestamps": "sentence",
}


def test_speech_and_its_captions_are_there_for_all_replicas(replicas: list[Replica], balancers: list[Balancer]) -> None:
    url = f"{balancers[0].url}/v1/audio/speech"
    with httpx2.Client(timeout=60, trust_env=False) as client:
        made = client.post(url, json=SPEECH, headers={"x-replica": "r1"})
        assert made.status_code == 200, made.text
        assert (made.headers["x-replica"], made.headers["x-cache"]) == ("r1", "miss")
        captions = httpx2.URL(url).join(made.headers["x-captions"])
        told = [client.get(captions, headers={"x-replica": replica.name}) for replica in replicas]
        assert [answer.text for answer in told] == [told[1].text] * len(replicas)
        assert told[1].json()["status"] == "completed"
        # The store gets it in the background. Each is asked once: a second answer would be from its own folder.
        for replica in replicas[2:]:
            again = client.post(url, json=SPEECH, headers={"x-replica": replica.name})
            assert again.content == made.content
            if again.headers["x-cache"] == "hit":
                break
            time.sleep(1)
        assert again.headers["x-cache"] == "hit"


async def test_a_secret_that_one_replica_gave_opens_a_session_with_another(balancers: list[Balancer]) -> None:
    session = {"type": "transcription", "audio": {"input": {"transcription": {"language": "de"}}}}
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:
        url = f"{balancers[0].url}/asr/v1/realtime/client_secrets"
        given = await client.post(url, json={"session": session}, headers={"x-replica": "r4"})
    assert (given.status_code, given.headers["x-replica"]) == (200, "r4"), given.text
    protocols = [Subprotocol(name) for name in ("realtime", f"openai-insecure-api-key.{given.json()['value']}")]
    for balancer in balancers:
        url = f"{balancer.url.replace('http', 'ws')}/asr/v1/realtime"
        async with connect(url, proxy=None, subprotocols=protocols, additional_headers={"x-replica": "r5"}) as socket:
            assert socket.response is not None
            assert socket.response.headers["x-replica"] == "r5"
            created = json.loads(await asyncio.wait_for(socket.recv(), 30))
            assert created["session"]["audio"]["input"]["transcription"]["language"] == "de"


@pytest.mark.parametrize("how", LOSSES)
async def test_without_the_store_everything_is_done_as_before(
    how: str, store: Store, balancers: list[Balancer], addresses: list[str]
) -> None:
    async def lose() -> None:
        await asyncio.to_thread(store.machine.unplug if how == "unplugged" else store.machine.kill)

    await expect_all_under_load(balancers, addresses, lose, retries=0)
    store.machine.plug_in()
    if how == "killed":
        store.start()
