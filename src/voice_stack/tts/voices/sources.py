"""Where voices come from, which of them can read a text, and who speaks where an engine cannot work."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec

from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.engine.pool import Substitute
from voice_stack.core.errors import UnsupportedValueError
from voice_stack.core.models.store import ModelStore
from voice_stack.core.provider import PROVIDERS, find_provided
from voice_stack.tts.engine.base import EngineVoice
from voice_stack.tts.engine_factory import ENGINES, engine_spec
from voice_stack.tts.models import CAPABILITIES, ENGINE, TTS_MODELS, find_languages
from voice_stack.tts.request import Passage, SpeechRequest
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.torch_models import find_cloning_model
from voice_stack.tts.voices.builtin import (
    HIBARI_OPENAI_NAMES,
    KOKORO_OPENAI_NAMES,
    QWEN_OPENAI_NAMES,
    XTTS_OPENAI_NAMES,
    find_kokoro_blend,
    find_piper_speaker,
    hibari_voices,
    kokoro_voices,
    piper_voices,
    pocket_voices,
    qwen_voices,
    xtts_voices,
)
from voice_stack.tts.voices.provided import ProvidedVoices
from voice_stack.tts.voices.recordings import RecordedVoice
from voice_stack.tts.voices.shelf import Shelf
from voice_stack.tts.voices.voice import OPENAI_VOICES, Voice, VoiceLibrary
from voice_stack.utils.language import LANGUAGES, find_region, require_language
from voice_stack.utils.text.script import find_unreadable_script, language_scripts, name_script

RECOMMENDED_ENGINE = "xtts"
"""Named to whoever has recordings and no engine for them."""
NO_CLONING = (
    f"no engine that clones is installed; {RECOMMENDED_ENGINE} does: pip install '{ENGINES[RECOMMENDED_ENGINE].extra}'"
)
_TEST_ENGINE = "fake"
_CLONING_MODELS = {
    engine: [spec.name for spec in TTS_MODELS if spec.engine == engine and find_cloning_model(spec.name) == spec.name]
    for engine in ENGINES
}


@dataclass(frozen=True, slots=True)
class ClonedVoices:
    """The recordings of `TTS_VOICE_DIR` as voices of the engines that clone here.

    Args:
        settings: The default engine is taken if it clones, else the first one that does and is installed; one with a
            model that is here before others.
        store: Which of an engine's models are here.
        shelf: The recordings.
    """

    settings: TtsSettings
    store: ModelStore
    shelf: Shelf

    def list(self) -> Iterator[Voice]:
        """Every recorded voice; what is known of it without listening to its recordings."""
        engine = self._engine()
        return (self._voice(recorded, engine) for recorded in self.shelf.voices().values())

    def find_by_name(self, name: str) -> Voice | None:
        """The voice that people call so, in any case; OpenAI's names and the operator's own mean what they mean.

        Raises:
            UnsupportedValueError: Several are called so.
        """
        if name.lower() in OPENAI_VOICES or name in self.settings.named_voices():
            return None
        called = [recorded for recorded in self.shelf.voices().values() if recorded.name.lower() == name.lower()]
        if len(called) > 1:
            ids = ", ".join(recorded.id for recorded in called)
            raise UnsupportedValueError(f"{len(called)} voices are called {name!r}; use an id: {ids}", param="voice")
        return self._voice(called[0], self._engine()) if called else None

    def speak_through(self, voice: Voice, engine: str) -> Voice:
        """A recorded voice on another engine that clones; any other one as it is."""
        recorded = self.shelf.voices().get(voice.alias_of or voice.id)
        if recorded is None or not CAPABILITIES[engine].clones:
            return voice
        spoken = self._voice(recorded, engine)
        return replace(spoken, id=voice.id, name=voice.name, kind=voice.kind, alias_of=voice.alias_of)

    def examine(self, voice: Voice) -> Voice:
        """The voice with the recordings that can be used, or with the reason why it cannot speak.

        Takes some tenths of a second for each recording that was not measured before.
        """
        recorded = self.shelf.voices().get(voice.alias_of or voice.id)
        if recorded is None or voice.unavailable:
            return voice
        verdict = self.shelf.examine(recorded)
        return replace(
            voice,
            engine_voice=replace(voice.engine_voice, recordings=verdict.recordings or voice.engine_voice.recordings),
            unavailable=verdict.refusal or None,
        )

    def _voice(self, recorded: RecordedVoice, engine: str | None) -> Voice:
        sidecar = recorded.sidecar
        own = (require_language(sidecar.language).code,) if sidecar.language else ()
        model = self._model(engine or RECOMMENDED_ENGINE)
        spoken = find_languages(engine, self.store.find(model)) if engine else ()
        return Voice(
            id=recorded.id,
            engine=engine or RECOMMENDED_ENGINE,
            model=model,
            languages=tuple(sorted(spoken, key=lambda language: (language not in own, language != "en"))) or own,
            region=find_region(sidecar.language),
            engine_voice=EngineVoice(recordings=recorded.recordings, options=tuple(sorted(sidecar.options.items()))),
            name=recorded.name,
            kind="cloned",
            description=sidecar.description,
            licence=sidecar.licence,
            unavailable=self._explain(recorded, engine),
        )

    def _explain(self, recorded: RecordedVoice, engine: str | None) -> str | None:
        """Why it cannot speak, as far as it can be told without listening to it."""
        if recorded.problem:
            return recorded.problem
        if self.settings.require_consent and not recorded.sidecar.consent:
            return "its speaker's consent is not on record, and TTS_REQUIRE_CONSENT is set"
        return f"it is cloned from recordings, and {NO_CLONING}" if engine is None else None

    def explain(self) -> str | None:
        """Why no recording can speak here; None if it can."""
        return NO_CLONING if self._engine() is None else None

    def _engine(self) -> str | None:
        others = [name for name in ENGINES if name not in {self.settings.engine, _TEST_ENGINE}]
        candidates = (name for name in (self.settings.engine, *others) if CAPABILITIES[name].clones)
        installed = [name for name in candidates if find_spec(ENGINES[name].package) is not None]
        ready = (name for name in installed if name == self.settings.engine or self.store.is_local(self._model(name)))
        return next(ready, next(iter(installed), None))

    def _model(self, engine: str) -> str:
        """Of the engine's models that clone the default one, else one that is here, else the first."""
        if engine == self.settings.engine:
            return find_cloning_model(self.settings.model)
        cloning = _CLONING_MODELS[engine]
        return next((name for name in cloning if self.store.is_local(name)), next(iter(cloning), engine))


