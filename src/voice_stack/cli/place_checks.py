"""What `voice-stack doctor` looks at around the servers: their ports, who reaches them, the folders they write."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from voice_stack.asr.jobs.store import UNREADABLE, default_jobs_dir
from voice_stack.asr.settings import AsrSettings
from voice_stack.cli.checks import Check
from voice_stack.core.access.exposure import exposure_warnings, has_keys
from voice_stack.core.errors import ConfigurationError
from voice_stack.core.keys import KeyFile
from voice_stack.core.settings import CoreSettings
from voice_stack.tts.cache.store import default_cache_dir
from voice_stack.tts.settings import TtsSettings

_GIB = 1 << 30
ENOUGH_DISK_BYTES = _GIB


def check_port(settings: CoreSettings) -> Iterator[Check]:
    """Whether the port is free, or a server of ours has it."""
    from voice_stack.cli.listening import listen
    from voice_stack.cli.up import server_at, server_url

    name = f"{settings.env_name('port')}={settings.port}"
    try:
        listen(settings).close()
    except ConfigurationError as error:
        cause = error.__cause__
        in_use = isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE
        server = str(settings.model_config.get("env_prefix")).rstrip("_")
        if in_use and server_at(server_url(settings)) == server.lower():
            yield Check("OK", name, f"our {server} server answers there")
        else:
            yield Check("FAIL", name, error.message, f"{settings.env_name('port')}=... with a free port")
    else:
        yield Check("OK", name, "free")


def check_access(settings: CoreSettings) -> Iterator[Check]:
    """Whether the server is open to more people than it should be."""
    name = f"access ({settings.env_name('host')})"
    try:
        is_locked = has_keys(settings)
        KeyFile(settings.api_keys_file).read()
    except ConfigurationError as error:
        yield Check("FAIL", name, error.message, "mend or delete the file; deleted, no key is needed")
        return
    warnings = list(exposure_warnings(settings, is_locked))
    for line in warnings:
        yield Check("WARN", name, line, "docs/security.md has the list of what to look at")
    if not warnings:
        reach = "a key is needed" if is_locked else "no key is needed, and only this machine reaches it"
        yield Check("OK", name, reach)


def check_folders(asr: AsrSettings, tts: TtsSettings) -> Iterator[Check]:
    """Whether what the servers write can be written, and how much room there is."""
    folders = {"SPOOL_DIR": asr.spool_dir or Path(tempfile.gettempdir()), "MODEL_DIR": asr.model_dir}
    for variable, folder in folders.items():
        yield _check_folder(variable, folder, "FAIL")
    # Without these the servers still work: no background jobs are taken, no speech is kept.
    if asr.max_jobs:
        folder = (asr.jobs_dir or default_jobs_dir()).expanduser()
        yield _check_folder("ASR_JOBS_DIR", folder, "WARN")
        if unreadable := list(folder.glob(f"*{UNREADABLE}")):
            found = f"{len(unreadable)} jobs whose records cannot be read: {folder}/*{UNREADABLE}"
            yield Check("WARN", "background jobs", found, "their uploads are in there; delete what nobody needs")
    if tts.cache_mb:
        yield _check_folder("TTS_CACHE_DIR", tts.cache_dir or default_cache_dir(), "WARN")


def _check_folder(variable: str, folder: Path, fault: Literal["WARN", "FAIL"]) -> Check:
    folder = folder.expanduser().absolute()
    # A folder that is still to be made is as writable as the nearest one that is there.
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            free_bytes = shutil.disk_usage(place).free
    except OSError as error:
        found = f"cannot write in {place}: {error.strerror}"
        return Check(fault, variable, found, f"{variable}=... with a writable folder")
    detail = f"{folder}, {free_bytes / _GIB:.1f} GiB free"
    if free_bytes < ENOUGH_DISK_BYTES:
        return Check("WARN", variable, detail, f"make room, or {variable}=... on another disk")
    return Check("OK", variable, detail)
