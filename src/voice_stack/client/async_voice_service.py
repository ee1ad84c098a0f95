"""A client for the routes of older voice services, for programs with an event loop (asyncio).

The Voice server has these routes; with `VOICE_PORTS=8011` also where such clients look for them.
"""

import asyncio
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from voice_stack.client.async_client import AsyncVoiceStackClient
from voice_stack.client.calls import Call
from voice_stack.client.results import read_object, text_of
from voice_stack.client.upload import AudioFile, replacing

BASE_URL = "http://localhost:8011"
TIMEOUT_S = 30.0
Answer = dict[str, object]


def _parse(response: httpx2.Response) -> Answer:
    return read_object(response, dict)


class AsyncVoiceServiceClient:
    """One older voice service, or a Voice server, from asyncio; close it, or use it in an `async with` statement.

    One client may be used from many tasks at once. Every method raises `VoiceStackClientError`.

    Args:
        base_url: Address of the server.
        api_key: Sent as a bearer token; None for servers without keys.
        timeout_s: How long to wait for the next byte of an answer, seconds.
        max_retries: How many attempts may follow a first one that failed.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        base_url: str = BASE_URL,
        api_key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        max_retries: int = 2,
    ) -> None:
        self._client = AsyncVoiceStackClient(
            base_url, base_url, api_key, timeout_s=timeout_s, max_retries=max_retries, api_prefix=""
        )
        self._run = self._client._run

    async def health_check(self) -> Answer:
        """What the server says of itself, asked once with 5 seconds of patience; an error unless all of it works."""
        return await self._run(Call("asr", "/health", _parse, is_probe=True))

    async def list_voices(self) -> Answer:
        """`voices` by id, and the `default`."""
        return await self._run(Call("tts", "/voices", _parse))

    async def speech_to_text(self, audio_file: AudioFile) -> Answer:
        """Turn speech into text.

        Args:
            audio_file: A path, the bytes of a file, or a file open for binary reading.

        Returns:
            `text`, `confidence` (0..1), `processing_time_seconds` and what else the server tells.

        Raises:
            OSError: The file cannot be read.
        """
        call = Call("asr", "/voice/stt", _parse, "POST", file=audio_file, file_field="audio_file")
        return await self._run(call)

    async def text_to_speech(
        self,
        text: str,
        voice_id: str = "default",
        language: str = "en",
        output_dir: str | Path | None = None,
    ) -> Answer:
        """Turn text into a WAV file.

        Args:
            text: What to say.
            voice_id: Who says it: `default`, or one of `list_voices()`.
            language: Of the text, ISO 639-1.
            output_dir: Where the file goes, made if it is not there; the system's folder for temporary files if None.

        Returns:
            `audio_file_id`, `duration_seconds`, `voice_used` and, as a string, `local_audio_path`.

        Raises:
            ValueError: The text is empty.
            OSError: The file cannot be written.
        """
        if not text.strip():
            raise ValueError("the text is empty")
        body = {"text": text, "voice_id": voice_id, "language": language}
        spoken = await self._run(Call("tts", "/voice/tts", _parse, "POST", json=body))
        audio_id = text_of(spoken, "audio_file_id")
        folder = Path(tempfile.gettempdir() if output_dir is None else output_dir)
        # The name comes from outside, and must not lead out of the folder.
        path = folder / f"{Path(audio_id).name}.wav"
        audio = await self._run(Call("tts", f"/voice/audio/{audio_id}", lambda response: response.content))
        await asyncio.to_thread(_write, path, audio)
        return {**spoken, "local_audio_path": str(path)}

    async def transcribe_audio(self, audio_file: AudioFile) -> str:
        """The text alone of `speech_to_text`."""
        return text_of(await self.speech_to_text(audio_file), "text")

    async def synthesize_speech(
        self,
        text: str,
        voice_id: str = "default",
        language: str = "en",
        output_dir: str | Path | None = None,
    ) -> Path:
        """The file alone of `text_to_speech`."""
        spoken = await self.text_to_speech(text, voice_id, language, output_dir)
        return Path(text_of(spoken, "local_audio_path"))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()


def _write(path: Path, audio: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(audio)


async def transcribe_audio(audio_file: AudioFile, service_url: str = BASE_URL) -> str:
    """As the method, with a client for this one call."""
    async with AsyncVoiceServiceClient(service_url) as client:
        return await client.transcribe_audio(audio_file)


async def synthesize_speech(
    text: str,
    voice_id: str = "default",
    language: str = "en",
    output_dir: str | Path | None = None,
    service_url: str = BASE_URL,
) -> str:
    """As the method, with a client for this one call; the path as a string."""
    async with AsyncVoiceServiceClient(service_url) as client:
        return str(await client.synthesize_speech(text, voice_id, language, output_dir))
