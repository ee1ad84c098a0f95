"""One call for one turn, in a program: what failed stands in the result."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi.responses import JSONResponse

from chat.scripted_model import ScriptedModel
from chat.talking import wav
from running_server import RunningServer
from voice_stack.chat import VoiceChatEngine
from voice_stack.chat.settings import ChatSettings


@pytest.fixture
async def engine(
    tmp_path: Path, fake_asr: RunningServer, fake_tts: RunningServer, model: ScriptedModel
) -> AsyncIterator[VoiceChatEngine]:
    urls = {"asr_url": fake_asr.url, "tts_url": fake_tts.url, "llm_url": model.url}
    settings = ChatSettings.model_validate({"db": tmp_path / "chat.db", "spool_dir": tmp_path, **urls})
    async with VoiceChatEngine.open(settings) as opened:
        yield opened


async def test_a_result_says_what_there_is_and_what_failed(engine: VoiceChatEngine, model: ScriptedModel) -> None:
    model.say({"reasoning": "Hm."}, "One two three.")
    spoken = await engine.process_message("kitchen", "anna", wav(2.0), role="cook", audio_format="pcm")
    assert (spoken.user_transcript, spoken.assistant_text) == ("window 2.0 s.", "One two three.")
    assert (spoken.assistant_thinking, spoken.chat_error, spoken.tts_error) == ("Hm.", None, None)
    assert 0 < spoken.stt_confidence < 1
    assert spoken.assistant_audio is not None
    assert len(spoken.assistant_audio) == pytest.approx(48 * 840, rel=0.1)

    model.say("This will fail.")
    typed = await engine.process_text_only("kitchen", "anna", "Speak!")
    assert (typed.session_id, typed.stt_confidence) == (spoken.session_id, 1.0)
    assert (typed.assistant_text, typed.assistant_audio) == ("This will fail.", None)
    assert typed.tts_error
    other = await engine.process_text_only("kitchen", "bob", "Hello", is_spoken=False)
    assert other.session_id != spoken.session_id

    model.replies.append(JSONResponse({"error": {"message": "no"}}, 500))
    unanswered = await engine.process_message("kitchen", "anna", wav(1.0))
    assert (unanswered.user_transcript, unanswered.assistant_text) == ("window 1.0 s.", "")
    assert unanswered.chat_error
    unheard = await engine.process_message("kitchen", "anna", b"this is no sound")
    assert (unheard.user_transcript, unheard.stt_confidence) == ("", 0.0)
    assert unheard.stt_error
    silent = await engine.process_message("kitchen", "anna", wav(1.0, volume=0))
    assert (silent.user_transcript, silent.stt_error, silent.assistant_audio) == ("", None, None)
