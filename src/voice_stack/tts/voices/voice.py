"""The voices: those on this machine, and OpenAI's names for them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.tts.engine.base import EngineVoice
from voice_stack.utils.language import find_region

OPENAI_VOICES = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A voice that can speak.

    Attributes:
        id: What a request names.
        engine: The engine that speaks.
        model: Its model: a catalogue name, or the path of an operator's file.
        languages: Codes of the languages it speaks, its own first; none if not known.
        region: Country of its own language, as `GB`; empty if not known.
        engine_voice: What the engine must know of it.
        name: For people; the id if empty.
        kind: Where it comes from.
        description: One line for people.
        licence: Of the voice's data, as far as known.
        speakers: Names, or numbers, of the people it can be, where there are several.
        alias_of: The voice this name stands for, if it is one of OpenAI's.
        unavailable: Why it cannot speak now; None if it can.
    """

    id: str
    engine: str
    model: str
    languages: tuple[str, ...] = ()
    region: str = ""
    engine_voice: EngineVoice = field(default_factory=EngineVoice)
    name: str = ""
    kind: Literal["built-in", "cloned", "alias"] = "built-in"
    description: str = ""
    licence: str = ""
    speakers: tuple[str, ...] = ()
    alias_of: str | None = None
    unavailable: str | None = None

    def with_region(self, language: str, named: str | None) -> str:
        """A language with the region that a request names, or in the voice's own language with the voice's."""
        region = find_region(named) if named else self.region if language in self.languages[:1] else ""
        return f"{language}-{region}" if region else language

    def describe(self) -> dict[str, object]:
        """One entry of `GET /audio/voices`."""
        return {
            "id": self.id,
            "name": self.name or self.id,
            "language": self.languages[0] if self.languages else "",
            "languages": list(self.languages),
            "engine": self.engine,
            "model": self.model,
            "kind": self.kind,
            "description": self.description,
            "licence": self.licence,
            "alias_of": self.alias_of,
            "available": self.unavailable is None,
            "unavailable_reason": self.unavailable,
        }


VoiceSource = Callable[[], Iterable[Voice]]
"""Lists voices of one kind; asked anew each time, so it looks at the disk and nothing more."""

VoiceResolver = Callable[[str], Voice | None]
"""Makes a voice of a name that follows a rule, as that of a blend or of a speaker by number; None for other names.

May raise UnsupportedValueError for a name that follows the rule and is wrong all the same.
"""


