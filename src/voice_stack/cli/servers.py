"""The servers of the house: a further one is a further row here, and every command knows it."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from voice_stack.core.models.files import Catalogue
    from voice_stack.core.models.store import ModelStore
    from voice_stack.core.settings import EngineSettings, ServerSettings


@dataclass(frozen=True, slots=True)
class Server:
    """A server; nothing of it is imported before it is asked for.

    Attributes:
        name: Its command, its extra, what `/health` says, and the scope of its keys; in capitals, the prefix of its
            settings.
        title: How people are told about it.
        package: Where it is: `app` makes its application; where its settings are `EngineSettings`, `engine_factory`
            opens its models and `models` lists them.
        settings: Class of its settings, in the module `settings`; it has the port.
        example: What `curl` is to ask below the API's prefix, to try it.
        modules: What its extra brings, beside what all servers need.
        asks: Servers that it sends work to; `NAME_url` is the setting with the address of each.
    """

    name: str
    title: str
    package: str
    settings: str
    example: str
    modules: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()

    @property
    def missing_modules(self) -> list[str]:
        """Those that are not installed."""
        return [module for module in self.modules if find_spec(module) is None]

    @property
    def settings_class(self) -> "type[ServerSettings]":
        """The class of its settings."""
        found: type[ServerSettings] = resolve_name(f"{self.package}.settings:{self.settings}")
        return found

    def create_app(self, settings: "ServerSettings") -> "FastAPI":
        """Its application; see its `create_app`."""
        app: FastAPI = import_module(f"{self.package}.app").create_app(settings)
        return app

    def open_store(self, settings: "EngineSettings") -> "ModelStore":
        """The models of its engine."""
        store: ModelStore = import_module(f"{self.package}.engine_factory").open_store(settings)
        return store

    def list_catalogue(self, engine: str) -> "Catalogue":
        """The models of all its engines, those of one first."""
        catalogue: Catalogue = import_module(f"{self.package}.models").list_catalogue(engine)
        return catalogue

    @property
    def default_model_names(self) -> tuple[str, ...]:
        """Names of OpenAI's that mean its default model."""
        names: tuple[str, ...] = import_module(f"{self.package}.models").DEFAULT_MODEL_NAMES
        return names


_SPEECH = """-H 'Content-Type: application/json' -d '{"model": "tts-1", "voice": "alloy", "input": "Hello!"}'"""
SERVERS = {
    server.name: server
    for server in (
        Server(
            name="asr",
            title="ASR server",
            package="voice_stack.asr",
            settings="AsrSettings",
            example="audio/transcriptions -F file=@speech.mp3 -F model=whisper-1",
            modules=("ctranslate2", "faster_whisper", "onnxruntime"),
        ),
        Server(
            name="tts",
            title="TTS server",
            package="voice_stack.tts",
            settings="TtsSettings",
            example=f"audio/speech {_SPEECH} -o speech.mp3",
            modules=("av", "babel", "lameenc", "py3langid", "soxr", "unicode_rbnf"),
        ),
        Server(
            name="chat",
            title="Voice server",
            package="voice_stack.chat",
            settings="ChatSettings",
            example="models",
            modules=("aiosqlite", "lameenc", "soxr"),
            asks=("asr", "tts"),
        ),
    )
}
"""By name, in the order of their ports."""
