"""Recorded voices as voices that speak: which engine clones them, and whether they can speak now."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.tts.capabilities import CAPABILITIES
from voice_stack.tts.engine.base import EngineVoice
from voice_stack.tts.engine_factory import ENGINES
from voice_stack.tts.library.recordings import RecordedVoice
from voice_stack.tts.library.shelf import Shelf
from voice_stack.tts.models import TTS_MODELS
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.voices import OPENAI_VOICES, Voice
from voice_stack.utils.language import find_region, require_language

RECOMMENDED_ENGINE = "xtts"
"""Named to whoever has recordings and no engine for them."""
_TEST_ENGINE = "fake"


@dataclass(frozen=True, slots=True)
class ClonedVoices:
    """The recordings of `TTS_VOICE_DIR` as voices of the engine that clones here.

    Args:
        settings: The default engine is taken if it clones, else the first one that does and is installed.
        shelf: The recordings.
    """

    settings: TtsSettings
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
        return Voice(
            id=recorded.id,
            engine=engine or RECOMMENDED_ENGINE,
            model=self._model(engine or RECOMMENDED_ENGINE),
            languages=tuple(dict.fromkeys((*own, *sorted(_languages(engine))))),
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
        if engine is None:
            entry = ENGINES.get(RECOMMENDED_ENGINE)
            extra = entry.extra if entry else f"voice-stack[{RECOMMENDED_ENGINE}]"
            return (
                f"it is cloned from recordings, and no engine that clones is installed; "
                f"{RECOMMENDED_ENGINE} does: pip install '{extra}'"
            )
        return None

    def _engine(self) -> str | None:
        others = [name for name in ENGINES if name not in {self.settings.engine, _TEST_ENGINE}]
        candidates = (name for name in (self.settings.engine, *others) if CAPABILITIES[name].clones)
        return next((name for name in candidates if find_spec(ENGINES[name].package) is not None), None)

    def _model(self, engine: str) -> str:
        """The default model if it is of that engine, else the engine's first."""
        if engine == self.settings.engine:
            return self.settings.model
        return next((spec.name for spec in TTS_MODELS if spec.engine == engine), engine)


def _languages(engine: str | None) -> frozenset[str]:
    return CAPABILITIES[engine].languages if engine else frozenset()
