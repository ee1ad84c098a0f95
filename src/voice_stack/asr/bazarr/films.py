"""The work behind Bazarr's routes: which model, which language, one job for equal uploads."""

import json
import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter

from voice_stack.asr.bazarr.query import SUBTITLES, AsrQuery, DetectQuery
from voice_stack.asr.bazarr.sharing import Made, SharedJobs
from voice_stack.asr.engine_factory import engine_specs, require_speaker_specs
from voice_stack.asr.jobs.record import OpenRequest
from voice_stack.asr.listening.language_spread import DetectedLanguage, combine
from voice_stack.asr.models import AsrCapabilities
from voice_stack.asr.request import (
    AudioFile,
    DecodeOptions,
    DetectionRequest,
    LanguageVote,
    PcmFormat,
    TranscriptionRequest,
    VadChoice,
)
from voice_stack.asr.schemas import choose_speakers, choose_translation, translates_text
from voice_stack.asr.service import AsrService, usual_audio_s
from voice_stack.asr.transcriber import Transcription
from voice_stack.asr.transcript import Transcript
from voice_stack.core.errors import EngineError, UnsupportedValueError
from voice_stack.core.http.app import VERSION
from voice_stack.core.http.spool import SpooledFile
from voice_stack.core.jobs import options_from
from voice_stack.core.logging import log_event, request_id_var
from voice_stack.core.result_cache import ResultCache
from voice_stack.core.shared.state import OFF, SharedState
from voice_stack.core.shared.values import SharedValues
from voice_stack.utils.cues.cue import USUAL
from voice_stack.utils.language import find_code

logger = logging.getLogger(__name__)

_PCM = PcmFormat()
_LANGUAGES_BYTES = 1 << 20
_SHAPING = {
    "engine", "compute_type", "fake_text", "multilingual", "fallback_language", "window_s", "suppress", "vad_enabled",
    "speaker_model", "speakers_dir", "llm_url", "llm_model",
}  # fmt: skip
"""Settings that shape results and are in no request."""
RESULT_AGE_S = 24 * 3600.0
"""Bazarr asks again within minutes, or on its next search the day after."""


PROGRESS_S = 60.0
MAX_SHOWN = 300
"""Characters of a film's path that are logged."""


@dataclass(slots=True)
class FilmLog:
    """What the log tells of one film; control characters in its path are escaped by the log's formatters.

    Attributes:
        video_file: Path as Bazarr sees it; empty where it does not tell.
        audio_s: Length in seconds; None for a media file, whose header is not asked.
        done_s: How much of it has been heard, in seconds.
    """

    video_file: str
    audio_s: float | None
    done_s: float = 0.0
    _started_at: float = field(default_factory=time.monotonic)
    _shown_at: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float | None:
        """How much of it has still to be heard, in seconds; None where the length is not known."""
        return None if self.audio_s is None else max(0.0, self.audio_s - self.done_s)

    def start(self) -> None:
        """The engine has the film from now on; what it waited before does not count for its speed."""
        self._started_at = self._shown_at = time.monotonic()

    def advance(self, done_s: float) -> None:
        """Everything up to `done_s` is heard; logged once a minute."""
        self.done_s = done_s
        now = time.monotonic()
        if now - self._shown_at < PROGRESS_S or not done_s:
            return
        self._shown_at = now
        fields: dict[str, object] = {"done_s": round(done_s), "speed": round(done_s / (now - self._started_at), 1)}
        if self.audio_s:
            fields["percent"] = round(100 * min(done_s / self.audio_s, 1))
            fields["eta_s"] = round((now - self._started_at) * max(0.0, self.audio_s / done_s - 1))
        self.tell("film progress", **fields)

    def tell(self, event: str, **fields: object) -> None:
        """Log an event with what is known of the film."""
        known: dict[str, object] = {"video_file": self.video_file[:MAX_SHOWN]} if self.video_file else {}
        if self.audio_s is not None:
            known["audio_s"] = round(self.audio_s, 1)
        log_event(logger, logging.INFO, event, **{**known, **fields})


def _canonical(value: object) -> object:
    """The same in every process, which the order of a set is not."""
    return sorted(map(str, value)) if isinstance(value, frozenset | set) else str(value)


RequestT = TypeVar("RequestT", TranscriptionRequest, DetectionRequest)


@dataclass(frozen=True, slots=True)
class Film(Generic[RequestT]):
    """An upload and what is to be done with it; equal films have equal results.

    Attributes:
        digest: SHA-256 of the upload.
        model: The model that does it.
        request: What shapes the result, without the path of the file.
        translates_foreign: It is asked for as English speech, and translated if it clearly is not.
    """

    digest: str
    model: str
    request: RequestT
    translates_foreign: bool = False


