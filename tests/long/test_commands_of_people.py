"""Commands that people have spoken, sent as Home Assistant sends them: see `test_real_speech.py`."""

import wave
from pathlib import Path

import jiwer
import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop

from home_assistant.assist import connected, read_until
from home_assistant.conftest import WyomingServer
from long.test_real_speech import FILES, language_of, normalize


def _read(wav: Path) -> tuple[bytes, int]:
    with wave.open(str(wav)) as file:
        assert (file.getsampwidth(), file.getnchannels()) == (2, 1)
        return file.readframes(file.getnframes()), file.getframerate()


@pytest.mark.parametrize("wav", FILES, ids=lambda wav: wav.stem)
async def test_people_are_understood_in_their_languages(asr_server_wyoming: WyomingServer, wav: Path) -> None:
    language, (pcm, rate) = language_of(wav), _read(wav)
    async with connected(asr_server_wyoming.port) as client:
        await client.write_event(Transcribe(language=language).event())
        await client.write_event(AudioStart(rate, 2, 1).event())
        for start in range(0, len(pcm), 2048):
            await client.write_event(AudioChunk(rate, 2, 1, pcm[start : start + 2048]).event())
        await client.write_event(AudioStop().event())
        answer = await read_until(client, "transcript-stop", "error")
    said = normalize(wav.with_suffix(".txt").read_text("utf-8"))
    assert jiwer.wer(said, normalize(answer.transcript.text)) <= 0.25
    assert answer.transcript.language == language
