"""Voices and consents that came over the API or the command line: made, changed, deleted. All of it blocks."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from voice_stack.core.errors import InvalidAudioError, InvalidRequestError, NotFoundError
from voice_stack.core.side_process import GivenUpError
from voice_stack.tts.library.quality import MIN_SPEECH_S, NO_SPEECH_S
from voice_stack.tts.library.recordings import SIDECAR_NAME, RecordedVoice, is_upload_id
from voice_stack.tts.library.reference import Examination, Examine, examine_recording
from voice_stack.tts.library.sidecar import ConsentRecord, Sidecar, read_record
from voice_stack.tts.library.store import UploadStore

CONSENTS_DIR = ".consents"
CONSENT_PREFIX = "cons_"
_CONSENT_NAME = "consent.toml"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NewVoice:
    """A voice that was just kept, and what is wrong with its recording."""

    id: str
    sidecar: Sidecar
    warnings: tuple[str, ...]


class VoiceUploads:
    """The uploads in `TTS_VOICE_DIR`.

    Args:
        folder: `TTS_VOICE_DIR`.
        max_uploads: Most voices kept, and most consents.
        examine: Opens recordings.
    """

    def __init__(self, folder: Path, max_uploads: int, examine: Examine = examine_recording) -> None:
        self._examine = examine
        self._voices = UploadStore(folder, "voice_", SIDECAR_NAME, max_uploads)
        self._consents = UploadStore(folder / CONSENTS_DIR, CONSENT_PREFIX, _CONSENT_NAME, max_uploads)

    def clean(self) -> None:
        """Remove what a crash has left behind."""
        self._voices.clean()
        self._consents.clean()

    def add_voice(self, recording: Path, fields: Mapping[str, object]) -> NewVoice:
        """Keep the part of a recording that counts as a new voice.

        Args:
            recording: Any audio file; not trusted, and not changed.
            fields: Those of `Sidecar`.

        Raises:
            InvalidRequestError: The recording is none, or too bad; `param` is `audio_sample`.
            StorageFullError: No room.
        """
        found, flac = self._listen(recording, MIN_SPEECH_S, "audio_sample")
        sidecar = Sidecar.model_validate({**fields, "created_at": int(time.time())})
        voice_id = self._voices.create(sidecar, {"reference.flac": flac})
        return NewVoice(voice_id, sidecar, found.warnings)

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

    def _listen(self, recording: Path, needed_s: float, param: str) -> tuple[Examination, bytes]:
        try:
            found, flac = self._examine(recording, needed_s)
        except InvalidAudioError as error:
            raise InvalidRequestError(error.message, param=param, code=error.code) from None
        except GivenUpError as error:
            raise InvalidRequestError(f"The recording cannot be examined: {error.message}.", param=param) from None
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
