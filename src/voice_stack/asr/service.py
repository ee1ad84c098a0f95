"""What the ASR server's routes work with: from a checked request to a job in the engine of its model."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from voice_stack.asr.engine_factory import engine_specs
from voice_stack.asr.jobs.record import Activity, Asked
from voice_stack.asr.models import WhisperModelSpec
from voice_stack.asr.rendering.formats import require_transcript_format
from voice_stack.asr.request import DetectionRequest, PcmFormat, TranscriptionRequest, parse_steps
from voice_stack.asr.schemas import Checked
from voice_stack.asr.settings import AsrSettings
from voice_stack.asr.transcriber import Transcription
from voice_stack.core.engine.admission import AdmissionDesk, Ticket
from voice_stack.core.engine.pool import EnginePool, Substitute
from voice_stack.core.engine.process import EngineSpec
from voice_stack.core.errors import UnsupportedValueError
from voice_stack.core.logging import request_id_var
from voice_stack.core.models.names import ModelNames
from voice_stack.core.models.store import ModelStore
from voice_stack.core.system.side_process import GivenUpError, SideProcess

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


@dataclass(frozen=True, slots=True)
class AsrService:
    """What the routes work with; one per application."""

    settings: AsrSettings
    store: ModelStore
    models: ModelNames
    pool: EnginePool
    desk: AdmissionDesk
    probing_process: SideProcess
    activity: Activity = field(default_factory=Activity)

    async def begin(self, checked: Checked, ticket: Ticket | None = None) -> Transcription:
        """Submit a checked request.

        Args:
            checked: The request.
            ticket: That of a request somebody waits for; None: it is taken however full the queue is.

        Raises:
            QueueFullError: It would have to wait too long.
            ModelNotFoundError: No such model here.
            UnsupportedValueError: The model cannot do what is asked.
        """
        model, request = self.prepare(checked)
        replicas = engine_specs(self.settings, model)
        substitute = self.find_substitute(model, lambda other: self._make_request(other, checked))
        work_s = usual_audio_s(checked.file.size, checked.pcm)
        if ticket:
            work_s = await self._admit(ticket, request, replicas, work_s)
        request_id = request_id_var.get() or ""
        handle = await self.pool.submit(replicas, request, request_id, substitute, work_s=work_s)
        if ticket:
            ticket.close()
        transcription = Transcription(request, handle)
        if not checked.background:
            file = checked.file
            asked = Asked(checked.task, checked.model, checked.response_format, file.filename, file.size)
            self.activity.add(asked, transcription)
        return transcription

    async def _admit(
        self, ticket: Ticket, request: TranscriptionRequest, replicas: Sequence[EngineSpec], guess_s: float
    ) -> float:
        """Let a request in; its file is only opened where the guess says that there is no room."""
        work_s: float | None = None
        if not ticket.fits(guess_s, replicas):
            with suppress(GivenUpError):
                work_s = await asyncio.to_thread(self.probing_process.call, _probe_s, PROBE_TIMEOUT_S, request)
        ticket.admit(work_s or guess_s, replicas)
        return work_s or guess_s

    def prepare(self, checked: Checked) -> tuple[str, TranscriptionRequest]:
        """The model for a checked request, and the request as its engine takes it.

        Raises:
            ModelNotFoundError: No such model here.
            UnsupportedValueError: The model cannot do what is asked.
        """
        model = self.models.resolve(checked.model)
        return model, self._make_request(model, checked)

    def find_substitute(
        self, model: str, make_request: Callable[[str], TranscriptionRequest | DetectionRequest]
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
        except UnsupportedValueError:
            return None
        # A name that the client chose and nobody has stays its own mistake.
        return Substitute(engine_specs(self.settings, other), request, for_missing=model == self.models.default)

    def _make_request(self, model: str, checked: Checked) -> TranscriptionRequest:
        # The cues of a translation go by its segments: its words were not said. A job's result may be wanted as cues.
        uses_words = require_transcript_format(checked.response_format).uses_words or checked.background
        needs_words = uses_words and checked.task == "transcribe"
        language = self._choose_language(model, checked)
        return TranscriptionRequest(
            path=checked.file.path,
            task=checked.task,
            language=language,
            prompt=checked.prompt,
            temperature=checked.temperature,
            word_timestamps="word" in checked.granularities or needs_words,
            beam_size=checked.beam_size,
            hotwords=checked.hotwords,
            candidate_languages=() if language else checked.languages,
            token_logprobs=checked.logprobs,
            vad=checked.vad,
            pcm=checked.pcm,
            audio_track=checked.audio_track,
            suppress=parse_steps(self.settings.suppress),
        )

    def _choose_language(self, model: str, checked: Checked) -> str | None:
        """The spoken language as far as it is known before listening."""
        # The candidates of a request say more than the default of the server.
        default = self.settings.language if checked.task == "transcribe" and not checked.languages else None
        spec = self.store.find(model)
        if not isinstance(spec, WhisperModelSpec):
            return checked.language or default or None
        if checked.task == "translate" and not spec.can_translate:
            raise UnsupportedValueError(
                f"model {model!r} cannot translate; a multilingual Whisper model such as 'base' can", param="model"
            )
        asked = (checked.language,) if checked.language else checked.languages
        if spec.english_only and asked and "en" not in asked:
            raise UnsupportedValueError(
                f"model {model!r} understands English only, not {', '.join(asked)}; a multilingual Whisper model "
                "such as 'base' does",
                param="language" if checked.language else "languages",
            )
        # The weights of some English-only models have all the language tokens, which then mislead.
        return "en" if spec.english_only else checked.language or default or None


def _probe_s(request: TranscriptionRequest) -> float | None:
    """Length of a file as its header says; for another process: the file is not trusted, and the libraries are big."""
    from voice_stack.asr.listening.windows import describe_source
    from voice_stack.utils.audio.decode import probe_duration_s

    return probe_duration_s(describe_source(request))
