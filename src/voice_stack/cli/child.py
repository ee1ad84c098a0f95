"""A server as a child process of a command."""

import subprocess
from dataclasses import dataclass

from voice_stack.core.settings import CoreSettings


@dataclass(frozen=True)
class Child:
    """One server as a child process.

    Args:
        server: `asr` or `tts`.
        settings: What the server reads, too.
        process: Its process; it ends when the pipe to its standard input is closed.
    """

    server: str
    settings: CoreSettings
    process: subprocess.Popen[bytes]

    @property
    def name(self) -> str:
        """How people are told about it."""
        return f"{self.server.upper()} server"
