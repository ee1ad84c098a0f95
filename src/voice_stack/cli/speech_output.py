"""Where spoken audio goes: a file that is there whole or not at all, or standard output as it is spoken."""

import os
import shutil
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Self

from voice_stack.client import FileHead
from voice_stack.client.audio_file import replacing

_COPY_BYTES = 1 << 20


class SpeechOutput(ABC):
    """Takes the audio of one speech; use it in a `with` statement."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def write(self, audio: bytes) -> None:
        """Take the next bytes."""

    @abstractmethod
    def finish(self, head: FileHead) -> None:
        """The speech is complete; `head` states its length."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more comes."""


class StandardOutput(SpeechOutput):
    """Hands every piece on at once; lengths stay unknown."""

    def write(self, audio: bytes) -> None:
        try:
            sys.stdout.buffer.write(audio)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            # Or the interpreter tries once more to write the rest when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise

    def finish(self, head: FileHead) -> None:
        """All has been written."""

    def close(self) -> None:
        """Standard output stays open."""


class FileOutput(SpeechOutput):
    """Collects the audio in a nameless file beside the target.

    Args:
        path: What is there is replaced in the end.

    Raises:
        OSError: The folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = TemporaryFile(dir=path.parent)  # noqa: SIM115 - closed by `close`

    def write(self, audio: bytes) -> None:
        self._stream.write(audio)

    def finish(self, head: FileHead) -> None:
        self._stream.seek(head.replaces)
        with replacing(self._path) as file:
            file.write(head.data)
            shutil.copyfileobj(self._stream, file, _COPY_BYTES)

    def close(self) -> None:
        self._stream.close()
