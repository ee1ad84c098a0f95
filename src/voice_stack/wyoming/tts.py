"""Wyoming's door of the TTS server: a text whole, or as a language model writes it; the sound as it is spoken."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing, suppress

from pydantic import BaseModel

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.core.http.form import check_fields
from voice_stack.tts.schemas import SpeechBody, check_speech
from voice_stack.tts.service import TtsService
from voice_stack.tts.speech import FedSpeech
from voice_stack.tts.voices.voice import Voice
from voice_stack.utils.audio.encode import OUTPUT_SAMPLE_RATE
from voice_stack.wyoming.listener import Door, Link, describe_artifact, run_both
from voice_stack.wyoming.wire import Event

SOUND: Mapping[str, object] = {"rate": OUTPUT_SAMPLE_RATE, "width": 2, "channels": 1}
"""One for all voices: who plays a stream cannot change its rate half-way."""
BYTES_PER_S = 2 * OUTPUT_SAMPLE_RATE
CHUNK_BYTES = 8192
QUIET_S, SILENCE_S = 2.0, 0.3
"""A stream in which nothing was sent for so long gets so much silence: satellites that hear nothing for 5 s give up."""
TEXT_PATIENCE = 5.0
"""A language model that thinks, or asks a tool, may take so many times longer than a client that sends a file."""
SPEAKER_MARK = "#"


class VoiceChoice(BaseModel):
    """Who is to speak: a voice, and of several speakers one; or any that speaks a language."""

    name: str | None = None
    language: str | None = None
    speaker: str | None = None


class Utterance(BaseModel):
    """The data of `synthesize`, `synthesize-start` and `synthesize-chunk`."""

    text: str = ""
    voice: VoiceChoice | None = None
    text_format: str | None = None

    def body(self) -> SpeechBody:
        """The same as a request over HTTP has it.

        Raises:
            InvalidRequestError: A field does not fit.
        """
        voice, values = self.voice or VoiceChoice(), {"model": "tts-1", "input": self.text, "response_format": "pcm"}
        if voice.name:
            values["voice"] = voice.name + (f"{SPEAKER_MARK}{voice.speaker}" if voice.speaker else "")
        elif voice.language:
            values["language"] = voice.language
        if self.text_format == "ssml":
            values["markup"] = "auto"
        elif self.text_format not in {None, "", "text"}:
            raise UnsupportedValueError(f"text_format={self.text_format[:40]!r}: use text or ssml", param="text_format")
        return check_speech(values)


class SoundGroup:
    """Sound on its way to a client: `audio-start`, chunks, `audio-stop`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._sent_bytes = 0

    async def send(self, audio: bytes) -> None:
        """Send sound as it comes."""
        for start in range(0, len(audio), CHUNK_BYTES):
            if not self._sent_bytes:
                await self._link.send("audio-start", {**SOUND, "timestamp": 0})
            chunk = audio[start : start + CHUNK_BYTES]
            await self._link.send("audio-chunk", {**SOUND, "timestamp": self._timestamp_ms}, chunk)
            self._sent_bytes += len(chunk)

    async def stop(self) -> None:
        """Nothing more comes."""
        if self._sent_bytes:
            await self._link.send("audio-stop", {"timestamp": self._timestamp_ms})

    @property
    def _timestamp_ms(self) -> int:
        return 1000 * self._sent_bytes // BYTES_PER_S


class TtsDoor(Door):
    """See `Door`."""

    title = "Text to speech"
    events = frozenset({"synthesize", "synthesize-start", "synthesize-chunk", "synthesize-stop"})

    def __init__(self, service: TtsService) -> None:
        self._service = service

    def describe(self) -> Mapping[str, object]:
        """See `Door.describe`: the voices that can speak, by their own names."""
        voices = [voice for voice in self._service.voices.own_voices().values() if not voice.unavailable]
        voices += self._service.provided.list()
        program = describe_artifact(
            self._service.settings.project_name,
            self.title,
            voices=list(map(_describe_voice, voices)),
            supports_synthesize_streaming=True,
        )
        return {"tts": [program]}

    async def take(self, link: Link, event: Event) -> None:
        """See `Door.take`; a piece of text outside of a stream is passed over."""
        if event.type == "synthesize":
            async with link.request("synthesize") as log_fields:
                await self._speak(link, check_fields(Utterance, event.data).body(), log_fields)
        elif event.type == "synthesize-start":
            try:
                async with link.request("synthesize-stream") as log_fields:
                    await self._speak_stream(link, event, log_fields)
            finally:
                # The client waits for this and nothing else, whatever has happened.
                with suppress(ConnectionError):
                    await link.send("synthesize-stopped")

    async def _speak(self, link: Link, body: SpeechBody, log_fields: dict[str, object]) -> None:
        service, group = self._service, SoundGroup(link)
        plan = await service.plan(body)
        # The wire has no place for what headers would tell; it is in the log.
        speech = await service.begin(body, plan, await service.key(body, plan), tell=lambda _headers: None)
        try:
            async for audio in speech.reader.audio():
                await group.send(audio)
            await group.stop()
        finally:
            log_fields |= speech.log_fields()
            speech.close()

    async def _speak_stream(self, link: Link, event: Event, log_fields: dict[str, object]) -> None:
        start = check_fields(Utterance, event.data)
        speech = await self._service.begin_fed(start.model_copy(update={"text": ""}).body())
        try:
            await run_both(_feed(link, speech), _sound(SoundGroup(link), speech))
        finally:
            log_fields |= speech.log_fields()


async def _feed(link: Link, speech: FedSpeech) -> None:
    """Hand on the text; the whole of it, which comes once more for servers that take no pieces, is left out."""
    while (event := await link.next(TEXT_PATIENCE)).type != "synthesize-stop":
        if event.type == "synthesize-chunk":
            await speech.feed(check_fields(Utterance, event.data).text)
    speech.close()


async def _sound(group: SoundGroup, speech: FedSpeech) -> None:
    """Send the sound, and silence where none comes for long."""
    async with aclosing(speech.pieces()) as pieces:
        coming = asyncio.ensure_future(anext(pieces, None))
        try:
            while True:
                if not (await asyncio.wait({coming}, timeout=QUIET_S))[0]:
                    await group.send(bytes(2 * round(SILENCE_S * OUTPUT_SAMPLE_RATE)))
                elif (piece := coming.result()) is None:
                    break
                else:
                    await group.send(piece.audio)
                    coming = asyncio.ensure_future(anext(pieces, None))
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
    await group.stop()


def _describe_voice(voice: Voice) -> dict[str, object]:
    """A voice; Home Assistant shows the description, if there is one, as its name."""
    own, others = voice.languages[:1], voice.languages[1:]
    languages = [f"{own[0]}-{voice.region}" if voice.region else own[0], *others] if own else []
    speakers = [{"name": speaker} for speaker in voice.speakers] or None
    return describe_artifact(voice.id, voice.name or voice.id, languages=languages, speakers=speakers)
