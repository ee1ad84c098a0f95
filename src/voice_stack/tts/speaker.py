"""From a speech under way to bytes in the format that was asked for."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from voice_stack.core.errors import EngineError, VoiceStackError
from voice_stack.core.threads import run_to_end
from voice_stack.tts.request import Sound
from voice_stack.tts.turns import Turns
from voice_stack.utils.audio.encode import encode_whole, open_encoder

HEAD_S = 0.25
"""Length of the first piece that is encoded and sent: every format has some bytes ready after 0.2 s."""


@dataclass(slots=True)
class Speech:
    """A speech under way.

    Args:
        text: What is said.
        format_name: One of the audio formats.
        turns: The jobs in the engines.
    """

    text: str
    format_name: str
    turns: Turns

    async def first(self, sounds: AsyncIterator[Sound]) -> Sound:
        """The first piece; with it the request has succeeded so far.

        Raises:
            VoiceStackError: The job failed.
        """
        sound = await anext(sounds, None)
        if sound is None:
            raise EngineError("the engine made no sound for this text")
        return sound

    async def stream(self, first: Sound, rest: AsyncIterator[Sound]) -> AsyncIterator[bytes]:
        """Encode the pieces as they come; in threads, because a long one takes tens of milliseconds."""
        with await asyncio.to_thread(open_encoder, self.format_name, first.sample_rate) as encoder:
            # The listener hears the beginning while the codec still works on the rest of the clause.
            head = int(HEAD_S * first.sample_rate)
            for samples in (first.samples[:head], first.samples[head:]):
                if data := await run_to_end(encoder.push, samples):
                    yield data
            async for sound in rest:
                if data := await run_to_end(encoder.push, sound.samples):
                    yield data
            if data := await run_to_end(encoder.finish):
                yield data

    async def whole(self, first: Sound, rest: AsyncIterator[Sound]) -> bytes:
        """Everything at once, with exact lengths in the headers."""
        chunks = [first.samples, *[sound.samples async for sound in rest]]
        return await asyncio.to_thread(encode_whole, chunks, self.format_name, first.sample_rate)

    async def events(self, first: Sound, rest: AsyncIterator[Sound]) -> AsyncIterator[bytes]:
        """The stream as OpenAI's server-sent events; a failure on the way is an event too."""
        try:
            async for data in self.stream(first, rest):
                yield _encode_event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
        except VoiceStackError as error:
            yield _encode_event(error.body())
            return
        yield _encode_event({"type": "speech.audio.done", "usage": self._usage()})

    def _usage(self) -> dict[str, int]:
        """OpenAI counts tokens; here a token in is 4 characters and a token out is 50 ms."""
        tokens_in, tokens_out = -(-len(self.text) // 4), round(self.turns.audio_s * 20)
        return {"input_tokens": tokens_in, "output_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}

    def log_fields(self) -> dict[str, object]:
        """What the request's log line says of the work."""
        audio_s = self.turns.audio_s
        fields: dict[str, object] = {"chars": len(self.text), "queue_s": round(self.turns.queue_wait_s, 3)}
        if audio_s:
            fields |= {"audio_s": round(audio_s, 2), "rtf": round(self.turns.run_s / audio_s, 3)}
        return fields


def _encode_event(event: object) -> bytes:
    return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"
