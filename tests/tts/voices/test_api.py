"""Voices and consents from OpenAI's SDK: uploaded, spoken with, listed, changed, deleted."""

import io
import wave

import httpx2
import numpy as np
import openai
import pytest
from openai import OpenAI

from tts.voices.sounds import BIRCH, CLOVER, RATE, pitch_hz, speech, wav
from voice_stack.tts.engine.fake import OWN_PITCH_HZ
from voice_stack.utils.audio.pcm import Samples

TEXT = "The garden is quiet after the rain."


def speak(sdk: OpenAI, voice: object, model: str = "tts-1") -> bytes:
    body = {"model": model, "voice": voice, "input": TEXT, "response_format": "pcm"}
    return sdk.audio.speech.create(**body).read()  # type: ignore[arg-type]


def pitch_of(sdk: OpenAI, voice: object) -> float:
    return pitch_hz(speak(sdk, voice))


def listed(http: httpx2.Client) -> dict[str, dict[str, object]]:
    return {voice["id"]: voice for voice in http.get("/v1/audio/voices").json()["voices"]}


def test_voice_is_made_spoken_with_and_deleted(sdk: OpenAI, http: httpx2.Client) -> None:
    consent = sdk.audio.voice_consents.create(name="Birch agrees", language="en-US", recording=BIRCH)
    assert (consent.name, consent.language, consent.object) == ("Birch agrees", "en-US", "audio.voice_consent")
    voice = sdk.audio.voices.create(name="Birch", audio_sample=BIRCH, consent=consent.id)
    assert (voice.name, voice.object, voice.type) == ("Birch", "audio.voice", "audio_sample")
    other = sdk.audio.voices.create(name="Clover", audio_sample=CLOVER, consent=consent.id, type="audio_sample")

    shown = listed(http)[voice.id]
    assert (shown["name"], shown["language"], shown["kind"], shown["available"]) == ("Birch", "en", "cloned", True)
    assert shown["consent"] == consent.id
    pitches = {name: pitch_of(sdk, name) for name in ("alloy", voice.id, other.id)}
    assert pitches["alloy"] == pytest.approx(OWN_PITCH_HZ, abs=2)
    assert len({round(pitch) for pitch in pitches.values()}) == 3
    for same in ({"id": voice.id}, "Birch", "birch"):
        assert pitch_of(sdk, same) == pytest.approx(pitches[voice.id], abs=0.1)

    deleted = sdk.audio.voices.delete(voice.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (voice.id, True, "audio.voice.deleted")
    assert voice.id not in listed(http)
    with pytest.raises(openai.BadRequestError, match="does not exist"):
        speak(sdk, {"id": voice.id})
    with pytest.raises(openai.NotFoundError, match=voice.id):
        sdk.audio.voices.delete(voice.id)
    assert sdk.audio.voices.delete(other.id).deleted
    assert sdk.audio.voice_consents.delete(consent.id).deleted


def test_consents_are_kept_renamed_and_deleted(sdk: OpenAI) -> None:
    consent = sdk.audio.voice_consents.create(name="first", language="pt-BR", recording=("c.flac", BIRCH.read_bytes()))
    assert sdk.audio.voice_consents.retrieve(consent.id) == consent
    renamed = sdk.audio.voice_consents.update(consent.id, name="second")
    assert (renamed.name, renamed.created_at, renamed.language) == ("second", consent.created_at, "pt-BR")
    assert sdk.audio.voice_consents.retrieve(consent.id) == renamed
    deleted = sdk.audio.voice_consents.delete(consent.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (consent.id, True, "audio.voice_consent")
    for call in (sdk.audio.voice_consents.retrieve, sdk.audio.voice_consents.delete):
        with pytest.raises(openai.NotFoundError, match=consent.id):
            call(consent.id)


def test_pages_of_consents_hold_each_once(sdk: OpenAI, http: httpx2.Client) -> None:
    recording = wav(speech()[: 2 * RATE])
    made = {sdk.audio.voice_consents.create(name=f"{n}", language="en", recording=recording).id for n in range(5)}
    try:
        for limit in (1, 2, 5, 100):
            ids = [consent.id for consent in sdk.audio.voice_consents.list(limit=limit)]
            assert (len(ids), set(ids)) == (5, made)
        page = http.get("/v1/audio/voice_consents", params={"limit": 2}).json()
        assert (page["object"], len(page["data"]), page["has_more"]) == ("list", 2, True)
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][1]["id"])
        for wrong in ({"limit": 0}, {"limit": 101}, {"limit": "x"}, {"after": "cons_gone"}):
            answer = http.get("/v1/audio/voice_consents", params=wrong)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, next(iter(wrong)))
    finally:
        for consent_id in made:
            sdk.audio.voice_consents.delete(consent_id)
    empty = http.get("/v1/audio/voice_consents").json()
    assert empty == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


