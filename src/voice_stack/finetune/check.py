"""What is wrong with clips before hours go into them: what is left out, what to look at, what is kept back."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from voice_stack.core.errors import InvalidRequestError, VoiceStackError
from voice_stack.finetune.clips import MAX_CLIP_S, Clip, Split, read_sounds, split_clips
from voice_stack.finetune.folders import FoundClips
from voice_stack.utils.audio.pcm import Samples
from voice_stack.utils.audio.quality import judge, measure
from voice_stack.utils.audio.vad import SAMPLE_RATE

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Kind = Literal["asr", "tts"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a clip may be.

    Attributes:
        min_s: Shortest clip, in seconds.
        max_s: Longest one.
        usual_s: Shorter ones work, but not as well as these.
        max_chars: Longest text.
        flaws: Codes of `quality.judge` that are worth a word though the clip is used.
        enough_s: Sound that all clips together should have.
    """

    min_s: float
    max_s: float
    usual_s: float
    max_chars: int
    flaws: frozenset[str]
    enough_s: float


LIMITS: dict[Kind, Limits] = {
    # A model that hears learns from poor sound, too: it will meet some. Its text has 448 tokens with its times.
    "asr": Limits(0.3, MAX_CLIP_S, 1.0, 1000, frozenset({"clipped"}), 60.0),
    # What XTTS takes; a voice is made of these clips alone, and has all their faults.
    "tts": Limits(1.0, 11.6, 2.0, 200, frozenset({"clipped", "noisy", "narrow", "quiet", "sparse"}), 180.0),
}
FEW_CLIPS = 10
MAX_TEXT_TOKENS = 400
HASTY_CHARS_PER_S, SLOW_CHARS_PER_S = 30.0, 2.0
"""Nobody reads faster or slower: the text is another clip's, or a part of it is missing."""
SLOW_FROM_S = 5.0
ODD_FROM_TOKENS, ODD_CHARS_PER_TOKEN = 4, 2.0
MANY_ODD = 1 / 3
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_CONTROL = re.compile(r"<\|[^|]*\|>")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the clips.

    Attributes:
        message: What, and what follows from it.
        places: Which clips, or words.
        is_left_out: They are not used.
    """

    message: str
    places: tuple[str, ...]
    is_left_out: bool


@dataclass(frozen=True, slots=True)
class HeardClip:
    """A clip that can be used, its length, and what tells its sound from others."""

    clip: Clip
    duration_s: float
    digest: str


@dataclass(slots=True)
class CheckedClips:
    """The clips of one folder.

    Attributes:
        heard: Those that can be used.
        speech_s: Speech in them, in seconds.
        findings: What is left out, and what to look at.
    """

    heard: list[HeardClip] = field(default_factory=list)
    speech_s: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    @property
    def clips(self) -> list[Clip]:
        """Those that can be used."""
        return [one.clip for one in self.heard]

    @property
    def duration_s(self) -> float:
        """Of all of them."""
        return sum(one.duration_s for one in self.heard)

    @property
    def words(self) -> Counter[str]:
        """How often each word is said."""
        return Counter(word for one in self.heard for word in _WORD.findall(one.clip.text.lower()))


class _Notes:
    """Places by what is wrong there."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, bool], list[str]] = defaultdict(list)

    def drop(self, place: str, message: str) -> None:
        self._places[message, True].append(place)

    def look_at(self, place: str, message: str) -> None:
        self._places[message, False].append(place)

    def findings(self) -> list[Finding]:
        """What is left out first, the commonest first."""
        ranked = sorted(self._places.items(), key=lambda one: (not one[0][1], -len(one[1])))
        return [Finding(message, tuple(places), is_left_out) for (message, is_left_out), places in ranked]


