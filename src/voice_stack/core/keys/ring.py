"""All keys a server knows: those of its settings, and those of the file as it is now."""

import asyncio
import hmac
import logging
import time
from collections.abc import Sequence

from voice_stack.core.errors import ConfigurationError, KeysUnreadableError
from voice_stack.core.keys.file import KeyFile, Signature
from voice_stack.core.keys.last_use import LastUse
from voice_stack.core.keys.named_key import NamedKey, hash_key, plain_keys
from voice_stack.core.logging import log_event

CHECK_INTERVAL_S = 0.25
"""How long a change of the file may go unseen."""
_log = logging.getLogger(__name__)


class KeyRing:
    """Knows who may come in; lives on the event loop.

    Once the file has been there, keys are needed, also when the last one is revoked or the file is deleted: taking
    keys away must never open a server. Only a restart without the file does.

    Args:
        plain: The keys of `API_KEYS`.
        file: The file of keys; it need not be there, and may come later.

    Raises:
        ConfigurationError: The file is there and cannot be read.
    """

    def __init__(self, plain: Sequence[str], file: KeyFile) -> None:
        self._plain = plain_keys(plain)
        self._file = file
        self._signature: Signature | None = file.signature()
        self._named = file.read()
        self._problem: str | None = None
        self._next_check_s = time.monotonic() + CHECK_INTERVAL_S
        self._last_use = LastUse(file.path)

    @property
    def is_needed(self) -> bool:
        """Whether requests need a key at all."""
        return bool(self._plain) or self._named is not None

    def find(self, key: bytes) -> NamedKey | None:
        """What is known of a key, expired or not; None of one that is unknown."""
        digest = hash_key(key)
        # Every key is compared, so that the time tells nothing about which one came near.
        known = (*self._plain, *(self._named or ()))
        matches = [named for named in known if hmac.compare_digest(digest, named.sha256)]
        return matches[0] if matches else None

    def note_use(self, key: NamedKey) -> None:
        """Remember for `voice-stack keys list` that a key was used."""
        if key not in self._plain:
            self._last_use.note(key.id)

    async def refresh(self) -> None:
        """Read the file again if it has changed; looks at it four times a second at most.

        A file that is damaged meanwhile is told in the log, and the keys stay as they were. Where there were none yet,
        nobody is let in: whoever wrote that file wanted keys to be needed.

        Raises:
            KeysUnreadableError: The file is damaged, and no key is known.
        """
        if time.monotonic() >= self._next_check_s:
            self._next_check_s = time.monotonic() + CHECK_INTERVAL_S
            await self._check()
        if self._problem is not None and not self._plain and not self._named:
            raise KeysUnreadableError(
                "This server cannot read its file of API keys and lets nobody in until that is mended; to its "
                "operator `voice-stack doctor` says what is wrong."
            )

    async def _check(self) -> None:
        try:
            await asyncio.to_thread(self._read_if_changed)
        except ConfigurationError as error:
            if error.message != self._problem:
                self._problem = error.message
                log_event(_log, logging.ERROR, "the keys stay as they were", reason=error.message)
            self._named = self._named or ()

    def _read_if_changed(self) -> None:
        signature = self._file.signature()
        if signature == self._signature and self._problem is None:
            return
        named = self._file.read()
        if named is None and self._named is not None:
            named = ()
        self._signature, self._named, self._problem = signature, named, None
        log_event(_log, logging.INFO, "keys read again", keys=len(named or ()), file=self._file.path)
