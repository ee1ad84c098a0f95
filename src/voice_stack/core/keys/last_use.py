"""When each key was last used: the time of an empty file beside the keys, at most a minute old."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

INTERVAL_S = 60.0
"""A key in use all the time is noted so often."""
_log = logging.getLogger(__name__)
_WRITER = ThreadPoolExecutor(1, thread_name_prefix="last-use")


class LastUse:
    """The folder `keys.json.used`; it is for information only, so nothing waits for it and no request fails by it.

    Args:
        keys_file: Beside it the folder lies.
    """

    def __init__(self, keys_file: Path) -> None:
        self._folder = keys_file.with_name(f"{keys_file.name}.used")
        self._noted_s: dict[str, float] = {}
        self._is_writable = True

    def note(self, key_id: str) -> None:
        """A key was used just now; writes in another thread, if a minute has passed since it last did."""
        now_s = time.monotonic()
        if self._is_writable and now_s - self._noted_s.get(key_id, -INTERVAL_S) >= INTERVAL_S:
            self._noted_s[key_id] = now_s
            asyncio.get_running_loop().run_in_executor(_WRITER, self._touch, key_id)

    def read(self, key_id: str) -> int | None:
        """When a key was last used, in seconds since 1970; None if that is not known."""
        try:
            return int((self._folder / key_id).stat().st_mtime)
        except OSError:
            return None

    def forget(self, key_id: str) -> None:
        """The key is gone."""
        (self._folder / key_id).unlink(missing_ok=True)

    def _touch(self, key_id: str) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            (self._folder / key_id).touch(mode=0o600)
        except OSError as error:
            self._is_writable = False
            _log.info("`voice-stack keys list` will not tell when keys were used: %s", error)
