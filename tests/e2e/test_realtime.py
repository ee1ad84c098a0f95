"""Realtime over a socket, with OpenAI's SDK and a real engine process: order, errors, formats, what clients rely on."""

import asyncio
import base64
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest

from e2e.realtime import RATE, Live, encode, live, quiet
from e2e.sound import samples_of, wrap_pcm
from running_server import RunningServer, wait_until

FIRST = "Please water the plants in the kitchen before you leave."
SECOND = "Then lock the front door."
LOUD = 600
"""Of 16-bit samples: what lies below is no speech of this voice."""
Spoken = Callable[[str], bytes]
StartServer = Callable[..., AbstractContextManager[RunningServer]]


@pytest.fixture(scope="module")
def first(spoken: Spoken) -> bytes:
    return encode(spoken(FIRST))


@pytest.fixture(scope="module")
def second(spoken: Spoken) -> bytes:
    return encode(spoken(SECOND))


def expect_sound_items(session: Live) -> None:
    """Every item ends once, and what was shown of it before its text stays."""
    ended = Counter(event["item_id"] for event in [*session.of(".completed"), *session.of(".failed")])
    assert set(ended.values()) <= {1}
    assert {event["item_id"] for event in session.of("committed")} <= set(ended)
    for done in session.of(".completed"):
        deltas = [event for event in session.of(".delta") if event["item_id"] == done["item_id"]]
        assert {event["content_index"] for event in deltas} <= {0}


async def test_turns_are_told_while_they_are_spoken(fake_asr: RunningServer, first: bytes, second: bytes) -> None:
    async with live(fake_asr) as session:
        await session.say(first + quiet(0.7) + second + quiet(0.7), step=2400, bytes_per_s=2 * RATE)
        await session.wait_for(".completed", 2)
    one, other = session.of("speech_started")
    mine = [
        event for event in session.events if one["item_id"] in {event.get("item_id"), event.get("item", {}).get("id")}
    ]
    told = [event["type"].rpartition(".")[2] for event in mine]
    assert told.index("delta") < told.index("speech_stopped"), told
    assert [kind for kind in told if kind != "delta"] == [
        "speech_started", "speech_stopped", "committed", "added", "done", "completed",
    ]  # fmt: skip
    assert [event["previous_item_id"] for event in session.of("committed")] == [None, one["item_id"]]
    assert other["audio_start_ms"] >= session.of("speech_stopped")[0]["audio_end_ms"]
    expect_sound_items(session)


async def test_how_sound_is_cut_changes_no_turn(fake_asr: RunningServer, first: bytes, second: bytes) -> None:
    sound, told = first + quiet(0.6) + second + quiet(2), list[tuple[list[int], list[str]]]()
    for step in (960, 4801, 48_000, 15 * 48_000):
        async with live(fake_asr) as session:
            await session.set(transcription={"delay": "xhigh"})
            await session.say(sound, step)
            await session.wait_for(".completed", 2)
            edges = [event.get("audio_start_ms", event.get("audio_end_ms")) for event in session.of("ed")]
            told.append(([edge for edge in edges if edge is not None], session.texts))
    assert len(told[0][1]) == 2
    assert told == [told[0]] * 4


async def test_commits_of_any_length_complete_once(fake_asr: RunningServer, first: bytes) -> None:
    lengths = [0.1, 0.5, 1, 5, 29, 31, 120]
    async with live(fake_asr) as session:
        await session.set(turn_detection=None)
        for seconds in lengths:
            await session.say((first * 60)[: round(seconds * RATE) * 2], step=96_000)
            await session.send("input_audio_buffer.commit")
        await session.send("input_audio_buffer.commit", event_id="nothing")
        await session.wait_for(".completed", len(lengths))
        assert not session.of("speech_started")
        assert [event["usage"]["seconds"] for event in session.of(".completed")] == lengths
        (error,) = session.of("error") or [await session.wait_for("error")]
        assert (error["error"]["code"], error["error"]["event_id"]) == ("input_audio_buffer_commit_empty", "nothing")
        expect_sound_items(session)


async def test_twenty_turns_one_of_which_fails(fake_asr: RunningServer, second: bytes) -> None:
    async with live(fake_asr) as session:
        await session.set(turn_detection=None)
        for turn in range(20):
            # It fails when the turn has its item.
            await session.set(transcription={"prompt": "sleep=0.3 fail" if turn == 7 else None})
            await session.say(second, step=48_000)
            await session.send("input_audio_buffer.commit")
            event = await session.wait_for(".failed" if turn == 7 else ".completed")
            assert turn != 7 or event["error"]["message"] == "The fake engine was told to fail."
        assert (len(session.texts), session.kinds.count("error")) == (19, 0)
        expect_sound_items(session)


async def test_a_draft_that_fails_costs_no_turn(fake_asr: RunningServer, first: bytes) -> None:
    async with live(fake_asr) as session:
        await session.set(turn_detection=None, transcription={"prompt": "draft-fail", "language": "en"})
        await session.say(first)
        told = "a draft failed: The fake engine was told to fail."
        await asyncio.to_thread(wait_until, lambda: told in fake_asr.log.read_text(), 10, "a draft is tried")
        await session.send("input_audio_buffer.commit")
        await session.wait_for(".completed")
        assert not [kind for kind in session.kinds if kind in {"failed", "error"}]


