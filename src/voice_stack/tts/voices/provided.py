"""The voices of providers, as they list them, and what a name means at one of them.

Such a voice is spoken only by who is asked for: its provider's model, or its own name with the provider before it. No
text goes there because of its language, or because a name has no other meaning.
"""

import asyncio
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module

from voice_stack.core.errors import UnsupportedValueError, VoiceStackError
from voice_stack.core.logging import log_event
from voice_stack.core.provider import ProvidedModel, Provider, find_provided, provider_patterns, providers_of
from voice_stack.core.provider_client import ProviderClient, Question
from voice_stack.tts.engine.base import EngineVoice
from voice_stack.tts.engine_factory import ASKING
from voice_stack.tts.models import CAPABILITIES
from voice_stack.tts.providers import OfferedVoice, SpeechWire, open_wire
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.voices.voice import OPENAI_VOICES, Voice

logger = logging.getLogger(__name__)

KEPT_S = 600.0
"""So long a list of voices is taken for what it is; then it is asked for again, beside the work."""
TRIED_S = 30.0
"""So long nobody is asked again who did not answer, or does not have a voice."""
LISTING_S = 5.0
_MAX_LIST_BYTES = 8 << 20
_MAX_NAMED = 20


@dataclass(slots=True)
class _Listing:
    """What one provider lists; None: not known."""

    provider: Provider
    wire: SpeechWire
    client: ProviderClient
    voices: Sequence[OfferedVoice] | None = None
    is_asked: bool = False
    asked_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def refresh(self, max_age_s: float) -> None:
        """Ask for the list where it is older; one that cannot be had leaves what was known."""
        async with self.lock:
            if self.is_asked and time.monotonic() - self.asked_at < max_age_s:
                return
            self.is_asked, self.asked_at = True, time.monotonic()
            try:
                async with asyncio.timeout(LISTING_S):
                    self.voices = await self.wire.list_voices(self._ask)
            except (TimeoutError, VoiceStackError) as error:
                reason = error.message if isinstance(error, VoiceStackError) else f"no answer in {LISTING_S:g} s"
                log_event(logger, logging.WARNING, "voices not listed", provider=self.provider.name, reason=reason)
                self.asked_at -= KEPT_S - TRIED_S

    async def _ask(self, question: Question) -> object:
        content = await self.client.fetch(question)
        try:
            answer: object = json.loads(content) if len(content) <= _MAX_LIST_BYTES else None
        except ValueError:
            answer = None
        return answer


