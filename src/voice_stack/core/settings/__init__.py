"""Settings that both servers share, one module for each concern, and how all settings are read.

Sources, strongest first: command-line flags, environment, `.env` in the working folder, the defaults. Names without a
prefix (`LOG_LEVEL`) are for both servers; the others exist once per server, as `ASR_PORT` and `TTS_PORT`.
"""

from voice_stack.core.settings.access import NetworkList
from voice_stack.core.settings.common import CoreSettings
from voice_stack.core.settings.fields import CommaSeparated
from voice_stack.core.settings.unknown import unknown_variables

__all__ = ["CommaSeparated", "CoreSettings", "NetworkList", "unknown_variables"]
