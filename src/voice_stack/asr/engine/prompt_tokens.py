"""What a Whisper model is told before it hears a window."""

from typing import Protocol

from voice_stack.asr.engine.base import DecodeOptions


class TextEncoder(Protocol):
    """What is used of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""


def previous_tokens(tokenizer: TextEncoder, options: DecodeOptions, room: int) -> list[int]:
    """The tokens that stand for the text before the window: hotwords first, then the prompt.

    Both share one place, half of the model's text. Hotwords keep their beginning, at most half of the room where a
    prompt needs the other; the prompt keeps its end, which is nearest to what is heard.

    Args:
        tokenizer: Of the model.
        options: Hotwords and prompt; either may be absent or blank.
        room: Most tokens in all.
    """
    hotwords = _encode(tokenizer, options.hotwords)
    prompt = _encode(tokenizer, options.prompt)
    hotwords = hotwords[: max(room // 2, room - len(prompt))]
    left = room - len(hotwords)
    return hotwords + prompt[max(0, len(prompt) - left) :]


def _encode(tokenizer: TextEncoder, text: str | None) -> list[int]:
    return tokenizer.encode(f" {text.strip()}") if text and text.strip() else []