def _tells_language(can: AsrCapabilities) -> bool:
    return can.language_detection and can.tells_language


def _source(query: AsrQuery | DetectQuery) -> AudioFile:
    """What an upload is; where it lies does not shape its result."""
    return AudioFile(Path(), None if query.encode else _PCM)


class BazarrJobs:
    """Jobs for films and for their languages; one per application."""

    def __init__(self, service: AsrService, shared: SharedState) -> None:
        settings = service.settings
        self._service = service
        linger_s = settings.bazarr_linger_s
        shared = shared if settings.result_cache_mb else OFF
        films = SharedValues(shared, "film", TypeAdapter(Transcript), RESULT_AGE_S)
        films_here = ResultCache[Transcript](settings.result_cache_mb << 20, RESULT_AGE_S)
        self.films = SharedJobs[Transcript](linger_s, films_here, films, self._name)
        self._at_work: list[FilmLog] = []
        self._speed: float | None = None
        languages = SharedValues(shared, "film_language", TypeAdapter(DetectedLanguage), RESULT_AGE_S)
        languages_here = ResultCache[DetectedLanguage](_LANGUAGES_BYTES, RESULT_AGE_S)
        self.languages = SharedJobs[DetectedLanguage](linger_s, languages_here, languages, self._name)

    def _name(self, film: Hashable) -> str:
        """All that shapes a result: replicas may have other settings, or another version."""
        assert isinstance(film, Film)
        settings = self._service.settings.model_dump(include=_SHAPING)
        return json.dumps([VERSION, settings, asdict(film)], sort_keys=True, default=_canonical)

    async def close(self) -> None:
        """End all work."""
        await self.films.close()
        await self.languages.close()

    def plan_film(self, digest: str, query: AsrQuery) -> Film[TranscriptionRequest]:
        """What a film's request comes to.

        Raises:
            UnsupportedValueError: No model here can do what is asked.
            ModelNotFoundError: A model is named that is not here, or speakers are asked for and theirs is not.
        """
        service = self._service
        speakers = choose_speakers(None, query.min_speakers, query.max_speakers) if query.asks_for_speakers else None
        if speakers is not None:
            require_speaker_specs(service.settings)  # no other model for the text would help
        is_of_text = translates_text(query.target_language, query.task, service.settings)
        translation = choose_translation(query.target_language if is_of_text else None, service.settings, USUAL)
        if query.original and translation is None:
            raise UnsupportedValueError("original=true needs a target_language", param="original")
        is_transcription = query.task == "transcribe" or is_of_text
        decode = options_from(
            DecodeOptions,
            query,
            service.settings,
            task="transcribe" if is_of_text else query.task,
            language=query.language or (find_code(service.settings.language) if is_transcription else "") or None,
            prompt=query.initial_prompt,
            word_timestamps=query.word_timestamps or is_of_text or (query.output in SUBTITLES and is_transcription),
        )
        vad = VadChoice(enabled=query.vad_filter)
        request = TranscriptionRequest(
            _source(query),
            decode,
            vad=vad,
            speakers=speakers,
            translation=translation,
            times="segments" if is_of_text else query.times,
        )
        is_plain_english = is_transcription and query.language == "en" and not is_of_text
        if query.model:
            model = service.models.resolve(query.model)
            service.fit(model, request)
        else:
            model = self._require_able_model(request)
        return Film(digest, model, request, is_plain_english)

    def _require_able_model(self, request: TranscriptionRequest) -> str:
        service = self._service
        try:
            service.fit(service.models.default, request)
        except UnsupportedValueError as error:
            model = self._find_able_model(lambda name: service.can_do(name, request))
            if model is None:
                raise UnsupportedValueError(
                    f"{error.message}. No other model on this machine can: set ASR_MODEL to one that does, or fetch "
                    "one with `voice-stack models pull base`",
                    param="task" if error.param == "model" else error.param,
                ) from None
            return model
        return service.models.default

    def _find_able_model(self, is_able: Callable[[str], bool]) -> str | None:
        """The default model if it is able; else the largest one on this machine that is; None if there is none."""
        default, store = self._service.models.default, self._service.store
        if is_able(default):
            return default
        # The catalogue is sorted by size.
        others = (spec.name for spec in reversed(store.catalogue.models))
        return next((name for name in others if is_able(name) and store.is_local(name)), None)

    def plan_sample(self, digest: str, query: DetectQuery) -> Film[DetectionRequest]:
        """What the question for a film's language comes to."""
        request = DetectionRequest(_source(query), query.detect_lang_offset, query.detect_lang_length or None)
        return Film(digest, self._detecting_model(), request)

    def _detecting_model(self) -> str:
        service = self._service
        # A model of one language knows one answer: better than none.
        able = self._find_able_model(lambda name: _tells_language(service.capabilities(name)))
        return able or service.models.default

    async def detect(self, sample: Film[DetectionRequest], path: Path) -> Made[DetectedLanguage]:
        """Hear excerpts of a film until its language is sure, or all of them.

        Raises:
            VoiceStackError: The job failed.
        """
        request = replace(sample.request, source=replace(sample.request.source, path=path))
        replicas = engine_specs(self._service.settings, sample.model)
        substitute = self._service.find_substitute(sample.model, lambda _other: request)
        handle = await self._service.pool.submit(replicas, request, request_id_var.get() or "", substitute)
        votes: list[LanguageVote] = []
        try:
            async for vote in handle.outputs():
                assert isinstance(vote, LanguageVote)
                votes.append(vote)
                if combine(votes).is_sure:
                    break
        finally:
            handle.cancel()
        if not votes:
            raise EngineError("No excerpt of the audio was heard.")
        return Made(combine(votes), is_second_best=bool(handle.substitute))

    async def transcribe(
        self,
        film: Film[TranscriptionRequest],
        path: Path,
        log: FilmLog,
        show: Callable[[Transcription, str], OpenRequest],
    ) -> Made[Transcript]:
        """Do what is asked for a film, and show it among the jobs of the server meanwhile.

        Raises:
            VoiceStackError: The job failed.
        """
        self._at_work.append(log)
        try:
            if film.translates_foreign:
                film = await self._heed_language(film, path)
            request = replace(film.request, source=replace(film.request.source, path=path))
            transcription = await self._service.begin(film.model, request)
            self._service.activity.add(show(transcription, self._service.new_job_id()))
            return await self._gather(transcription, log)
        finally:
            self._at_work.remove(log)

    async def _gather(self, transcription: Transcription, log: FilmLog) -> Made[Transcript]:
        segments = []
        log.start()
        async for segment in transcription.segments():
            segments.append(segment)
            log.advance(segment.end_s)
        transcript = await transcription.complete(tuple(segments))
        audio_s, run_s, fields = transcript.duration_s, transcription.handle.run_s, transcription.log_fields()
        if run_s:
            self._speed = audio_s / run_s
            fields["speed"] = round(self._speed, 1)
        log.tell("film done", **{**fields, "audio_s": round(audio_s, 1), "run_s": round(run_s, 1)})
        return Made(transcript, is_second_best=bool(transcription.second_best()))

    async def _heed_language(self, film: Film[TranscriptionRequest], path: Path) -> Film[TranscriptionRequest]:
        """The film as a translation where it is asked for as English and clearly is not."""
        sample = Film(film.digest, self._detecting_model(), DetectionRequest(film.request.source))
        found = self.languages.find(sample) or (await self.detect(sample, path)).result
        if found.code == "en" or not found.is_sure:
            return film
        decode = replace(film.request.decode, task="translate", language=found.code, word_timestamps=False)
        request = replace(film.request, decode=decode)
        model = self._find_able_model(lambda name: self._service.can_do(name, request))
        fields = {"asked": "en", "found": found.code, "confidence": round(found.confidence, 3)}
        if model is None:
            log_event(logger, logging.WARNING, "film is not English, and no model here translates", **fields)
            return film
        log_event(logger, logging.WARNING, "film is not English: it is translated", **fields)
        return replace(film, model=model, request=request)

    def accept(self, film: Film[TranscriptionRequest], file: SpooledFile, query: AsrQuery) -> FilmLog:
        """Log a film that has just come, with its place in the queue and when it will be done as far as known."""
        pcm, language = film.request.source.pcm, film.request.decode.language
        log = FilmLog(query.video_file or "", usual_audio_s(file.size, pcm) if pcm else None)
        fields = {"task": query.task, "output": query.output, "model": film.model, "job": self.films.describe(film)}
        if language:
            fields["language"] = language
        waiting_s = [other.left_s for other in (*self._at_work, log)]
        if self._speed and None not in waiting_s:
            fields["eta_s"] = str(round(sum(left_s or 0.0 for left_s in waiting_s) / self._speed))
        log.tell("film accepted", queue_place=len(self.films), **fields)
        return log
