"""What the TTS server's routes work with: from a checked request to jobs in the engines of its voices."""

import asyncio
import logging
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Literal

from voice_stack.core.engine.admission import AdmissionDesk
from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.engine.pool import EnginePool, Substitute
from voice_stack.core.errors import ConfigurationError, InvalidAudioError, InvalidRequestError, UnsupportedValueError
from voice_stack.core.logging import log_event, request_id_var
from voice_stack.core.models.store import ModelNames, ModelStore
from voice_stack.core.provider import PROVIDERS, ProvidedModel, find_provided
from voice_stack.core.system.side_process import GivenUpError, SideProcess
from voice_stack.tts.cache.recording import Outcome, SpeechReader
from voice_stack.tts.cache.speech_cache import SpeechCache
from voice_stack.tts.captions.kept import Captions, CaptionStore
from voice_stack.tts.engine.base import VoiceOptions
from voice_stack.tts.engine_factory import engine_spec, find_engine
from voice_stack.tts.models import CAPABILITIES, DEFAULT_MODEL_NAMES, TTS_MODELS, check_licence, find_languages
from voice_stack.tts.moods import mood_instruction, mood_names
from voice_stack.tts.request import Passage, SpeechRequest, TextOverTime, awaited_s
from voice_stack.tts.schemas import SpeechBody
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.speech import FedSpeech, Speech, Turn, Turns, speech_key
from voice_stack.tts.torch_models import QWEN_ENGINE, find_qwen_facts
from voice_stack.tts.voices.mirror import VoiceMirror
from voice_stack.tts.voices.provided import ProvidedVoices
from voice_stack.tts.voices.reference import encode_preview
from voice_stack.tts.voices.sources import (
    ClonedVoices,
    find_substitute,
    refuse_language,
    require_readable,
)
from voice_stack.tts.voices.uploads import VoiceUploads
from voice_stack.tts.voices.voice import OPENAI_VOICES, Voice, VoiceLibrary
from voice_stack.utils.audio.encode import require_format
from voice_stack.utils.language import require_language
from voice_stack.utils.language_detection import MIN_PROBABILITY, detect_text_language
from voice_stack.utils.text import Script, ScriptPart, hide_formulas, read_script
from voice_stack.utils.text.script import can_be_japanese

logger = logging.getLogger(__name__)

LEFT_OUT_HEADER = "x-left-out"
EXAMINATION_S, DETECTION_S = 30.0, 20.0
"""How long the examination of a recording may take, and how long to tell the language of a text."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What the `model` of a request asks for: an engine, or a model of it; None where any will do."""

    engine: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class CastPart:
    """A part of a text, who speaks it, and the fields of the request that change nothing in it."""

    engine: EngineSpec
    passage: Passage
    unheeded: frozenset[str]


@dataclass(frozen=True, slots=True)
class BegunSpeech:
    """A speech for one request; close it when nobody listens any more.

    Attributes:
        outcome: Where it comes from: the cache, an engine, an equal request that is under way; `off` without cache.
        captions: If they were asked for.
        made: The speech in the engines, once they have it; none if it comes from elsewhere.
    """

    body: SpeechBody
    reader: SpeechReader
    outcome: Outcome | Literal["off"]
    captions: Captions | None
    made: Sequence[Speech]

    def close(self) -> None:
        """Leave; harmless when done before."""
        self.reader.close()
        if self.captions is not None:
            self.captions.end()

    def log_fields(self) -> dict[str, object]:
        """What the request's log line says."""
        body, facts = self.body, self.reader.recording.facts
        fields: dict[str, object] = {"model": body.model, "voice": body.voice, "chars": len(body.input)}
        fields |= {"cache": self.outcome, **({"audio_s": round(facts.audio_s, 2)} if facts is not None else {})}
        if substitutes := self.reader.recording.substitutes:
            fields["fallback_model"] = ", ".join(substitutes)
        return fields | (self.made[0].log_fields() if self.made else {})