class VoiceLibrary:
    """Finds voices; asks its sources each time, so a file dropped in works at once.

    Args:
        sources: The first voice of the first is the default; of two voices with one id the first counts.
        resolvers: Rules for names of voices that are not listed.
        aliases: For each engine, the voices that OpenAI's names stand for; where none is given, its first voice.
        overrides: The operator's own names for voices, those of OpenAI among them.
        speak_through: Takes a voice to another engine, where it can speak through that as well.
        lists_openai: Whether OpenAI's names are listed that the operator has given no meaning.
    """

    def __init__(
        self,
        sources: Sequence[VoiceSource],
        resolvers: Sequence[VoiceResolver] = (),
        aliases: Mapping[str, Mapping[str, str]] | None = None,
        overrides: Mapping[str, str] | None = None,
        speak_through: Callable[[Voice, str], Voice] | None = None,
        *,
        lists_openai: bool = True,
    ) -> None:
        self._sources = tuple(sources)
        self._resolvers = tuple(resolvers)
        self._aliases = aliases or {}
        self._overrides = overrides or {}
        self._speak_through = speak_through
        self._listed_names = dict.fromkeys((*(OPENAI_VOICES if lists_openai else ()), *self._overrides))

    def own_voices(self) -> dict[str, Voice]:
        """Every voice by id, the default first, without other names for them."""
        voices: dict[str, Voice] = {}
        for source in self._sources:
            for voice in source():
                voices.setdefault(voice.id, voice)
        return voices

    def voices(self) -> dict[str, Voice]:
        """Every voice by id: the default first, then the others, then OpenAI's names and the operator's."""
        own = self.own_voices()
        aliases = {name: self._alias(name, own, None) for name in self._listed_names if name not in own}
        return {**own, **{name: voice for name, voice in aliases.items() if voice is not None}}

    def has(self, name: str) -> bool:
        """Whether a name is that of a voice, or has a meaning that the operator gave it.

        Raises:
            UnsupportedValueError: It follows the rule of a name and is wrong all the same.
        """
        return (
            bool({name, name.lower()} & self._overrides.keys()) or self._find_own(name, self.own_voices()) is not None
        )

    def find(self, name: str, *, engine: str | None = None, language: str | None = None) -> Voice:
        """The voice of a name.

        Args:
            name: A voice's id, in any case, or one of OpenAI's names.
            engine: The engine that must speak; None: any.
            language: Where the name is one of OpenAI's, a voice is preferred whose own language this is.

        Raises:
            UnsupportedValueError: No voice has that name, or not with that engine; the message lists those there are.
        """
        own = self.own_voices()
        voice = self._find_own(name, own)
        if voice is None:
            voice = self._alias(name, own, engine)
            is_free = not {name, name.lower()} & self._overrides.keys()  # the operator's choice stands
            if voice is not None and is_free and language is not None:
                voice = _suit_language(voice, language, own, engine)
        if voice is not None and engine not in {None, voice.engine} and engine and self._speak_through:
            voice = self._speak_through(voice, engine)
        if voice is None or engine not in {None, voice.engine}:
            there = ", ".join(voice.id for voice in _speakers(self.voices(), engine))
            why = f"speaks through {voice.engine}, not {engine}" if voice else "does not exist"
            raise UnsupportedValueError(f"voice {name!r} {why}; there are {there}", param="voice")
        return voice

    def languages(self, engine: str | None = None) -> set[str]:
        """Codes of the languages that the voices of an engine, or of all, speak now."""
        speakers = [voice for voice in _speakers(self.own_voices(), engine) if not voice.unavailable]
        return {language for voice in speakers for language in voice.languages}

    def _find_own(self, name: str, own: Mapping[str, Voice]) -> Voice | None:
        """The voice of an id, in any case, or of a name that follows a rule."""
        voice = own.get(name) or next((voice for voice in own.values() if voice.id.lower() == name.lower()), None)
        return voice or next((found for resolve in self._resolvers if (found := resolve(name))), None)

    def _alias(self, name: str, own: Mapping[str, Voice], engine: str | None) -> Voice | None:
        """The voice behind another name for it; None if it is no such name."""
        name = name if name in self._overrides else name.lower()
        if name not in OPENAI_VOICES and name not in self._overrides:
            return None
        override, chosen = self._overrides.get(name), None
        missing = f"it stands for voice {override!r}, which does not exist"
        try:
            chosen = self._find_own(override, own) if override else None
        except UnsupportedValueError as error:
            missing = f"it stands for voice {override!r}: {error.message}"
        if chosen is None and not own:
            return None
        if override and chosen is None:
            default = next(iter(own.values()))
            return Voice(id=name, engine=engine or default.engine, model=default.model, kind="alias",
                         alias_of=override, unavailable=missing)  # fmt: skip
        if chosen is None or engine not in {None, chosen.engine}:
            speakers = _speakers(own, engine or next(iter(own.values())).engine)
            if not speakers:
                return None
            suited = own.get(self._aliases.get(speakers[0].engine, {}).get(name, ""))
            chosen = suited or speakers[0]
        return replace(chosen, id=name, name=name, kind="alias", alias_of=chosen.id)


def _speakers(voices: Mapping[str, Voice], engine: str | None) -> list[Voice]:
    return [voice for voice in voices.values() if engine in {None, voice.engine}]


def _suit_language(voice: Voice, language: str, voices: Mapping[str, Voice], engine: str | None) -> Voice:
    """The voice if the language is its own, else one that speaks it: of its engine if possible, natives first."""
    # Whose languages are not known may speak this one.
    if not voice.languages or language in voice.languages[:1]:
        return voice
    neighbours, everybody = _speakers(voices, voice.engine), _speakers(voices, engine)
    native_neighbours, natives = (
        [one for one in speakers if language in one.languages[:1]] for speakers in (neighbours, everybody)
    )
    candidates = (*native_neighbours, voice, *neighbours, *natives, *everybody)
    return next((one for one in candidates if language in one.languages and not one.unavailable), voice)
