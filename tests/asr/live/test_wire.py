"""Settings of a session: what is shown of them, and what they ask of the engine."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.live.sessions import BASE, CHOICE, check, start, update, update_sound
from voice_stack.asr.live.turns import SoundFormat, TurnRules
from voice_stack.asr.live.wire import ModelChoice, SessionSettings
from voice_stack.asr.models import PARAKEET_ENGINE, capabilities_of
from voice_stack.core.errors import ModelNotFoundError
from voice_stack.utils.live_settings import LOGPROBS, MAX_PROMPT_CHARS

VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
VAD |= {"idle_timeout_ms": None}


def test_only_what_is_sent_changes() -> None:
    session = start()
    shown = update_sound(
        session,
        transcription={"model": "whisper-1", "language": "de-AT", "prompt": "Grüß Gott"},
        turn_detection={"type": "server_vad", "silence_duration_ms": 350},
        noise_reduction={"type": "far_field", "strength": 0.5},
    )
    assert shown == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "noise_reduction": {"type": "far_field", "strength": 0.5},
        "transcription": {"model": "whisper-1", "language": "de-AT", "prompt": "Grüß Gott"},
        "turn_detection": VAD | {"silence_duration_ms": 350},
    }
    assert update(session)[0]["audio"]["input"] == shown
    shown = update_sound(session, transcription={"prompt": None, "delay": "high"}, turn_detection={"threshold": 0.7})
    assert shown["transcription"] == {"model": "whisper-1", "language": "de-AT", "delay": "high"}
    assert shown["turn_detection"] == VAD | {"silence_duration_ms": 350, "threshold": 0.7}
    shown = update_sound(session, turn_detection=None, noise_reduction=None, transcription=None)
    assert (shown["turn_detection"], shown["noise_reduction"]) == (None, None)
    # This session does nothing but transcribe.
    assert shown["transcription"] == {"model": "base"}
    assert update_sound(session, turn_detection={"type": "server_vad"})["turn_detection"] == VAD


@pytest.mark.parametrize(
    ("sent", "rules"),
    [
        (None, TurnRules("none")),
        ({"type": "server_vad"}, TurnRules("silence", 0.5, 0.3, 0.5)),
        ({"type": "server_vad", "threshold": 0.6, "prefix_padding_ms": 600, "silence_duration_ms": 350,
          "create_response": True, "interrupt_response": True, "idle_timeout_ms": 6000},
         TurnRules("silence", 0.6, 0.6, 0.35)),
        ({"type": "server_vad", "threshold": 0, "prefix_padding_ms": -1, "silence_duration_ms": 10**30},
         TurnRules("silence", 0.01, 0.0, 60.0)),
        ({"type": "semantic_vad", "eagerness": "low", "create_response": False},
         TurnRules("semantic", eagerness="low")),
        ({"type": "semantic_vad"}, TurnRules("semantic")),
        ({"type": "semantic_vad", "eagerness": "wild"}, TurnRules("semantic")),
        # What nobody knows changes nothing.
        ({"type": "azure_vad"}, TurnRules("silence")),
        ({"type": ["server_vad"]}, TurnRules("silence")),
        ({}, TurnRules("silence")),
        ("semantic_vad", TurnRules("silence")),
    ],
)  # fmt: skip
def test_turns_are_told_as_asked_for(sent: object, rules: TurnRules) -> None:
    session = start()
    shown = update_sound(session, turn_detection=sent)
    assert session.request.rules == rules
    assert not {"create_response", "interrupt_response"} & set(shown["turn_detection"] or {})


@pytest.mark.parametrize(
    ("sent", "sound", "shown"),
    [
        ({"type": "audio/pcm", "rate": 24000}, SoundFormat("pcm", 24_000), {"type": "audio/pcm", "rate": 24000}),
        ({"type": "audio/pcm", "rate": 16000}, SoundFormat("pcm", 16_000), {"type": "audio/pcm", "rate": 16000}),
        ({"type": "audio/pcm", "rate": "48000"}, SoundFormat("pcm", 48_000), {"type": "audio/pcm", "rate": 48000}),
        ({"type": "audio/pcm", "rate": 96000}, SoundFormat("pcm", 24_000), {"type": "audio/pcm", "rate": 24000}),
        ({"type": "audio/pcmu"}, SoundFormat("pcmu", 8_000), {"type": "audio/pcmu"}),
        ({"type": "audio/pcma", "rate": 16000}, SoundFormat("pcma", 8_000), {"type": "audio/pcma"}),
        ("pcm16", SoundFormat("pcm", 24_000), {"type": "audio/pcm", "rate": 24000}),
        ("g711_alaw", SoundFormat("pcma", 8_000), {"type": "audio/pcma"}),
        ("audio/opus", SoundFormat("pcm", 24_000), {"type": "audio/pcm", "rate": 24000}),
        ({"type": "audio/opus"}, SoundFormat("pcm", 24_000), {"type": "audio/pcm", "rate": 24000}),
        (None, SoundFormat("pcm", 24_000), {"type": "audio/pcm", "rate": 24000}),
    ],
)
def test_sound_is_read_as_it_is_shown(sent: object, sound: SoundFormat, shown: dict[str, object]) -> None:
    settings_now = SessionSettings().changed({"audio": {"input": {"format": sent}}})
    assert settings_now.ask(BASE).sound == sound
    assert settings_now.format.show() == shown


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({"model": "gpt-4o-mini-transcribe"}, {"model": "gpt-4o-mini-transcribe"}),
        ({"model": "base"}, {"model": "base"}),
        # There is no such model here: what hears instead is shown.
        ({"model": "gpt-realtime-whisper"}, {"model": "base"}),
        ({"model": "x" * 300}, {"model": "base"}),
        ({"model": 7}, {"model": "base"}),
        ({"model": ""}, {"model": "base"}),
        ({"language": "English"}, {"model": "base", "language": "English"}),
        ({"language": "auto"}, {"model": "base"}),
        ({"language": "klingon"}, {"model": "base"}),
        ({"languages": ["de", "fr-CH", "klingon", 7]}, {"model": "base", "languages": ["de", "fr-CH"]}),
        ({"keywords": ["Voice Stack", " ", 7, "x" * 5000]}, {"model": "base", "keywords": ["Voice Stack"]}),
        ({"model": "tiny.en", "language": "fr"}, {"model": "tiny.en"}),
        ({"model": "tiny.en", "language": "en"}, {"model": "tiny.en", "language": "en"}),
        ({"delay": "xhigh"}, {"model": "base", "delay": "xhigh"}),
        ({"delay": "tomorrow"}, {"model": "base"}),
        ("whisper-1", {"model": "base"}),
    ],
)
def test_what_counts_of_a_transcription_is_shown(sent: object, shown: dict[str, object]) -> None:
    assert update_sound(start(), transcription=sent)["transcription"] == shown


def test_a_transcription_asks_the_engine_for_what_is_shown() -> None:
    session = start({"audio": {"input": {"transcription": {"prompt": "a" * 5000 + "z", "keywords": ["Ann", "Bo"]}}}})
    decode = session.request.decode
    assert decode.prompt == "a" * (MAX_PROMPT_CHARS - 1) + "z"
    assert (decode.hotwords, decode.language, decode.beam_size) == ("Ann, Bo", None, BASE.decode.beam_size)
    update_sound(session, transcription={"languages": ["de-AT", "English", "de"]})
    assert session.request.candidate_languages == ("de", "en")
    update_sound(session, transcription={"language": "zh-TW"})
    assert (session.request.decode.language, session.request.candidate_languages) == ("zh", ())
    assert session.request.characters == "s2tw"


@pytest.mark.parametrize(
    ("delay", "step_s", "has_drafts"),
    [(None, 0.5, True), ("minimal", 0.25, True), ("low", 0.5, True), ("medium", 0.5, True), ("high", 1.0, True),
     ("xhigh", 0.5, False)],
)  # fmt: skip
def test_a_delay_says_how_often_words_are_looked_for(delay: str | None, step_s: float, has_drafts: bool) -> None:
    session = start({"input_audio_transcription": {"delay": delay}})
    assert (session.request.draft_step_s, session.request.has_drafts) == (step_s, has_drafts)


def test_a_model_that_takes_no_prompt_is_not_said_to() -> None:
    choice = ModelChoice("parakeet", lambda name: name, lambda _: capabilities_of(PARAKEET_ENGINE, None))
    sent = {"transcription": {"prompt": "Ann", "keywords": ["Ann"], "language": "de", "languages": ["ja", "de"]}}
    wanted = SessionSettings().changed({"audio": {"input": sent}, "include": [LOGPROBS]})
    shown = choice.fit(wanted).show()
    assert shown["include"] is None
    assert choice.fit(wanted).transcription.show() == {"model": "parakeet", "language": "de", "languages": ["de"]}


def test_the_folder_of_a_model_is_not_shown() -> None:
    def resolve(name: str) -> str:
        if name != "/srv/models/own":
            raise ModelNotFoundError(name)
        return name

    choice = ModelChoice("/srv/models/own", resolve, CHOICE.capabilities)
    shown = choice.fit(SessionSettings())
    assert shown.transcription.model == "own"
    assert choice.find(choice.fit(shown).transcription.model) == str(Path("/srv/models/own"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["server_vad", "semantic_vad", "audio/pcmu", "de", "tiny.en", "near_field", "low", "nan"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["type", "rate", "model", "language", "languages", "prompt", "keywords", "delay", "threshold", "eagerness",
         "prefix_padding_ms", "silence_duration_ms", "strength", "idle_timeout_ms"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
NAMES = st.sampled_from(["format", "noise_reduction", "transcription", "turn_detection"])
OLDER = st.sampled_from(
    ["input_audio_format", "input_audio_noise_reduction", "input_audio_transcription", "turn_detection", "audio",
     "include", "modalities", "voice"]
)  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.dictionaries(NAMES, JSON), st.dictionaries(OLDER, JSON)), max_size=3))
def test_no_setting_is_an_error(sent: list[tuple[dict[str, object], dict[str, object]]]) -> None:
    session = start()
    for sound, older in sent:
        # By the machine's own door, as JSON has no word for what is no number.
        wanted = SessionSettings().changed({**older, "audio": {"input": sound}})
        choice = CHOICE.fit(wanted)
        assert CHOICE.fit(SessionSettings().changed(choice.show())).show() == choice.show()
        (event,) = session.open()
        event["session"] = {**event["session"], **choice.show()}
        if choice.format.rate == 24_000:
            check([event])
        choice.ask(BASE)
