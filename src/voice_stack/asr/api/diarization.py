"""`POST /audio/diarization`: who speaks when, by the fields of LocalAI and speaches."""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import accumulate
from pathlib import PurePath

from fastapi import APIRouter, Request, Response

from voice_stack.asr.api.documents import DIARIZATION
from voice_stack.asr.api.intake import receive_audio
from voice_stack.asr.engine_factory import require_speaker_specs
from voice_stack.asr.form import DiarizationForm, form_body, read_fields, read_known_speakers
from voice_stack.asr.jobs.record import OpenRequest
from voice_stack.asr.models import SPEAKER_CATALOGUE
from voice_stack.asr.rendering import JSON_TYPE, TEXT_TYPE, encode_json, number, warnings_header
from voice_stack.asr.request import AudioFile, DiarizationRequest, SpeakersHeard, SpeakerTurn
from voice_stack.asr.schemas import (
    FILE_FIELD,
    Checked,
    check_form,
    choose_speakers,
    pcm_format,
    read_track,
    require_file,
)
from voice_stack.asr.service import AsrService
from voice_stack.asr.speakers.labels import word_places
from voice_stack.asr.transcriber import Diarization, Transcription
from voice_stack.asr.transcript import Speaker, Transcript, Word
from voice_stack.core.engine.admission import Ticket
from voice_stack.core.http.context import add_log_fields, headers_of
from voice_stack.core.http.form import Form, check_fields, ignored_fields_header
from voice_stack.core.http.spool import SpooledFile
from voice_stack.core.http.streaming import finish_unless_disconnected


def create_diarization_router(service: AsrService) -> APIRouter:
    """The route, below the API prefix."""
    router = APIRouter(tags=["audio"])

    @router.post(
        "/audio/diarization",
        openapi_extra=form_body(DiarizationForm),
        response_class=Response,
        responses=DIARIZATION,
    )
    async def diarize(request: Request) -> Response:
        """Who speaks when, and with `include_text` what they say."""
        replicas = require_speaker_specs(service.settings)
        async with AsyncExitStack() as owned:
            ticket = owned.enter_context(service.desk.open(headers_of(request)))
            form = await owned.enter_async_context(receive_audio(request, service.settings, ticket, replicas))
            exchange = _Exchange(service, request, _check(form, service), ticket)
            owned.callback(exchange.end)
            return await exchange.answer()

    return router


@dataclass(frozen=True, slots=True)
class _Asked:
    """A form that can be served; `text` is how the file is transcribed as well, if it is."""

    fields: DiarizationForm
    file: SpooledFile
    request: DiarizationRequest
    text: Checked | None
    ignored: tuple[str, ...]


def _check(form: Form, service: AsrService) -> _Asked:
    read = read_fields(DiarizationForm, form.fields, file_field=FILE_FIELD)
    fields, file = check_fields(DiarizationForm, read.values), require_file(form)
    known = read_known_speakers(fields.known_speaker_names, form)
    counts = (fields.num_speakers or None, fields.min_speakers or None, fields.max_speakers or None)
    choice = choose_speakers(*counts, known)
    source = AudioFile(file.path, pcm_format(file.content_type), read_track(fields.audio_track))
    request = DiarizationRequest(source, choice, fields.min_duration_off, fields.min_duration_on)
    names = {name for spec in SPEAKER_CATALOGUE.models for name in (spec.name, *spec.aliases)}
    is_speaker_model = fields.model in {*names, service.settings.speaker_model, ""}
    model = service.models.default if is_speaker_model else service.models.resolve(fields.model)
    sent = {
        "model": [model],
        "language": [fields.language],
        "word_timestamps": ["true"],
        "response_format": ["verbose_json"],
    }
    text_form = Form(sent | {"audio_track": [fields.audio_track or ""]}, file)
    text = check_form(text_form, "transcribe", service.settings) if fields.include_text else None
    return _Asked(fields, file, request, text, read.ignored)


