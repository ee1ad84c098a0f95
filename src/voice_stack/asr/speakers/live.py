"""The plan of a live diarization: sound as it comes -> who speaks, under numbers and names that stay.

A recording is followed for a few minutes, then another one that began before its end: what it takes to tell voices
apart grows with the square of the length. What was heard is kept as what the voices are like, and so a voice has one
number over hours, and in the next process after one that died.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.listening.live_sound import LiveSoundReader
from voice_stack.asr.live.turns import (
    Change,
    LiveDiarization,
    LiveSound,
    SessionVoice,
    SoundFormat,
    SpeakersMark,
    TurnSpeakers,
    WhoSpoke,
)
from voice_stack.asr.request import SpeakerChoice, SpeakerTurn
from voice_stack.asr.speakers.base import SAMPLE_RATE, Diarized, Recording, SpeakerEngine
from voice_stack.asr.speakers.naming import match_voices
from voice_stack.asr.transcript import Speaker
from voice_stack.core.feeds import Inbox, Settled, Starved
from voice_stack.core.jobs import Job, PlanStep, Unit

Samples = NDArray[np.float32]

FOLLOWED_S, SHARED_S = 180.0, 60.0
"""How long a recording is followed, and how long the next one as well."""
PIECE_S = 1.0
"""So much sound is heard at once, unless somebody asks."""
SETTLE_S, KEPT_S = 30.0, 30.0
"""How often what came before is settled, but for the last seconds, which another process would hear again."""
ASKED_COST_S = 1.0
SAME_SPEAKER = 0.4
"""Cosine from which a voice is one that was heard before in this session: there are few, and one is likely."""
NEW_S = 0.8
"""Less speech makes nobody new: it is of the voice most like it."""
BESIDE_S = 1.0
"""Turns so near to what is asked for are told: a word outside all of them goes to the nearest."""


class LiveVoices:
    """One live diarization in the speaker process.

    Args:
        job: With a `LiveDiarization`, for an engine that knows voices.
        fed: The sound, and what is asked.
    """

    def __init__(self, job: Job, fed: Inbox) -> None:
        assert isinstance(job.request, LiveDiarization)
        mark = job.mark if isinstance(job.mark, SpeakersMark) else SpeakersMark(0, job.request.sound)
        self._job_id, self._fed = job.id, fed
        self._reader, self._sound = LiveSoundReader(mark.sound), mark.sound
        self._taken = self._settled = self._heard = mark.samples
        self._starts: deque[tuple[int, int, SoundFormat]] = deque()
        self._followed: list[tuple[int, Recording]] = []
        self._voices = self._marked = mark.voices

    def steps(self, make_unit: Callable[[object, float], Unit]) -> Iterator[PlanStep]:
        """The plan; it ends when the input does."""
        waiting = list[Samples]()
        while True:
            for piece in self._fed.take():
                waiting.append(self._read(piece))
                size = sum(part.size for part in waiting)
                if size and (isinstance(piece, WhoSpoke) or size >= PIECE_S * SAMPLE_RATE):
                    yield make_unit(np.concatenate(waiting), size / SAMPLE_RATE)
                    waiting.clear()
                if isinstance(piece, WhoSpoke):
                    yield make_unit(piece, ASKED_COST_S)
            if self._fed.is_closed and not self._fed:
                return
            yield from self._settle()
            yield Starved(self._job_id, self._fed.taken)

    def _read(self, piece: object) -> Samples:
        samples = np.zeros(0, np.float32)
        match piece:
            case LiveSound(data):
                self._starts.append((self._fed.taken - 1, self._taken, self._sound))
                samples = self._reader.push(data)
            case Change(request) if request.sound != self._sound:
                samples = self._reader.flush()
                self._reader, self._sound = LiveSoundReader(request.sound), request.sound
        self._taken += samples.size
        return samples

    def _settle(self) -> Iterator[PlanStep]:
        is_far = self._taken - self._settled >= (SETTLE_S + KEPT_S) * SAMPLE_RATE
        voices = self._voices
        if not self._starts or (voices == self._marked and not is_far):
            return
        while is_far and len(self._starts) > 1 and self._starts[1][1] <= self._taken - KEPT_S * SAMPLE_RATE:
            self._starts.popleft()
        feed, self._settled, sound = self._starts[0]
        self._marked = voices  # the letters of who was told are those of the next process, too
        yield Settled(self._job_id, feed, SpeakersMark(self._settled, sound, voices))

    def hear(self, samples: Samples, engine: SpeakerEngine) -> None:
        """Hear more of the session."""
        age = self._heard - self._followed[0][0] if self._followed else 0
        if len(self._followed) < 1 + (age >= (FOLLOWED_S - SHARED_S) * SAMPLE_RATE):
            self._followed.append((self._heard, engine.open()))
        if age >= FOLLOWED_S * SAMPLE_RATE:
            del self._followed[0]
        for _, recording in self._followed:
            recording.add(samples)
        self._heard += samples.size

    def tell(self, asked: WhoSpoke, known: Mapping[str, Samples]) -> TurnSpeakers:
        """Who spoke in some seconds.

        Args:
            asked: From when to when.
            known: Name -> voice, of length 1.
        """
        if not self._followed:
            return TurnSpeakers(asked.item_id, ())
        start, recording = self._followed[0]
        found = recording.diarize(SpeakerChoice())
        numbers = self._number(found)
        self._name(known)
        before_s, turns = start / SAMPLE_RATE, list[SpeakerTurn]()
        for turn in found.turns:
            start_s, end_s = turn.start_s + before_s, turn.end_s + before_s
            if end_s > asked.start_s - BESIDE_S and start_s < asked.end_s + BESIDE_S:
                turns.append(SpeakerTurn(start_s, end_s, self._speaker(numbers[turn.voice])))
        return TurnSpeakers(asked.item_id, tuple(turns))

    def _number(self, found: Diarized) -> dict[int, int]:
        """The number in the session of each voice that was found."""
        spoken_s = dict[int, float]()
        for turn in found.turns:
            spoken_s[turn.voice] = spoken_s.get(turn.voice, 0.0) + turn.end_s - turn.start_s
        heard = dict(enumerate(self._vectors))
        alike = match_voices(list(spoken_s), found.voices, heard, SAME_SPEAKER)
        numbers, voices = {row: place for row, (place, _) in alike.items()}, list(self._voices)
        for row, seconds in spoken_s.items():
            vector = tuple(found.voices[row].tolist())
            if row not in numbers and seconds < NEW_S and heard:
                numbers[row] = max(heard, key=lambda number: float(heard[number] @ found.voices[row]))
            elif row not in numbers:
                numbers[row] = len(voices)
                voices.append(SessionVoice(vector, seconds))
            elif seconds >= voices[numbers[row]].speech_s:
                voices[numbers[row]] = replace(voices[numbers[row]], vector=vector, speech_s=seconds)
        self._voices = tuple(voices)
        return numbers

    def _name(self, known: Mapping[str, Samples]) -> None:
        """Give names to those who have none; whoever has one keeps it."""
        taken, voices = {voice.name for voice in self._voices}, list(self._voices)
        unnamed = [number for number, voice in enumerate(voices) if not voice.name]
        vectors = self._vectors
        free = {name: voice for name, voice in known.items() if name not in taken and voice.shape == vectors.shape[1:]}
        for number, (name, score) in match_voices(unnamed, vectors, free).items():
            voices[number] = replace(voices[number], name=name, score=score)
        self._voices = tuple(voices)

    @property
    def _vectors(self) -> Samples:
        return np.array([voice.vector for voice in self._voices], np.float32)

    def _speaker(self, number: int) -> Speaker:
        return Speaker(number, self._voices[number].name, self._voices[number].score)
