"""What lies in `TTS_VOICE_DIR`: recordings, folders of recordings, and the TOML files beside them.

    anna.wav                  a voice of one recording; its id is `anna`
    anna.toml                 what is known of it
    bert/one.wav two.mp3      a voice of several recordings
    bert/voice.toml           the same as bert.toml beside the folder
    voice_0f..8a/             an upload, written by this server

What begins with a dot is not looked at, and no link that leads out of the folder is followed: who may write here may
not read elsewhere with the server's eyes.
"""

import logging
import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from voice_stack.tts.library.sidecar import Sidecar

SUFFIXES = frozenset({
    ".wav", ".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".m4b", ".mp4", ".aac", ".webm", ".mka", ".aif", ".aiff",
    ".caf", ".wma", ".amr", ".mpga", ".mpeg",
})  # fmt: skip
"""Of files that are taken for recordings."""
SIDECAR_NAME = "voice.toml"
_SIDECAR_SUFFIX = ".toml"
_logger = logging.getLogger(__name__)
_UPLOAD_ID = re.compile(r"voice_[0-9a-f]{32}")
_NO_UNICODE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class RecordedVoice:
    """A voice of recordings, as it lies on the disk.

    Attributes:
        id: Name of its file or folder, without suffix.
        sidecar: What its TOML says.
        recordings: Its files, sorted, at least one.
        created_at: Seconds since 1970: of the upload, else of the newest recording.
        problem: What is wrong with its TOML; empty if nothing is.
        unused: Names of files beyond those that are listened to.
    """

    id: str
    sidecar: Sidecar
    recordings: tuple[Path, ...]
    created_at: int
    problem: str = ""
    unused: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What people call it."""
        return self.sidecar.name or self.id

    @property
    def is_uploaded(self) -> bool:
        """It came over the API or by `voice-stack voices add`, and can be changed there."""
        return is_upload_id(self.id)


@dataclass(slots=True)
class FoundFiles:
    """The files of one voice."""

    recordings: list[Path] = field(default_factory=list)
    sidecar: Path | None = None


def is_upload_id(voice_id: str) -> bool:
    """Whether an id is one that this server makes."""
    return _UPLOAD_ID.fullmatch(voice_id) is not None


def find_recordings(folder: Path) -> dict[str, FoundFiles]:
    """The files of each voice by its id, sorted; only names are read.

    Args:
        folder: Need not exist.
    """
    found: dict[str, FoundFiles] = {}
    root = folder.resolve()
    for entry in _list(folder, root):
        if entry.is_file():
            _add(found, entry.name.rpartition(".")[0], entry)
        elif entry.is_dir():
            for inner in _list(entry.path, root):
                if inner.is_file():
                    _add(found, entry.name, inner, sidecar_name=SIDECAR_NAME)
    return {name: files for name, files in sorted(found.items()) if files.recordings}


def _add(found: dict[str, FoundFiles], name: str, entry: os.DirEntry[str], sidecar_name: str = "") -> None:
    suffix = "." + entry.name.rpartition(".")[2].lower()
    if suffix in SUFFIXES:
        found.setdefault(name, FoundFiles()).recordings.append(Path(entry.path))
    elif suffix == _SIDECAR_SUFFIX and sidecar_name in {"", entry.name}:
        found.setdefault(name, FoundFiles()).sidecar = Path(entry.path)


def _list(folder: Path | str, root: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, sorted by name, without what is hidden or leads out; nothing where there is no folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if _is_seen(e, root)), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:  # of one folder: the other voices speak on
        warn_once(f"voices in {folder} are not seen: {error.strerror}")
        return []


def _is_seen(entry: os.DirEntry[str], root: Path) -> bool:
    """Whether it is neither hidden, nor a link that leads out, nor named by bytes that no answer can tell."""
    is_named = not entry.name.startswith(".") and _NO_UNICODE.search(entry.name) is None
    return is_named and (not entry.is_symlink() or _stays(entry.path, root))


def _stays(link: str, root: Path) -> bool:
    """Whether a link leads to something that is there, below the root."""
    try:
        if root in Path(link).resolve(strict=True).parents:
            return True
    except (OSError, RuntimeError) as error:  # the latter where it leads to itself, before Python 3.13
        warn_once(f"the link {link!r} leads nowhere: {error}")
    else:
        warn_once(f"the link {link!r} leads out of the folder of voices and is not followed")
    return False


@lru_cache(maxsize=1024)
def warn_once(warning: str) -> None:
    """Say it in the log, unless it was said: the folder is looked at with each request."""
    _logger.warning("%s", warning)
