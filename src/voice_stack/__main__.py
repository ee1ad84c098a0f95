"""`voice-stack` and `python -m voice_stack`.

Engine processes import this module again when they start, so nothing heavy is imported at its top.
"""

import importlib.util
import sys


def main() -> None:
    """Run the command line; what goes wrong is one line on stderr and exit code 1."""
    if not _is_installed("click") or not _is_installed("pydantic_settings"):
        _fail(
            "the servers are not installed, only the client is. Install them with: pip install 'voice-stack[embedded]'"
        )
    from voice_stack.cli import voice_stack
    from voice_stack.core.errors import VoiceStackError

    try:
        voice_stack(prog_name="voice-stack")
    except VoiceStackError as error:
        _fail(error.message)


def _is_installed(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None
    return importlib.util.find_spec(module) is not None


def _fail(message: str) -> None:
    sys.stderr.write(f"voice-stack: {' '.join(message.split())}\n")
    sys.exit(1)


if __name__ == "__main__":
    main()
