"""The field `markup`, and texts of which nothing is left: over the wire, with OpenAI's SDK."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import openai
import pytest

from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]

TEXT = "<think>They greet.</think>Good **morning** [1].\n```py\nx\n```"


def spoken(server: RunningServer, text: str, **extra: object) -> tuple[list[str], str | None]:
    """The captions of a speech, and what its answer says was left out."""
    with server.openai() as client:
        answer = client.audio.speech.with_raw_response.create(
            model="tts-1", voice="alloy", input=text, response_format="wav", extra_body={"timestamps": True, **extra}
        )
    with server.http() as client:
        captions = client.get(answer.headers["x-captions"]).json()
    assert not answer.headers.get("x-ignored-fields")
    return [sentence["text"] for sentence in captions["sentences"]], answer.headers.get("x-left-out")


def test_markup_is_read_or_left_as_it_stands(tts_server: RunningServer) -> None:
    assert spoken(tts_server, TEXT) == (["Good morning."], "code, thoughts")
    assert spoken(tts_server, TEXT, markup="auto") == (["Good morning."], "code, thoughts")
    plain, left_out = spoken(tts_server, "Good <b>morning</b>.", markup="plain")
    assert (plain, left_out) == (["Good <b>morning</b>."], None)


def test_the_server_has_a_default_and_may_read_code_and_emoji(start_server: StartServer) -> None:
    chosen = {"TTS_ENGINE": "fake", "TTS_MODEL": "fake", "TTS_MARKUP": "plain", "TTS_READ_ALOUD": "code,emoji"}
    with start_server("tts", **chosen) as server:
        assert spoken(server, "A <b>b</b>.") == (["A <b>b</b>."], None)
        assert spoken(server, "A <b>b</b> 🎉.\n```py\ngo to\n```", markup="auto") == (["A b 🎉.", "go to"], None)


def test_a_formula_alone_is_spoken_and_shown(tts_server: RunningServer) -> None:
    assert spoken(tts_server, "$x^2 = 4$") == (["x² = 4"], None)


def test_speech_of_one_choice_is_not_served_for_the_other(fake_tts: RunningServer) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": "A <b>b</b> c.", "response_format": "wav"}
    with fake_tts.http() as client:
        answers = [client.post("/v1/audio/speech", json={**body, "markup": markup}) for markup in ("auto", "plain")]
    assert [answer.headers["x-cache"] for answer in answers] == ["miss", "miss"]
    assert len(answers[0].content) < len(answers[1].content)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<think>Only this</think>", "nothing but thoughts"),
        ("<think>It never ends", "nothing but thoughts"),
        ("```py\nx = 1\n```", "nothing but code"),
        ("🎉🎉", "emoji are not read"),
        ("<br/><!-- x -->", "neither letters nor digits"),
    ],
)
def test_a_text_of_which_nothing_is_left_is_refused_with_the_reason(
    fake_tts: RunningServer, text: str, reason: str
) -> None:
    with fake_tts.openai() as client, pytest.raises(openai.BadRequestError, match=reason) as caught:
        client.audio.speech.create(model="tts-1", voice="alloy", input=text)
    assert caught.value.param == "input"


def test_an_unknown_choice_is_refused(fake_tts: RunningServer) -> None:
    with fake_tts.openai() as client, pytest.raises(openai.BadRequestError, match="'auto' or 'plain'") as caught:
        client.audio.speech.create(model="tts-1", voice="alloy", input="Hi.", extra_body={"markup": "html"})
    assert caught.value.param == "markup"
