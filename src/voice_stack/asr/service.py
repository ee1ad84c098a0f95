"""What the ASR server's routes work with: from a checked request to a job in the engine of its model."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from voice_stack.asr.engine_factory import (
    LIVE_SPEAKER_ENGINES,
    engine_specs,
    find_provided_model,
    require_speaker_specs,
)
from voice_stack.asr.jobs.record import Activity
from voice_stack.asr.live.listener import LiveTranscription
from voice_stack.asr.live.turns import LiveDiarization, LiveRequest, SoundFormat
from voice_stack.asr.models import AsrCapabilities, capabilities_of, check_limits
from voice_stack.asr.providers.workload import provided_capabilities, unheeded_fields
from voice_stack.asr.request import (
    AlignmentRequest,
    AudioFile,
    DetectionRequest,
    DiarizationRequest,
    PcmFormat,
    SpeakerChoice,
    TranscriptionRequest,
    parse_steps,
)
from voice_stack.asr.settings import AsrSettings
from voice_stack.asr.speakers.follower import SpeakerFollower
from voice_stack.asr.speakers.people import find_people
from voice_stack.asr.transcriber import WORDS_FALLBACK, Alignment, Diarization, Labelling, Transcription
from voice_stack.asr.transcript import Transcript
from voice_stack.asr.translation.transcription import Translation
from voice_stack.asr.translation.translator import CueTranslator
from voice_stack.core.engine.admission import AdmissionDesk, Ticket
from voice_stack.core.engine.handle import JobHandle
from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.engine.pool import EnginePool, Substitute
from voice_stack.core.errors import ModelNotFoundError, UnsupportedValueError
from voice_stack.core.ids import new_id
from voice_stack.core.logging import request_id_var
from voice_stack.core.models.store import ModelNames, ModelStore
from voice_stack.core.system.side_process import GivenUpError, SideProcess
from voice_stack.language_model.model import LanguageModel
from voice_stack.utils.language import find_characters, find_code

USUAL_BYTES_PER_S = 32_000.0
"""WAV at 16 kHz, 16 bit, mono: more than speech in MP3, less than a film with its pictures."""
MOST_BYTES_PER_S = 192_000.0
"""WAV at 48 kHz, 16 bit, stereo; also a film of 1.5 Mbit/s."""
SMALL_UPLOAD_BYTES = 25 * 1024 * 1024
"""OpenAI's largest upload: so much is received before anything is said of the queue."""
_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})  # as pydantic has them
_PCM_SAMPLE_BYTES = 2


def usual_audio_s(size: int, pcm: PcmFormat | None = None) -> float:
    """Length of a file of so many bytes, in seconds; exact for bare samples."""
    return size / (pcm.sample_rate * pcm.channels * _PCM_SAMPLE_BYTES if pcm else USUAL_BYTES_PER_S)


def least_audio_s(size: int) -> float:
    """Length below which hardly a file of so many bytes is, in seconds."""
    return size / MOST_BYTES_PER_S


def asks_for_job(fields: Mapping[str, Sequence[str]]) -> bool:
    """Whether the fields so far ask for a background job; not checked yet."""
    return any(value.strip().lower() in _TRUE for value in fields.get("background", ()))


PROBE_TIMEOUT_S, PROBING_IDLE_S = 5.0, 30.0


AskedT = TypeVar("AskedT", TranscriptionRequest, LiveRequest)