def test_voice_without_consent_is_changed_and_heard(http: httpx2.Client, sdk: OpenAI) -> None:
    form = {"name": "Birch", "language": "en-GB", "description": "plain", "licence": "CC0-1.0", "source": "a script"}
    made = http.post("/v1/audio/voices", data=form, files={"audio_sample": ("a.flac", BIRCH.read_bytes())}).json()
    url = f"/v1/audio/voices/{made['id']}"
    assert http.get(url).json() == made
    assert (made["language"], made["description"], made["licence"], made["source"]) == (
        "en",
        "plain",
        "CC0-1.0",
        "a script",
    )

    changed = http.post(url, json={"name": " Birke ", "language": "de", "description": None}).json()
    assert changed == {**made, "name": "Birke", "language": "de", "languages": ["de"]}
    assert http.get(url).json() == changed
    assert pitch_of(sdk, "birke") == pitch_of(sdk, made["id"])

    preview = http.get(f"{url}/preview", params={"format": "wav"})
    assert preview.headers["content-type"] == "audio/wav"
    reference = speech()
    heard = _decode(preview.content)
    assert len(heard) == len(reference)
    assert abs(heard - reference).max() < 0.01
    assert sdk.audio.voices.delete(made["id"]).deleted
    assert http.get(f"{url}/preview").status_code == 404


def test_preview_of_a_voice_without_recordings_is_spoken(http: httpx2.Client) -> None:
    preview = http.get("/v1/audio/voices/alloy/preview", params={"format": "pcm"})
    assert preview.status_code == 200
    assert pitch_hz(preview.content) == pytest.approx(OWN_PITCH_HZ, abs=2)
    wrong = http.get("/v1/audio/voices/alloy/preview", params={"format": "midi"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "format")


def test_voices_that_nobody_uploaded_stay(http: httpx2.Client) -> None:
    for answer in (http.delete("/v1/audio/voices/alloy"), http.post("/v1/audio/voices/fake", json={"name": "x"})):
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "voice_id")
        assert "only uploaded voices" in answer.json()["error"]["message"]
    assert http.get("/v1/audio/voices/nobody").status_code == 404


def test_several_voices_of_one_name_are_named_by_id(sdk: OpenAI) -> None:
    twins = [sdk.audio.voices.create(name="Twin", audio_sample=BIRCH, consent="") for _ in range(2)]
    with pytest.raises(openai.BadRequestError) as refused:
        speak(sdk, "twin")
    assert [twin.id for twin in twins if twin.id not in refused.value.message] == []
    for twin in twins:
        sdk.audio.voices.delete(twin.id)


def test_name_of_openai_s_stays_openai_s(sdk: OpenAI) -> None:
    voice = sdk.audio.voices.create(name="Alloy", audio_sample=BIRCH, consent="")
    assert pitch_of(sdk, "alloy") == pytest.approx(OWN_PITCH_HZ, abs=2)
    sdk.audio.voices.delete(voice.id)


def test_long_recording_is_cut_with_a_warning(http: httpx2.Client) -> None:
    recording = wav(np.tile(speech(), 4))
    made = http.post("/v1/audio/voices", data={"name": "Long"}, files={"audio_sample": ("a.wav", recording)}).json()
    assert made["warnings"] == ["longer than 30 s: only that much of it is used"]
    assert http.delete(f"/v1/audio/voices/{made['id']}").json()["deleted"]


def test_recording_is_judged_before_anything_is_kept(http: httpx2.Client) -> None:
    def check(recording: bytes) -> httpx2.Response:
        return http.post("/v1/audio/voices/check", files={"audio_sample": ("a.wav", recording)})

    before = listed(http).keys()
    good, short = check(BIRCH.read_bytes()).json(), check(wav(speech()[: 2 * RATE])).json()
    assert (good["usable"], good["findings"], good["speech"] > 3) == (True, [], True)
    assert (short["usable"], [(one["code"], one["refuses"]) for one in short["findings"]]) == (
        False,
        [("too_short", True)],
    )
    none = check(b"no sound at all")
    assert (none.status_code, none.json()["error"]["param"]) == (400, "audio_sample")
    answer = http.get("/v1/audio/voices").json()
    assert {voice["id"] for voice in answer["voices"]} == before
    assert answer["cloning"] == {"available": True, "unavailable_reason": None, "requires_consent": False}


def test_prompts_make_no_voices(sdk: OpenAI, http: httpx2.Client) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.audio.voices.create(name="Pirate", type="prompt", prompt="A hoarse old pirate.")
    assert (refused.value.param, "audio_sample" in refused.value.message) == ("type", True)
    answer = http.post("/v1/audio/voices", json={"name": "Pirate", "type": "prompt", "prompt": "A hoarse old pirate."})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "type")
    answer = http.post("/v1/audio/voices", json={"name": "Pirate", "audio_sample": "UklGRg=="})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "audio_sample")


def _decode(data: bytes) -> Samples:
    with wave.open(io.BytesIO(data)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32767