async def test_only_what_is_no_event_is_an_error(fake_asr: RunningServer, second: bytes) -> None:
    async with live(fake_asr) as session:
        for kind, fields, code in (
            ("response.create", {}, "invalid_event"),
            ("conversation.item.retrieve", {"item_id": "item_x"}, "item_retrieve_invalid_item_id"),
            ("input_audio_buffer.append", {"audio": "?"}, "invalid_value"),
            ("input_audio_buffer.commit", {}, "input_audio_buffer_commit_empty"),
            ("response.cancel", {}, "response_cancel_not_active"),
            ("response.cancel", {}, "response_cancel_not_active"),
        ):
            await session.send(kind, event_id=f"my {kind}", **fields)
            error = (await session.wait_for("error"))["error"]
            assert (error["code"], error["event_id"], error["type"]) == (code, f"my {kind}", "invalid_request_error")
        await session.connection._connection.send(b"\0\1binary")
        assert (await session.wait_for("error"))["error"]["code"] == "invalid_event"
        shown = await session.update(
            output_modalities=["audio"], tools=[], tracing="auto", instructions="Be kind.", include=["nonsense"],
            audio={"input": {"transcription": {"model": "gpt-realtime-2.1", "language": "klingon"},
                             "format": {"type": "opus"}, "turn_detection": {"type": "x", "create_response": True}},
                   "output": {"voice": "ash"}},
        )  # fmt: skip
        assert shown["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": RATE}
        assert "create_response" not in str(shown)
        await session.say(second + quiet(1))
        done = await session.wait_for(".completed")
        await session.send("conversation.item.retrieve", item_id=done["item_id"])
        item = (await session.wait_for(".retrieved"))["item"]
        assert item["content"] == [{"type": "input_audio", "transcript": done["transcript"]}]
        await session.send("conversation.item.delete", item_id=done["item_id"])
        assert (await session.wait_for(".deleted"))["item_id"] == done["item_id"]


async def test_a_turn_ends_though_no_more_sound_comes(fake_asr: RunningServer, first: bytes) -> None:
    async with live(fake_asr) as session:
        await session.say(first[: 2 * RATE * 2])
        done = await session.wait_for(".completed")
        assert done["transcript"].startswith("window")
        assert session.of("speech_stopped")[0]["audio_end_ms"] == 2000
        # Push to talk: the next one begins where it begins.
        await session.say(quiet(120) + first + quiet(1), step=96_000)
        await session.wait_for(".completed")
        assert session.of("speech_started")[1]["audio_start_ms"] > 121_000
        await session.send("input_audio_buffer.clear")
        await session.wait_for("cleared")
        await session.send("input_audio_buffer.commit", event_id="late")
        error = (await session.wait_for("error"))["error"]
        assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "late")


async def test_what_was_committed_or_cleared_while_it_is_decoded_has_one_end(
    fake_asr: RunningServer, first: bytes
) -> None:
    async with live(fake_asr) as session:
        await session.set(turn_detection=None, transcription={"prompt": "sleep=0.3", "delay": "minimal"})
        for _ in range(3):
            await session.say(first, step=24_000)
            await session.send("input_audio_buffer.commit")
            await session.send("input_audio_buffer.commit")
        await session.say(first, step=24_000)
        await session.drain()
        while len(session.texts) < 3:
            await session.next()
        assert session.kinds.count("error") == 3
        assert session.kinds.count("committed") == 3
        expect_sound_items(session)


async def test_every_format_is_heard_and_may_change_in_between(asr_server: RunningServer, spoken: Spoken) -> None:
    samples, spoken_rate = samples_of(spoken(FIRST))
    wav = wrap_pcm(samples[: np.flatnonzero(abs(samples) > LOUD)[-1] + 1].tobytes(), spoken_rate)
    formats: list[dict[str, object]] = [{"type": "audio/pcmu"}, {"type": "audio/pcma"}]
    formats += [{"type": "audio/pcm", "rate": rate} for rate in (8_000, 16_000, 24_000, 48_000)]
    async with live(asr_server, {"model": "whisper-1"}) as session:
        shown = await session.set(turn_detection=None, transcription={"model": "gpt-4o-transcribe", "language": "en"})
        assert shown["transcription"] == {"model": "gpt-4o-transcribe", "language": "en"}
        for asked in formats:
            assert (await session.set(format=asked))["format"] == asked
            await session.say(encode(wav, str(asked["type"]), int(str(asked.get("rate", 8000)))), step=9_999)
            await session.send("input_audio_buffer.commit")
            # The last word is there, however soon after it the client ends the turn.
            text = (await session.wait_for(".completed"))["transcript"]
            assert "water the plants" in text.lower(), (asked, text)
            assert "leave" in text.lower(), (asked, text)
        expect_sound_items(session)