def _fake(settings: TtsSettings, _store: ModelStore) -> Iterable[Voice]:
    if settings.engine == "fake":
        yield Voice(id=settings.model, engine="fake", model=settings.model)


SOURCES: dict[str, Callable[[TtsSettings, ModelStore], Iterable[Voice]]] = {
    "piper": piper_voices,
    "hibari": hibari_voices,
    "kokoro": kokoro_voices,
    "xtts": xtts_voices,
    "pocket": pocket_voices,
    "qwen3": qwen_voices,
    "fake": _fake,
}
"""How the voices of each engine are listed."""

RESOLVERS: dict[str, Callable[[TtsSettings, ModelStore, str], Voice | None]] = {
    "piper": find_piper_speaker,
    "kokoro": find_kokoro_blend,
}
"""For each engine that has such, the rule for names of voices that are not listed."""

OPENAI_NAMES: dict[str, dict[str, str]] = {
    "hibari": HIBARI_OPENAI_NAMES,
    "kokoro": KOKORO_OPENAI_NAMES,
    "qwen3": QWEN_OPENAI_NAMES,
    "xtts": XTTS_OPENAI_NAMES,
}
"""For each engine, the voices that OpenAI's names stand for; where there is none, its first voice."""


def open_library(
    settings: TtsSettings, store: ModelStore, cloned: ClonedVoices, provided: ProvidedVoices
) -> VoiceLibrary:
    """The voices of every engine that is installed, and the recorded ones."""
    installed = [name for name in SOURCES if find_spec(ENGINES[name].package) is not None]
    installed.sort(key=lambda name: name != settings.engine)
    return VoiceLibrary(
        [*(partial(SOURCES[name], settings, store) for name in installed), cloned.list],
        [
            *(partial(RESOLVERS[name], settings, store) for name in installed if name in RESOLVERS),
            cloned.find_by_name,
            *([provided.resolve] if settings.providers else []),
        ],
        OPENAI_NAMES,
        settings.named_voices(),
        cloned.speak_through,
        lists_openai=settings.engine not in PROVIDERS,
    )


DetectLanguage = Callable[[str, Collection[str], float], str | None]
_MAX_NAMED = 10
_SURE = 0.9


def refuse_language(voice: Voice, language: str, library: VoiceLibrary) -> UnsupportedValueError:
    """The answer to a request for a language that the voice does not speak."""
    offer = _offer({require_language(language).code}, voice, library)
    return UnsupportedValueError(
        f"language {language!r}: voice {voice.id!r} speaks {', '.join(voice.languages)}; {offer}",
        param="language",
    )


