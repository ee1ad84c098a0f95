"""Voices and consents that came over the API or the command line: kept whole or not at all. All of it blocks.

TTS_VOICE_DIR/voice_.../reference.flac, voice.toml               a voice; dropped-in voices lie beside it
TTS_VOICE_DIR/.consents/cons_.../recording.flac, consent.toml    a consent
TTS_VOICE_DIR/.new-..., .gone-...                                work under way; removed at the next start
"""

import logging
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel

from voice_stack.core.errors import (
    InvalidAudioError,
    InvalidRequestError,
    NotFoundError,
    StorageFullError,
    VoiceStackError,
)
from voice_stack.core.system.files import DRAFT_PREFIX, explain_unkept, sync_folder, write_whole
from voice_stack.core.system.side_process import GivenUpError
from voice_stack.tts.voices.mirror import VoiceMirror
from voice_stack.tts.voices.recordings import (
    SIDECAR_NAME,
    ConsentRecord,
    RecordedVoice,
    Sidecar,
    is_upload_id,
    read_record,
    write_record,
)
from voice_stack.tts.voices.reference import Examination, Examine, examine_recording
from voice_stack.utils.audio.quality import MIN_SPEECH_S, NO_SPEECH_S

_LOCK_TIMEOUT_S = 30.0
MAX_UPLOADS = 1000
"""So many are listed and searched by name in a moment; a disk is bounded by its owner."""
_GONE = ".gone-"
_logger = logging.getLogger(__name__)


class UploadStore:
    """Writes in one folder; servers and commands that share it wait for each other. All methods block.

    Args:
        folder: Where uploads lie; made with the first one.
        prefix: Of ids: `voice_`, `cons_`.
        record_name: File name of the TOML.
        max_uploads: Most uploads kept.
        mirror: Where replicas share them.
        shared_in: The folder there, with its slash.
    """

    def __init__(
        self,
        folder: Path,
        prefix: str,
        record_name: str,
        max_uploads: int,
        mirror: VoiceMirror,
        shared_in: str = "",
    ) -> None:
        self._folder = folder.expanduser().absolute()
        self._mirror, self._shared_in = mirror, shared_in
        self._prefix, self._record_name, self._max_uploads = prefix, record_name, max_uploads
        self._lock = FileLock(self._folder / ".lock", timeout=_LOCK_TIMEOUT_S)

    def create(self, record: BaseModel, files: Mapping[str, bytes]) -> str:
        """Keep an upload with its files, name to content; returns its new id.

        Raises:
            StorageFullError: The disk is full, too many are kept, or the store for them fails.
            VoiceStackError: The folder cannot be written.
        """
        upload_id = f"{self._prefix}{uuid.uuid4().hex}"
        with self._writing():
            if len(self.ids()) >= self._max_uploads:
                raise StorageFullError(f"{self._max_uploads} uploads are kept already, and no more: delete some first.")
            draft = self._folder / f"{DRAFT_PREFIX}{upload_id}"
            try:
                draft.mkdir(mode=0o700)
                content_of = {**files, self._record_name: write_record(record)}
                for name, content in content_of.items():
                    write_whole(draft / name, content)
                self._mirror.push(f"{self._shared_in}{upload_id}", content_of)
                self._publish(draft, upload_id)
            except (OSError, VoiceStackError):
                shutil.rmtree(draft, ignore_errors=True)
                raise
            sync_folder(self._folder)
        return upload_id

    def replace(self, upload_id: str, record: BaseModel) -> None:
        """Write the record of an upload anew.

        Raises:
            StorageFullError: The disk is full.
            VoiceStackError: The folder cannot be written.
        """
        content = write_record(record)
        with self._writing():
            self._mirror.push(f"{self._shared_in}{upload_id}", {self._record_name: content})
            write_whole(self._folder / upload_id / self._record_name, content)

    def remove(self, upload_id: str) -> bool:
        """Delete an upload; False if there is none any more.

        Raises:
            VoiceStackError: The folder cannot be written.
        """
        gone = self._folder / f"{_GONE}{upload_id}"
        with self._writing():
            self._mirror.remove(f"{self._shared_in}{upload_id}")
            try:
                (self._folder / upload_id).rename(gone)
            except FileNotFoundError:
                return False
            sync_folder(self._folder)
            shutil.rmtree(gone)
        return True

    def _publish(self, draft: Path, upload_id: str) -> None:
        try:
            draft.rename(self._folder / upload_id)
        except OSError:
            # It may have been copied from the store already.
            if not (self._folder / upload_id).is_dir():
                raise
            shutil.rmtree(draft)

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
        return [path for start in (DRAFT_PREFIX, _GONE) for path in self._folder.glob(f"**/{start}*")]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._lock:
                yield
        except OSError as error:
            # The folder is for the operator; the client learns what went wrong.
            _logger.error("uploads are not kept in %s: %s", self._folder, error)  # noqa: TRY400 - no fault of ours
            raise explain_unkept(error, "voices", "TTS_VOICE_DIR") from error


CONSENTS_DIR = ".consents"
CONSENT_PREFIX = "cons_"
_CONSENT_NAME = "consent.toml"


