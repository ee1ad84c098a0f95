"""ElevenLabs' wire of speech: the sound comes with the times of its letters."""

import base64
import binascii
import json
from collections.abc import Mapping
from urllib.parse import quote

from voice_stack.core.errors import ProviderError
from voice_stack.core.provider_client import Question, json_body
from voice_stack.tts.engine.base import Spoken
from voice_stack.tts.providers.wire import (
    SAMPLE_RATE,
    Ask,
    OfferedVoice,
    SpeechWire,
    Utterance,
    hear_samples,
)
from voice_stack.utils.audio.word_alignment import WordTime, cut_words
from voice_stack.utils.language import find_language

_PAGE, _MAX_PAGES = 100, 10
_MISSING_S = 0.5
"""Sound that ends so long before its last letter was cut off."""
_TAKES_NO_LANGUAGE = ("eleven_multilingual_v2", "eleven_multilingual_v1", "eleven_monolingual_v1")
_TAKES_NO_CONTEXT = ("eleven_v3",)


class ElevenLabsWire(SpeechWire):
    """See `SpeechWire`."""

    name = "elevenlabs"
    models = ("eleven_flash_v2_5", "eleven_multilingual_v2", "eleven_turbo_v2_5", "eleven_v3")

    def heeds_language(self, model: str) -> bool:
        """See `SpeechWire`."""
        return model not in _TAKES_NO_LANGUAGE

    def question(self, model: str, utterance: Utterance) -> Question:
        """See `SpeechWire`; an answer in JSON that was cut off is none, however the connection ended."""
        body: dict[str, object] = {"text": utterance.text, "model_id": model}
        if not model.startswith(_TAKES_NO_CONTEXT):
            around = {"previous_text": utterance.before, "next_text": utterance.after}
            body |= {name: text for name, text in around.items() if text}
        if utterance.language and self.heeds_language(model):
            body["language_code"] = utterance.language.partition("-")[0]
        body |= {"voice_settings": {"speed": round(utterance.speed, 3)}} if utterance.speed != 1 else {}
        path = f"/v1/text-to-speech/{quote(utterance.voice, safe='')}/with-timestamps"
        return Question(path, json_body(body), (("output_format", f"pcm_{SAMPLE_RATE}"),), model, utterance.voice)

    def hear(self, headers: Mapping[str, str], content: bytes) -> Spoken:
        """See `SpeechWire`."""
        try:
            answer = json.loads(content)
            sound = base64.b64decode(answer["audio_base64"], validate=True)
        except (ValueError, TypeError, KeyError, binascii.Error):
            raise ProviderError("The provider elevenlabs sent no whole sound with times.", again_s=0.0) from None
        samples = hear_samples(self.name, {}, sound)
        words = read_alignment(answer.get("alignment"))
        if words and words[-1].end_s > len(samples) / SAMPLE_RATE + _MISSING_S:
            raise ProviderError("The provider elevenlabs sent less sound than its times say.", again_s=0.0)
        return Spoken(samples, words)

    async def list_voices(self, ask: Ask) -> list[OfferedVoice] | None:
        """See `SpeechWire`."""
        voices: list[OfferedVoice] = []
        page: tuple[tuple[str, str], ...] = (("page_size", str(_PAGE)),)
        for _ in range(_MAX_PAGES):
            listed = await ask(Question("/v2/voices", params=page))
            entries = listed.get("voices") if isinstance(listed, dict) else None
            if not isinstance(listed, dict) or not isinstance(entries, list):
                raise ProviderError("The provider elevenlabs answered no list of voices.")
            voices += [voice for entry in entries if (voice := _read_voice(entry)) is not None]
            token = listed.get("next_page_token")
            if not listed.get("has_more") or not isinstance(token, str):
                break
            page = (("page_size", str(_PAGE)), ("next_page_token", token))
        return voices


def read_alignment(alignment: object) -> tuple[WordTime, ...]:
    """The words of a clause and when they are said; none where the times make no sense.

    Args:
        alignment: As it came: each letter, when it begins and when it ends.
    """
    if not isinstance(alignment, dict):
        return ()
    letters, starts_s, ends_s = (
        alignment.get(name) for name in ("characters", "character_start_times_seconds", "character_end_times_seconds")
    )
    if not (isinstance(letters, list) and isinstance(starts_s, list) and isinstance(ends_s, list)):
        return ()
    if not len(letters) == len(starts_s) == len(ends_s) or not all(isinstance(letter, str) for letter in letters):
        return ()
    # A letter may be more than one character.
    owners = [index for index, letter in enumerate(letters) for _ in letter]
    text, at, words = "".join(letters), 0, []
    for word in cut_words(text):
        start = text.find(word, at)
        if start < 0:
            return ()
        at = start + len(word)
        start_s, end_s = starts_s[owners[start]], ends_s[owners[at - 1]]
        if not isinstance(start_s, int | float) or not isinstance(end_s, int | float) or not 0 <= start_s <= end_s:
            return ()
        words.append(WordTime(word, float(start_s), float(end_s)))
    return tuple(words)


def _read_voice(entry: object) -> OfferedVoice | None:
    if not isinstance(entry, dict) or not isinstance(voice_id := entry.get("voice_id"), str):
        return None
    labels = entry.get("labels")
    labels = {name: str(value) for name, value in labels.items()} if isinstance(labels, dict) else {}
    known = find_language(labels.get("language", ""))
    name, description = entry.get("name"), ", ".join(filter(None, map(labels.get, ("accent", "gender", "description"))))
    own = (known.code,) if known else ()
    return OfferedVoice(voice_id, name if isinstance(name, str) else "", own, description)
