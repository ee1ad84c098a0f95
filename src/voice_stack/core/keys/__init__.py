"""API keys: what is kept of each, the file they stand in, and who knows them all.

A server asks for no key until there is one: in `API_KEYS`, or in the file that `voice-stack keys` writes.
"""

from voice_stack.core.keys.file import KeyFile
from voice_stack.core.keys.named_key import SCOPES, NamedKey, Scope, hash_key, make_key, mask_key
from voice_stack.core.keys.ring import KeyRing

__all__ = ["SCOPES", "KeyFile", "KeyRing", "NamedKey", "Scope", "hash_key", "make_key", "mask_key"]
