"""Services of others that speak: their wires, and the work they do in place of an engine here."""

from voice_stack.tts.providers.choice import SpeakingConfig, open_wire
from voice_stack.tts.providers.wire import OfferedVoice, SpeechWire

__all__ = ["OfferedVoice", "SpeakingConfig", "SpeechWire", "open_wire"]
