"""Who the voices of a recording are: turns put in order, speakers numbered, and named after known voices."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from voice_stack.asr.listening.decoding import decode_blocks, describe_source
from voice_stack.asr.request import AudioFile, KnownVoice, SpeakerTurn
from voice_stack.asr.speakers.base import SAMPLE_RATE, VoiceTurn
from voice_stack.asr.transcript import Speaker
from voice_stack.core.errors import InvalidAudioError, InvalidRequestError
from voice_stack.utils.audio.vad import FRAME, speech_probabilities

KeyT = TypeVar("KeyT")
SAME_VOICE = 0.5
"""Cosine from which two voices are one: 2 s of two people had 0.37 at most, 3 s and more of one 0.71 and more."""
MAX_KNOWN_S = 30.0
"""Longest recording of a known voice."""
MIN_SPEECH_S, SPEECH_PROBABILITY = 0.5, 0.5
"""Speech that such a recording holds at least, and what the voice detector must say of a frame of it."""


def read_known(known: KnownVoice, *, is_checked: bool = True) -> NDArray[np.float32]:
    """The sound of a known voice: mono float32 at 16 kHz.

    Args:
        known: Name and file.
        is_checked: Whether speech is looked for in it.

    Raises:
        InvalidRequestError: It cannot be read, is longer than 30 s, or holds no speech; the message says whose it is.
    """
    whose = f"the recording of known speaker {known.name!r}"
    source = describe_source(AudioFile(known.recording))
    try:
        blocks = list(decode_blocks(source, max_duration_s=MAX_KNOWN_S, warn=lambda _warnings: None))
    except InvalidAudioError as error:
        raise _refuse(f"{whose}: {error.message}") from None
    except OSError:
        raise _refuse(f"{whose} is gone") from None
    samples = np.concatenate(blocks)
    if is_checked:
        speech_s = float((speech_probabilities(samples) >= SPEECH_PROBABILITY).sum()) * FRAME / SAMPLE_RATE
        if speech_s < MIN_SPEECH_S:
            raise _refuse(f"{whose} holds no speech; 2 to 10 s of that voice alone are best")
    return samples


def _refuse(message: str) -> InvalidRequestError:
    return InvalidRequestError(message, param="known_speaker_references")


def tidy_turns(turns: Sequence[VoiceTurn], least_pause_s: float, least_turn_s: float) -> list[VoiceTurn]:
    """Turns without what is too short: pauses of one voice are closed first, then turns dropped, as pyannote does."""
    last, tidy = dict[int, int](), list[VoiceTurn]()
    for turn in sorted(turns, key=lambda turn: (turn.start_s, turn.end_s)):
        place = last.get(turn.voice)
        if place is not None and turn.start_s - tidy[place].end_s < least_pause_s:
            tidy[place] = replace(tidy[place], end_s=max(tidy[place].end_s, turn.end_s))
        else:
            last[turn.voice] = len(tidy)
            tidy.append(turn)
    return [turn for turn in tidy if turn.end_s - turn.start_s >= least_turn_s]


def name_turns(
    turns: Sequence[VoiceTurn], voices: NDArray[np.float32], known: Mapping[str, NDArray[np.float32]]
) -> tuple[SpeakerTurn, ...]:
    """Turns with their speakers, numbered in order of their first words; a name goes to one speaker at most.

    Args:
        turns: By time.
        voices: Their voices, of shape (voices, dimensions), each of length 1; without rows nobody gets a name.
        known: Name -> voice, of shape (dimensions,) and length 1.
    """
    numbers = {voice: number for number, voice in enumerate(dict.fromkeys(turn.voice for turn in turns))}
    named = match_voices([voice for voice in numbers if voice < len(voices)], voices, known)
    speakers = {voice: Speaker(number, *named.get(voice, ("", 0.0))) for voice, number in numbers.items()}
    return tuple(SpeakerTurn(turn.start_s, turn.end_s, speakers[turn.voice]) for turn in turns)


def match_voices(
    heard: Sequence[int],
    voices: NDArray[np.float32],
    known: Mapping[KeyT, NDArray[np.float32]],
    least: float = SAME_VOICE,
) -> dict[int, tuple[KeyT, float]]:
    """Voice -> name and likeness: the assignment that is most alike on the whole, as far as it is alike enough.

    Args:
        heard: Which rows of `voices` are meant.
        voices: Of shape (voices, dimensions), each of length 1.
        known: Name, or whatever it is known by -> voice, of shape (dimensions,) and length 1.
        least: Cosine from which two voices are one.
    """
    if not heard or not known:
        return {}
    names, wanted = list(known), np.stack(list(known.values()))
    likeness = voices[list(heard)] @ wanted.T
    # What is not alike enough must not push aside what is.
    rows, columns = linear_sum_assignment(np.where(likeness >= least, likeness, 0.0), maximize=True)
    return {
        heard[row]: (names[column], float(likeness[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if likeness[row, column] >= least
    }
