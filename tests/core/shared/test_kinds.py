"""Each kind of thing that one replica makes and another one is asked for."""

import asyncio
import secrets
import time

import pytest
from pydantic import SecretStr

from core.shared.conftest import Pair
from redis_server import RedisServer
from tts.sound.test_caption_store import notes, sound
from voice_stack.chat.api.completion_messages import KeptTexts
from voice_stack.chat.cache import ReplyCache
from voice_stack.chat.events import ReplyDone
from voice_stack.chat.older import KeptSpeech, KeptSpeeches
from voice_stack.core.errors import NotFoundError
from voice_stack.core.http import realtime
from voice_stack.core.http.realtime import ClientSecrets, make_client_secret
from voice_stack.core.shared.state import SharedState
from voice_stack.tts.captions import kept as kept_captions
from voice_stack.tts.captions.kept import CAPTION_FORMATS, CaptionStore


async def test_captions_are_known_while_the_speech_goes_on_elsewhere(pair: Pair) -> None:
    one, other = (CaptionStore(shared=state) for state in pair)
    spoken = notes(sound("One.", 1))
    made = await one.open(spoken, "en", "word")
    found = await other.find(made.id)
    assert (found.status, [sentence.text for sentence in found.sentences]) == ("in_progress", ["One."])
    spoken += notes(sound("Two.", 1, is_last=True))
    async with asyncio.timeout(60):
        while found.status == "in_progress":
            await asyncio.sleep(0.05)
            found = await other.find(made.id)
    assert found.status == "completed"
    for render in CAPTION_FORMATS.values():
        assert render.render(found) == render.render(made)
    made.end()


async def test_captions_are_whole_before_their_speech_is_over(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_captions, "SHARE_EVERY_S", 3600)
    one, other = (CaptionStore(shared=state) for state in pair)
    spoken = notes(sound("One.", 1))
    made = await one.open(spoken, "en", "word")
    spoken += notes(sound("Two.", 1))
    made.end()  # its client left
    await one.share(made)
    found = await other.find(made.id)
    assert (found.status, len(found.sentences)) == ("incomplete", 2)


async def test_a_speech_whose_replica_died_is_incomplete(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await CaptionStore(shared=pair[0]).open(notes(sound("One.", 1)), "en", "word")
    await pair[0].close()  # nothing comes of it any more
    monkeypatch.setattr(kept_captions, "ALIVE_S", 0.0)
    await asyncio.sleep(0.01)
    assert (await CaptionStore(shared=pair[1]).find(made.id)).status == "incomplete"
    made.end()


async def test_poisoned_captions_are_none(pair: Pair, redis_server: RedisServer) -> None:
    name = pair[0].name("captions", "speech_1")
    for poison in ('{"sentence": {"text": 1}}', "[]", '{"until_s": "soon"}'):
        redis_server.client().rpush(name, "{}", poison)
        with pytest.raises(NotFoundError):
            await CaptionStore(shared=pair[0]).find("speech_1")
        assert not redis_server.client().exists(name)


async def test_a_client_secret_opens_every_replica(
    pair: Pair, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = map(ClientSecrets, pair)
    expires_at = int(time.time()) + 600
    value = make_client_secret({"model": "base"}, expires_at, "key_1")
    private = make_client_secret({"model": "base"}, expires_at, "key_1")
    await one.share({"value": value, "expires_at": expires_at})
    monkeypatch.setattr(realtime, "_KEY", secrets.token_bytes(32))  # as in another process
    assert await other.read(value) == {"model": "base", "api_key": "key_1"}
    assert await other.read(private) is None
    assert await other.read(f"{value[:-1]}{'0' if value[-1] != '0' else '1'}") is None
    past = make_client_secret({}, int(time.time()) - 1, "")
    await one.share({"value": past, "expires_at": expires_at})
    assert await other.read(past) is None
    # Who reads the store can use nothing of it.
    client = redis_server.client()
    assert not any(value.encode() in key + client.get(key) for key in client.scan_iter("*:secret:*"))
    elsewhere = SharedState(SecretStr(redis_server.url), "chat")
    assert await ClientSecrets(elsewhere).read(value) is None
    await elsewhere.close()


async def test_the_sound_of_a_reply_is_named_at_every_replica(pair: Pair) -> None:
    one, other = (KeptTexts(state, "reply_sound") for state in pair)
    await one.keep("audio_1", "It is noon.")
    assert await other.find("audio_1") == "It is noon."
    assert await KeptTexts(pair[1], "heard_sound").find("audio_1") is None


async def test_a_file_of_an_older_service_is_fetched_from_every_replica(pair: Pair, redis_server: RedisServer) -> None:
    one, other = (KeptSpeeches(shared=state) for state in pair)
    speech = KeptSpeech({"input": "Grüße", "speed": 1.0, "stream": False}, "wav", bytes(range(256)))
    audio_id = await one.keep(speech)
    assert await other.find(audio_id) == speech
    await one.keep(KeptSpeech({"input": "x"}, "exe"))
    known, client = pair[0].name("speech", audio_id).encode(), redis_server.client()
    (poisoned,) = set(client.scan_iter("*:speech:*")) - {known}
    client.rename(poisoned, pair[0].name("speech", "other"))
    with pytest.raises(NotFoundError):
        await other.find("other")


async def test_a_reply_is_given_by_every_replica(pair: Pair) -> None:
    one, other = (ReplyCache("exact", shared=state) for state in pair)
    await one.put("digest", ReplyDone("It is noon.", written="It is <b/>noon."))
    async with other.flight("digest") as text:
        assert text == "It is <b/>noon."
    async with other.flight("digest", "fresh") as text:
        assert text is None