class VoiceUploads:
    """The uploads in `TTS_VOICE_DIR`.

    Args:
        max_uploads: Most voices kept, and most consents.
        mirror: Where replicas share them; without one they lie here alone.
    """

    def __init__(
        self,
        folder: Path,
        max_uploads: int = MAX_UPLOADS,
        examine: Examine = examine_recording,
        mirror: VoiceMirror | None = None,
    ) -> None:
        self._examine = examine
        mirror = mirror or VoiceMirror(folder, None)
        self._voices = UploadStore(folder, "voice_", SIDECAR_NAME, max_uploads, mirror)
        consents, shared_in = folder / CONSENTS_DIR, f"{CONSENTS_DIR}/"
        self._consents = UploadStore(consents, CONSENT_PREFIX, _CONSENT_NAME, max_uploads, mirror, shared_in)

    def clean(self) -> None:
        """Remove what a crash has left behind."""
        self._voices.clean()
        self._consents.clean()

    def add_voice(self, recording: Path, fields: Mapping[str, object]) -> tuple[str, tuple[str, ...]]:
        """Keep the part of a recording that counts as a new voice; returns its id, and what is wrong with it.

        Args:
            recording: Any audio file; not trusted, and not changed.
            fields: Those of `Sidecar`.

        Raises:
            InvalidRequestError: The recording is none, or too bad; `param` is `audio_sample`.
            StorageFullError: No room.
        """
        found, flac = self._listen(recording, MIN_SPEECH_S, "audio_sample")
        sidecar = Sidecar.model_validate({**fields, "created_at": int(time.time())})
        return self._voices.create(sidecar, {"reference.flac": flac}), found.warnings

    def change_voice(self, voice: RecordedVoice, changes: Mapping[str, object]) -> None:
        """Write what is known of an upload anew.

        Raises:
            InvalidRequestError: What was known cannot be read, so it would be lost.
            StorageFullError: No room.
        """
        if voice.problem:
            raise InvalidRequestError(f"voice {voice.id!r} cannot be changed: {voice.problem}")
        self._voices.replace(voice.id, Sidecar.model_validate({**voice.sidecar.model_dump(), **changes}))

    def remove_voice(self, voice_id: str) -> None:
        """Delete an upload.

        Raises:
            NotFoundError: There is none of that id.
        """
        if not is_upload_id(voice_id) or not self._voices.remove(voice_id):
            raise NotFoundError(f"No voice with id {voice_id[:100]!r}.", param="voice_id")

    def add_consent(self, recording: Path, name: str, language: str) -> tuple[str, ConsentRecord]:
        """Keep a recorded consent; returns its id and record.

        Raises:
            InvalidRequestError: The recording is none, or nobody speaks in it; `param` is `recording`.
            StorageFullError: No room.
        """
        _, flac = self._listen(recording, NO_SPEECH_S, "recording")
        record = ConsentRecord(name=name, language=language, created_at=int(time.time()))
        return self._consents.create(record, {"recording.flac": flac}), record

    def consent(self, consent_id: str) -> ConsentRecord:
        """The record of a consent.

        Raises:
            NotFoundError: There is none of that id.
        """
        record = self._read_consent(consent_id) if consent_id in self._consents.ids() else None
        if record is None:
            raise _no_consent(consent_id)
        return record

    def consents(self) -> list[tuple[str, ConsentRecord]]:
        """Every consent, newest first."""
        records = {consent_id: self._read_consent(consent_id) for consent_id in self._consents.ids()}
        found = [(consent_id, record) for consent_id, record in records.items() if record is not None]
        return sorted(found, key=lambda item: (-item[1].created_at, item[0]))

    def rename_consent(self, consent_id: str, name: str) -> ConsentRecord:
        """Change the label of a consent; returns its record.

        Raises:
            NotFoundError: There is none of that id.
        """
        record = self.consent(consent_id).model_copy(update={"name": name})
        self._consents.replace(consent_id, record)
        return record

    def remove_consent(self, consent_id: str) -> None:
        """Delete a consent; voices that name it stay.

        Raises:
            NotFoundError: There is none of that id.
        """
        if consent_id not in self._consents.ids() or not self._consents.remove(consent_id):
            raise _no_consent(consent_id)

    def check_voice(self, recording: Path) -> Examination:
        """How good a recording is for a voice; nothing is kept.

        Raises:
            InvalidRequestError: It is none; `param` is `audio_sample`.
        """
        return self._judge(recording, MIN_SPEECH_S, "audio_sample")[0]

    def _judge(self, recording: Path, needed_s: float, param: str) -> tuple[Examination, bytes]:
        try:
            return self._examine(recording, needed_s)
        except InvalidAudioError as error:
            raise InvalidRequestError(error.message, param=param, code=error.code) from None
        except GivenUpError as error:
            raise InvalidRequestError(f"The recording cannot be examined: {error.message}.", param=param) from None

    def _listen(self, recording: Path, needed_s: float, param: str) -> tuple[Examination, bytes]:
        found, flac = self._judge(recording, needed_s, param)
        refusal = next((finding for finding in found.findings if finding.refuses), None)
        if refusal is not None:
            raise InvalidRequestError(
                f"The recording cannot be used: {refusal.message}.", param=param, code=f"recording_{refusal.code}"
            )
        return found, flac

    def _read_consent(self, consent_id: str) -> ConsentRecord | None:
        try:
            return read_record(self._consents.path(consent_id) / _CONSENT_NAME, ConsentRecord)
        except FileNotFoundError:  # deleted since we looked
            return None
        except (InvalidRequestError, OSError) as error:
            _logger.warning("consent %s is left out: %s", consent_id, error)
            return None


def _no_consent(consent_id: str) -> NotFoundError:
    return NotFoundError(f"No voice consent with id {consent_id[:100]!r}.", param="consent_id")
