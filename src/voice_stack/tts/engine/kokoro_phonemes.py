"""Text to phonemes in the alphabet that Kokoro has learned."""

import logging
import re
import threading

from kokoro_onnx.tokenizer import Tokenizer
from phonemizer.backend import EspeakBackend

ESPEAK_VOICES = {"en": "en-us", "es": "es", "fr": "fr-fr", "hi": "hi", "it": "it", "pt": "pt-br"}
"""Language -> voice of espeak-ng; British voices take `en-gb`."""

# The model pauses by these marks. One inside a word or number is part of it: espeak-ng reads "3.5", "10:30", "U.S.A".
_MARKS = re.compile(r"(\s*(?:[;!?¡¿—…\"«»“”(){}\[\]।॥]|[.,:](?![^\s;!?—…\"»”)}\].,:]))+\s*)")
_KNOWN_MARKS = str.maketrans({"«": "“", "»": "”", "।": ".", "॥": "."})
_TIE = "͡"

# espeak-ng speaks some words as one; that is no news.
_quiet_log = logging.getLogger("voice_stack.phonemizer")
_quiet_log.setLevel(logging.ERROR)

# Kokoro writes diphthongs and affricates as one letter, and American English without length marks
# (https://github.com/hexgrad/misaki/blob/main/EN_PHONES.md). In order: a later row sees what the earlier ones made.
_LIGATURES = (
    ("a͡ɪ", "I"), ("a͡ʊ", "W"), ("e͡ɪ", "A"), ("o͡ʊ", "O"), ("ə͡ʊ", "Q"), ("ɔ͡ɪ", "Y"), ("d͡z", "ʣ"), ("d͡ʒ", "ʤ"),
    ("t͡s", "ʦ"), ("t͡ʃ", "ʧ"), ("-", ""),
)  # fmt: skip
_ENGLISH = (("ʲ", ""), ("ɚ", "əɹ"), ("ɐ", "ə"), ("r", "ɹ"), ("x", "k"), ("ç", "k"), ("ɬ", "l"), ("ə͡l", "ᵊl"))
_AMERICAN = (("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɪ͡ə", "i͡ə"), ("ː", ""), ("ɾ", "T"), ("ʔ", "t"))
_BRITISH = (("e͡ə", "ɛː"), ("i͡ə", "ɪ͡ə"))
_SPELLINGS = {
    "en-us": (*_LIGATURES, *_ENGLISH, *_AMERICAN, (_TIE, "")),
    "en-gb": (*_LIGATURES, *_ENGLISH, *_BRITISH, (_TIE, "")),
}
_OTHER_SPELLINGS = (*_LIGATURES, (_TIE, ""))


class Phonemizer:
    """espeak-ng as Kokoro needs it. Thread-safe: espeak-ng keeps one state per process, so one thread at a time."""

    def __init__(self) -> None:
        self.tokenizer = Tokenizer()  # it also finds espeak-ng's library
        self._backends: dict[str, EspeakBackend] = {}
        self._lock = threading.Lock()

    def phonemize(self, texts: list[str], espeak_voice: str) -> list[str]:
        """Phonemes of each text, only such as the model knows, words parted by one space.

        Args:
            texts: What is spoken.
            espeak_voice: One of `ESPEAK_VOICES`' or `en-gb`.
        """
        # Words and marks take turns; espeak-ng gets the words of each stretch between two marks.
        pieces = [_MARKS.split(text) for text in texts]
        stretches = [piece for parts in pieces for piece in parts[::2] if piece.strip()]
        with self._lock:
            spoken = iter(self._backend(espeak_voice).phonemize(stretches, strip=True))
        for parts in pieces:
            parts[::2] = [next(spoken) if piece.strip() else piece for piece in parts[::2]]
        return [self._respell("".join(parts), espeak_voice) for parts in pieces]

    def _backend(self, espeak_voice: str) -> EspeakBackend:
        if espeak_voice not in self._backends:
            self._backends[espeak_voice] = EspeakBackend(
                # No mark is left for the library to find: it would cut "3.5" in two.
                espeak_voice, punctuation_marks="\0", with_stress=True, tie=True, language_switch="remove-flags",
                logger=_quiet_log,
            )  # fmt: skip
        return self._backends[espeak_voice]

    def _respell(self, phonemes: str, espeak_voice: str) -> str:
        phonemes = phonemes.translate(_KNOWN_MARKS)
        for old, new in _SPELLINGS.get(espeak_voice, _OTHER_SPELLINGS):
            phonemes = phonemes.replace(old, new)
        return " ".join(self.tokenizer.known(phonemes).split())
