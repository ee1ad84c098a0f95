"""What every server reads, what servers with engines read besides, and how.

Sources, strongest first: command-line flags, environment, `.env` in the working folder, the defaults. Names without a
prefix (`LOG_LEVEL`) are for all servers; the others exist once per server, as `ASR_PORT` and `TTS_PORT`.
"""

from voice_stack.core.settings.access import (
    ENV_FILE,
    SHARED_SCHEMES,
    Address,
    CommaSeparated,
    NetworkList,
    PortList,
    user_folder,
)
from voice_stack.core.settings.base import (
    EngineSettings,
    LimitSettings,
    Patience,
    Preload,
    ProviderSettings,
    ServerSettings,
    unknown_variables,
)

__all__ = [
    "ENV_FILE",
    "SHARED_SCHEMES",
    "Address",
    "CommaSeparated",
    "EngineSettings",
    "LimitSettings",
    "NetworkList",
    "Patience",
    "PortList",
    "Preload",
    "ProviderSettings",
    "ServerSettings",
    "unknown_variables",
    "user_folder",
]
