"""Spanish, French, Hindi, Italian and Portuguese in Kokoro's phonemes by espeak-ng: GPL-3.0-or-later.

Imported where one of them is spoken, and nowhere else: without it the engine is free of the GPL.
"""

import logging
import re
import threading
from functools import lru_cache

import espeakng_loader
from phonemizer.backend import EspeakBackend
from phonemizer.backend.espeak.wrapper import EspeakWrapper

ESPEAK_VOICES = {"es": "es", "fr": "fr-fr", "hi": "hi", "it": "it", "pt": "pt-br"}
"""Language -> voice of espeak-ng."""

# The model pauses by these marks. One inside a word or number is part of it: espeak-ng reads "3.5", "10:30", "S.A.R.L".
_MARKS = re.compile(r"(\s*(?:[;!?¡¿—…\"«»“”(){}\[\]।॥]|[.,:](?![^\s;!?—…\"»”)}\].,:]))+\s*)")
_KNOWN_MARKS = str.maketrans({"«": "“", "»": "”", "।": ".", "॥": "."})

# Kokoro writes diphthongs and affricates as one letter. In order: a later row sees what the earlier ones made.
_SPELLINGS = (
    ("a͡ɪ", "I"), ("a͡ʊ", "W"), ("e͡ɪ", "A"), ("o͡ʊ", "O"), ("ə͡ʊ", "Q"), ("ɔ͡ɪ", "Y"), ("d͡z", "ʣ"), ("d͡ʒ", "ʤ"),
    ("t͡s", "ʦ"), ("t͡ʃ", "ʧ"), ("-", ""), ("͡", ""),
)  # fmt: skip

# espeak-ng speaks some words as one; that is no news.
_quiet_log = logging.getLogger("voice_stack.phonemizer")
_quiet_log.setLevel(logging.ERROR)


class EspeakPhonemizer:
    """espeak-ng as Kokoro needs it. Thread-safe: espeak-ng keeps one state per process, so one thread at a time."""

    def __init__(self) -> None:
        EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
        EspeakWrapper.set_library(espeakng_loader.get_library_path())
        self._backend = lru_cache(maxsize=None)(_open_backend)
        self._lock = threading.Lock()

    def phonemize(self, texts: list[str], language: str) -> list[str]:
        """The phonemes of each text, with its marks.

        Args:
            texts: What is spoken.
            language: One of `ESPEAK_VOICES`.
        """
        # Words and marks take turns; espeak-ng gets the words of each stretch between two marks.
        pieces = [_MARKS.split(text) for text in texts]
        stretches = [piece for parts in pieces for piece in parts[::2] if piece.strip()]
        with self._lock:
            spoken = iter(self._backend(ESPEAK_VOICES[language]).phonemize(stretches, strip=True))
        for parts in pieces:
            parts[::2] = [next(spoken) if piece.strip() else piece for piece in parts[::2]]
        return [_respell("".join(parts)) for parts in pieces]


def _respell(phonemes: str) -> str:
    phonemes = phonemes.translate(_KNOWN_MARKS)
    for old, new in _SPELLINGS:
        phonemes = phonemes.replace(old, new)
    return phonemes


def _open_backend(espeak_voice: str) -> EspeakBackend:
    return EspeakBackend(
        # No mark is left for the library to find: it would cut "3.5" in two.
        espeak_voice, punctuation_marks="\0", with_stress=True, tie=True, language_switch="remove-flags",
        logger=_quiet_log,
    )  # fmt: skip
