"""A transcription as a stream of events."""

from collections.abc import AsyncGenerator, Awaitable, Callable

from voice_stack.asr.rendering.stream_events import delta_event, done_event, encode_sse
from voice_stack.asr.transcriber import Transcription
from voice_stack.asr.transcript import Segment, TextDeltas, TokenLogprob


async def transcript_events(
    begin: Callable[[], Awaitable[Transcription]], *, shows_languages: bool
) -> AsyncGenerator[bytes, None]:
    """A delta for each segment that adds text, at the end one done event with the whole text.

    Args:
        begin: Submits the job; the model may have to wait for room.
        shows_languages: Whether the last event names the language.

    Raises:
        VoiceStackError: The job failed.
    """
    transcription = await begin()
    heard: list[Segment] = []
    deltas, tokens = TextDeltas(), tuple[TokenLogprob, ...]()
    async for segment in transcription.segments():
        heard.append(segment)
        tokens += segment.logprobs
        if text := deltas.push(segment):
            yield encode_sse(delta_event(text, tokens))
            tokens = ()
    yield encode_sse(done_event(transcription.transcript(tuple(heard)), shows_languages=shows_languages))
