"""The language a text is written in, told by py3langid."""

import copy
import functools
import threading
from collections.abc import Collection, Sequence
from typing import Protocol

from voice_stack.utils.language import require_language


class _Identifier(Protocol):
    """What is used of py3langid's LanguageIdentifier."""

    @property
    def labels(self) -> list[str]: ...
    def set_languages(self, langs: Sequence[str]) -> None: ...
    def classify(self, text: str) -> tuple[str, float]: ...


_DETECTION_CHARS = 2000  # more text changes no answer and costs time
MIN_PROBABILITY = 1 / 3
_CHANCE_MARGIN = 1.2  # with two or three languages a third is what a coin gives
_NO_LANGUAGE = "zxx"  # the model's class for things that are not language; it also draws texts in none of the languages
_detection_lock = threading.Lock()


@functools.cache
def _load_model() -> _Identifier:
    from py3langid import langid

    model: _Identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    return model


@functools.lru_cache(maxsize=32)
def _load_identifier(among: frozenset[str]) -> tuple[_Identifier | None, dict[str, str]]:
    """An identifier for these languages only, and its labels mapped to the caller's spellings."""
    model = _load_model()
    spellings: dict[str, str] = {}
    for spelling in sorted(among):
        code = require_language(spelling, param="among").code
        spellings.setdefault("jv" if code == "jw" else code, spelling)
    spellings = {label: spelling for label, spelling in spellings.items() if label in model.labels}
    if not spellings:
        return None, spellings
    identifier = copy.copy(model)  # shares the large tables; set_languages replaces the small ones
    identifier.set_languages([*spellings, _NO_LANGUAGE])
    return identifier, spellings


def detect_text_language(text: str, among: Collection[str], min_probability: float = MIN_PROBABILITY) -> str | None:
    """Tell the language a text is written in.

    The first call loads a model (0.8 s, 60 MB): keep it off the event loop. Safe to call from many threads.

    Args:
        text: Any length; the first 2,000 characters count.
        among: Languages to choose from, spelled in any way `find_language` takes. Those the model has not learned
            (Tibetan, Hawaiian, Maori, Sindhi, Sundanese, Yiddish) are never the answer.
        min_probability: What the evidence must amount to, among these languages.

    Returns:
        The member of `among`, spelled as there, or None without evidence: no text, numbers, words many languages share.

    Raises:
        UnsupportedValueError: A member of `among` is no language.
    """
    with _detection_lock:
        identifier, spellings = _load_identifier(frozenset(among))
    if identifier is None:
        return None
    label, probability = identifier.classify(text[:_DETECTION_CHARS])
    floor = max(min_probability, _CHANCE_MARGIN / (len(spellings) + 1))
    return spellings.get(label) if probability >= floor else None
