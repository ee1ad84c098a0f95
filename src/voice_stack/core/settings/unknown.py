"""Variables that look like settings and are none: warned about at start, with the name that was meant."""

import difflib
import os
from collections.abc import Iterable, Mapping

from dotenv import dotenv_values

from voice_stack.core.settings.fields import ENV_FILE

_NEAR = 0.75  # likeness from which a name is taken for a misspelling; 1 is the same


def unknown_variables(known: Iterable[str], prefix: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """Warnings for variables that look like ours and are not.

    Args:
        known: Every variable of the server.
        prefix: `ASR_` or `TTS_`.
        environment: Variables to look at; default the process environment and `.env`.

    Returns:
        One line per unknown variable: with the name that was meant, if one is near; else where all are listed.
    """
    if environment is None:
        environment = {**{k: v or "" for k, v in dotenv_values(ENV_FILE).items()}, **os.environ}
    # Without the prefix, which makes every name look like every other.
    names = {name.removeprefix(prefix): name for name in sorted(known)}
    unknown = [v for v in sorted(environment) if v.upper().startswith(prefix) and v.upper() not in names.values()]
    return [f"unknown setting {variable}: {_advise(variable, names, prefix)}" for variable in unknown]


def _advise(variable: str, names: Mapping[str, str], prefix: str) -> str:
    near = difflib.get_close_matches(variable.upper().removeprefix(prefix), names, n=1, cutoff=_NEAR)
    if near:
        return f"did you mean {names[near[0]]}?"
    return f"`voice-stack {prefix.rstrip('_').lower()} --help` lists all"
