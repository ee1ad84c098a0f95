"""Replies that are kept: for the same question after the same conversation, and for no other."""

import asyncio
from dataclasses import replace

import pytest

from voice_stack.chat.cache import MAX_AGE_S, MAX_REPLIES, ReplyCache
from voice_stack.chat.events import ReplyDone
from voice_stack.core.http.context import CacheUse
from voice_stack.language_model.model import ChatMessage, ModelRequest

SYSTEM: ChatMessage = {"role": "system", "content": "Be brief."}
HELLO: ChatMessage = {"role": "user", "content": "Hello"}
MORE: ChatMessage = {"role": "user", "content": "Another one"}
JOKE: ChatMessage = {"role": "assistant", "content": "A horse walks into a bar."}
ASKED = ModelRequest([SYSTEM, HELLO], "small", {"temperature": 0.5})
DONE = ReplyDone("Good day.")


async def find(cache: ReplyCache, key: str | None, use: CacheUse = "usual") -> str | None:
    async with cache.flight(key, use) as kept:
        return kept


async def test_the_same_question_has_the_same_answer_for_half_an_hour() -> None:
    now = [0.0]
    cache = ReplyCache("exact", lambda: now[0])
    key = cache.key(ASKED, conversation="kitchen")
    assert await find(cache, key) is None
    await cache.put(key, DONE)
    again = ModelRequest([{**SYSTEM}, {**HELLO}], "small", {"temperature": 0.5})
    assert await find(cache, cache.key(again, conversation="kitchen")) == "Good day."
    assert await find(cache, key, "fresh") is None
    assert await find(cache, key, "none") is None
    now[0] = MAX_AGE_S + 1
    assert await find(cache, key) is None


def test_whatever_shapes_an_answer_makes_another_question() -> None:
    cache = ReplyCache("exact")
    asked = [
        cache.key(ASKED),
        cache.key(ASKED, conversation="kitchen"),
        cache.key(ASKED, role="kitchen"),
        cache.key(replace(ASKED, model="large")),
        cache.key(replace(ASKED, options={})),
        cache.key(replace(ASKED, messages=[HELLO])),
        cache.key(replace(ASKED, messages=[SYSTEM, HELLO, JOKE, MORE])),
        cache.key(replace(ASKED, messages=[SYSTEM, HELLO, JOKE, MORE, JOKE, MORE])),
    ]
    assert len({*asked}) == len(asked)
    assert cache.key(replace(ASKED, options={"tools": [{}]})) is None
    assert ReplyCache("off").key(ASKED) is None


def test_a_kiosk_has_one_answer_whatever_was_said_before() -> None:
    cache = ReplyCache("query")
    again = replace(ASKED, messages=[SYSTEM, HELLO, JOKE, HELLO])
    assert cache.key(again) == cache.key(ASKED)
    assert cache.key(replace(ASKED, messages=[SYSTEM, MORE])) != cache.key(ASKED)
    assert cache.key(replace(ASKED, messages=[HELLO])) != cache.key(ASKED)


@pytest.mark.parametrize(
    "reply", [replace(DONE, finish_reason="length"), replace(DONE, text=" "), ReplyDone("", finish_reason="tool_calls")]
)
async def test_what_is_no_whole_answer_is_not_kept(reply: ReplyDone) -> None:
    cache = ReplyCache("exact")
    await cache.put(cache.key(ASKED), reply)
    assert await find(cache, cache.key(ASKED)) is None


async def test_who_asks_the_same_at_once_waits_for_the_first_who_succeeds() -> None:
    cache, made = ReplyCache("exact"), 0
    key = cache.key(ASKED)

    async def ask() -> str:
        nonlocal made
        async with cache.flight(key) as kept:
            if kept is not None:
                return kept
            made += 1
            await asyncio.sleep(0)
            if made == 1:
                raise ConnectionError
            await cache.put(key, DONE)
            return DONE.text

    told = await asyncio.gather(*(ask() for _ in range(10)), return_exceptions=True)
    assert isinstance(told[0], ConnectionError)
    assert (told[1:], made) == ([DONE.text] * 9, 2)


async def test_the_least_used_reply_makes_room() -> None:
    cache = ReplyCache("exact")
    keys = [cache.key(replace(ASKED, model=str(number))) for number in range(MAX_REPLIES + 1)]
    for key in keys:
        await cache.put(key, DONE)
    assert await find(cache, keys[0]) is None
    assert await find(cache, keys[1]) == DONE.text
