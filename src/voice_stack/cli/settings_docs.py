"""`.env.example` and `docs/settings.md`, written from the settings classes, and `voice-stack settings`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click
from pydantic.fields import FieldInfo

from voice_stack.cli.servers import SERVERS
from voice_stack.core.settings import ServerSettings

_ENV_INTRO = """\
# Settings of Voice Stack. Copy this file to `.env`, take the `#` away and change what you need.
# Stronger than this file: the environment; stronger still: flags, as `voice-stack asr --port 5011`.
"""
_MARKDOWN_INTRO = """\
# Settings

Sources, strongest first: flags (`voice-stack asr --port 5011`), the environment, `.env` in the working folder, the
defaults below. A flag is the variable's name without the prefix `ASR_`, `TTS_` or `CHAT_`, in lower case, with hyphens.
A name that starts with one of these and is not listed here is warned about when the server starts; for names of earlier
versions the warning says what became of them.
"""
_MACHINE_DEFAULTS = {
    "api_keys_file": "~/.config/voice-stack/keys.json",
    "cache_dir": "~/.cache/voice-stack/speech",
    "db": "~/.local/state/voice-stack/chat/conversations.db",
    "jobs_dir": "~/.local/state/voice-stack/jobs",
    "model_dir": "~/.cache/voice-stack/models",
}
"""Defaults that depend on who asks, as they are written for everyone."""


@dataclass(frozen=True)
class Setting:
    """One setting as it is documented.

    Args:
        default: Its default as it would be written in the environment; empty for none.
    """

    variable: str
    default: str
    meaning: str


def _setting(settings_class: type[ServerSettings], field: str, info: FieldInfo) -> Setting:
    choices = [choice for choice in get_args(info.annotation) if isinstance(choice, str)]
    one_of = f" One of: {', '.join(choices)}." if choices else ""
    default = _MACHINE_DEFAULTS.get(field) or _format(info.get_default(call_default_factory=True, validated_data={}))
    return Setting(settings_class.env_name(field), default, f"{info.description}{one_of}")


def _format(value: object) -> str:
    if not value and isinstance(value, list | dict | None):
        return ""
    if isinstance(value, list):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Path):
        return value.as_posix()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def setting_groups() -> Iterator[tuple[str, list[Setting]]]:
    """Title and settings of each group: those that have one name for several servers, then each server's own."""
    classes = {server.title: server.settings_class for server in SERVERS.values()}
    named = {title: {field: cls.env_name(field) for field in cls.model_fields} for title, cls in classes.items()}
    uses = Counter(name for names in named.values() for name in names.values())
    shared = {
        name: _setting(classes[title], field, classes[title].model_fields[field])
        for title, names in named.items()
        for field, name in names.items()
        if uses[name] > 1
    }
    yield "All servers", list(shared.values())
    for title, names in named.items():
        fields = classes[title].model_fields
        yield title, [_setting(classes[title], field, fields[field]) for field in names if names[field] not in shared]


def env_example() -> str:
    """The text of `.env.example`: every setting with its meaning and default, all of it commented out."""
    lines = [_ENV_INTRO]
    for title, settings in setting_groups():
        lines.append(f"\n# --- {title} ---\n")
        lines += [f"# {s.meaning}\n# {s.variable}={_quote(s.default)}\n" for s in settings]
    return "\n".join(lines)


def _quote(value: str) -> str:
    return f'"{value}"' if " " in value else value


def settings_markdown() -> str:
    """The text of `docs/settings.md`: one table per group."""
    lines = [_MARKDOWN_INTRO]
    for title, settings in setting_groups():
        lines += [f"## {title}\n", "| Name | Default | Meaning |", "|---|---|---|"]
        lines += [f"| `{s.variable}` | {f'`{s.default}`' if s.default else 'empty'} | {s.meaning} |" for s in settings]
        lines.append("")
    return "\n".join(lines)


_FORMATS = {"env": env_example, "markdown": settings_markdown}


@click.command()
@click.option("--format", "text_format", type=click.Choice(list(_FORMATS)), default="env", show_default=True)
def settings(text_format: str) -> None:
    """Print every setting: as a file to copy to `.env`, or as tables."""
    click.echo(_FORMATS[text_format](), nl=False)
