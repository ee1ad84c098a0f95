"""Where `synthesize_to_file` writes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from voice_stack.client.options import AudioFormat

# The opus of OpenAI's API is Opus in an Ogg container.
_FORMAT_OF_SUFFIX: Mapping[str, AudioFormat] = {
    ".mp3": "mp3",
    ".opus": "opus",
    ".ogg": "opus",
    ".oga": "opus",
    ".aac": "aac",
    ".flac": "flac",
    ".wav": "wav",
    ".pcm": "pcm",
    ".raw": "pcm",
}


def format_of(path: Path) -> AudioFormat:
    """The audio format that a file name says.

    Raises:
        ValueError: It says none that is known.
    """
    try:
        return _FORMAT_OF_SUFFIX[path.suffix.lower()]
    except KeyError:
        known = ", ".join(_FORMAT_OF_SUFFIX)
        raise ValueError(
            f"{str(path)!r} does not say its format: give format=, or one of the suffixes {known}"
        ) from None


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write whose content appears at `path` when all is well, and nowhere when it is not.

    Raises:
        OSError: The folder cannot be written.
    """
    temporary = path.with_name(f".{uuid4().hex}.part")
    with temporary.open("xb") as file:
        try:
            yield file
            file.close()
            temporary.replace(path)
        except BaseException:
            file.close()
            temporary.unlink(missing_ok=True)
            raise
