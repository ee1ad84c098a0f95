"""What a file may ask of the decoder: a small one can claim a year, hold terabytes of silence, have 1000 tracks.

Memory never depends on the length; these bounds keep the time within reason.
"""

import time

from voice_stack.core.errors import InvalidAudioError
from voice_stack.utils.audio.sources import invalid_audio

MAX_CHANNELS = 24
"""As many as a 22.2 sound has; FFmpeg knows no way to mix more into one."""
SAMPLE_RATES = range(1_000, 768_001)
"""Outside this range a header lies, and the resampler's filter would need gigabytes."""
MAX_VALUES_PER_S = 8 * 768_000
"""Channels times sample rate: 8 channels at the highest rate, 24 at 192 kHz."""
MAX_STREAMS = 400
"""A Blu-ray has some 60 tracks with its subtitles; each decoder takes up to 1 MB."""
PROBE_BYTES, PROBE_S = 32 << 20, 30
"""Sound that begins after so much of a file without an index, as MPEG-TS has none, is not found."""
MAX_ALLOCATION = 128 << 20
"""Bytes that FFmpeg may ask for at once: a day of film has an index of some 100 MiB, and all else is smaller."""
MAX_CHANGES_PER_S, CHANGES_AT_ONCE = 10, 20
"""Changes of sample rate or channels: each needs a new resampler, which costs up to 30 ms."""
STALL_S = 120.0
"""So long a file may be read without one sample of sound: a gigabyte from a slow disk takes a minute."""


def check_shape(sample_rate: int, channels: int) -> None:
    """Do nothing for sound that a recording can have.

    Raises:
        InvalidAudioError: No recording has such a sample rate or so many channels.
    """
    if sample_rate not in SAMPLE_RATES:
        limits = f"{SAMPLE_RATES.start} to {SAMPLE_RATES.stop - 1} Hz"
        raise invalid_audio(f"its sample rate is {sample_rate} Hz; possible are {limits}")
    if channels > MAX_CHANNELS:
        raise invalid_audio(f"it has {channels} channels; at most {MAX_CHANNELS} are possible")
    if channels * sample_rate > MAX_VALUES_PER_S:
        raise invalid_audio(
            f"it has {channels} channels at {sample_rate} Hz, {channels * sample_rate} samples each second; at most "
            f"{MAX_VALUES_PER_S} are possible"
        )


def check_changes(changes: int, sound_s: float) -> None:
    """Do nothing where sound changes its rate or channels as often as a recording may.

    Args:
        changes: So far.
        sound_s: How much sound there was, in seconds.

    Raises:
        InvalidAudioError: It changes all the time.
    """
    if changes > CHANGES_AT_ONCE + MAX_CHANGES_PER_S * sound_s:
        raise invalid_audio(
            f"its sample rate or channels change {changes} times in {sound_s:.1f} s; at most {MAX_CHANGES_PER_S} "
            "changes each second are possible"
        )


def audio_too_long(limit_s: float) -> InvalidAudioError:
    """The refusal of a file that is longer than it may be."""
    return InvalidAudioError(f"The audio is longer than the limit of {limit_s:g} seconds.", code="audio_too_long")


class StallWatch:
    """Ends the reading of a file in which no sound is found."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def restart(self) -> None:
        """There was sound."""
        self._since = time.monotonic()

    def check(self) -> None:
        """Do nothing while there is hope.

        Raises:
            InvalidAudioError: For two minutes there was no sound.
        """
        if time.monotonic() - self._since > STALL_S:
            raise invalid_audio(f"no sound was found in it for {STALL_S:g} s")
