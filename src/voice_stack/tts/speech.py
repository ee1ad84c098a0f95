"""A speech: the turns of its jobs, encoded as they come."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import ParamSpec, TypeVar

import anyio

from voice_stack.tts.cache.entry import SpeechFacts, SpeechPiece
from voice_stack.tts.captions.sentences import describe_sound
from voice_stack.tts.request import Sound
from voice_stack.tts.turns import Turns
from voice_stack.utils.audio.codecs import ExactHead
from voice_stack.utils.audio.encode import Encoder, open_encoder

P = ParamSpec("P")
T = TypeVar("T")


async def run_to_end(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in a thread; a cancellation goes on only when the thread is done.

    `asyncio.to_thread` gives the thread up when its caller is cancelled: the caller closes what the thread still works
    with. For a codec that is the end of the whole process.
    """
    thread = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    cancelled: asyncio.CancelledError | None = None
    # A cancelled scope of anyio, as Starlette's responses have, would cancel the wait again and again.
    with anyio.CancelScope(shield=True):
        while not thread.done():
            try:
                await asyncio.wait({thread})
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        thread.exception()  # looked at, or asyncio complains that nobody did
        raise cancelled
    return thread.result()


HEAD_S = 0.2
"""Length of the first piece that is encoded and sent: every format has some bytes ready after that."""
LONG_S = 0.5
"""A first sound of more than this is encoded in two pieces."""


class Speech:
    """A speech under way.

    Args:
        text: What is said.
        format_name: One of the audio formats.
        turns: The jobs in the engines.
    """

    def __init__(self, text: str, format_name: str, turns: Turns) -> None:
        self._text, self._format_name, self._turns = text, format_name, turns
        self._audio_s = 0.0
        self._characters = 0
        self._exact_head = ExactHead()
        self._is_finished = False

    async def pieces(self) -> AsyncGenerator[SpeechPiece, None]:
        """The speech encoded, as it is spoken; in threads, because a long clause takes tens of milliseconds.

        Raises:
            VoiceStackError: A job failed.
        """
        # Opened while the engine works on the first sound, whose rate is not known before.
        opening = asyncio.ensure_future(run_to_end(open_encoder, self._format_name))
        try:
            async with aclosing(self._turns.sounds()) as sounds:
                first = await anext(sounds)
                encoder = await asyncio.shield(opening)
                encoder.take_rate(first.sample_rate)
                if not first.is_last and first.samples.size > LONG_S * first.sample_rate:
                    # The listener hears the beginning while the codec still works on the rest of the clause.
                    head = int(HEAD_S * first.sample_rate)
                    heading = describe_sound(first, 0.0)
                    yield SpeechPiece(await run_to_end(encoder.push, first.samples[:head]), heading=heading)
                    yield await self._encode(encoder, first, head)
                else:
                    yield await self._encode(encoder, first)
                async for sound in sounds:
                    yield await self._encode(encoder, sound)
                if not self._is_finished:
                    yield SpeechPiece(await self._finish(encoder), is_last=True)
        finally:
            (await opening).close()

    def facts(self) -> SpeechFacts:
        """What is known when all pieces have come."""
        return SpeechFacts(self._audio_s, self._exact_head)

    @property
    def substitutes(self) -> tuple[str, ...]:
        """Models that speak in place of those that were asked for, as far as it is known by now."""
        return self._turns.substitutes

    def cancel(self) -> None:
        """Nobody wants it any more; harmless when it is complete."""
        self._turns.cancel()

    def log_fields(self) -> dict[str, object]:
        """What the request's log line says of the work."""
        run_s = self._turns.run_s
        fields: dict[str, object] = {"queue_s": round(self._turns.queue_wait_s, 3)}
        return fields | ({"rtf": round(run_s / self._audio_s, 3)} if self._audio_s else {})

    async def _encode(self, encoder: Encoder, sound: Sound, start: int = 0) -> SpeechPiece:
        heading = None if start else describe_sound(sound, self._audio_s)
        audio = await run_to_end(encoder.push, sound.samples[start:])
        if sound.is_last:
            audio += await self._finish(encoder)
        self._audio_s += sound.samples.size / sound.sample_rate
        # A blank stood between this clause and the one before it.
        self._characters = min(self._characters + len(sound.text) + bool(sound.text), len(self._text))
        return SpeechPiece(audio, {"characters": self._characters}, heading, is_last=sound.is_last)

    async def _finish(self, encoder: Encoder) -> bytes:
        audio = await run_to_end(encoder.finish)
        self._is_finished, self._exact_head = True, encoder.exact_head
        return audio