@dataclass(frozen=True, slots=True)
class AsrService:
    """What the routes work with; one per application."""

    settings: AsrSettings
    store: ModelStore
    models: ModelNames
    pool: EnginePool
    desk: AdmissionDesk
    probing_process: SideProcess
    language_model: LanguageModel
    activity: Activity = field(default_factory=Activity)

    def new_job_id(self) -> str:
        """For a request that somebody waits for."""
        return new_id("job", self.settings.replica_name)

    async def begin(
        self,
        model: str,
        request: TranscriptionRequest,
        ticket: Ticket | None = None,
        on_heard: Callable[[Transcript], Awaitable[None]] | None = None,
    ) -> Transcription:
        """Submit a checked request.

        Args:
            model: As `ModelNames.resolve` gives it.
            request: What is asked, whatever the model.
            ticket: That of a request somebody waits for; None: it is taken however full the queue is.
            on_heard: Told the transcript that a translation is made of.

        Raises:
            QueueFullError: It would have to wait too long.
            UnsupportedValueError: The model cannot do what is asked.
            ModelNotFoundError: Speakers are asked for, and their model is not on this machine.
            InvalidRequestError: The recording of a known voice cannot be used.
        """
        listening = await self._listen(model, request, ticket)
        if request.translation is None:
            return listening
        return Translation(listening, CueTranslator(self.language_model, request.translation), on_heard)

    async def _listen(self, model: str, request: TranscriptionRequest, ticket: Ticket | None) -> Transcription:
        fitted = self.fit(model, request)
        replicas = engine_specs(self.settings, model)
        substitute = self.find_substitute(model, lambda other: self._ask(other, self.fit(other, request)))
        work_s = usual_audio_s(request.source.path.stat().st_size, request.source.pcm)
        asked = self._ask(model, fitted)
        if ticket:
            if request.speakers is not None and asked.speakers is None:
                await self.admit_speakers(request.source, ticket)
            work_s = await self._admit(ticket, request.source, replicas, work_s)
        handle = await self.pool.submit(replicas, asked, request_id_var.get() or "", substitute, work_s=work_s)
        if ticket:
            ticket.close()
        # What was begun is brought to its end, however full the queues are, by the engine that began it.
        if request.text is not None:

            async def align(work: AlignmentRequest) -> JobHandle:
                engines = (handle.substitute,) if handle.substitute else replicas
                return await self.pool.submit(engines, work, handle.job.request_id)

            return Alignment(fitted, handle, submit=align)
        if fitted.speakers is None:
            return Transcription(fitted, handle, engine=replicas[0])

        async def diarize(work: DiarizationRequest) -> JobHandle:
            return (await self.diarize(work)).handle

        if fitted.speakers.known:
            try:  # not found out when all is heard
                await (
                    await self.diarize(DiarizationRequest(request.source, fitted.speakers, only_known=True))
                ).gather()
            except BaseException:
                handle.cancel()
                raise
        has_words = fitted.decode.word_timestamps or fitted.decode.task == "translate" or asked.speakers is not None
        return Labelling(
            fitted, handle, own_fallbacks=() if has_words else (WORDS_FALLBACK,), engine=replicas[0], submit=diarize
        )

    def _ask(self, model: str, fitted: TranscriptionRequest) -> TranscriptionRequest:
        """What the engine is asked: who speaks only if it tells that itself."""
        return fitted if self.tells_speakers(model, fitted) else replace(fitted, speakers=None)

    def tells_speakers(self, model: str, request: TranscriptionRequest) -> bool:
        """Whether a model tells who speaks itself; who is known here by voice is found here, by no provider."""
        is_anybody = request.speakers is not None and not request.speakers.known and self.settings.speakers_dir is None
        return is_anybody and self.capabilities(model).speakers

    def unheeded(self, model: str, request: TranscriptionRequest) -> frozenset[str]:
        """Fields that mean nothing to a model: none, but where a provider has it."""
        provided = find_provided_model(self.settings, model)
        if provided is None:
            return frozenset()
        return unheeded_fields(provided, tells_speakers=self.tells_speakers(model, request))

    async def diarize(self, request: DiarizationRequest, ticket: Ticket | None = None) -> Diarization:
        """Submit the question who speaks when in a file.

        Args:
            request: What is asked.
            ticket: That of a request somebody waits for; None: it is taken however full the queue is.

        Raises:
            UnsupportedValueError: Speakers are not told apart here.
            ModelNotFoundError: They could be, but the model is not on this machine.
            QueueFullError: It would have to wait too long.
        """
        replicas = require_speaker_specs(self.settings)
        request = replace(request, speakers=await self._know(request.speakers))
        work_s = usual_audio_s(request.source.path.stat().st_size, request.source.pcm)
        if ticket:
            work_s = await self._admit(ticket, request.source, replicas, work_s)
        handle = await self.pool.submit(replicas, request, request_id_var.get() or "", work_s=work_s)
        if ticket:
            ticket.close()
        return Diarization(request, handle)

    async def _know(self, choice: SpeakerChoice) -> SpeakerChoice:
        """Who speaks, with the people whom the server knows; where names are the same, the request's own counts."""
        own = {voice.name for voice in choice.known}
        people = await asyncio.to_thread(find_people, self.settings.speakers_dir)
        return replace(choice, known=(*choice.known, *(voice for voice in people if voice.name not in own)))

    async def listen(
        self, model: str, request: LiveRequest, promise: asyncio.Future[None] | None = None
    ) -> LiveTranscription:
        """Begin a transcription whose sound comes over time.

        Args:
            model: As `ModelNames.resolve` gives it.
            request: What is asked, whatever the model.
            promise: Of `admit_live`, which has let it in before; None: it is let in now.

        Raises:
            QueueFullError: The engine follows as many as it can.
            UnsupportedValueError: The model cannot do what is asked.
        """
        fitted = self.fit(model, request)
        promise = await self.admit_live(model) if promise is None else promise
        replicas = engine_specs(self.settings, model)
        self.desk.check_place(replicas)  # the model may be another one by now
        substitute = self.find_substitute(model, lambda other: self.fit(other, request))
        handle = await self.pool.submit(replicas, fitted, request_id_var.get() or "", substitute, is_fed=True)
        self.desk.end_promise(promise)
        return LiveTranscription(fitted, handle)

    def can_tell_speakers(self) -> bool:
        """Whether speakers can be told apart here in files."""
        return bool(self._speaker_engines())

    def can_follow_speakers(self) -> bool:
        """Whether speakers can be told apart here in live sessions."""
        engines = self._speaker_engines()
        return bool(engines) and engines <= LIVE_SPEAKER_ENGINES

    def _speaker_engines(self) -> set[str]:
        try:
            return {spec.engine for spec in require_speaker_specs(self.settings)}
        except (UnsupportedValueError, ModelNotFoundError):
            return set()

    async def follow_speakers(self, sound: SoundFormat, begun_s: float) -> SpeakerFollower:
        """Begin to tell who speaks in a live session.

        Args:
            sound: How it is written.
            begun_s: How far the session is, in seconds.

        Raises:
            QueueFullError: The engine follows as many as it can.
            UnsupportedValueError: Speakers are not told apart here.
            ModelNotFoundError: They could be, but the model is not on this machine.
        """
        replicas = require_speaker_specs(self.settings)
        request = LiveDiarization(sound, await self._know(SpeakerChoice()))
        promise = await self.desk.admit_live(replicas)
        handle = await self.pool.submit(replicas, request, request_id_var.get() or "", is_fed=True)
        self.desk.end_promise(promise)
        return SpeakerFollower(handle, begun_s)

    async def admit_live(self, model: str) -> asyncio.Future[None]:
        """Let one more live transcription in, if the processes of its model can follow it.

        Returns the promise of a place, for `listen` or, should it never begin, for the desk.

        Raises:
            QueueFullError: They cannot.
            EngineUnavailableError: They fail again and again, and no other model takes their place.
            UnsupportedValueError: A provider has the model.
        """
        self._require_here(model, "Live sessions")
        replicas = engine_specs(self.settings, model)
        if (outage := self.pool.outage(replicas)) and not self.settings.fallback_model:
            raise outage
        return await self.desk.admit_live(replicas)

    def is_provided(self, model: str) -> bool:
        """Whether a provider does the work of a model: of whole files alone."""
        return find_provided_model(self.settings, model) is not None

    def _require_here(self, model: str, what: str) -> None:
        if self.is_provided(model):
            message = f"{what} need a model of this server: {model} is a provider's, which hears whole files"
            raise UnsupportedValueError(message, param="model")

    async def _admit(self, ticket: Ticket, source: AudioFile, replicas: Sequence[EngineSpec], guess_s: float) -> float:
        """Let a request in; its file is only opened where the guess says that there is no room."""
        work_s: float | None = None
        if not ticket.fits(guess_s, replicas):
            work_s = await self._probe(source)
        ticket.admit(work_s or guess_s, replicas)
        return work_s or guess_s

    async def admit_speakers(self, source: AudioFile, ticket: Ticket) -> None:
        """Refuse a request that will ask who speaks once its file is transcribed, and would wait too long for that.

        Raises:
            QueueFullError: It would.
            UnsupportedValueError: Speakers are not told apart here.
            ModelNotFoundError: They could be, but the model is not on this machine.
        """
        queue = self.desk.queue(require_speaker_specs(self.settings), ticket)
        guess_s = usual_audio_s(source.path.stat().st_size, source.pcm)
        if not self.desk.has_room(queue, guess_s):
            self.desk.check(queue, await self._probe(source) or guess_s)

    async def _probe(self, source: AudioFile) -> float | None:
        """Length of a file as its header says, in seconds; None where it does not."""
        with suppress(GivenUpError):
            return await asyncio.to_thread(self.probing_process.call, _probe_s, PROBE_TIMEOUT_S, source)
        return None

    def find_substitute(
        self, model: str, make_request: Callable[[str], TranscriptionRequest | LiveRequest | DetectionRequest]
    ) -> Substitute | None:
        """What works where a model cannot: the fall-back model of the settings, if it can do what is asked.

        Args:
            model: The model that is to do the work.
            make_request: Makes the request for another model; may raise `UnsupportedValueError`.
        """
        other = self.settings.fallback_model
        if not other or other == model:
            return None
        try:
            request = make_request(other)
        except (UnsupportedValueError, ModelNotFoundError):
            return None
        # A name that the client chose and nobody has stays its own mistake.
        return Substitute(engine_specs(self.settings, other), request, for_missing=model == self.models.default)

    def capabilities(self, model: str) -> AsrCapabilities:
        """What is known of a model without loading it."""
        if provided := find_provided_model(self.settings, model):
            return provided_capabilities(provided)
        return capabilities_of(self.settings.engine, self.store.find(model))

    def can_do(self, model: str, request: TranscriptionRequest) -> bool:
        """Whether a model can do what is asked, as far as that is known without loading it."""
        try:
            self.fit(model, request)
        except UnsupportedValueError:
            return False
        return True

    def fit(self, model: str, request: AskedT) -> AskedT:
        """A request as the engine of a model takes it.

        Raises:
            UnsupportedValueError: The model cannot do what is asked.
            ModelNotFoundError: Speakers are asked for, and their model is not on this machine.
        """
        can, decode, candidates = self.capabilities(model), request.decode, request.candidate_languages
        provided = find_provided_model(self.settings, model)
        if isinstance(request, LiveRequest):
            self._require_here(model, "Live sessions")
        elif request.text is not None:
            self._require_here(model, "Alignments")
        if isinstance(request, TranscriptionRequest) and not can.words and request.times != "words":
            decode = replace(decode, word_timestamps=False)
        if isinstance(request, TranscriptionRequest) and request.speakers is not None:
            if not self.tells_speakers(model, request):
                require_speaker_specs(self.settings)
            # A translation's words were not said.
            has_words = decode.word_timestamps or (can.words and decode.task == "transcribe")
            decode = replace(decode, word_timestamps=has_words)
        asked = (decode.language,) if decode.language else candidates
        # The candidates of a request say more than the default of the server.
        default = find_code(self.settings.language) if decode.task == "transcribe" and not candidates else ""
        language = decode.language or default or None
        # The weights of some English-only models have all the language tokens, which then mislead.
        if not can.language_detection and (not asked or can.languages[0] in asked):
            language = can.languages[0]
        fitted = replace(
            request,
            decode=replace(decode, language=language),
            candidate_languages=() if language else candidates,
            # What a provider heard is not judged here; whether sounds are named is asked of it.
            suppress=request.suppress & ({"labels"} if provided else parse_steps(self.settings.suppress)),
            characters=request.characters or find_characters(self.settings.language),
            multilingual=self.settings.multilingual if request.multilingual is None else request.multilingual,
        )
        check_limits(fitted, can, model=model, engine=provided.provider.name if provided else self.settings.engine)
        return fitted


def _probe_s(source: AudioFile) -> float | None:
    """Length of a file as its header says; for another process: the file is not trusted, and the libraries are big."""
    from voice_stack.asr.listening.decoding import describe_source
    from voice_stack.utils.audio.decode import probe_duration_s

    return probe_duration_s(describe_source(source))
