"""`voice-stack doctor`: is this machine fit for the servers, and if not, what mends it.

Each check is one question to this machine, its ports and folders.
"""

import errno
import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from voice_stack.asr.engine_factory import open_speaker_store, require_speaker_specs
from voice_stack.asr.models import ASR_CATALOGUE, SPEAKERS_OFF
from voice_stack.asr.settings import AsrSettings
from voice_stack.asr.speakers.people import find_people
from voice_stack.chat.settings import ChatSettings
from voice_stack.cli.asking import (
    Check,
    check_language_model,
    check_object_stores,
    check_providers,
    check_shared,
    check_speech_servers,
)
from voice_stack.cli.listening import listen, port_variable
from voice_stack.cli.servers import SERVERS, Server
from voice_stack.cli.up import server_at, server_url
from voice_stack.core.errors import ConfigurationError, ModelLoadError, ModelNotFoundError
from voice_stack.core.http.access import exposure_warnings, has_keys
from voice_stack.core.http.keys import KeyFile
from voice_stack.core.models.own import find_own
from voice_stack.core.models.sources import describe_sources
from voice_stack.core.models.status import tell_remedy
from voice_stack.core.models.store import ModelStore
from voice_stack.core.provider import find_provided
from voice_stack.core.settings import EngineSettings, ServerSettings, unknown_variables
from voice_stack.core.system.cpus import available_cpus
from voice_stack.core.system.database import UNREADABLE
from voice_stack.core.system.device import choose_device
from voice_stack.core.system.memory import memory_limit_bytes
from voice_stack.finetune.record import list_records, run_folder
from voice_stack.tts.settings import TtsSettings

_GIB = 1 << 30
ENOUGH_MEMORY_BYTES = 2 * _GIB
ENCODERS = ("libopus", "aac", "flac")
EXTRAS = {
    **{server.name: server.modules for server in SERVERS.values()},
    "diarize": ("scipy",),
    "whisper": ("whisper", "torch", "safetensors"),
    "parakeet": ("onnx_asr", "py3langid"),
    "piper": ("piper", "onnxruntime"),
    "hibari": ("hibari", "onnxruntime"),
    "kokoro": ("hibari", "onnxruntime"),
    "pocket": ("pocket_tts", "torch"),
    "qwen3": ("qwen_tts", "torch", "torchaudio"),
    "xtts": ("TTS", "torch", "torchaudio"),
    "nemotron": ("torch", "transformers"),
    "finetune": ("torch", "transformers", "peft"),
    "debug": ("debugpy",),
}
"""Extra -> modules it brings."""

ENGINE_EXTRAS = {"faster-whisper": "asr"}
"""Engine -> extra it needs, where that is called otherwise."""


def check_python() -> Check:
    """The interpreter; pip has seen to its version."""
    return Check("OK", "Python", f"{platform.python_version()} ({sys.executable})")


def check_cpu(settings: EngineSettings) -> Check:
    """Cores this process may use, and threads per engine."""
    cores = available_cpus()
    name = f"CPU ({settings.env_name('threads')})"
    detail = f"{cores} cores, {settings.threads or cores} threads per engine"
    if settings.threads > cores:
        remedy = f"more threads than cores are slower: {settings.env_name('threads')}={cores}"
        return Check("WARN", name, detail, remedy)
    return Check("OK", name, detail)


def check_memory() -> Check:
    """Memory of the machine, or of the container."""
    size_bytes = memory_limit_bytes()
    detail = f"{size_bytes / _GIB:.1f} GiB"
    if size_bytes < ENOUGH_MEMORY_BYTES:
        return Check("WARN", "memory", detail, "take a small model: ASR_MODEL=tiny ASR_MAX_LOADED_MODELS=1")
    return Check("OK", "memory", detail)


def check_device(settings: EngineSettings) -> Check:
    """Whether the device that is asked for is there."""
    name = settings.env_name("device")
    if not _is_installed("ctranslate2"):
        status: Literal["WARN", "OK"] = "WARN" if settings.device.startswith("cuda") else "OK"
        return Check(status, name, f"{settings.device}; CUDA devices not counted", "pip install 'voice-stack[asr]'")
    import ctranslate2

    count = ctranslate2.get_cuda_device_count()
    detail = f"{settings.device}; {count} CUDA devices"
    try:
        device = choose_device(settings.device, count)
    except ValueError as error:
        return Check("FAIL", name, str(error), f"{name}=auto")
    if device.kind == "cuda" and device.index >= count:
        return Check("FAIL", name, detail, f"{name}=cpu or auto, or install the NVIDIA driver (nvidia-smi shows it)")
    return Check("OK", name, detail)


