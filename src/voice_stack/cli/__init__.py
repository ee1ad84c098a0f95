"""The command line: `voice-stack COMMAND`; each command is a module of its own."""

from importlib import import_module

import click

from voice_stack.cli.servers import SERVERS

_COMMANDS = {
    "up": "up",
    "status": "status",
    "transcribe": "transcribe",
    "archive": "archive",
    "listen": "listen",
    "speak": "speak",
    "models": "models",
    "tune": "tune",
    "voices": "voices",
    "speakers": "speakers",
    "finetune": "finetune",
    "keys": "keys",
    "doctor": "doctor",
    "settings": "settings_docs",
}
"""Command -> module of this package that defines it under the same name; the servers come before them."""


class LazyGroup(click.Group):
    """A group whose commands are imported when one is asked for: `up` need not wait for what `doctor` imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which people need them."""
        return [*SERVERS, *_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None if there is none."""
        if cmd_name in SERVERS:
            from voice_stack.cli.serve import server_command

            return server_command(SERVERS[cmd_name])
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(f"voice_stack.cli.{_COMMANDS[cmd_name]}"), cmd_name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="voice-stack", message="%(version)s")
def voice_stack() -> None:
    """OpenAI's audio API on your own machine: ASR on :5001, TTS on :5002, conversations on :5003."""