def check_clips(
    found: FoundClips, kind: Kind, tokenizer: "Tokenizer | None", tell: Callable[[int, int], None]
) -> CheckedClips:
    """Listen to all clips and read their texts.

    Args:
        found: The clips of a folder.
        kind: What they are for.
        tokenizer: Of the model that is to learn; None: how it splits the texts is not looked at.
        tell: Told how many clips are done, and how many there are.
    """
    checked, notes = CheckedClips(), _Notes()
    for one in found.left_out:
        notes.drop(one.place, one.reason)
    limits, seen = LIMITS[kind], dict[str, Clip]()
    for number, (clip, sound) in enumerate(_listen(found.clips), start=1):
        if examined := _examine(clip, sound, limits, tokenizer, notes):
            heard, speech_s = examined
            first = seen.setdefault(heard.digest, clip)
            if first is clip:
                checked.heard.append(heard)
                checked.speech_s += speech_s
            else:
                same = (
                    "sound and text as another clip"
                    if first.text == clip.text
                    else "sound as another clip, with another text"
                )
                notes.drop(clip.place, f"the same {same}")
        tell(number, len(found.clips))
    order = {clip: number for number, clip in enumerate(found.clips)}
    checked.heard.sort(key=lambda one: order[one.clip])
    _look_at_texts(checked, tokenizer, notes)
    if len(checked.heard) < FEW_CLIPS or checked.duration_s < limits.enough_s:
        notes.look_at(f"{len(checked.heard)} clips, {checked.duration_s:.0f} s", "little to learn from")
    checked.findings = notes.findings()
    return checked


def _listen(clips: Iterable[Clip]) -> Iterator[tuple[Clip, Samples | str]]:
    """Each clip with its sound, or with what keeps its file from being heard."""
    for _, of_file in groupby(sorted(clips, key=lambda clip: clip.path), key=lambda clip: clip.path):
        waiting, done = list(of_file), set[Clip]()
        try:
            for clip, samples in read_sounds(waiting):
                done.add(clip)
                yield clip, samples
        except (VoiceStackError, OSError) as error:
            reason = error.message if isinstance(error, VoiceStackError) else f"it cannot be read: {error.strerror}"
            yield from ((clip, reason) for clip in waiting if clip not in done)


def _examine(
    clip: Clip, sound: Samples | str, limits: Limits, tokenizer: "Tokenizer | None", notes: _Notes
) -> tuple[HeardClip, float] | None:
    """The clip and the seconds of speech in it; None where it cannot be used."""
    problem = sound if isinstance(sound, str) else _find_problem(clip, sound.size / SAMPLE_RATE, limits, tokenizer)
    if problem is not None:
        notes.drop(clip.place, problem)
        return None
    assert not isinstance(sound, str)
    figures = measure(sound)
    findings = judge(figures, needed_s=0.0)
    if refusal := next((one for one in findings if one.code in {"silent", "no_speech"}), None):
        notes.drop(clip.place, "silent" if refusal.code == "silent" else "no speech in it")
        return None
    for one in findings:
        if one.code in limits.flaws:
            notes.look_at(clip.place, _FLAWS[one.code])
    if figures.duration_s < limits.usual_s:
        notes.look_at(clip.place, f"shorter than {limits.usual_s:g} s: little is learned from it")
    pace = len(clip.text) / figures.speech_s
    if pace > HASTY_CHARS_PER_S or (pace < SLOW_CHARS_PER_S and figures.speech_s > SLOW_FROM_S):
        notes.look_at(clip.place, f"too {'much' if pace > 10 else 'little'} text for its speech: is it that clip's?")
    digest = hashlib.sha256(sound.tobytes()).hexdigest()
    return HeardClip(clip, figures.duration_s, digest), figures.speech_s


_FLAWS = {
    "clipped": "clipped: recorded too loud",
    "noisy": "noisy",
    "narrow": "muffled, as through a telephone",
    "quiet": "very quiet",
    "sparse": "mostly not speech",
}


def _find_problem(clip: Clip, duration_s: float, limits: Limits, tokenizer: "Tokenizer | None") -> str | None:
    if not duration_s:
        return "its file ends before it begins"
    if duration_s < limits.min_s:
        return f"shorter than {limits.min_s:g} s"
    if duration_s > limits.max_s:
        return f"longer than {limits.max_s:g} s: cut it, or give subtitles with its times"
    if len(clip.text) > limits.max_chars:
        return f"its text has more than {limits.max_chars} characters"
    if _CONTROL.search(clip.text):
        return "its text holds marks of the model's own, as <|en|>"
    if tokenizer is not None and len(tokenizer.encode(clip.text, add_special_tokens=False).ids) > MAX_TEXT_TOKENS:
        return f"its text has more than {MAX_TEXT_TOKENS} tokens"
    return None


