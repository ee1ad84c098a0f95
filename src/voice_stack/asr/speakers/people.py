"""`ASR_SPEAKERS_DIR`: people who are known by their voice in every recording. All of it blocks.

    Anna.wav                    some seconds of Anna alone
    .voiceprints/Anna.json      what an engine has made of them: made anew where it is missing or another model asks

What begins with a dot is not looked at, no link that leads out of the folder is followed, and what was made of a
recording goes with it.
"""

import os
import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import FiniteFloat, TypeAdapter

from voice_stack.asr.request import KnownVoice
from voice_stack.core.errors import InvalidRequestError, NotFoundError
from voice_stack.core.system.files import (
    check_name,
    digest_file,
    explain_unkept,
    list_folder,
    open_regular,
    sync_folder,
    warn_once,
    write_whole,
)

SUFFIX = ".wav"
MAX_PEOPLE = 200
"""Each one is compared with each voice, and the more there are the more resemble one."""
MAX_NAME_BYTES = 200
"""With the suffix less than file systems allow."""
_NO_FILE_NAME = re.compile(r'[<>:"|?*]|^\.')
_LABEL = re.compile(r"[A-Z]{1,2}|SPEAKER_\d+|unknown")
_PRINTS = ".voiceprints"
_MAX_PRINT_BYTES = 1 << 20


def check_person(name: str) -> str:
    """A name as it is kept: composed (Unicode NFC), fit to be shown, and fit for a file on any system.

    Raises:
        InvalidRequestError: It is not; the message says why.
    """
    try:
        name = check_name(unicodedata.normalize("NFC", name))
    except ValueError as error:
        raise InvalidRequestError(f"{name[:100]!r} is no name: {error}") from None
    if found := _NO_FILE_NAME.search(name):
        raise InvalidRequestError(f"{name!r} is no name: it must not hold {found[0]!r} there")
    if (size := len(name.encode())) > MAX_NAME_BYTES:
        raise InvalidRequestError(f"{name!r} is no name: {size} bytes in UTF-8, at most {MAX_NAME_BYTES}")
    if _LABEL.fullmatch(name):
        raise InvalidRequestError(f"{name!r} is no name: somebody unknown is called so; write it longer")
    return name


def find_people(folder: Path | None) -> tuple[KnownVoice, ...]:
    """Who is known at this moment, by name; what was made of recordings that are gone is removed.

    Args:
        folder: Need not exist; None: nobody is known.
    """
    people = _look(folder) if folder else {}
    if len(people) > MAX_PEOPLE:
        warn_once(f"{len(people)} people are in ASR_SPEAKERS_DIR: the first {MAX_PEOPLE} by name are known")
    return tuple(people[name] for name in sorted(people)[:MAX_PEOPLE])


def _look(folder: Path) -> dict[str, KnownVoice]:
    people = dict[str, KnownVoice]()
    root = folder.expanduser().absolute()
    for entry in list_folder(root, root.resolve()):
        recording = Path(entry.path)
        if recording.suffix.lower() != SUFFIX or not entry.is_file():
            continue
        try:
            name = check_person(recording.stem)
        except InvalidRequestError as error:
            warn_once(f"{entry.name!r} in ASR_SPEAKERS_DIR is nobody: {error.message}")
            continue
        people.setdefault(name, KnownVoice(name, recording, is_kept=True))
    _remove_orphans(root / _PRINTS, people)
    return people


def _remove_orphans(prints: Path, people: dict[str, KnownVoice]) -> None:
    wanted = {f"{name}.json" for name in people}
    with suppress(OSError):
        if prints.is_symlink():
            return
        for entry in list(os.scandir(prints)):
            if unicodedata.normalize("NFC", entry.name) not in wanted:
                Path(entry.path).unlink(missing_ok=True)


def add_person(folder: Path, name: str, wav: bytes) -> bool:
    """Keep a recording of somebody; returns whether it takes the place of another.

    Args:
        folder: Made if need be, for this user alone.
        name: As `check_person` gives it.
        wav: Some seconds of them alone.

    Raises:
        InvalidRequestError: So many people are known already.
        StorageFullError: The disk is full.
        VoiceStackError: The folder cannot be written.
    """
    known = _look(folder)
    if len(known) >= MAX_PEOPLE and name not in known:
        raise InvalidRequestError(f"{MAX_PEOPLE} people are known already, and no more: remove somebody first")
    folder = folder.expanduser().absolute()
    path = known[name].recording if name in known else folder / f"{name}{SUFFIX}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_symlink():
            path.unlink()
        write_whole(path, wav)
    except OSError as error:
        raise explain_unkept(error, "known people", "ASR_SPEAKERS_DIR") from error
    return name in known


def remove_person(folder: Path, name: str) -> None:
    """Delete the recording of somebody and what was made of it.

    Raises:
        NotFoundError: Nobody is called that.
        VoiceStackError: The folder cannot be written.
    """
    known = _look(folder)
    name = unicodedata.normalize("NFC", name.strip())
    if name not in known:
        there = ", ".join(known) or "nobody"
        raise NotFoundError(f"nobody is called {name[:100]!r} in {folder}; there is {there}")
    try:
        known[name].recording.unlink(missing_ok=True)
        sync_folder(known[name].recording.parent)
    except OSError as error:
        raise explain_unkept(error, "known people", "ASR_SPEAKERS_DIR") from error
    _look(folder)


@dataclass(frozen=True, slots=True)
class _Voiceprint:
    recording: str
    model: str
    voice: tuple[FiniteFloat, ...]


_VOICEPRINT = TypeAdapter(_Voiceprint)


def read_voiceprint(voice: KnownVoice, model: str) -> tuple[float, ...] | None:
    """What a model has made of a recording, if that was kept and the recording is still the same.

    Raises:
        OSError: The recording cannot be read.
    """
    digest = digest_file(voice.recording)
    with suppress(OSError, ValueError), open_regular(_place(voice)) as file:
        kept = _VOICEPRINT.validate_json(file.read(_MAX_PRINT_BYTES))
        if (kept.recording, kept.model) == (digest, model):
            return kept.voice
    return None


def keep_voiceprint(voice: KnownVoice, model: str, values: Sequence[float]) -> None:
    """Keep what a model has made of a recording, for this user alone; where that fails the log says so."""
    place = _place(voice)
    try:
        place.parent.mkdir(mode=0o700, exist_ok=True)
        if place.parent.is_symlink() or place.is_symlink():
            raise OSError("it is a link")  # noqa: TRY301 - told like all that keeps it from being written
        kept = _Voiceprint(digest_file(voice.recording), model, tuple(map(float, values)))
        write_whole(place, _VOICEPRINT.dump_json(kept))
    except OSError as error:
        warn_once(f"what was made of {voice.name!r} is not kept in ASR_SPEAKERS_DIR: {error.strerror or error}")


def _place(voice: KnownVoice) -> Path:
    return voice.recording.parent / _PRINTS / f"{voice.name}.json"