@dataclass(slots=True)
class _Exchange:
    """A checked request on its way to its answer."""

    service: AsrService
    request: Request
    asked: _Asked
    ticket: Ticket
    diarization: Diarization | None = None
    transcription: Transcription | None = None

    async def answer(self) -> Response:
        shown = self.asked.fields.response_format
        heard, transcript = await finish_unless_disconnected(self.request, self._work())
        if shown == "rttm":
            body = to_rttm(heard.turns, PurePath(self.asked.file.filename).stem)
        else:
            body = await asyncio.to_thread(to_json, heard, transcript, is_verbose=shown == "verbose_json")
        media_type = TEXT_TYPE if shown == "rttm" else JSON_TYPE
        return Response(body, media_type=media_type, headers=self._headers(heard))

    async def _work(self) -> tuple[SpeakersHeard, Transcript | None]:
        transcript = None
        if self.asked.text:
            await self.service.admit_speakers(self.asked.request.source, self.ticket)
            checked = self.asked.text
            self.transcription = await self.service.begin(checked.model, checked.request, self.ticket)
            self._note(self.transcription)
            transcript = await self.transcription.gather()
        ticket = None if transcript else self.ticket
        self.diarization = await self.service.diarize(self.asked.request, ticket)
        self._note(self.diarization)
        return await self.diarization.gather(), transcript

    def _note(self, work: Transcription | Diarization) -> None:
        file, fields = self.asked.file, self.asked.fields
        model = fields.model or self.service.settings.speaker_model
        shown, job_id = (fields.response_format, file.filename, file.size), self.service.new_job_id()
        self.service.activity.add(OpenRequest("diarize", model, *shown, work, job_id))

    def _headers(self, heard: SpeakersHeard) -> dict[str, str]:
        text = self.transcription.second_best() if self.transcription else {}
        fallbacks = ", ".join([*filter(None, [text.pop("fallback", "")]), *heard.fallbacks])
        told = text | ({"fallback": fallbacks} if fallbacks else {})
        headers = {f"x-{name.replace('_', '-')}": value for name, value in told.items()}
        headers |= {"x-provider": provider} if self.transcription and (provider := self.transcription.provider) else {}
        return ignored_fields_header(self.asked.ignored) | headers | warnings_header(heard.warnings)

    def end(self) -> None:
        """Log what was done, and do no more of it."""
        for work in (self.transcription, self.diarization):
            if work is not None:
                add_log_fields(self.request, **work.log_fields())
                work.stop()


def to_json(heard: SpeakersHeard, transcript: Transcript | None, *, is_verbose: bool) -> bytes:
    """LocalAI's body, of which speaches' is a part; with a transcript its text, turn by turn."""
    texts = texts_of(heard.turns, transcript) if transcript else []
    body: dict[str, object] = {
        "task": "diarize",
        "duration": number(heard.total_s, 3),
        "num_speakers": len({turn.speaker for turn in heard.turns}),
        "segments": [
            {
                "id": index,
                **_speaker_fields(turn.speaker),
                "start": number(turn.start_s, 3),
                "end": number(turn.end_s, 3),
            }
            | ({"text": texts[index]} if texts else {})
            for index, turn in enumerate(heard.turns)
        ],
    }
    if transcript:
        body |= {"text": transcript.text, "language": transcript.language}
    if is_verbose:
        body["speakers"] = [_total_fields(speaker, heard.turns) for speaker in _in_order(heard.turns)]
    return encode_json(body)


def _in_order(turns: Sequence[SpeakerTurn]) -> list[Speaker]:
    return list(dict.fromkeys(turn.speaker for turn in turns))


def _speaker_fields(speaker: Speaker) -> dict[str, object]:
    named = {"name": speaker.name, "name_score": number(speaker.score, 3)} if speaker.name else {}
    return {"speaker": speaker.label, "label": str(speaker.number)} | named


def _total_fields(speaker: Speaker, turns: Sequence[SpeakerTurn]) -> dict[str, object]:
    own_s = [turn.end_s - turn.start_s for turn in turns if turn.speaker == speaker]
    fields = _speaker_fields(speaker)
    return {
        "id": fields.pop("speaker"),
        **fields,
        "total_speech_duration": number(sum(own_s), 3),
        "segment_count": len(own_s),
    }


def to_rttm(turns: Sequence[SpeakerTurn], file: str) -> bytes:
    """A line for each turn, as NIST's evaluations have it; names of file and speaker have no blanks there."""
    name = _one_word(file) or "audio"
    lines = (
        f"SPEAKER {name} 1 {turn.start_s:.3f} {turn.end_s - turn.start_s:.3f} <NA> <NA> "
        f"{_one_word(turn.speaker.label)} <NA> <NA>\n"
        for turn in turns
    )
    return "".join(lines).encode()


def _one_word(text: str) -> str:
    return "_".join(text.split())


def texts_of(turns: Sequence[SpeakerTurn], transcript: Transcript) -> list[str]:
    """What is said in each turn: a word belongs to the turn that it overlaps most, or else to the nearest."""
    texts = [""] * len(turns)
    if not turns:
        return texts
    starts = [turn.start_s for turn in turns]
    reached = list(accumulate((turn.end_s for turn in turns), max))
    for segment in transcript.segments:
        places = [*word_places(segment), len(segment.text)]
        for index, word in enumerate(segment.words):
            first = max(0, bisect_left(reached, word.start_s) - 1)
            near = range(min(first, len(turns) - 1), min(len(turns), bisect_right(starts, word.end_s) + 1))
            turn = max(near, key=lambda place: _overlap_s(turns[place], word))
            texts[turn] += segment.text[places[index] : places[index + 1]]
    return [text.strip() for text in texts]


def _overlap_s(turn: SpeakerTurn, word: Word) -> float:
    return min(turn.end_s, word.end_s) - max(turn.start_s, word.start_s)
