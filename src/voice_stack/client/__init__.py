"""Both servers from Python, with `httpx2` as the only dependency.

    from voice_stack.client import VoiceStackClient

    with VoiceStackClient() as client:
        print(client.transcribe("meeting.mp3", language="en").text)
        client.synthesize_to_file("Good morning.", "morning.mp3", voice="alloy")

`AsyncVoiceStackClient` has the same methods, awaited. Every failure is a `VoiceStackClientError`; what is wrong with
the arguments themselves (a missing file, an unknown suffix) stays the `OSError` or `ValueError` it is.
"""

from voice_stack.client.async_client import AsyncVoiceStackClient
from voice_stack.client.async_voice_service import AsyncVoiceServiceClient
from voice_stack.client.errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    IncompleteResponseError,
    InvalidResponseError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    ServerUnreachableError,
    VoiceStackClientError,
)
from voice_stack.client.events import FileHead, SpeechChunk
from voice_stack.client.jobs import Job, JobFailedError
from voice_stack.client.listening import (
    ListeningStarted,
    LiveEvent,
    SpeakerSegment,
    SpeechStarted,
    SpeechStopped,
    TextCompleted,
    TextDelta,
    TextFailed,
)
from voice_stack.client.options import AudioFormat, Server, TranscriptFormat
from voice_stack.client.results import AlignedText, Alignment, Health, Model, Queue, Segment, Transcript, Voice, Word
from voice_stack.client.sync_client import VoiceStackClient
from voice_stack.client.upload import AudioFile
from voice_stack.client.voice_service import VoiceServiceClient

__all__ = [
    "AlignedText",
    "Alignment",
    "ApiError",
    "AsyncVoiceServiceClient",
    "AsyncVoiceStackClient",
    "AudioFile",
    "AudioFormat",
    "AuthenticationError",
    "BadRequestError",
    "FileHead",
    "Health",
    "IncompleteResponseError",
    "InvalidResponseError",
    "Job",
    "JobFailedError",
    "ListeningStarted",
    "LiveEvent",
    "Model",
    "NotFoundError",
    "PayloadTooLargeError",
    "Queue",
    "RateLimitError",
    "RequestTimeoutError",
    "Segment",
    "Server",
    "ServerError",
    "ServerUnreachableError",
    "SpeakerSegment",
    "SpeechChunk",
    "SpeechStarted",
    "SpeechStopped",
    "TextCompleted",
    "TextDelta",
    "TextFailed",
    "Transcript",
    "TranscriptFormat",
    "Voice",
    "VoiceServiceClient",
    "VoiceStackClient",
    "VoiceStackClientError",
    "Word",
]
