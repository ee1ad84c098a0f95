"""What a server's settings leave open, told when it starts."""

from collections.abc import Iterator

from voice_stack.core.access.host_names import HostName
from voice_stack.core.keys import KeyFile
from voice_stack.core.settings import CoreSettings


def is_loopback(settings: CoreSettings) -> bool:
    """Whether only programs of this machine can reach the server by its address."""
    host = HostName.parse(settings.host if ":" not in settings.host else f"[{settings.host}]")
    return settings.socket is None and host is not None and host.is_this_machine


def has_keys(settings: CoreSettings) -> bool:
    """Whether requests need a key; see `KeyRing`.

    Raises:
        ConfigurationError: The file of keys cannot be looked at.
    """
    return bool(settings.api_keys) or KeyFile(settings.api_keys_file).signature() is not None


def exposure_warnings(settings: CoreSettings, is_locked: bool) -> Iterator[str]:
    """One sentence for each thing that is probably not meant.

    Args:
        settings: Of the server.
        is_locked: Whether requests need a key.
    """
    if not is_locked and settings.socket is None and not is_loopback(settings):
        yield (
            f"{settings.env_name('host')}={settings.host} and no key: everyone who reaches port {settings.port} may "
            "use this server. To ask for keys: voice-stack keys create NAME, or set API_KEYS"
        )
    if not is_locked and "*" in settings.cors_origins:
        yield "CORS_ORIGINS=* and no key: every web page that somebody here opens may use this server"
