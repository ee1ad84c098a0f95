"""The voices of recordings that there are at this moment, and what each is good for."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from voice_stack.core.errors import InvalidAudioError, InvalidRequestError
from voice_stack.core.system.files import check_name, warn_once
from voice_stack.core.system.side_process import GivenUpError
from voice_stack.tts.voices.recordings import (
    FoundFiles,
    RecordedVoice,
    Sidecar,
    find_recordings,
    read_record,
)
from voice_stack.tts.voices.reference import Examination, Examine, examine_recording
from voice_stack.utils.audio.quality import MIN_SPEECH_S, NO_SPEECH_S, Figures, Finding

ValueT = TypeVar("ValueT")
MAX_ENTRIES = 4096


class ContentCache(Generic[ValueT]):
    """Values by file; one is made anew when the file's time or size is another. Any thread may ask.

    Values are made one after another: a second thread that wants the same one waits for it.

    Args:
        make: Reads a file.
    """

    def __init__(self, make: Callable[[Path], ValueT]) -> None:
        self._make = make
        self._values: dict[tuple[Path, int, int], ValueT] = {}
        self._lock = threading.Lock()

    def get(self, path: Path) -> ValueT:
        """The value of a file as it is now.

        Raises:
            OSError: The file is gone.
        """
        stat = path.stat()
        key = (path, stat.st_mtime_ns, stat.st_size)
        if (known := self._values.get(key)) is None:
            with self._lock:
                if (known := self._values.get(key)) is None:
                    known = self._make(path)
                    while len(self._values) >= MAX_ENTRIES:
                        del self._values[next(iter(self._values))]
                    self._values[key] = known
        return known


MAX_RECORDINGS = 16
"""Of one voice; further files, in the order of their names, are not used."""
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the recordings of a voice are good for.

    Attributes:
        recordings: Those that can be used.
        refusal: Why the voice cannot be used; empty if it can.
        warnings: What is wrong with it and does not forbid its use.
    """

    recordings: tuple[Path, ...]
    refusal: str = ""
    warnings: tuple[str, ...] = ()


class Shelf:
    """The folder with the recordings, looked at anew each time. Any thread may ask.

    Args:
        folder: `TTS_VOICE_DIR`; it need not exist.
        examine: Opens recordings.
    """

    def __init__(self, folder: Path, examine: Examine = examine_recording) -> None:
        self._folder = folder.expanduser().absolute()
        self._sidecars = ContentCache(_read_sidecar)
        self._measured = ContentCache(partial(_measure, examine))

    def voices(self) -> dict[str, RecordedVoice]:
        """The voices by id, sorted: names, sizes and times are looked at, a few milliseconds for 100 voices."""
        voices = (self._voice(voice_id, files) for voice_id, files in find_recordings(self._folder).items())
        return {voice.id: voice for voice in voices if voice is not None}

    def examine(self, voice: RecordedVoice) -> Verdict:
        """Measure what was not measured before: some tenths of a second for each recording, so not on an event loop."""
        if voice.problem:
            return Verdict((), voice.problem)
        measured = {path: self._measure(path) for path in voice.recordings}
        usable = tuple(path for path, result in measured.items() if not result.refusal)
        refusals = [self._name(voice, path) + result.refusal for path, result in measured.items() if result.refusal]
        if not usable:
            return Verdict((), "; ".join(refusals))
        speech_s = sum(measured[path].figures.speech_s for path in usable)
        if speech_s < MIN_SPEECH_S:
            duration_s = sum(measured[path].figures.duration_s for path in usable)
            short = f"too short: {speech_s:.1f} s of speech in {duration_s:.1f} s; a voice needs {MIN_SPEECH_S:g} s"
            return Verdict((), "; ".join([short, *refusals]))
        warnings = [self._name(voice, path) + text for path in usable for text in measured[path].warnings]
        if voice.unused:
            more = ", ..." if len(voice.unused) > _MAX_NAMED else ""
            warnings.append(
                f"the first {MAX_RECORDINGS} of {MAX_RECORDINGS + len(voice.unused)} recordings are used, in the order "
                f"of their names; not {', '.join(voice.unused[:_MAX_NAMED])}{more}"
            )
        return Verdict(usable, "", (*warnings, *(f"not used: {refusal}" for refusal in refusals)))

    def _voice(self, voice_id: str, files: FoundFiles) -> RecordedVoice | None:
        try:
            check_name(voice_id)
            known = self._sidecars.get(files.sidecar) if files.sidecar else Sidecar()
            changed_at = int(max(path.stat().st_mtime for path in files.recordings))
        except ValueError as error:
            warn_once(f"{voice_id!r} in {self._folder} is no voice: {error}")
            return None
        except OSError:  # gone since we looked, or something else by now
            return None
        recordings = tuple(files.recordings[:MAX_RECORDINGS])
        unused = tuple(path.name for path in files.recordings[MAX_RECORDINGS:])
        if unused:
            warn_once(f"voice {voice_id!r} has {len(files.recordings)} recordings: the first {MAX_RECORDINGS} are used")
        if isinstance(known, str):
            warn_once(f"voice {voice_id!r} cannot speak: {known}")
            return RecordedVoice(voice_id, Sidecar(), recordings, changed_at, known)
        return RecordedVoice(voice_id, known, recordings, known.created_at or changed_at, unused=unused)

    def _measure(self, path: Path) -> Examination:
        try:
            return self._measured.get(path)
        except OSError as error:
            return _refuse(f"cannot be read: {error.strerror}")
        except GivenUpError as error:
            return _refuse(f"cannot be examined: {error.message}")

    def _name(self, voice: RecordedVoice, path: Path) -> str:
        """Which recording is meant, where there are several."""
        return f"{path.name}: " if len(voice.recordings) > 1 else ""


def _read_sidecar(path: Path) -> Sidecar | str:
    """What a TOML file says, or what is wrong with it."""
    try:
        return read_record(path, Sidecar)
    except InvalidRequestError as error:
        return error.message
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}"


def _measure(examine: Examine, path: Path) -> Examination:
    try:
        return examine(path, NO_SPEECH_S)[0]
    except InvalidAudioError as error:
        return _refuse(error.message)


def _refuse(reason: str) -> Examination:
    """A recording that was not measured."""
    return Examination(Figures(), (Finding("unmeasured", reason, refuses=True),))