@pytest.mark.alone
async def test_words_are_shown_before_a_turn_is_over(asr_server: RunningServer, first: bytes) -> None:
    async with live(asr_server) as session:
        await session.set(transcription={"language": "en"})
        # Slower than it was said: how fast the machine is, is not the question.
        await session.say((first + quiet(0.8)) * 3, step=2400, bytes_per_s=round(1.4 * RATE))
        await session.wait_for(".completed", 3)
        told = [
            [
                str(event["type"]).rpartition(".")[2]
                for event in session.events
                if event.get("item_id") == turn["item_id"]
            ]
            for turn in session.of("committed")
        ]
        # A draft is the first to go where others compute: not each of the three has one then.
        assert any(kinds.index("delta") < kinds.index("committed") for kinds in told), told
        expect_sound_items(session)


async def test_silence_has_no_text_and_a_word_after_it_is_heard(
    asr_server: RunningServer, first: bytes, second: bytes
) -> None:
    async with live(asr_server) as session:
        await session.update(
            include=["item.input_audio_transcription.logprobs"],
            audio={
                "input": {"transcription": {"languages": ["en", "de"], "prompt": "At home.", "keywords": ["plants"]}}
            },
        )
        await session.say(first + quiet(10) + second + quiet(1), step=48_000)
        await session.wait_for(".completed", 2)
        one, other = session.of(".completed")
        assert "water the plants" in one["transcript"].lower()
        assert "then lock the front door" in other["transcript"].lower()
        assert one["languages"] == [{"code": "en"}]
        assert "".join(token["token"] for token in one["logprobs"]).strip() == one["transcript"]
        started = session.of("speech_started")[1]["audio_start_ms"]
        assert len(first) / 48 + 9_000 < started <= len(first) / 48 + 10_100
        await session.set(turn_detection=None)
        await session.say(quiet(2))
        await session.send("input_audio_buffer.commit")
        assert (await session.wait_for(".completed"))["transcript"] == ""
        assert session.kinds.count("error") == 0
        expect_sound_items(session)


async def test_who_was_mute_for_ten_minutes_is_heard(asr_server: RunningServer, second: bytes) -> None:
    async with live(asr_server) as session:
        await session.set(transcription={"language": "en"})
        await session.say(quiet(600) + second + quiet(1), step=96_000)
        assert "then lock the front door" in (await session.wait_for(".completed"))["transcript"].lower()
        assert session.of("speech_started")[0]["audio_start_ms"] > 599_000


async def test_the_end_of_a_stream_is_a_commit_and_a_clear(start_server: StartServer, second: bytes) -> None:
    # As openai-agents has it: what was committed before the clear is complete.
    with start_server("asr", ASR_ENGINE="fake", ASR_MODEL="fake") as server:
        async with live(server) as session:
            shown = await session.set(turn_detection={"type": "semantic_vad", "eagerness": "high"})
            assert shown["turn_detection"] == {"type": "semantic_vad", "eagerness": "high"}
            await session.say(second)
            await session.send("input_audio_buffer.commit", event_id="last")
            await session.drain()
            if not session.texts:
                await session.wait_for(".completed")
            told = [kind for kind in session.kinds if kind in {"committed", "cleared", "error"}]
            assert told == ["committed", "cleared"]
            # There is no network for it here: a pause of half a second ends the turn, and the log says so.
            await session.say(second + quiet(0.1))
            await session.drain()
            assert session.kinds.count("committed") == 1
            await session.say(second + quiet(0.6))
            await session.wait_for(".completed")
        wait_until(lambda: "fallback=semantic-turns" in server.log.read_text(), 10, "the log")


async def test_an_older_client_hears_the_names_it_knows(fake_asr: RunningServer, second: bytes) -> None:
    async with live(fake_asr, is_typed=False, extra_headers={"OpenAI-Beta": "realtime=v1"}) as session:
        flat = {"input_audio_format": "pcm16", "turn_detection": {"type": "server_vad", "silence_duration_ms": 300}}
        await session.send("transcription_session.update", session=flat)
        shown = (await session.wait_for("transcription_session.updated"))["session"]
        assert shown["turn_detection"]["silence_duration_ms"] == 300
        await session.say(second + quiet(1))
        await session.wait_for(".completed")
    assert session.kinds[:3] == ["transcription_session.created", "transcription_session.updated", "speech_started"]
    assert "conversation.item.created" in session.kinds
    assert not {"conversation.item.added", "conversation.item.done", "session.created"} & {*session.kinds}


def test_the_sdk_without_asyncio(fake_asr: RunningServer, second: bytes) -> None:
    asked = {"intent": "transcription"}
    with fake_asr.openai() as client, client.realtime.connect(extra_query=asked) as connection:
        connection.session.update(session={"type": "transcription", "audio": {"input": {"turn_detection": None}}})
        connection.input_audio_buffer.append(audio=base64.b64encode(second).decode())
        connection.input_audio_buffer.commit()
        for event in connection:
            if event.type == "conversation.item.input_audio_transcription.completed":
                assert event.transcript.startswith("window")
                break
