"""An installation without espeak-ng and the library for Kokoro: free of the GPL."""

import json
import os
import subprocess
import sys
from pathlib import Path

SPEAK = """
import asyncio, json, sys
from pathlib import Path

# Python's own way to say that a module is not there.
for name in ("espeakng_loader", "kokoro_onnx", "phonemizer", "piper"):
    sys.modules[name] = None

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.tts.engine.base import EngineVoice, VoiceOptions
from voice_stack.tts.engine.kokoro import KokoroEngine
from voice_stack.tts.schemas import SpeechBody
from voice_stack.tts.setup import create_service
from voice_stack.tts.settings import TtsSettings

folder = Path(sys.argv[1])
engine = KokoroEngine(folder / "kokoro-v1.0-int8", device="cpu", threads=0)
said = {}
lines = {"af_heart": ("en", "Good day."), "bf_emma": ("en", "Good day."), "jf_alpha": ("ja", "今日"),
         "zf_xiaobei": ("zh", "你好")}
for voice, (language, text) in lines.items():
    parts = list(engine.synthesize(text, VoiceOptions(EngineVoice(voice), language)))
    said[voice] = [sum(part.samples.size for part in parts), [word.text for part in parts for word in part.words]]

service = create_service(TtsSettings.read(engine="kokoro", model_dir=folder, offline=True))
refused = {}
for language in ("es", "fr", "hi", "it", "pt"):
    try:
        asyncio.run(service.plan(SpeechBody(model="kokoro", voice="ef_dora", input="No.", language=language)))
    except UnsupportedValueError as error:
        refused[language] = error.message
print(json.dumps([said, refused]))
"""


def test_english_japanese_and_chinese_are_spoken_and_other_languages_refused_with_their_extra(kokoro_dir: Path) -> None:
    command = [sys.executable, "-c", SPEAK, str(kokoro_dir)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=dict(os.environ))
    assert ended.returncode == 0, ended.stderr
    said, refused = json.loads(ended.stdout)
    assert {voice: words for voice, (_samples, words) in said.items()} == {
        "af_heart": ["Good", "day."], "bf_emma": ["Good", "day."], "jf_alpha": ["今", "日"], "zf_xiaobei": ["你", "好"],
    }  # fmt: skip
    assert all(samples > 12_000 for samples, _words in said.values())
    assert set(refused) == {"es", "fr", "hi", "it", "pt"}
    assert all("pip install 'voice-stack[kokoro-espeak]'" in message for message in refused.values()), refused