def check_extras(settings: Sequence[ServerSettings]) -> Iterator[Check]:
    """Installed extras; one that the settings need and that is missing is a failure, a server less is none."""
    needed = {ENGINE_EXTRAS.get(one.engine, one.engine) for one in settings if isinstance(one, EngineSettings)}
    if any(one.debugpy_enable for one in settings):
        needed.add("debug")
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if not _is_installed(module)]
        remedy = f"pip install 'voice-stack[{extra}]'"
        if not missing:
            yield Check("OK", f"extra {extra}", "installed")
        elif extra in SERVERS:
            detail = f"missing: {', '.join(missing)}; the {SERVERS[extra].title} does not start"
            yield Check("WARN", f"extra {extra}", detail, remedy)
        elif extra in needed:
            yield Check("FAIL", f"extra {extra}", f"missing: {', '.join(missing)}", remedy)
        else:
            yield Check("OK", f"extra {extra}", "not installed, not needed with these settings")


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def check_encoders() -> Check:
    """Whether the audio library can write each format."""
    if not _is_installed("av"):
        return Check("FAIL", "audio codecs", "PyAV is missing", "pip install 'voice-stack[server]'")
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    missing = []
    for encoder in ENCODERS:
        try:
            Codec(encoder, "w")
        except UnknownCodecError:
            missing.append(encoder)
    if missing:
        remedy = "pip install --force-reinstall --only-binary av 'av<19'"
        return Check("FAIL", "audio codecs", f"no encoder: {', '.join(missing)}", remedy)
    return Check("OK", "audio codecs", ", ".join(ENCODERS))


def check_model(settings: EngineSettings, store: ModelStore) -> Check:
    """Whether the default model is on this machine, and intact."""
    name, row = settings.model, f"{settings.env_name('model')}={settings.model}"
    if provided := find_provided(settings, name):
        return Check("OK", row, f"{provided.provider.name} runs it, at {provided.provider.url}")
    if isinstance(settings, TtsSettings) and (settings.voice_dir / f"{name}.onnx").is_file():
        return Check("OK", row, f"in {settings.voice_dir}")
    try:
        spec = store.require(name)
        if not store.is_local(name):
            sources = ", ".join(describe_sources(spec))
            return Check("WARN", row, f"fetched at first use: {sources}", f"voice-stack models pull {name}")
        if not store.path(name).exists():
            return Check("OK", row, "in installed packages, put together and checked at first use")
        return _check_files(row, name, store)
    except (ModelNotFoundError, ModelLoadError) as error:
        return Check("FAIL", row, error.message, "voice-stack models list shows what there is")


def check_speakers(settings: AsrSettings) -> Check:
    """Whether the ASR server can tell speakers apart; all else works without that."""
    name, row = settings.speaker_model, f"{settings.env_name('speaker_model')}={settings.speaker_model}"
    if name == SPEAKERS_OFF:
        return Check("OK", row, "speakers are not told apart")
    try:
        require_speaker_specs(settings)
        store = open_speaker_store(settings)
        if not store.path(name).exists():
            return Check("OK", row, "in installed packages, put together and checked at first use")
        return _check_files(row, name, store)
    except ConfigurationError as error:
        return Check("FAIL", row, error.message, "voice-stack models list shows what there is")
    except (ModelNotFoundError, ModelLoadError) as error:
        return Check("WARN", row, error.message, error.message.rpartition(": ")[2])


def check_own_models(model_dir: Path) -> Iterator[Check]:
    """Models that were trained here, and runs that are not over."""
    model_dir = model_dir.expanduser().absolute()
    runs = run_folder(model_dir, "")
    records = list(list_records(model_dir))
    for folder, _ in records:
        if folder.parent != runs:
            try:
                find_own(ASR_CATALOGUE, model_dir, folder.name)
            except ModelLoadError as error:
                remedy = f"copy it anew from where it was trained, or voice-stack finetune rm {folder.name}"
                yield Check("WARN", f"model {folder.name}", error.message, remedy)
    if unfinished := [folder.name for folder, _ in records if folder.parent == runs]:
        detail = f"training not over, or refused: {', '.join(unfinished)}"
        yield Check("OK", "voice-stack finetune", f"{detail}; voice-stack finetune list shows them")


def _check_files(row: str, name: str, store: ModelStore) -> Check:
    damaged = [check.name for check in store.verify(name) if not check.intact]
    if damaged:
        return Check("FAIL", row, f"damaged: {', '.join(damaged)}", tell_remedy(store.require(name)))
    return Check("OK", row, f"intact, in {store.path(name)}")


