"""A reply: what a language model writes, told as it comes, and said sentence by sentence while it goes on writing."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import perf_counter

from voice_stack.chat.conversation import Caller, VoiceChoice
from voice_stack.chat.events import (
    SAMPLE_RATE,
    ReasoningDelta,
    ReplyDone,
    ReplyEvent,
    Sentence,
    Sound,
    SpokenSentence,
    TextDelta,
)
from voice_stack.chat.marks import MarkFilter
from voice_stack.chat.sentences import Cut, SentenceStream
from voice_stack.chat.servers import SpeechServers
from voice_stack.chat.speaking import SPEECHES_AT_ONCE, SoundJoiner, Speech
from voice_stack.core.errors import VoiceStackError
from voice_stack.core.telemetry.registry import OPEN_TURNS, observe_chat_stages
from voice_stack.language_model.deltas import ModelDelta
from voice_stack.language_model.model import LanguageModel, ModelRequest

EVENTS_AHEAD = 64
SENTENCES_AHEAD = 200
"""So far a model may write ahead of the voice."""
MS_PER_CHARACTER = 60
"""Of speech whose length is not known yet."""
_CODE_SAID = {
    "en": "There is some code in the text.",
    "de": "Im Text steht dazu etwas Code.",
    "es": "En el texto hay código.",
    "fr": "Il y a du code dans le texte.",
    "it": "Nel testo c'è del codice.",
    "ja": "テキストにコードがあります。",
    "nl": "Er staat code in de tekst.",
    "pl": "W tekście jest kod.",
    "pt": "Há código no texto.",
    "ru": "В тексте есть код.",
    "tr": "Metinde kod var.",
    "zh": "文字中有代码。",
}


@dataclass(slots=True)
class ReplyRecord:
    """What has come of a reply; it takes the events as they come.

    Attributes:
        text: All visible text.
        reasoning: All thoughts.
        sound_ms: Length of its sound.
    """

    text: str = ""
    reasoning: str = ""
    sound_ms: int = 0
    _said: list[SpokenSentence] = field(default_factory=list)

    def take(self, event: ReplyEvent) -> None:
        """Take the next event."""
        match event:
            case TextDelta():
                self.text += event.delta
            case ReasoningDelta():
                self.reasoning += event.delta
            case Sentence():
                self._said.append(SpokenSentence(event.text, self.sound_ms, self.sound_ms))
            case Sound():
                end_ms = event.offset_ms + _duration_ms(event.samples)
                if event.index == len(self._said) - 1:
                    said = self._said[-1]
                    start_ms = event.offset_ms if said.start_ms == said.end_ms else said.start_ms
                    self._said[-1] = SpokenSentence(said.text, start_ms, end_ms)
                self.sound_ms = end_ms

    def sentences(self, *, is_over: bool = False) -> tuple[SpokenSentence, ...]:
        """What was said, and when, each sentence as it is written, with what stands before it.

        Args:
            is_over: Whether the last one was said to its end; if not, where it would end is guessed by its length.
        """
        spoken, at = list[SpokenSentence](), 0
        for number, said in enumerate(self._said, 1):
            found = self.text.find(said.text, at)
            written = self.text[at : found + len(said.text)] if found >= 0 else ""
            at += len(written)
            is_open = number == len(self._said) and not is_over
            guess_ms = said.start_ms + MS_PER_CHARACTER * len(said.text) if is_open else 0
            spoken.append(SpokenSentence(written, said.start_ms, max(said.end_ms, guess_ms)))
        return tuple(spoken)


def heard_text(sentences: Sequence[SpokenSentence], audio_end_ms: int) -> str:
    """The text as far as somebody heard it who stopped listening then; of a sentence the words that fit by its length.

    Args:
        sentences: What is said, and when.
        audio_end_ms: Where in the sound of the reply it was stopped.
    """
    heard = ""
    for sentence in sentences:
        if audio_end_ms < sentence.end_ms:
            share = max(audio_end_ms - sentence.start_ms, 0) / max(sentence.end_ms - sentence.start_ms, 1)
            return (heard + _cut_at_word(sentence.text, round(share * len(sentence.text)))).strip()
        heard += sentence.text
    return heard.strip()


def _cut_at_word(text: str, length: int) -> str:
    part = text[:length]
    is_between = not text[length : length + 1].strip() or " " not in text.strip()
    return part if is_between else part[: part.rfind(" ") + 1]


def _code_of(voice: VoiceChoice | None) -> str:
    """The language that is spoken, without its region; empty if it is not known."""
    return re.split("[-_]", (voice.language if voice else None) or "")[0].lower()


def _duration_ms(samples: bytes) -> int:
    return len(samples) * 1000 // (2 * SAMPLE_RATE)


class Assistant:
    """Answers with what a language model writes, in the voice that the TTS server has."""

    def __init__(self, model: LanguageModel, servers: SpeechServers) -> None:
        self._model, self._servers = model, servers

    async def answer(
        self, request: ModelRequest, voice: VoiceChoice | None, caller: Caller
    ) -> AsyncGenerator[ReplyEvent, None]:
        """The reply; closing the generator ends the work at the other servers at once.

        Text and thoughts come as the model writes them, a sentence before its sound, sound in the order of the
        sentences. `ReplyDone` is the last event, but for an error: also where nothing more could be said aloud.

        Args:
            request: What the model is asked.
            voice: Who speaks; None: nobody.
            caller: Who asks.

        Raises:
            VoiceStackError: The model gave nothing; or it broke off: then behind a `ReplyDone` with the finish reason
                `error`, when all that it wrote has been said.
        """
        async with aclosing(self._reply(self._model.stream(request), voice, caller)) as events:
            async for event in events:
                yield event

    async def say(self, text: str, voice: VoiceChoice | None, caller: Caller) -> AsyncGenerator[ReplyEvent, None]:
        """A reply that is known already, as if the model wrote it now."""
        async with aclosing(self._reply(_written(text), voice, caller)) as events:
            async for event in events:
                yield event

    async def _reply(
        self, deltas: AsyncGenerator[ModelDelta, None], voice: VoiceChoice | None, caller: Caller
    ) -> AsyncGenerator[ReplyEvent, None]:
        reply = _Reply(deltas, self._servers, voice, caller)
        with OPEN_TURNS.track_inprogress():
            running = asyncio.create_task(reply.run())
            try:
                while (event := await reply.events.get()) is not None:
                    yield event
                await running
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


async def _written(text: str) -> AsyncGenerator[ModelDelta, None]:
    yield ModelDelta(content=text, finish_reason="stop")


class _Reply:
    """One reply under way."""

    def __init__(
        self,
        deltas: AsyncGenerator[ModelDelta, None],
        servers: SpeechServers,
        voice: VoiceChoice | None,
        caller: Caller,
    ) -> None:
        self._deltas, self._servers, self._voice, self._caller = deltas, servers, voice, caller
        self._begun_at = perf_counter()
        self.events: asyncio.Queue[ReplyEvent | None] = asyncio.Queue(EVENTS_AHEAD)
        self._speeches: asyncio.Queue[tuple[Speech, asyncio.Task[None]] | None] = asyncio.Queue(SENTENCES_AHEAD)
        self._free = asyncio.Semaphore(SPEECHES_AT_ONCE)
        self._marks, self._sentences = MarkFilter(), SentenceStream(_code_of(voice))
        self._record, self._count = ReplyRecord(), 0
        self._timings: dict[str, float] = {}
        self._ignored: set[str] = set()
        self._finish_reason = "stop"
        self._usage: Mapping[str, object] = {}
        self._written = ""
        self._tts_error: VoiceStackError | None = None

    async def run(self) -> None:
        """Have it written and spoken; the last of `events` is None, then the error comes if there is one."""
        try:
            await self._work()
        except Exception:
            await self.events.put(None)
            raise
        await self.events.put(None)

    async def _work(self) -> None:
        broken: VoiceStackError | None = None
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass_on())
            try:
                await self._write(group)
            except VoiceStackError as error:
                broken, self._finish_reason = error, "error"
            await self._end_text(group)
        if broken is None or self._record.text or self._record.reasoning:
            await self._tell(self._conclude())
        if broken is not None:
            raise broken

    async def _write(self, group: asyncio.TaskGroup) -> None:
        """Tell what the model writes, and give its sentences to the TTS server."""
        async with aclosing(self._deltas) as deltas:
            async for delta in deltas:
                if delta.content or delta.reasoning or delta.tool_calls:
                    self._note("first_token")
                if delta.reasoning:
                    await self._tell(ReasoningDelta(delta.reasoning))
                if delta.content:
                    self._written += delta.content
                    await self._show(self._marks.feed(delta.content), group)
                if delta.finish_reason is not None:
                    self._finish_reason, self._usage = delta.finish_reason, delta.usage
                    self._note("llm_done")
                for call in delta.tool_calls:
                    await self._tell(call)

    async def _show(self, text: str, group: asyncio.TaskGroup) -> None:
        if not text:
            return
        self._note("first_text")
        if self._voice is not None:
            await self._say(self._sentences.feed(text), group)
        await self._tell(TextDelta(text))

    async def _end_text(self, group: asyncio.TaskGroup) -> None:
        await self._show(self._marks.end(), group)
        if self._voice is not None:
            await self._say(self._sentences.end(), group)
        await self._speeches.put(None)

    async def _say(self, cuts: Sequence[Cut], group: asyncio.TaskGroup) -> None:
        for cut in cuts:
            self._note("first_sentence")
            text = cut.text or _CODE_SAID.get(_code_of(self._voice), _CODE_SAID["en"])
            sentence = Sentence(self._count, text, self._marks.find_emotion(cut.start, cut.head))
            self._count += 1
            speech = Speech(sentence, cut.pause_s)
            fetching = group.create_task(self._fetch(speech))
            await self._speeches.put((speech, fetching))

    async def _fetch(self, speech: Speech) -> None:
        """Have a sentence spoken when it is its turn."""
        assert self._voice is not None
        await self._free.acquire()
        await speech.fetch(self._servers, self._voice, self._caller, self._ignored)

    async def _pass_on(self) -> None:
        """Tell the sound of the sentences, one after the other, until one cannot be said."""
        joiner, said = SoundJoiner(), -1
        while (item := await self._speeches.get()) is not None:
            speech, fetching = item
            if self._tts_error is not None:
                fetching.cancel()
                continue
            await self._tell(speech.sentence)
            joiner.begin(speech.pause_s)
            async for samples in speech.sound():
                pause, sound = joiner.push(samples)
                await self._sound(said, pause, joiner.given - len(sound) // 2)
                said = speech.sentence.index
                await self._sound(said, sound, joiner.given)
            self._tts_error = speech.error
            self._free.release()
        await self._sound(said, joiner.finish(), joiner.given)

    async def _sound(self, index: int, samples: bytes, end: int) -> None:
        """Tell a stretch of sound that ends with that sample of the reply."""
        if samples:
            self._note("first_audio")
            begun = end - len(samples) // 2
            await self._tell(Sound(index, samples, begun * 1000 // SAMPLE_RATE))

    async def _tell(self, event: ReplyEvent) -> None:
        self._record.take(event)
        await self.events.put(event)

    def _note(self, stage: str) -> None:
        self._timings.setdefault(stage, perf_counter() - self._begun_at)

    def _conclude(self) -> ReplyDone:
        self._note("done")
        observe_chat_stages(self._timings)
        return ReplyDone(
            text=self._record.text,
            reasoning=self._record.reasoning,
            finish_reason=self._finish_reason,
            usage=self._usage,
            sentences=self._record.sentences(is_over=True),
            tts_error=self._tts_error,
            timings=self._timings,
            ignored=tuple(sorted(self._ignored)),
            written=self._written,
        )
