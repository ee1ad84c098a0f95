"""Packaged voices in their own languages: spoken by the TTS server, understood by the ASR server."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import jiwer
import pytest
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

from running_server import RunningServer
from voice_stack.tts.models import LANGUAGES, SPOKEN_LANGUAGES, VOICE_NAMES

StartServer = Callable[..., AbstractContextManager[RunningServer]]
TEXTS = {
    "en": "Tomorrow morning the children walk to school along the river.",
    "es": "Mañana por la mañana llegarán los niños de la escuela con su maestra.",
    "fr": "Demain matin, les enfants de l'école viendront visiter le jardin de ma grand-mère.",
    "hi": "मेरा नाम राम है और मैं दिल्ली में रहता हूँ।",
    "it": "Domani mattina andiamo al mercato con la nonna e compriamo il pane fresco.",
    "ja": "明日の朝、学校の子供たちが公園に来ます。",
    "pt": "Amanhã de manhã vamos ao mercado comprar pão fresco e um quilo de laranjas.",
    "zh": "今天天气很好，我们一起去公园散步吧。",
}
AS_WHISPER_WRITES = {"hi": "میرا نام رام ہے اور میں دلی میں رہتا ہوں"}
"""The `base` model writes spoken Hindi in the letters of Urdu."""
PROMPTS = {"zh": "以下是简体中文的句子。"}
"""Without it the model writes Chinese in traditional characters as often as not."""
BY_CHARACTER = frozenset({"hi", "ja", "zh"})
MAX_ERROR_RATE = {"en": 0.2, "hi": 0.35, "ja": 0.45, "zh": 0.45}
"""Of the small `base` model on one sentence, in words or in characters; other languages have 0.3."""
SPOKEN = [name for name in VOICE_NAMES if LANGUAGES.get(name[0]) in SPOKEN_LANGUAGES]
FIRST = {name[:2]: name for name in reversed(SPOKEN)}
"""One man and one woman of each language; the voices are files of one package, whose digest is checked."""
VOICES = ["en_US-joe-medium", *(SPOKEN if "EVERY_VOICE" in os.environ else reversed(FIRST.values()))]


@pytest.fixture(scope="module")
def server(start_server: StartServer, kokoro_dir: Path) -> Iterator[RunningServer]:
    """Both engines that need no PyTorch."""
    with start_server("tts", TTS_ENGINE="kokoro", MODEL_DIR=str(kokoro_dir)) as started:
        yield started


@pytest.mark.parametrize("voice", VOICES)
def test_it_is_understood(server: RunningServer, asr_server: RunningServer, voice: str) -> None:
    language = "en" if "-" in voice else LANGUAGES[voice[0]]
    text = TEXTS[language]
    with server.openai() as tts, asr_server.openai() as asr:
        speech = tts.audio.speech.create(model="tts-1", voice=voice, input=text, response_format="wav")
        heard = asr.audio.transcriptions.create(
            model="whisper-1",
            file=("speech.wav", speech.content),
            language=language,
            prompt=PROMPTS.get(language, ""),
        ).text
    normalise = EnglishTextNormalizer() if language == "en" else BasicTextNormalizer()
    measure = jiwer.cer if language in BY_CHARACTER else jiwer.wer
    error_rate = measure(normalise(AS_WHISPER_WRITES.get(language, text)), normalise(heard))
    print(f"\n{voice}\t{error_rate:.2f}\t{heard}")
    assert error_rate <= MAX_ERROR_RATE.get(language, 0.3), heard
