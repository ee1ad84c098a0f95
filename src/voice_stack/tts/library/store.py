"""Uploads on the disk: each a folder that is there whole or not at all, power cuts included.

TTS_VOICE_DIR/voice_.../reference.flac, voice.toml               a voice; dropped-in voices lie beside it
TTS_VOICE_DIR/.consents/cons_.../recording.flac, consent.toml    a consent
TTS_VOICE_DIR/.new-..., .gone-...                                work under way; removed at the next start
"""

import errno
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel

from voice_stack.core.errors import StorageFullError, VoiceStackError
from voice_stack.tts.library.sidecar import write_record

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LOCK_TIMEOUT_S = 30.0
_NEW, _GONE = ".new-", ".gone-"
_logger = logging.getLogger(__name__)


class UploadStore:
    """Writes in one folder; servers and commands that share it wait for each other. All methods block.

    Args:
        folder: Where uploads lie; made with the first one.
        prefix: Of ids: `voice_`, `cons_`.
        record_name: File name of the TOML.
        max_uploads: Most uploads kept.
    """

    def __init__(self, folder: Path, prefix: str, record_name: str, max_uploads: int) -> None:
        self._folder = folder.expanduser().absolute()
        self._prefix, self._record_name, self._max_uploads = prefix, record_name, max_uploads
        self._lock = FileLock(self._folder / ".lock", timeout=_LOCK_TIMEOUT_S)

    def create(self, record: BaseModel, files: Mapping[str, bytes]) -> str:
        """Keep an upload.

        Args:
            record: What is known of it.
            files: File name to content.

        Returns:
            Its new id.

        Raises:
            StorageFullError: The disk is full, or too many are kept.
            VoiceStackError: The folder cannot be written.
        """
        upload_id = f"{self._prefix}{uuid.uuid4().hex}"
        with self._writing():
            if len(self.ids()) >= self._max_uploads:
                raise StorageFullError(f"{self._max_uploads} uploads are kept already: TTS_MAX_UPLOADS.")
            draft = self._folder / f"{_NEW}{upload_id}"
            try:
                draft.mkdir(mode=0o700)
                for name, content in {**files, self._record_name: write_record(record)}.items():
                    _write(draft / name, content)
                _sync_folder(draft)
                draft.rename(self._folder / upload_id)
            except OSError:
                shutil.rmtree(draft, ignore_errors=True)
                raise
            _sync_folder(self._folder)
        return upload_id

    def replace(self, upload_id: str, record: BaseModel) -> None:
        """Write the record of an upload anew.

        Raises:
            StorageFullError: The disk is full.
            VoiceStackError: The folder cannot be written.
        """
        path = self._folder / upload_id / self._record_name
        draft = path.with_name(f"{_NEW}{path.name}")
        with self._writing():
            try:
                _write(draft, write_record(record))
                draft.replace(path)
            except OSError:
                draft.unlink(missing_ok=True)
                raise
            _sync_folder(path.parent)

    def remove(self, upload_id: str) -> bool:
        """Delete an upload; False if there is none any more.

        Raises:
            VoiceStackError: The folder cannot be written.
        """
        gone = self._folder / f"{_GONE}{upload_id}"
        with self._writing():
            try:
                (self._folder / upload_id).rename(gone)
            except FileNotFoundError:
                return False
            _sync_folder(self._folder)
            shutil.rmtree(gone)
        return True

    def ids(self) -> list[str]:
        """Of the uploads there are, sorted."""
        found = self._folder.glob(f"{self._prefix}*")
        return sorted(path.name for path in found if path.is_dir() and not path.is_symlink())

    def path(self, upload_id: str) -> Path:
        """The folder of an upload."""
        return self._folder / upload_id

    def clean(self) -> None:
        """Remove what a crash has left behind; where the folder cannot be written, the log says so."""
        if not self._leftovers():
            return
        try:
            with self._writing():  # what another server is writing is done when we have the lock
                for path in self._leftovers():
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                    _logger.warning("removed what an interrupted write had left behind: %s", path)
        except VoiceStackError:
            return  # nobody can be told, and nothing depends on it

    def _leftovers(self) -> list[Path]:
        return [path for start in (_NEW, _GONE) for path in self._folder.glob(f"**/{start}*")]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._lock:
                yield
        except OSError as error:
            raise self._explain(error) from error

    def _explain(self, error: OSError) -> VoiceStackError:
        # The folder is for the operator; the client learns what went wrong.
        _logger.error("uploads are not kept in %s: %s", self._folder, error)
        if error.errno in _NO_ROOM:
            return StorageFullError("The server's disk has no room for this upload (TTS_VOICE_DIR).")
        reason = error.strerror or type(error).__name__
        return VoiceStackError(f"The server cannot use its folder for voices (TTS_VOICE_DIR): {reason}.")


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make sure that names in a folder outlive a power cut; only POSIX knows how."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
