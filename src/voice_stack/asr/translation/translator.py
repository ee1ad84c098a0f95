"""Cues through a language model, some at a time, until each of them has its translation, or is known to have none."""

import asyncio
import re
import unicodedata
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing
from logging import getLogger

import httpx2

from voice_stack.asr.request import TranslationChoice
from voice_stack.asr.translation.asking import Line, Pair, ask_for, ask_shorter, name_language, read_answer
from voice_stack.asr.translation.cues import SourceCue
from voice_stack.core.errors import (
    InvalidRequestError,
    KeyRefusedError,
    NotFoundError,
    OverloadedError,
    TooManyRequestsError,
    UpstreamError,
    VoiceStackError,
)
from voice_stack.language_model.model import ChatMessage, LanguageModel, ModelRequest
from voice_stack.utils.cues.stream import can_be_read, lead, most_chars
from voice_stack.utils.language import LANGUAGES

GROUP = 10
"""Cues that are asked for at once."""
_SMALLER = (3, 1)
"""How many the second and third time, where some had no translation."""
_BEFORE, _AHEAD = 4, 3
"""Cues shown before and after a group, so that a sentence over several is understood."""
_PAUSES_S = (0.5, 3.0)
"""Before the second and third try, where the model's server does not answer, or breaks off."""
_MAX_PAUSE_S = 60.0
"""Of those that it asks for itself."""
_ANSWER_S = 600.0
_ANSWER_CHARS = 3
"""An answer so many times longer than the lines and their limits is none; beside `_ANSWER_ROOM` for remarks."""
_ANSWER_ROOM = 300
_GIVE_UP = 5
"""So many lost cues, if they are more than half of those so far, tell that the model cannot do it."""
_ECHO_WORDS = 4
"""A line of so many words that comes back in these is not translated; names and exclamations may be the same."""
_KIN = tuple(
    frozenset(codes.split())
    for codes in ("no nn da sv", "hr bs sr sl mk bg", "es gl pt ca oc it", "id ms jw su", "cs sk", "ru uk be", "zh yue")
)
"""Languages of which one line can be the same in two."""
_WORDS = re.compile(r"[^\W\d_]+")
_ECHO_CHARS = 8
"""The same for scripts that write no spaces."""
_CUT_OFF = frozenset({"length", "content_filter"})
_MAX_NUMBERS = 20
_NOTES = re.compile(r"([♩♪♫♬]+ *)?(.*?)( *[♩♪♫♬]+)?", re.DOTALL)
_logger = getLogger(__name__)


