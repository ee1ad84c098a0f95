"""The voices: those on this machine, and OpenAI's names as aliases."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.core.model_store import ModelStore
from voice_stack.tts.models import find_piper_voice
from voice_stack.tts.settings import TtsSettings

OPENAI_VOICES = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that can speak.

    Attributes:
        id: What a request names.
        model: The model that speaks: a catalogue name, or the path of an operator's file.
        language: Code of its language; empty if not known.
        alias_of: The voice this name stands for, if it is one of OpenAI's.
    """

    id: str
    model: str
    language: str
    alias_of: str | None = None

    def describe(self) -> dict[str, object]:
        """One entry of `GET /audio/voices`."""
        return {"id": self.id, "name": self.id, "language": self.language, "alias_of": self.alias_of}


class VoiceLibrary:
    """Finds voices; looks at the disk anew each time, so a file dropped in works at once.

    Args:
        settings: Default voice and the operator's folder.
        store: Where models are.
    """

    def __init__(self, settings: TtsSettings, store: ModelStore) -> None:
        self._settings = settings
        self._store = store

    def voices(self) -> dict[str, Voice]:
        """Every voice by id: the default first, then the others, then OpenAI's names."""
        own: dict[str, Voice] = {}
        for voice in self._own():
            own.setdefault(voice.id, voice)
        default = next(iter(own.values()))
        aliases = {name: Voice(name, default.model, default.language, default.id) for name in OPENAI_VOICES}
        return {**own, **{name: alias for name, alias in aliases.items() if name not in own}}

    def find(self, name: str, language: str | None = None) -> Voice:
        """The voice of a name; for one of OpenAI's names, the first voice that speaks `language` if there is one.

        Raises:
            UnsupportedValueError: No voice has that name; the message lists those there are.
        """
        voices = self.voices()
        voice = voices.get(name) or voices.get(name.lower())
        if voice is None:
            raise UnsupportedValueError(f"voice {name!r} does not exist; there are {', '.join(voices)}", param="voice")
        if voice.alias_of is None or language in {None, voice.language}:
            return voice
        return next((other for other in voices.values() if other.language == language), voice)

    def languages(self) -> set[str]:
        """Codes of the languages that the voices speak."""
        return {voice.language for voice in self.voices().values() if voice.language}

    def _own(self) -> Iterator[Voice]:
        """The default voice, the packs', downloaded ones, the operator's files; doubles are the same voice."""
        yield _voice(self._settings.model)
        yield from (_voice(spec.name) for spec in self._store.catalogue.models if self._store.is_local(spec.name))
        downloads = sorted(path.parent.name for path in self._settings.model_dir.glob("*/*.onnx.json"))
        yield from (_voice(name) for name in downloads if self._store.is_local(name))
        for config in sorted(self._settings.voice_dir.glob("**/*.onnx.json")):
            model = config.with_suffix("")
            if model.is_file():
                yield _voice(str(model.absolute()))


def _voice(model: str) -> Voice:
    return Voice(_voice_id(model), model, _language(model))


def _voice_id(model: str) -> str:
    return Path(model).stem if model.endswith(".onnx") else Path(model).name


def _language(model: str) -> str:
    """The language in a Piper voice's name, `de_DE-thorsten-medium` -> `de`; empty if the name says none."""
    spec = find_piper_voice(_voice_id(model))
    return spec.languages[0] if spec else ""
