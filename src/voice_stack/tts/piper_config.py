"""What the JSON file beside a Piper voice tells: its language and its speakers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.core.regular_file import open_regular

_MAX_NAMED = 10
_MAX_BYTES = 1 << 22
"""A voice of a thousand speakers takes some 30 kB."""


@dataclass(frozen=True, slots=True)
class VoiceFacts:
    """What is known of a voice without loading it.

    Attributes:
        language: Code as the file has it, `en` or `pt`; empty if it has none.
        speaker_count: How many speakers the model has.
        speaker_numbers: Number of each speaker that has a name.
    """

    language: str = ""
    speaker_count: int = 1
    speaker_numbers: Mapping[str, int] = field(default_factory=dict)

    def find_speaker(self, speaker: str) -> int:
        """The number of a speaker, who is named or numbered; where a name looks like a number, it is the name.

        Raises:
            UnsupportedValueError: There is no such speaker; the message says which there are.
        """
        number = self.speaker_numbers.get(speaker)
        if number is None and speaker.isascii() and speaker.isdecimal():
            number = int(speaker[:9])
        if number is not None and number < self.speaker_count:
            return number
        raise UnsupportedValueError(f"speaker {speaker!r} does not exist; {self.describe_speakers()}", param="voice")

    def describe_speakers(self) -> str:
        """Which speakers there are, in words."""
        if self.speaker_count == 1:
            return "the voice has one speaker, who needs no name"
        names = [*self.speaker_numbers][:_MAX_NAMED]
        more = ", ..." if len(self.speaker_numbers) > _MAX_NAMED else ""
        named = f" or one of the names {', '.join(names)}{more}" if names else ""
        return f"the voice has {self.speaker_count} speakers: a number from 0 to {self.speaker_count - 1}{named}"


def read_facts(config: Path) -> VoiceFacts | None:
    """What a voice's JSON file tells; None if it is not there or no such file. Read again only when it changed."""
    try:
        return _read(config, config.stat().st_mtime_ns)
    except (OSError, ValueError, TypeError, RecursionError):
        return None


@lru_cache(maxsize=1024)
def _read(config: Path, _mtime_ns: int) -> VoiceFacts:
    with open_regular(config) as file:
        return parse_facts(json.loads(file.read(_MAX_BYTES)))


def parse_facts(content: object) -> VoiceFacts:
    """The facts in a decoded JSON file.

    Raises:
        TypeError: It is not of Piper's form.
    """
    if not isinstance(content, dict):
        raise TypeError(f"an object was expected, not {type(content).__name__}")
    language, count, numbers = content.get("language"), content.get("num_speakers", 1), content.get("speaker_id_map")
    family = language.get("family") if isinstance(language, dict) else None
    if not isinstance(count, int) or not isinstance(numbers or {}, dict):
        raise TypeError(f"num_speakers {count!r} and speaker_id_map do not fit")
    return VoiceFacts(family if isinstance(family, str) else "", max(1, count), numbers or {})
