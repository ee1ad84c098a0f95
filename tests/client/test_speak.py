"""Speech of a text that is still being written."""

from collections.abc import Callable, Iterator

import pytest

from client.protocol_server import ProtocolServer
from voice_stack.client import (
    ApiError,
    IncompleteResponseError,
    ServerUnreachableError,
    VoiceStackClient,
)


def test_sound_comes_while_the_text_is_written(client: VoiceStackClient, server: ProtocolServer) -> None:
    server.talks.clear()
    assert list(client.speak(["Hel", "lo"], voice="amy", format="pcm", language="de")) == [b"Hel", b"lo"]
    start, *texts = server.talks
    expected = {"type": "start", "model": "tts-1", "voice": "amy", "response_format": "pcm", "language": "de"}
    assert start.items() >= expected.items()
    assert start.get("input") is None
    assert [text["delta"] for text in texts] == ["Hel", "lo"]


def test_the_key_is_sent(connect: Callable[..., VoiceStackClient], server: ProtocolServer) -> None:
    server.talks.clear()
    assert list(connect(api_key="secret").speak(["Hi"])) == [b"Hi"]
    assert server.talks[0]["key"] == "Bearer secret"


def test_what_the_server_says_went_wrong_is_raised(client: VoiceStackClient) -> None:
    with pytest.raises(ApiError, match="too long") as caught:
        list(client.speak(["a", "fail", "b"]))
    assert caught.value.param == "text"


def test_a_speech_that_breaks_off_is_no_whole_one(client: VoiceStackClient) -> None:
    sounds = client.speak(["a", "leave"])
    assert next(sounds) == b"a"
    with pytest.raises(IncompleteResponseError):
        list(sounds)


def test_what_the_text_ends_with_is_raised(client: VoiceStackClient) -> None:
    def text() -> Iterator[str]:
        yield "a"
        raise KeyError("no model")

    with pytest.raises(KeyError, match="no model"):
        list(client.speak(text()))


def test_a_server_without_the_route_and_none_at_all(connect: Callable[..., VoiceStackClient], closed_url: str) -> None:
    with pytest.raises(ApiError):
        list(connect(api_prefix="/v2").speak(["a"]))
    with pytest.raises(ServerUnreachableError, match="is the server running"):
        list(connect(tts_url=closed_url).speak(["a"]))
