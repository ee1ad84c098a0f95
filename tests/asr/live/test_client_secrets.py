"""Short-lived keys for browsers."""

import pytest
from openai.types.realtime import ClientSecretCreateResponse
from pydantic import TypeAdapter

from asr.live.sessions import CHOICE, NOW_S, start
from voice_stack.asr.live.wire import grant, grant_flat
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.http.realtime import MAX_SECRET_CHARS, check_client_secret

GERMAN = {"type": "transcription", "audio": {"input": {"transcription": {"language": "de"}, "turn_detection": None}}}


def test_a_secret_holds_a_session_until_it_expires() -> None:
    granted = grant(CHOICE, {"session": GERMAN, "expires_after": {"anchor": "created_at", "seconds": 60}}, NOW_S)
    TypeAdapter(ClientSecretCreateResponse).validate_python(granted)
    value = str(granted["value"])
    assert (value[:3], granted["expires_at"]) == ("ek_", int(NOW_S) + 60)
    for _ in range(2):
        session = check_client_secret(value, NOW_S + 59)
        assert session is not None
        assert start(session).request.decode.language == "de"
        assert start(session).request.rules.kind == "none"
    assert check_client_secret(value, NOW_S + 60) is None
    assert grant(CHOICE, {}, NOW_S)["expires_at"] == int(NOW_S) + 600


def test_a_secret_that_was_touched_is_none() -> None:
    value = str(grant(CHOICE, {"session": GERMAN}, NOW_S)["value"])
    assert str(grant(CHOICE, {"session": GERMAN}, NOW_S)["value"]) != value
    touched = [value[:at] + ("A" if value[at] != "A" else "B") + value[at + 1 :] for at in range(len(value))]
    others = ["", "ek_", "ek_.", value[3:], value + "0", value[:-1], value.replace(".", ""), "sk-abc", f"{value}ä"]
    assert [check_client_secret(other, NOW_S) for other in touched + others] == [None] * (len(touched) + len(others))


def test_a_secret_can_stand_in_a_list_of_subprotocols() -> None:
    long = {"prompt": "".join(map(chr, range(0x4E00, 0x4E00 + 1000))), "keywords": ["Ann"]}
    value = str(grant(CHOICE, {"session": {"audio": {"input": {"transcription": long}}}}, NOW_S)["value"])
    assert len(value) <= MAX_SECRET_CHARS
    assert set(value) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_the_older_forms_have_the_secret_in_the_session() -> None:
    sent = {
        "input_audio_transcription": {"model": "whisper-1", "language": "de"},
        "client_secret": {"expires_at": {"anchor": "created_at", "seconds": 30}},
    }
    granted = grant_flat(CHOICE, sent, NOW_S)
    secret = granted["client_secret"]
    assert isinstance(secret, dict)
    assert (set(secret), secret["expires_at"]) == ({"value", "expires_at"}, int(NOW_S) + 30)
    assert granted["input_audio_transcription"] == {"model": "whisper-1", "language": "de"}
    session = check_client_secret(secret["value"], NOW_S)
    assert session is not None
    assert start(session).request.decode.language == "de"


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"session": {"type": "realtime", "model": "gpt-realtime"}}, "session.type"),
        ({"session": {"type": ["realtime"]}}, "session.type"),
        ({"session": "transcription"}, "session"),
        ({"expires_after": 60}, "expires_after"),
        ({"expires_after": {"seconds": 9}}, "seconds"),
        ({"expires_after": {"seconds": 7201}}, "seconds"),
        ({"expires_after": {"anchor": "now"}}, "anchor"),
        ({"session": {"input_audio_transcription": {"prompt": "".join(map(chr, range(0x4E00, 0x5DA0)))}}}, "session"),
    ],
)
def test_what_cannot_be_granted_is_refused(sent: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        grant(CHOICE, sent, NOW_S)
    assert refused.value.param == param
