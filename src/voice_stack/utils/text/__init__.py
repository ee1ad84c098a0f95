"""Text for speech synthesis: made plain, read out, then cut into sentences and clauses.

What needs only the standard library is here by name; `spoken` (numbers and the like in words) and `pipeline` (all of it
in one go, lazily; `stream`, in pieces) need the extra `tts` and are imported by their own names.
"""

from voice_stack.utils.text.clauses import (
    PARAGRAPH_PAUSE_S,
    SENTENCE_PAUSE_S,
    Clause,
    sentence_ends,
)
from voice_stack.utils.text.script import (
    Script,
    ScriptPart,
    hide_formulas,
    is_speakable,
    normalise,
    parse_script,
    read_script,
)

__all__ = [
    "PARAGRAPH_PAUSE_S",
    "SENTENCE_PAUSE_S",
    "Clause",
    "Script",
    "ScriptPart",
    "clauses",
    "hide_formulas",
    "is_speakable",
    "markup",
    "normalise",
    "parse_script",
    "pipeline",
    "pronunciation",
    "read_script",
    "script",
    "sentence_ends",
    "stream",
]