def check_variables(settings: ServerSettings) -> Iterator[Check]:
    """Variables that look like settings and are none."""
    name = f"{settings.model_config.get('env_prefix')}* variables"
    lines = unknown_variables(type(settings))
    for line in lines:
        yield Check("WARN", name, line, "voice-stack settings lists every variable")
    if not lines:
        yield Check("OK", name, "all known")


ENOUGH_DISK_BYTES = _GIB


def check_port(server: Server, settings: ServerSettings, port: int) -> Check:
    """Whether a port is free, or our server has it."""
    name = f"{port_variable(settings, port)}={port}"
    try:
        listen(settings, port).close()
    except ConfigurationError as error:
        cause = error.__cause__
        in_use = isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE
        if in_use and server_at(server_url(settings, port)) == server.name:
            return Check("OK", name, f"our {server.title} answers there")
        return Check("FAIL", name, error.message, f"{port_variable(settings, port)}=... with a free port")
    return Check("OK", name, "free")


def check_access(settings: ServerSettings) -> Iterator[Check]:
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


def check_folders(settings: Sequence[ServerSettings]) -> Iterator[Check]:
    """Whether what the servers write can be written, and how much room there is."""
    yield _check_folder("SPOOL_DIR", settings[0].spool_dir or Path(tempfile.gettempdir()), "FAIL")
    for folder in {one.model_dir for one in settings if isinstance(one, EngineSettings)}:
        yield _check_folder("MODEL_DIR", folder, "FAIL")
        yield from check_own_models(folder)
    # Without these the servers still work: no background jobs are taken, no speech is kept.
    for one in settings:
        if isinstance(one, AsrSettings) and one.max_jobs:
            folder = one.jobs_dir.expanduser()
            yield _check_folder("ASR_JOBS_DIR", folder, "WARN")
            if unreadable := list(folder.glob(f"*{UNREADABLE}")):
                found = f"{len(unreadable)} jobs or databases that cannot be read: {folder}/*{UNREADABLE}"
                yield Check("WARN", "background jobs", found, "uploads are there, too; delete what nobody needs")
        if isinstance(one, AsrSettings) and one.speakers_dir:
            yield _check_people(one.speakers_dir.expanduser())
        if isinstance(one, TtsSettings) and one.cache_mb:
            yield _check_folder("TTS_CACHE_DIR", one.cache_dir, "WARN")
        if isinstance(one, ChatSettings):
            yield _check_folder("CHAT_DB", one.db.parent, "FAIL")
            if (aside := one.db.expanduser().with_name(one.db.name + UNREADABLE)).exists():
                found = f"a database that could not be read was put aside: {aside}"
                yield Check("WARN", "conversations", found, "mend it with `sqlite3 FILE .recover`, or delete it")


def _check_people(folder: Path) -> Check:
    check = _check_folder("ASR_SPEAKERS_DIR", folder, "WARN")
    if check.status != "OK":
        return check
    detail = f"{len(find_people(folder))} people are known by their voice, in {folder}"
    if os.name == "posix" and folder.is_dir() and folder.stat().st_mode & 0o077:
        return Check("WARN", check.name, f"{detail}, which others may read", f"chmod 700 {folder}")
    return Check("OK", check.name, detail)


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


_COLOURS = {"OK": "green", "WARN": "yellow", "FAIL": "red"}


def _all_checks() -> Iterator[Check]:
    servers = [(server, server.settings_class.read()) for server in SERVERS.values()]
    yield check_python()
    yield check_memory()
    servers = [(server, one) for server, one in servers if not server.missing_modules]
    settings = [one for _, one in servers]
    yield from check_extras(settings)
    yield check_encoders()
    for server, one in servers:
        if isinstance(one, EngineSettings):
            yield check_cpu(one)
            yield check_device(one)
            yield check_model(one, server.open_store(one))
            yield from check_providers(one)
        if isinstance(one, AsrSettings):
            yield check_speakers(one)
            yield from [check_language_model(one)] if one.llm_url else []
        if isinstance(one, TtsSettings):
            yield from check_object_stores(one)
        if isinstance(one, ChatSettings):
            yield from check_speech_servers(one)
            yield check_language_model(one)
        for port in (one.port, *one.further_ports):
            yield check_port(server, one, port)
        yield from check_access(one)
        yield from check_variables(one)
    yield from check_folders(settings)
    yield check_shared(settings[0])


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Look at everything the servers need; exit code 1 if something is missing."""
    rows = list(_all_checks())
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        _print_table(rows)
    ctx.exit(int(any(row.status == "FAIL" for row in rows)))


def _print_table(rows: list[Check]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "what", "found", "what mends it")
    for row in rows:
        table.add_row(Text(row.status, _COLOURS[row.status]), *map(Text, (row.name, row.detail, row.remedy)))
    Console().print(table)
