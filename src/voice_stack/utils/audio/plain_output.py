"""Samples as they are, behind a WAV header or none."""

from voice_stack.utils.audio.exact_head import ExactHead
from voice_stack.utils.audio.pcm import Samples, to_int16, wav_header


class PlainOutput:
    """16-bit little-endian samples.

    Args:
        sample_rate: In Hz, for the header.
        announced: How many samples there will be, where that is known.
        has_header: Whether they follow a WAV header.
    """

    def __init__(self, sample_rate: int, announced: int | None, *, has_header: bool) -> None:
        self._sample_rate, self._announced = sample_rate, announced
        self._header = wav_header(announced, sample_rate) if has_header else b""
        self._header_bytes = len(self._header)
        self._written = 0

    def write(self, samples: Samples) -> bytes:
        """The bytes of 1-D float32 samples."""
        self._written += len(samples)
        header, self._header = self._header, b""
        return header + to_int16(samples).astype("<i2").tobytes()

    def finish(self) -> bytes:
        """Nothing is held back.

        Raises:
            ValueError: There were not as many samples as announced.
        """
        if self._announced not in {None, self._written}:
            raise ValueError(f"{self._written} samples at {self._sample_rate} Hz; {self._announced} were announced.")
        return b""

    @property
    def exact_head(self) -> ExactHead:
        """The header with the true length."""
        header = wav_header(self._written, self._sample_rate) if self._header_bytes else b""
        return ExactHead(self._header_bytes, header)

    def close(self) -> None:
        """Nothing is held."""