def require_readable(text: str, voice: Voice, library: VoiceLibrary, detect: DetectLanguage) -> None:
    """Refuse a text that is written in letters which no language of the voice has.

    A few foreign letters are no reason: names are read letter by letter. Neither is another language in Latin letters.
    Looks at every character, and may wait for the language model: not on the event loop.

    Args:
        text: Normalised text.
        voice: Who is to speak; one whose languages are not known may read anything.
        library: The voices there are.
        detect: Tells the language of a text among some, with a certainty.

    Raises:
        UnsupportedValueError: Most letters are of a script that the voice does not read.
    """
    if not voice.languages or text.isascii():
        return
    script = find_unreadable_script(text, voice.languages)
    if script is None:
        return
    candidates = {code for code in LANGUAGES if script in language_scripts(code)}
    found = detect(text, candidates, _SURE)
    looks = f" and looks like {LANGUAGES[found].name.title()}" if found and len(candidates) > 1 else ""
    raise UnsupportedValueError(
        f"input={text[:40]!r}: the text is in {name_script(script)} letters{looks}; voice {voice.id!r} speaks "
        f"{', '.join(voice.languages)}; {_offer({found} if found else candidates, voice, library)}",
        param="input",
    )


def _offer(codes: Collection[str], voice: Voice, library: VoiceLibrary) -> str:
    """Who speaks one of some languages: voices that are here, else engines."""
    there = (other for other in library.own_voices().values() if not other.unavailable)
    speakers = [other.id for other in there if not set(codes).isdisjoint(other.languages)]
    if speakers:
        more = ", ..." if len(speakers) > _MAX_NAMED else ""
        return f"voices that do: {', '.join(speakers[:_MAX_NAMED])}{more}"
    engines = [name for name, can in CAPABILITIES.items() if not can.languages.isdisjoint(codes)]
    extras = sorted({extra for code, extra in CAPABILITIES[voice.engine].missing_extras.items() if code in codes})
    install = "".join(f"; {voice.engine} does with pip install 'voice-stack[{extra}]'" for extra in extras)
    return f"engines that do: {', '.join([*engines, 'piper with a voice for it'])}{install}"


def find_substitute(
    settings: TtsSettings,
    store: ModelStore,
    voices: VoiceLibrary,
    provided: ProvidedVoices,
    engine: EngineSpec,
    request: SpeechRequest,
) -> Substitute | None:
    """Who speaks a request in place of an engine; None if nobody may, or nobody knows its languages."""
    if not settings.fallback_model:
        return None
    known = store.find(settings.fallback_model)
    if asked := find_provided(settings, settings.fallback_model):
        name = asked.provider.name
    else:
        # A file of the operator may be any engine's.
        of_file = ENGINE if settings.engine in PROVIDERS else settings.engine
        name = of_file if known is None or known.path is not None else known.engine
    spec = engine_spec(settings, name, settings.fallback_model)
    if spec.name == engine.name:
        return None
    speakers = (
        [provided.any_voice(asked)] if asked else _fallback_speakers(settings.fallback_model, name, store, voices)
    )
    passages = [_recast(passage, speakers) for passage in request.passages]
    recast = tuple(passage for passage in passages if passage is not None)
    if len(recast) < len(passages):
        return None
    default = engine_spec(settings, settings.engine, settings.model)
    return Substitute([spec], replace(request, passages=recast), for_missing=engine.name == default.name)


def _fallback_speakers(model: str, engine: str, store: ModelStore, voices: VoiceLibrary) -> list[Voice]:
    """Voices of the model that need no recording; its only one where it is not listed."""
    own = [voice for voice in voices.own_voices().values() if voice.engine == engine]
    if CAPABILITIES[engine].one_voice_per_model:
        own = [voice for voice in own if voice.model == model]
    usable = [voice for voice in own if not voice.unavailable and not voice.engine_voice.recordings]
    spec = store.find(model)
    return usable or [Voice(id=model, engine=engine, model=model, languages=spec.languages if spec else ())]


def _recast(passage: Passage, speakers: list[Voice]) -> Passage | None:
    """The passage in the first voice that speaks its language; None if there is none."""
    language = passage.language_code or passage.written_in
    voice = next((one for one in speakers if not language or not one.languages or language in one.languages), None)
    if voice is None:
        return None
    options = replace(passage.options, voice=voice.engine_voice, language=passage.options.language or language)
    return replace(passage, options=options, languages=voice.languages)
