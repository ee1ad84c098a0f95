"""Japanese and Chinese, there and back: Kokoro speaks, Whisper writes the same characters."""

import unicodedata

import jiwer
import pytest

from kokoro_speech import say, to_wav
from long.test_spanish import transcribe
from running_server import RunningServer
from voice_stack.tts.engine.kokoro import KokoroEngine
from voice_stack.utils.text import normalise
from voice_stack.utils.text.pipeline import clauses

JAPANESE = "明日の朝、母と一緒に市場で新しい野菜を買います。"
CHINESE = "今天天气很好，我们一起去公园散步吧。"
PROMPTS = {"ja": "", "zh": "以下是简体中文的句子。"}
"""Without it Whisper writes Chinese in traditional characters as often as not."""
NAMES = {"ja": "japanese", "zh": "chinese"}
MAX_CHARACTER_ERROR_RATE = 0.2
"""Of the small `base` model, which takes one word of a sentence for another that sounds alike."""


def character_error_rate(expected: str, heard: object) -> float:
    return float(jiwer.cer(_characters(expected), _characters(str(heard))))


def _characters(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text)))


@pytest.mark.parametrize(
    ("voice", "language", "text"),
    [
        ("jf_alpha", "ja", JAPANESE),
        ("jm_kumo", "ja", JAPANESE),
        ("af_heart", "ja", JAPANESE),
        ("zf_xiaobei", "zh", CHINESE),
        ("zm_yunxi", "zh", CHINESE),
    ],
)
def test_language_is_found_and_the_characters_are_right(
    asr_server: RunningServer, kokoro: KokoroEngine, voice: str, language: str, text: str
) -> None:
    sound = to_wav(say(kokoro, text, voice, language).samples)
    heard = transcribe(asr_server, sound, prompt=PROMPTS[language])
    assert heard["language"] == NAMES[language]
    assert character_error_rate(text, heard["text"]) <= MAX_CHARACTER_ERROR_RATE, heard["text"]


@pytest.mark.parametrize(
    ("voice", "written", "digits"),
    [
        ("jf_alpha", "値段は1,234円で、3本買いました。", ("1234円", "3本")),
        ("zf_xiaobei", "会议在2018年12月25日下午8:45开始。", ("2018年", "12月25日", "45分")),
    ],
)
def test_numbers_are_heard_as_they_were_written(
    asr_server: RunningServer, kokoro: KokoroEngine, voice: str, written: str, digits: tuple[str, ...]
) -> None:
    language = {"j": "ja", "z": "zh"}[voice[0]]
    (clause,) = clauses(normalise(written), language)
    sound = to_wav(say(kokoro, clause.text, voice, language).samples)
    heard = str(transcribe(asr_server, sound, language=language, prompt=PROMPTS[language])["text"])
    assert all(number in heard.replace(",", "") for number in digits), heard