class CueTranslator:
    """Translates the cues of one file.

    Args:
        model: It is asked.
        choice: Into which language, and how the cues look.

    Attributes:
        choice: As given.
        done: How many cues are through.
        lost: Numbers of those that stay in the language that is spoken, for the model gives no line for them.
        slow: Numbers of those whose translation is longer than can be read in time.
    """

    def __init__(self, model: LanguageModel, choice: TranslationChoice) -> None:
        self._model, self.choice = model, choice
        names = {code: language.name for code, language in LANGUAGES.items()}
        self._target = name_language(choice.language, names, choice.tag)
        self._names = names
        self._options: dict[str, object] = {} if "temperature" in model.options else {"temperature": 0}
        self._before = deque[Pair](maxlen=_BEFORE)
        self._asked, self._codes = 0, dict[int, str]()
        self.done = 0
        self.lost: list[int] = []
        self.slow: list[int] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be said of the translation, in ASCII."""
        told = [("not translated, for the language model gave no line", self.lost)] if self.lost else []
        told += [("longer than can be read in time", self.slow)] if self.slow else []
        return tuple(f"cues {what}: {_list(numbers)}" for what, numbers in told)

    async def translate(self, cues: AsyncIterable[SourceCue]) -> AsyncGenerator[tuple[SourceCue, str], None]:
        """Each cue with its text in the other language, in order, and with the space before it.

        Raises:
            UpstreamError: The model cannot be asked, or does not answer as it is asked to.
            OverloadedError: It has too much to do.
        """
        async for group, ahead in _groups(cues):
            wanted = [cue for cue in group if self._is_foreign(cue)]
            found = await self._translate_group(wanted, ahead) if wanted else {}
            for cue in group:
                self.done += 1
                yield cue, found.get(cue.number, cue.segment.text)
        if self._is_hopeless(least=1):
            raise self._give_up()

    def _is_foreign(self, cue: SourceCue) -> bool:
        """Whether there is something to translate."""
        return cue.segment.language != self.choice.language and any(map(str.isalpha, cue.text))

    async def _translate_group(self, cues: Sequence[SourceCue], ahead: str) -> dict[int, str]:
        self._codes = {cue.number: cue.segment.language for cue in cues}
        source = " and ".join(name_language(code, self._names) for code in dict.fromkeys(self._codes.values()))
        frames = {cue.number: _NOTES.fullmatch(cue.text) for cue in cues}
        lines = []
        for cue in cues:
            frame = frames[cue.number]
            assert frame is not None
            limit = most_chars(cue.shown_s, self.choice.language, self.choice.cues)
            lines.append(Line(cue.number, frame[2], limit))
        found = await self._find_all(lines, source, ahead)
        found |= await self._shorten(cues, lines, found, source)
        self._before.extend((line, found[line.number]) for line in lines if line.number in found)
        self._asked += len(lines)
        self.lost += [line.number for line in lines if line.number not in found]
        if self._is_hopeless(least=_GIVE_UP):
            raise self._give_up()
        texts = {}
        for cue in cues:
            if (frame := frames[cue.number]) and cue.number in found:
                texts[cue.number] = lead(f"{frame[1] or ''}{found[cue.number]}{frame[3] or ''}")
                if not self._can_be_read(cue, found[cue.number]):
                    self.slow.append(cue.number)
        return texts

    async def _find_all(self, lines: Sequence[Line], source: str, ahead: str) -> dict[int, str]:
        """The translations of some lines by their numbers; missing ones are asked for again in ever smaller groups."""
        found = await self._ask(lines, source, ahead)
        for size in _SMALLER:
            missing = [line for line in lines if line.number not in found]
            for first in range(0, len(missing), size):
                found |= await self._ask(missing[first : first + size], source, "")
        return found

    async def _ask(self, lines: Sequence[Line], source: str, ahead: str) -> dict[int, str]:
        answer, is_whole = await self._say(ask_for(lines, source, self._target, tuple(self._before), ahead), lines)
        found = read_answer(answer, lines, is_whole=is_whole)
        return {line.number: found[line.number] for line in lines if not self._is_echo(line, found.get(line.number))}

    async def _shorten(
        self, cues: Sequence[SourceCue], lines: Sequence[Line], found: dict[int, str], source: str
    ) -> dict[int, str]:
        """Shorter translations of those that cannot be read in time, as far as the model has any."""
        pairs = [
            (line, found[line.number])
            for cue, line in zip(cues, lines, strict=True)
            if line.number in found and not self._can_be_read(cue, found[line.number])
        ]
        if not pairs:
            return {}
        long = [line for line, _ in pairs]
        answer, is_whole = await self._say(ask_shorter(pairs, source, self._target), long)
        shorter = read_answer(answer, long, is_whole=is_whole)
        return {
            line.number: text
            for line, before in pairs
            if len(text := shorter.get(line.number, before)) < len(before) and not self._is_echo(line, text)
        }

    def _is_echo(self, line: Line, text: str | None) -> bool:
        """Whether a translation is none: it is missing, or has no word that is not in the line."""
        if text is None:
            return True
        if any({self._codes[line.number], self.choice.language} <= kin for kin in _KIN):
            return False
        said, words = (set(_WORDS.findall(shown)) for shown in (line.text, text))
        if len(said) < _ECHO_WORDS:
            is_unspaced = len(line.text) >= _ECHO_CHARS and unicodedata.east_asian_width(line.text[0]) == "W"
            return is_unspaced and text == line.text
        return words <= said

    def _can_be_read(self, cue: SourceCue, text: str) -> bool:
        return can_be_read(text, cue.shown_s, self.choice.language, self.choice.cues)

    async def _say(self, messages: Sequence[ChatMessage], lines: Sequence[Line]) -> tuple[str, bool]:
        """What the model answers, and whether that is all it wanted to say; nothing where it does not take so much."""
        most = _ANSWER_CHARS * sum(line.limit + len(line.text) for line in lines) + _ANSWER_ROOM
        for pause_s in (*_PAUSES_S, None):
            try:
                async with asyncio.timeout(_ANSWER_S):
                    return await self._listen(ModelRequest(messages, options=self._options), most)
            except TimeoutError:
                raise UpstreamError(
                    f"The language model (ASR_LLM_URL) wrote for {_ANSWER_S:g} s and was not done."
                ) from None
            except KeyRefusedError:
                raise
            except NotFoundError as error:
                raise UpstreamError(error.message) from error
            except InvalidRequestError as error:
                if "temperature" in error.message and self._options:  # some take but their own
                    self._options = {}
                    return await self._say(messages, lines)
                if len(lines) > 1:  # it may be too much at once
                    _logger.info("the language model refuses %d lines: %s", len(lines), error.message)
                    return "", False
                raise UpstreamError(error.message) from error
            except (TooManyRequestsError, OverloadedError, UpstreamError) as error:
                wait_s = error.retry_after_s or pause_s
                is_slow = isinstance(error.__cause__, httpx2.TimeoutException)
                if pause_s is None or wait_s is None or is_slow or wait_s > _MAX_PAUSE_S:
                    raise _as_ours(error) from error
                await asyncio.sleep(wait_s)
        raise AssertionError("the last try answers or raises")

    async def _listen(self, request: ModelRequest, most: int) -> tuple[str, bool]:
        text = ""
        async with aclosing(self._model.stream(request)) as deltas:
            async for delta in deltas:
                text += delta.content
                if len(text) > most:
                    return "", False
                if delta.finish_reason is not None:
                    return text, delta.finish_reason not in _CUT_OFF
        return text, False

    def _is_hopeless(self, least: int) -> bool:
        return len(self.lost) >= least and 2 * len(self.lost) > self._asked

    def _give_up(self) -> UpstreamError:
        return UpstreamError(
            f"The language model does not translate: of {self._asked} cues it gave no line for {len(self.lost)}. "
            "Another model may: ASR_LLM_MODEL."
        )


async def _groups(cues: AsyncIterable[SourceCue]) -> AsyncGenerator[tuple[list[SourceCue], str], None]:
    """Cues in groups of `GROUP`, each with what is said after it."""
    waiting = list[SourceCue]()
    async for cue in cues:
        waiting.append(cue)
        if len(waiting) == GROUP + _AHEAD:
            yield waiting[:GROUP], " ".join(ahead.text for ahead in waiting[GROUP:])
            waiting = waiting[GROUP:]
    while waiting:
        yield waiting[:GROUP], " ".join(ahead.text for ahead in waiting[GROUP:])
        waiting = waiting[GROUP:]


def _as_ours(error: VoiceStackError) -> VoiceStackError:
    """What the model's server says of its own load is none of the caller's doing."""
    if isinstance(error, TooManyRequestsError):
        return OverloadedError(error.message, code=error.code, retry_after_s=error.retry_after_s)
    return error


def _list(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_MAX_NUMBERS]))
    return f"{shown} and {len(numbers) - _MAX_NUMBERS} more" if len(numbers) > _MAX_NUMBERS else shown
