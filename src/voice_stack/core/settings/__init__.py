"""Settings that both servers share, one module for each concern, and how all settings are read.

Sources, strongest first: command-line flags, environment, `.env` in the working folder, the defaults. Names without a
prefix (`LOG_LEVEL`) are for both servers; the others exist once per server, as `ASR_PORT` and `TTS_PORT`.
"""

from voice_stack.core.settings.access import ENV_FILE, CommaSeparated, NetworkList
from voice_stack.core.settings.base import CoreSettings, LimitSettings, Patience, unknown_variables

__all__ = [
    "ENV_FILE",
    "CommaSeparated",
    "CoreSettings",
    "LimitSettings",
    "NetworkList",
    "Patience",
    "unknown_variables",
]
