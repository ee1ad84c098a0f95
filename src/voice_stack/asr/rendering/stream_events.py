"""The events of a streamed transcription, as OpenAI's clients read them."""

from collections.abc import Mapping, Sequence

from voice_stack.asr.rendering.transcript_json import encode_json, languages_field, logprobs_field, usage_field
from voice_stack.asr.transcript import TokenLogprob, Transcript


def delta_event(text: str, tokens: Sequence[TokenLogprob] = ()) -> dict[str, object]:
    """Event for a further piece of text; with its tokens where log-probabilities were asked for."""
    event: dict[str, object] = {"type": "transcript.text.delta", "delta": text}
    return event | ({"logprobs": logprobs_field(tokens)} if tokens else {})


def done_event(transcript: Transcript, *, shows_languages: bool = False) -> dict[str, object]:
    """The last event of a stream: the whole text, what it cost, and what else was asked for."""
    event: dict[str, object] = {"type": "transcript.text.done", "text": transcript.text}
    if transcript.logprobs:
        event["logprobs"] = logprobs_field(transcript.logprobs)
    if shows_languages:
        event["languages"] = languages_field(transcript)
    return event | usage_field(transcript, tokens=True)


def encode_sse(event: Mapping[str, object]) -> bytes:
    """One server-sent event, the blank line that ends it included."""
    return b"data: " + encode_json(event) + b"\n\n"