def _look_at_texts(checked: CheckedClips, tokenizer: "Tokenizer | None", notes: _Notes) -> None:
    texts = [clip.text for clip in checked.clips]
    if tokenizer is not None and texts:
        if all(text == text.upper() != text.lower() for text in texts):
            notes.look_at("every text", "in capitals: the model learns to write so")
        if len(texts) > 1 and not any(text[-1] in ".!?…。！？" for text in texts):
            notes.look_at("every text", "without a mark at its end: the model learns to write none")
        _look_at_words(sorted({word for text in texts for word in _WORD.findall(text)}), tokenizer, notes)
    for text, count in Counter(texts).most_common(1):
        if count > len(texts) / 2 and count > 1:
            notes.look_at(text, f"the text of {count} of {len(texts)} clips: little else is learned")


def _look_at_words(words: Sequence[str], tokenizer: "Tokenizer", notes: _Notes) -> None:
    """Words in pieces of one or two letters: the model has hardly ever seen them, and errs there most."""
    odd = []
    for word in words:
        pieces = tokenizer.encode(f" {word}", add_special_tokens=False).ids
        if len(pieces) >= ODD_FROM_TOKENS and len(word) / len(pieces) <= ODD_CHARS_PER_TOKEN:
            odd.append(f"{word} = {'|'.join(tokenizer.decode([piece]).strip() for piece in pieces)}")
    if len(odd) > MANY_ODD * len(words):
        notes.look_at(
            f"{len(odd)} of {len(words)} words", "in pieces of one or two letters: is it the base's language?"
        )
    else:
        for one in odd:
            notes.look_at(one, "new to the model, which has them in small pieces only: several clips of each help")


@dataclass(frozen=True, slots=True)
class Material:
    """What a model is trained on and measured with.

    Attributes:
        train: Clips that it learns from.
        held_out: Clips that it never sees.
        by: What is never on both sides, as `Split.by`; `folder` where the held-out clips have one of their own.
        digest: SHA-256 of all sounds and texts, whatever their files are called.
        findings: What is left out of the held-out clips.
    """

    train: tuple[Clip, ...]
    held_out: tuple[Clip, ...]
    by: str
    digest: str
    findings: tuple[Finding, ...]


def divide(data: CheckedClips, held_out: CheckedClips | None) -> Material:
    """Part what is trained on from what is kept back, with no sound and no text on both sides if that leaves any.

    Args:
        data: Of the folder to learn from.
        held_out: Of a folder of their own; None: a tenth of the data.

    Raises:
        InvalidRequestError: There are too few clips for both.
    """
    split: Split | None = split_clips(data.clips) if held_out is None else None
    train = data.clips if split is None else list(split.train)
    kept = list(split.held_out) if split else held_out.clips if held_out else []
    digests = {one.clip: one.digest for one in (*data.heard, *(held_out.heard if held_out else ()))}
    known = {digests[clip] for clip in train} | {_said(clip) for clip in train}
    is_known = {clip: digests[clip] in known or _said(clip) in known for clip in kept}
    fresh = [clip for clip in kept if not is_known[clip]]
    findings = [finding for finding in (held_out.findings if held_out else ()) if finding.is_left_out]
    if leaked := [clip.place for clip in kept if is_known[clip]]:
        told = "trained on, too: nothing is measured with them" if fresh else "trained on, too: the score says little"
        findings.append(Finding(f"kept back, and their sound or text is {told}", tuple(leaked), bool(fresh)))
    kept = fresh or kept
    if not train or not kept:
        raise InvalidRequestError(
            f"{len(train)} clips to learn from and {len(kept)} to measure with: one of each is needed. "
            "Add clips, or name a folder of others with --held-out"
        )
    lines = sorted(f"{digests[clip]} {clip.text}" for clip in (*train, *kept))
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return Material(tuple(train), tuple(kept), split.by if split else "folder", digest, tuple(findings))


def _said(clip: Clip) -> str:
    return " ".join(_WORD.findall(clip.text.lower())) or clip.text
