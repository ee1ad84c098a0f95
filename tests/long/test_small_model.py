"""A real language model: llama.cpp's server, whose streams end in ways of their own."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing

import pytest
from benchmarks.small_model import SmallModel, run_small_model

from voice_stack.chat.settings import ChatSettings
from voice_stack.language_model.model import LanguageModel, ModelRequest

QUESTIONS = ("What is the capital of France?", "Tell me about dogs.", "How do I boil an egg?")


@pytest.fixture(scope="module")
def small_model() -> Iterator[SmallModel]:
    with run_small_model() as model:
        yield model


def ask(question: str, tokens: int) -> ModelRequest:
    return ModelRequest([{"role": "user", "content": question}], options={"max_tokens": tokens, "temperature": 0})


async def test_streams_that_are_passed_on_one_after_the_other_end_well(small_model: SmallModel) -> None:
    model = LanguageModel(ChatSettings.read(llm_url=small_model.url))
    for number in range(100):
        asked = {"messages": [{"role": "user", "content": QUESTIONS[number % 3]}], "max_tokens": 4, "stream": True}
        async with aclosing(await model.post(json.dumps(asked).encode(), {})) as response:
            assert b"".join([piece async for piece in model.pieces(response)]).endswith(b"data: [DONE]\n\n")
    await model.close()


async def test_whoever_leaves_stops_its_work(small_model: SmallModel) -> None:
    model = LanguageModel(ChatSettings.read(llm_url=small_model.url))
    async with aclosing(model.stream(ask("Write a very long story about the sea.", 2000))) as deltas:
        text = [(await anext(deltas)).content for _ in range(10)]
    assert "".join(text).strip()
    await asyncio.sleep(0.5)
    before_s = small_model.cpu_s()
    await asyncio.sleep(1.0)
    assert small_model.cpu_s() - before_s < 0.1
    await model.close()
