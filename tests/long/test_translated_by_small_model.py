"""Real speech through a real language model, and one that is too small for it: the answer is whole, or says why not."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from benchmarks.small_model import SmallModel, run_small_model

from running_server import RunningServer

StartServer = Callable[..., AbstractContextManager[RunningServer]]


@pytest.fixture(scope="module")
def small_model() -> Iterator[SmallModel]:
    with run_small_model() as model:
        yield model


def test_speech_goes_through_a_model_and_comes_back_whole_or_as_an_error(
    small_model: SmallModel, start_server: StartServer, spoken: Callable[[str], bytes]
) -> None:
    sound = spoken("Good morning. Where is the station? It is over there.")
    with start_server("asr", ASR_LLM_URL=small_model.url) as server, server.http() as client:

        def ask(**fields: str) -> tuple[int, str, str]:
            answer = client.post(
                "/v1/audio/translations",
                data={"model": "whisper-1", "response_format": "srt", **fields},
                files={"file": ("speech.wav", sound)},
                timeout=600,
            )
            return answer.status_code, answer.text, answer.headers.get("x-warnings", "")

        status, same, warnings = ask(target_language="en", language="en")
        assert (status, warnings) == (200, ""), same
        assert "station" in same
        status, text, warnings = ask(target_language="es", language="en")
        if status == 200:
            assert text.count(" --> ") == same.count(" --> ")
            assert "station" not in text or "not translated" in warnings
        else:
            assert (status, "ASR_LLM_MODEL" in text) == (502, True), text
