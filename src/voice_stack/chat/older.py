"""Speech that a client of an older service fetches after it was made: how it is had again, for an hour."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import uuid4

from pydantic import ConfigDict, JsonValue, TypeAdapter, with_config

from voice_stack.core.errors import NotFoundError
from voice_stack.core.shared.state import OFF, SharedState
from voice_stack.core.shared.values import SharedValues
from voice_stack.utils.audio.encode import AUDIO_FORMATS

KEPT_S = 3600.0
KEPT_BYTES = 64 << 20
_OVERHEAD_BYTES = 1000


@with_config(ConfigDict(ser_json_bytes="base64", val_json_bytes="base64"))
@dataclass(frozen=True, slots=True)
class KeptSpeech:
    """A speech that was made.

    Attributes:
        request: What the TTS server was asked; asked again it gives the same sound, from its cache.
        format: Of the file, by its name in the API.
        copy: The file, where that server keeps none.
    """

    request: Mapping[str, JsonValue]
    format: str
    copy: bytes | None = None

    @property
    def size_bytes(self) -> int:
        """Memory that it takes, about."""
        return _OVERHEAD_BYTES + 4 * len(str(self.request["input"])) + len(self.copy or b"")


_SHAPE = TypeAdapter(KeptSpeech)


class KeptSpeeches:
    """Speeches by id, the oldest first; lives on the event loop.

    Args:
        clock: Seconds that only grow.
        shared: Where replicas find them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, shared: SharedState = OFF) -> None:
        self._clock = clock
        self._shared = SharedValues(shared, "speech", _SHAPE, KEPT_S)
        self._kept = OrderedDict[str, tuple[float, KeptSpeech]]()
        self._bytes = 0

    async def keep(self, speech: KeptSpeech) -> str:
        """Keep a speech for an hour, or until there are too many; returns its new id."""
        audio_id = str(uuid4())
        self._kept[audio_id] = self._clock(), speech
        self._bytes += speech.size_bytes
        self._drop_old()
        await self._shared.keep(audio_id, speech)
        return audio_id

    async def find(self, audio_id: str) -> KeptSpeech:
        """The speech of an id.

        Raises:
            NotFoundError: There is none, or not any more.
        """
        self._drop_old()
        if audio_id in self._kept:
            return self._kept[audio_id][1]
        shared = await self._shared.find(audio_id)
        if shared is None or shared.format not in AUDIO_FORMATS:
            raise NotFoundError(
                f"There is no audio file {audio_id[:100]!r}. One is kept for {KEPT_S / 60:.0f} minutes after "
                "/voice/tts has made it, unless so many follow that there is no room for it.",
                param="audio_file_id",
            )
        return shared

    def _drop_old(self) -> None:
        oldest_s = self._clock() - KEPT_S
        while self._kept:
            made_s, speech = next(iter(self._kept.values()))
            if made_s >= oldest_s and self._bytes <= KEPT_BYTES:
                return
            self._kept.popitem(last=False)
            self._bytes -= speech.size_bytes