@dataclass(frozen=True, slots=True)
class TtsService:
    """What the routes work with; one per application."""

    settings: TtsSettings
    store: ModelStore
    models: ModelNames
    voices: VoiceLibrary
    provided: ProvidedVoices
    cloned: ClonedVoices
    uploads: VoiceUploads
    mirror: VoiceMirror
    pool: EnginePool
    desk: AdmissionDesk
    cache: SpeechCache
    captions: CaptionStore
    recording_process: SideProcess
    language_process: SideProcess

    async def begin(
        self,
        body: SpeechBody,
        plan: Sequence[Turn],
        key: str | None = None,
        *,
        is_fresh: bool = False,
        tell: Callable[[Mapping[str, str]], None] | None = None,
    ) -> BegunSpeech:
        """The speech that was planned, from the cache if it is there, else as it is made.

        Args:
            body: The request.
            plan: As `plan` made it.
            key: As `key` gave it; None: the speech is neither shared nor kept.
            is_fresh: Make it anew, and keep that in place of what is there.
            tell: Takes headers that tell of the queue; None: the work is taken however full that is.

        Raises:
            ShuttingDownError: The server is stopping.
        """
        made: list[Speech] = []

        async def make() -> Speech:
            with ExitStack() as arriving:
                if tell is not None:
                    ticket = arriving.enter_context(self.desk.open(tell))
                    ticket.admit(awaited_s([turn.request for turn in plan]), [plan[0].engine])
                turns = Turns(self.pool, plan, request_id_var.get() or "")
                await turns.start()
            made.append(Speech(len(body.input), body.response_format, turns))
            return made[0]

        reader = await self.cache.open(key, make, is_patient=not body.is_heard_early, is_fresh=is_fresh)
        captions = None
        if body.timestamps:
            language = plan[0].request.passages[0].language_code
            captions = await self.captions.open(reader.recording.notes, language, body.timestamps)
        return BegunSpeech(body, reader, reader.outcome if key else "off", captions, made)

    async def begin_fed(self, body: SpeechBody) -> FedSpeech:
        """A speech whose text is fed to it while it is written: by one voice, neither shared nor kept.

        Args:
            body: The request, its text empty; without a language that of the voice counts.

        Raises:
            VoiceStackError: As `plan` and `begin`.
        """
        require_format(body.response_format)
        part = await self._cast(ScriptPart(""), body, self._choose_model(body.model))
        how = TextOverTime(body.markup or self.settings.markup, tuple(self.settings.read_aloud))
        request = SpeechRequest((part.passage,), over_time=how)
        substitute = self._find_substitute(part.engine, request)
        with self.desk.open(lambda _headers: None) as ticket:
            ticket.admit(awaited_s([request]), [part.engine])
            turns = Turns(self.pool, [Turn(part.engine, request, substitute)], request_id_var.get() or "")
            await turns.start()
        return FedSpeech(body, turns, part.unheeded)

    async def key(self, body: SpeechBody, plan: Sequence[Turn]) -> str | None:
        """What a planned speech is kept under; None where nothing is kept, or a recording went away just now."""
        if not self.cache.is_on:
            return None
        try:
            return await asyncio.to_thread(speech_key, plan, body.response_format)
        except OSError:  # the engine will say what is missing
            return None

    async def plan(self, body: SpeechBody, tell: Callable[[Mapping[str, str]], None] | None = None) -> list[Turn]:
        """Who speaks what of a checked request, in order; neighbours on one engine are one turn.

        Args:
            body: The request.
            tell: Takes a header that names what of the text is left out.

        Raises:
            InvalidRequestError: Nothing in the text can be spoken, or a name is not known.
            ModelNotFoundError: No such model here.
            UnsupportedValueError: The voice cannot do what is asked.
            LicenceNotAcceptedError: Its model has a licence that the operator has not accepted.
        """
        require_format(body.response_format)
        choice = self._choose_model(body.model)
        script = await self._read(body)
        if script.left_out and tell:
            tell({LEFT_OUT_HEADER: ", ".join(script.left_out)})
        said = [await self._cast(part, body, choice) for part in script.parts]
        spoken = [
            (engine, tuple(part.passage for part in parts)) for engine, parts in groupby(said, key=attrgetter("engine"))
        ]
        unheeded = frozenset[str]().union(*(part.unheeded for part in said))
        requests = [
            (
                engine,
                SpeechRequest(passages, goes_on=index < len(spoken), is_awaited=body.is_heard_early and index == 1),
            )
            for index, (engine, passages) in enumerate(spoken, start=1)
        ]
        return [Turn(engine, request, self._find_substitute(engine, request), unheeded) for engine, request in requests]

    def _find_substitute(self, engine: EngineSpec, request: SpeechRequest) -> Substitute | None:
        return find_substitute(self.settings, self.store, self.voices, self.provided, engine, request)

    async def _read(self, body: SpeechBody) -> Script:
        """The text of a request in plain text."""
        markup, reads = body.markup or self.settings.markup, tuple(self.settings.read_aloud)
        # It looks at every character, so not on the event loop.
        script = await asyncio.to_thread(read_script, body.input, markup, reads)
        if script.left_out:
            log_event(logger, logging.INFO, "content left out of a speech", kinds=", ".join(script.left_out))
        if not script.parts:
            reason = f": it is nothing but {', '.join(script.left_out)}" if script.left_out else ""
            advice = ', which "markup": "plain" has read as it stands' if script.left_out else _tell_silent(body.input)
            raise InvalidRequestError(
                f"input={body.input[:80]!r}: there is nothing to speak in it{reason}{advice}",
                param="input",
                code="nothing_to_speak",
            )
        return script

    async def _cast(self, part: ScriptPart, body: SpeechBody, choice: ModelChoice) -> CastPart:
        """Who speaks a part of the text, on which engine."""
        name = part.voice or body.voice
        if self.settings.providers:
            asked = (choice.engine, self.settings.engine)
            await self.provided.prepare(name, next((engine for engine in asked if engine in PROVIDERS), None))
        await self.mirror.look_for(lambda: name.lower() in OPENAI_VOICES or self.voices.has(name))
        voice = self._find_voice(name, choice)
        written = hide_formulas(part.text)
        language = await self._find_language(written, body.language, voice, choice)
        if language not in {None, *voice.languages[:1]}:
            voice = self._find_voice(name, choice, language)
        in_mood = await self._find_in_mood(body, voice, choice, language)
        voice = in_mood or await self._require_ready(voice)
        if body.language and voice.languages and language not in voice.languages:
            raise refuse_language(voice, body.language, self.voices)
        await asyncio.to_thread(require_readable, written, voice, self.voices, self._detect)
        spoken = language if language in voice.languages else next(iter(voice.languages), language)
        tag = voice.with_region(spoken, body.language) if spoken else ""
        told = self._instruct(body, voice)
        options = VoiceOptions(voice.engine_voice, tag, body.speed, told or "")
        passage = Passage(part.text, options, voice.languages, await self._find_written_in(written, voice, tag))
        unheeded = {"instructions", "emotion_strength"} if told is None else set[str]()
        unheeded |= {"language"} if voice.engine in PROVIDERS and not self.provided.heeds_language(voice) else set()
        unheeded |= {"emotion"} if told is None and in_mood is None else set()
        return CastPart(engine_spec(self.settings, voice.engine, voice.model), passage, frozenset(unheeded))

    async def _find_in_mood(
        self, body: SpeechBody, voice: Voice, choice: ModelChoice, language: str | None
    ) -> Voice | None:
        """The same speaker, recorded in the mood that is asked for: `anna.happy` beside `anna`; None: not recorded."""
        if not body.emotion or not voice.engine_voice.recordings:
            return None
        speaker = voice.alias_of or voice.id
        for mood in mood_names(body.emotion):
            with suppress(UnsupportedValueError):  # there is none, or it cannot speak
                return await self._require_ready(self._find_voice(f"{speaker}.{mood}", choice, language))
        return None

    def _instruct(self, body: SpeechBody, voice: Voice) -> str | None:
        """What the model of a voice is told of how to speak; None where it heeds nothing of that kind.

        Raises:
            UnsupportedValueError: The model makes the voice from what it is told, and that is nothing.
        """
        mood = mood_instruction(body.emotion, body.emotion_strength) if body.emotion else ""
        if voice.engine in PROVIDERS:
            heeds = self.provided.heeds_instructions(voice)
            return f"{(body.instructions or '').strip()} {mood}".strip() if heeds else None
        facts = find_qwen_facts(voice.model, self.store.path(voice.model)) if voice.engine == QWEN_ENGINE else None
        if facts is None or not facts.heeds_instructions:
            return None
        told = (body.instructions or "").strip()
        if facts.kind == "voice_design" and not told:
            made = f"model {Path(voice.model).name!r} makes the voice from them, as from 'A calm old man'"
            raise UnsupportedValueError(f"instructions={body.instructions!r}: {made}", param="instructions")
        return f"{told} {mood}".strip()

    def _find_voice(self, name: str, choice: ModelChoice, language: str | None = None) -> Voice:
        """The voice of a name, with the model that the request chose or else its own."""
        if provided := self._find_provided(name, choice):
            return self.provided.find(name, provided)
        voice = self.voices.find(name, engine=choice.engine, language=language)
        # Where each voice is a model of its own, a voice chosen by name is that model.
        is_chosen_by_voice = CAPABILITIES[voice.engine].one_voice_per_model and voice.alias_of is None
        if choice.model in {None, voice.model} or is_chosen_by_voice:
            return voice
        others = (other for other in self.voices.own_voices().values() if other.model == choice.model)
        if voice.alias_of and not voice.engine_voice.recordings and (other := next(others, None)):
            return replace(other, id=voice.id, kind="alias", alias_of=other.id)
        languages = find_languages(voice.engine, self.store.find(choice.model)) or voice.languages
        return replace(voice, model=choice.model, languages=languages)

    def _find_provided(self, name: str, choice: ModelChoice) -> ProvidedModel | None:
        """The provider's model that speaks: the one that is asked for; the default one, for names of nobody here."""
        if choice.engine in PROVIDERS:
            return find_provided(self.settings, choice.model or self.settings.model)
        if choice.engine or self.settings.engine not in PROVIDERS or self.voices.has(name):
            return None
        return find_provided(self.settings, self.settings.model)

    def _detect(self, text: str, among: Collection[str], min_probability: float = MIN_PROBABILITY) -> str | None:
        """As `detect_text_language`; its tables of 80 MB take most of a second to load, in a process that ends."""
        try:
            return self.language_process.call(detect_text_language, DETECTION_S, text, among, min_probability)
        except GivenUpError:
            return None

    def preview_recording(self, voice: Voice, format_name: str) -> bytes:
        """The beginning of a recorded voice's first recording; blocks.

        Raises:
            UnsupportedValueError: It cannot be opened any more.
        """
        recording = voice.engine_voice.recordings[0]
        try:
            return self.recording_process.call(encode_preview, EXAMINATION_S, recording, format_name)
        except (GivenUpError, InvalidAudioError) as error:
            raise UnsupportedValueError(f"voice {voice.id!r} has no preview: {error.message}", param="voice") from None

    async def _require_ready(self, voice: Voice) -> Voice:
        """The voice as its engine takes it on, its recordings measured.

        Raises:
            UnsupportedValueError: It cannot speak; the message says why.
            LicenceNotAcceptedError: Its model has a licence that the operator has not accepted.
        """
        is_recorded = bool(voice.engine_voice.recordings)
        if not (is_recorded and voice.unavailable):  # no licence helps a recording that cannot speak anyway
            check_licence(voice.engine, accepted=self.settings.accept_cpml)
        if is_recorded:
            voice = await asyncio.to_thread(self.cloned.examine, voice)
        if voice.unavailable:
            raise UnsupportedValueError(f"voice {voice.id!r} cannot speak: {voice.unavailable}", param="voice")
        return voice

    def _choose_model(self, name: str) -> ModelChoice:
        own = (spec.name for spec in TTS_MODELS if spec.engine == name and self.store.is_local(spec.name))
        model = self.models.resolve(next(own, name))  # an engine's name is that of any of its models
        if name not in DEFAULT_MODEL_NAMES and (provided := find_provided(self.settings, model)):
            return ModelChoice(provided.provider.name, provided.name)
        if name in DEFAULT_MODEL_NAMES:
            return ModelChoice()
        if model == self.models.default:
            return ModelChoice(self.settings.engine)
        engine = self.store.require(model).engine
        try:
            find_engine(engine)
        except ConfigurationError as error:
            raise UnsupportedValueError(f"model {name!r}: {error.message}", param="model") from None
        # An engine's own name leaves the model to the voice.
        return ModelChoice(engine, None if name == engine else model)

    async def _find_language(self, text: str, named: str | None, voice: Voice, choice: ModelChoice) -> str | None:
        """The language that the request names, or that a text is in, as far as it can be told."""
        if named:
            return require_language(named).code
        languages = self.voices.languages(choice.engine)
        if voice.engine in PROVIDERS or not (self.settings.auto_lang and text) or len(languages) < 2:
            return None
        found = await asyncio.to_thread(self._detect, text, languages)
        return "ja" if (found, *voice.languages[:1]) == ("zh", "ja") and can_be_japanese(text) else found

    async def _find_written_in(self, text: str, voice: Voice, tag: str) -> str:
        """The language of a text that a provider reads in any, and the fall-back model perhaps does not."""
        spare = self.settings.fallback_model
        if tag or voice.engine not in PROVIDERS or not (spare and text) or find_provided(self.settings, spare):
            return ""
        return await asyncio.to_thread(self._detect, text, self.voices.languages()) or ""


def _tell_silent(text: str) -> str:
    """Why a text without markup has nothing to speak."""
    has_emoji = any(unicodedata.category(character) == "So" for character in text)
    return ": it has neither letters nor digits" + (", and emoji are not read" if has_emoji else "")
