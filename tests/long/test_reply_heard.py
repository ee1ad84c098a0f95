"""What a reply says, as the ASR server hears it: all of the text, nothing else, and as far as somebody listened."""

from collections.abc import Iterator
from contextlib import AsyncExitStack

import jiwer
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

from chat.scripted_model import ScriptedModel, run_scripted_model
from running_server import RunningServer
from voice_stack.chat.conversation import Caller, VoiceChoice
from voice_stack.chat.events import SAMPLE_RATE, ReplyDone, Sound
from voice_stack.chat.reply import Assistant, heard_text
from voice_stack.chat.servers import SpeechServers
from voice_stack.chat.settings import ChatSettings
from voice_stack.language_model.model import LanguageModel, ModelRequest
from voice_stack.utils.audio.pcm import wav_header

HELLO = ModelRequest([{"role": "user", "content": "Hello"}])
THOUGHT = "The elephant wants to be polite and mentions no bananas."
WRITTEN = (
    "Well, the old museum opens at ten in the morning, and children pay nothing. "
    '<expr type="expression" label="happy"/>Is it far from here? No! It is 3.5 kilometers, Dr. Miller said. '
    "You need:\n- a good map,\n- warm clothes.\n\n```python\nprint('bananas')\n```\nThen **just walk** along the river!"
)
SAID = (
    "Well, the old museum opens at ten in the morning, and children pay nothing. Is it far from here? No! It is 3.5 "
    "kilometers, Doctor Miller said. You need a good map, warm clothes. There is some code in the text. Then just walk "
    "along the river."
)
normalize = EnglishTextNormalizer()


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedModel]:
    with run_scripted_model() as model:
        yield model


async def test_a_reply_is_heard_as_it_is_written_without_thoughts_code_and_marks(
    scripted: ScriptedModel, asr_server: RunningServer, tts_server: RunningServer
) -> None:
    settings = ChatSettings.read(llm_url=scripted.url, asr_url=asr_server.url, tts_url=tts_server.url)
    async with AsyncExitStack() as closing:
        model, servers = LanguageModel(settings), SpeechServers(settings)
        closing.push_async_callback(model.close)
        closing.push_async_callback(servers.close)
        text = f"<think>{THOUGHT}</think>{WRITTEN}"
        scripted.say(*(text[at : at + 7] for at in range(0, len(text), 7)))
        events = [event async for event in Assistant(model, servers).answer(HELLO, VoiceChoice("alloy"), Caller())]
        done = events[-1]
        assert isinstance(done, ReplyDone)
        sound = b"".join(event.samples for event in events if isinstance(event, Sound))

        async def hear(until_ms: int) -> str:
            samples = sound[: until_ms * SAMPLE_RATE // 1000 * 2]
            wav = wav_header(len(samples) // 2, SAMPLE_RATE) + samples
            return str(normalize((await servers.transcribe(wav, Caller(), language="en")).text))

        heard = await hear(len(sound))
        assert jiwer.wer(normalize(SAID), heard) < 0.1, heard
        assert not {"elephant", "bananas", "polite", "happy", "print"} & set(heard.split())
        for until_ms in (2500, 6000, 9000):
            told, said = normalize(heard_text(done.sentences, until_ms)).split(), (await hear(until_ms)).split()
            assert abs(len(told) - len(said)) <= 3, (told, said)
            assert normalize(done.text).split()[: len(told) - 1] == told[:-1]