class ProvidedVoices:
    """Voices of the providers that the settings allow; lives on the event loop, but for `list` and `find`."""

    def __init__(self, settings: TtsSettings) -> None:
        self._settings = settings
        self._listings = {
            one.name: _Listing(one, open_wire(one), ProviderClient(one)) for one in providers_of(settings)
        }
        self._refreshing: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Ask nobody any more."""
        for task in self._refreshing:
            task.cancel()
        for listing in self._listings.values():
            await listing.client.close()

    async def refresh(self) -> None:
        """Know the voices of all providers, as far as they answer."""
        await asyncio.gather(*(listing.refresh(KEPT_S) for listing in self._listings.values()))

    def begin(self) -> None:
        """Get ready beside other work: the lists are asked for, and what will be needed is imported."""
        if self._listings:
            asyncio.get_running_loop().run_in_executor(None, import_module, ASKING)
        for listing in self._listings.values():
            self._refresh_beside(listing)

    async def prepare(self, name: str, provider: str | None) -> None:
        """Know the voices before one is looked for.

        Args:
            name: Of the voice.
            provider: Whose; None: the name says it, if it is anybody's.
        """
        listing = self._listings.get(provider or self._spell_out(name).partition("/")[0])
        if listing is None or self._means_the_model(name, listing.provider.name):
            return
        if listing.is_asked and time.monotonic() - listing.asked_at >= KEPT_S:
            self._refresh_beside(listing)
        elif not listing.is_asked or (listing.voices is not None and not self._match(name, listing)):
            # It may have been made a moment ago.
            await listing.refresh(TRIED_S)

    def list(self) -> Iterator[Voice]:
        """Every voice that is known, for the first model that may be used with it."""
        for provider, listing in self._listings.items():
            for offered in listing.voices or ():
                if model := self._model_of(provider, offered.id):
                    yield _voice(offered, model)

    def resolve(self, name: str) -> Voice | None:
        """The voice of a name that begins with its provider's; None for other names.

        Raises:
            UnsupportedValueError: The provider has no such voice.
        """
        provider, _, bare = name.partition("/")
        model = self._model_of(provider, bare) if bare else None
        return self.find(name, model) if model else None

    def find(self, name: str, model: ProvidedModel) -> Voice:
        """The voice of a name with a model.

        Raises:
            UnsupportedValueError: The provider has no such voice; the message lists those there are.
        """
        provider, listing = model.provider.name, self._listings[model.provider.name]
        named = self._spell_out(name, provider)
        one_voice = CAPABILITIES[provider].one_voice_per_model
        if (one_voice and named in {model.name, model.model}) or self._means_the_model(name, provider):
            return self.any_voice(model)
        bare = named.removeprefix(f"{provider}/")
        offered = self._match(bare, listing)
        if offered is None and (listing.voices is not None or "/" in bare):
            raise self._refuse(name, listing)
        offered = offered or OfferedVoice(bare)
        spoken = self._model_of(provider, offered.id) if one_voice else model
        if spoken is None:
            raise self._refuse(name, listing)
        return _voice(offered, spoken, is_asked=True)

    def any_voice(self, model: ProvidedModel) -> Voice:
        """The first voice that a model has; one without a name where none is known, which the provider may choose."""
        listing = self._listings[model.provider.name]
        if CAPABILITIES[model.provider.name].one_voice_per_model:
            return _voice(self._match(model.model, listing) or OfferedVoice(model.model), model)
        return _voice(next(iter(listing.voices or ()), OfferedVoice("")), model, is_asked=True)

    def heeds_instructions(self, voice: Voice) -> bool:
        """Whether the model of a provider's voice is told in words how to speak."""
        return self._listings[voice.engine].wire.heeds_instructions(voice.model.partition("/")[2])

    def heeds_language(self, voice: Voice) -> bool:
        """Whether it is told the language of a text."""
        return self._listings[voice.engine].wire.heeds_language(voice.model.partition("/")[2])

    def model_names(self) -> Sequence[str]:
        """Names of the models that may be used, as far as they are known."""
        patterns = provider_patterns(self._settings)
        usual = [f"{name}/{model}" for name, listing in self._listings.items() for model in listing.wire.models]
        named = [pattern for pattern in patterns if not any(mark in pattern for mark in "*?[")]
        return [name for name in dict.fromkeys([*named, *usual]) if find_provided(self._settings, name)]

    def _refresh_beside(self, listing: _Listing) -> None:
        task = asyncio.get_running_loop().create_task(listing.refresh(KEPT_S))
        self._refreshing.add(task)
        task.add_done_callback(self._refreshing.discard)

    def _means_the_model(self, name: str, provider: str) -> bool:
        """Whether the model is the voice, and the name only one that OpenAI's clients cannot leave out."""
        return CAPABILITIES[provider].one_voice_per_model and self._spell_out(name, provider).lower() in OPENAI_VOICES

    def _spell_out(self, name: str, provider: str | None = None) -> str:
        """What the operator's own name stands for: at one provider, or at whichever; another name as it is."""
        named = self._settings.named_voices()
        meaning = named.get(name) or named.get(name.lower()) or name
        return meaning if provider in {None, meaning.partition("/")[0]} else name

    def _model_of(self, provider: str, voice: str) -> ProvidedModel | None:
        """The model that a voice speaks with where none is named: the default one, else the first that may be used."""
        if provider not in self._listings:
            return None
        if CAPABILITIES[provider].one_voice_per_model:
            return find_provided(self._settings, f"{provider}/{voice}")
        names = [name for name in (self._settings.model, *self.model_names()) if name.startswith(f"{provider}/")]
        return find_provided(self._settings, names[0]) if names else None

    def _match(self, name: str, listing: _Listing) -> OfferedVoice | None:
        provider = listing.provider.name
        bare = self._spell_out(name, provider).removeprefix(f"{provider}/")
        voices = listing.voices or ()
        if exact := next((voice for voice in voices if voice.id == bare), None):
            return exact
        wanted = bare.casefold()
        called = [voice for voice in voices if wanted in _names(voice)]
        return called[0] if len(called) == 1 else None

    def _refuse(self, name: str, listing: _Listing) -> UnsupportedValueError:
        provider, voices = listing.provider.name, listing.voices or ()
        there = [f"{voice.name} ({voice.id})" if voice.name else voice.id for voice in voices[:_MAX_NAMED]]
        more = ", ..." if len(voices) > _MAX_NAMED else ""
        message = f"{provider} has no voice {name!r}, or several of that name; there are {', '.join(there)}{more}"
        if voices and name.lower() in OPENAI_VOICES:
            message += f"; TTS_VOICE_ALIASES={name}={provider}/{voices[0].id} would give the name a meaning"
        return UnsupportedValueError(message, param="voice")


def _names(voice: OfferedVoice) -> set[str]:
    """What a voice may be called besides its id: `sarah` for one called `Sarah - calm`."""
    name = voice.name.casefold()
    return {voice.id.casefold(), name, name.partition(" - ")[0]} - {""}


def _voice(offered: OfferedVoice, model: ProvidedModel, *, is_asked: bool = False) -> Voice:
    """A voice with a model; one that is asked to speak has every language of the model's, if it is no model itself."""
    provider = model.provider.name
    speaks_any = is_asked and not CAPABILITIES[provider].one_voice_per_model
    return Voice(
        id=f"{provider}/{offered.id}",
        engine=provider,
        model=model.name,
        languages=() if speaks_any else offered.languages,
        engine_voice=EngineVoice(name=offered.id),
        name=offered.name,
        description=offered.description,
    )
