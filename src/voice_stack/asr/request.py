"""What the ASR server's two processes tell each other: small picklable dataclasses, free of numpy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from voice_stack.asr.transcript import Segment, Speaker, Word
from voice_stack.core.jobs import MeasuredWork
from voice_stack.utils.cues.cue import USUAL, CueOptions

STEPS = {
    "silence": "text over digital silence is dropped, times are drawn back to what can be heard",
    "no_speech": "text without a word in it, or that neither the model nor the voice detector stands by, is dropped",
    "boilerplate": "sign-offs and subtitle credits are dropped where nobody seems to speak",
    "labels": "names of sounds (`[Music]`) are dropped there as well, unless a request asks for `sdh`",
    "words": "segments of nothing but absurd words are dropped",
    "repetition": "what is said over and over by a model in doubt is kept once",
    "redecode": "a window that would be lost is decoded again in halves",
}
ALL_STEPS = frozenset(STEPS)
NO_STEP = "none"
"""A word of its own, because an empty environment variable means the default."""


def parse_steps(text: str) -> frozenset[str]:
    """The steps in a list with commas; `none` or nothing means none.

    Raises:
        ValueError: A name is no step; the message names it and those that are.
    """
    if text.strip() == NO_STEP:
        return frozenset()
    names = [name for part in text.split(",") if (name := part.strip())]
    if unknown := [name for name in names if name not in STEPS]:
        raise ValueError(f"{unknown[0]!r} is no step of suppression; possible are {', '.join(STEPS)}, or {NO_STEP}")
    return frozenset(names)


@dataclass(frozen=True, slots=True)
class VadChoice:
    """How one request wants speech told from silence; None everywhere: as in the settings.

    Attributes:
        enabled: Whether silence is left out.
        threshold: Probability from which a frame is speech, above 0 and below 1.
        neg_threshold: Probability below which a frame is silence.
        min_speech_duration_ms: Shorter sounds are dropped.
        min_silence_duration_ms: Silence that ends a stretch of speech.
        speech_pad_ms: Audio kept on both sides of a stretch.
    """

    enabled: bool | None = None
    threshold: float | None = None
    neg_threshold: float | None = None
    min_speech_duration_ms: int | None = None
    min_silence_duration_ms: int | None = None
    speech_pad_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """What headerless 16-bit samples leave unsaid.

    Attributes:
        sample_rate: In Hz.
        channels: Interleaved.
        big_endian: High byte first, as RFC 2586 has it for `audio/L16`.
    """

    sample_rate: int = 16_000
    channels: int = 1
    big_endian: bool = False


@dataclass(frozen=True, slots=True)
class AudioFile:
    """Audio on disk, and how it is to be read.

    Attributes:
        path: The uploaded file.
        pcm: The file holds bare samples of this kind, unless it begins like a media file; None: it is one.
        audio_track: Which of several audio tracks, by index from 0 or by language; None: the container's default.
    """

    path: Path
    pcm: PcmFormat | None = None
    audio_track: int | str | None = None


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """How to decode; only windows with equal options may share a batch.

    Attributes:
        language: Code of the spoken language; None only for engines that need none.
        task: `transcribe`, or `translate` into English.
        prompt: Text before the window, or a sample of style and vocabulary.
        temperature: 0 searches the best text with a beam, above it samples.
        beam_size: Width of the search at temperature 0.
        word_timestamps: Whether segments carry words.
        hotwords: Words to expect, before the prompt.
        token_logprobs: Whether segments carry the log-probability of each token.
        is_whole: A window is encoded at the model's full width, whatever its length.
        is_draft: The text is provisional: it is decoded at the least width, and once.
    """

    language: str | None = None
    task: str = "transcribe"
    prompt: str | None = None
    temperature: float = 0.0
    beam_size: int = 5
    word_timestamps: bool = False
    hotwords: str | None = None
    token_logprobs: bool = False
    is_whole: bool = False
    is_draft: bool = False


class Listening(Protocol):
    """What is asked of a transcription, whether its sound is a file or comes over time."""

    @property
    def decode(self) -> DecodeOptions: ...

    @property
    def candidate_languages(self) -> tuple[str, ...]: ...

    @property
    def suppress(self) -> frozenset[str]: ...

    @property
    def characters(self) -> str | None: ...

    @property
    def multilingual(self) -> bool | None: ...


@dataclass(frozen=True, slots=True)
class KnownVoice:
    """Somebody whose voice is known.

    Attributes:
        name: What the answer calls them.
        recording: A file with some seconds of that voice alone, of any kind that can be uploaded.
        is_kept: What is made of it is kept beside it; if it cannot be heard, the others are still known.
    """

    name: str
    recording: Path
    is_kept: bool = False


@dataclass(frozen=True, slots=True)
class SpeakerChoice:
    """What a request says of who speaks.

    Attributes:
        count: How many speak, if that is known.
        least: At least so many; `most` is at most so many. Both count where `count` is None.
        known: Who is called by name where they speak.
    """

    count: int | None = None
    least: int | None = None
    most: int | None = None
    known: tuple[KnownVoice, ...] = ()


Times = Literal["none", "wanted", "segments", "words"]


@dataclass(frozen=True, slots=True)
class TranslationChoice:
    """Into which language a transcript is translated by a language model, cue by cue.

    Attributes:
        language: Its code.
        tag: As the request names it: its region or script may say more.
        cues: How the cues look that are translated.
        as_heard: What is heard is translated while the rest is still listened to.
    """

    language: str
    tag: str = ""
    cues: CueOptions = USUAL
    as_heard: bool = False


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """A checked request on its way to the engine process.

    Attributes:
        source: The upload.
        decode: How the model is asked; a language that is not known is found from the audio, and the temperature rises
            where the text is poor.
        candidate_languages: Codes that the search for the language is limited to; empty: all the model knows.
        vad: How speech is told from silence.
        suppress: Steps of hallucination suppression that are taken.
        characters: How Chinese is written, as `find_characters` names it; None: as heard.
        multilingual: Whether a file whose language has to be found may change it; None: as in the settings.
        text: What is said, as the client has it: asked is when. None: that is what is asked.
        speakers: Who speaks is asked too; None: it is not.
        translation: Into which language what is heard is translated afterwards; None: into none.
        times: The finest times that the answer shows; `wanted`: it may be shown with times later.
    """

    source: AudioFile
    decode: DecodeOptions = DecodeOptions()
    candidate_languages: tuple[str, ...] = ()
    vad: VadChoice = VadChoice()
    suppress: frozenset[str] = ALL_STEPS
    characters: str | None = None
    multilingual: bool | None = None
    text: str | None = None
    speakers: SpeakerChoice | None = None
    translation: TranslationChoice | None = None
    times: Times = "none"

    @property
    def task(self) -> str:
        """What is asked for: `transcribe`, `translate` or `align`."""
        if self.translation is not None:
            return "translate"
        return self.decode.task if self.text is None else "align"


@dataclass(frozen=True, slots=True)
class AlignmentRequest:
    """When the words of a text are said, now that the file was transcribed.

    Attributes:
        source: The upload.
        text: As the client sent it.
        heard: The words that were recognised, in file time.
        language: Code of the spoken language.
        duration_s: Length of the audio, in seconds.
        vad: How speech is told from silence.
    """

    source: AudioFile
    text: str
    heard: tuple[Word, ...]
    language: str
    duration_s: float
    vad: VadChoice


@dataclass(frozen=True, slots=True)
class DetectionRequest:
    """Which language is spoken in a file; only a few excerpts are listened to.

    Attributes:
        source: The upload.
        offset_s: Where to begin listening, in seconds.
        length_s: How far from there excerpts may lie, in seconds; None: to the end.
    """

    source: AudioFile
    offset_s: float = 0.0
    length_s: float | None = None


@dataclass(frozen=True, slots=True)
class DiarizationRequest:
    """Who speaks when in a file.

    Attributes:
        source: The upload.
        speakers: What is known of who speaks.
        least_pause_s: A shorter pause of one speaker is no end of a turn, in seconds.
        least_turn_s: Shorter turns are dropped, once pauses are closed.
        only_known: The recordings of known voices are heard and nothing else: whether they can be is asked.
    """

    source: AudioFile
    speakers: SpeakerChoice = SpeakerChoice()
    least_pause_s: float = 0.0
    least_turn_s: float = 0.0
    only_known: bool = False


@dataclass(frozen=True, slots=True)
class SpeakerTurn:
    """Somebody speaks from `start_s` to `end_s`, in seconds of the file; turns of two people may overlap."""

    start_s: float
    end_s: float
    speaker: Speaker


@dataclass(frozen=True, slots=True)
class SpeakersHeard:
    """Output of a diarization, again and again: how far it is; the last one holds all turns and the whole length.

    Attributes:
        heard_s: How far into the file it is, of `total_s`, in seconds; a total of 0: not known.
        turns: By time.
        fallbacks: What was done in the second-best way.
        warnings: What of the file is not heard.
    """

    heard_s: float
    total_s: float
    turns: tuple[SpeakerTurn, ...] = ()
    fallbacks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LanguageVote:
    """Output of a detection: probabilities by language code for one excerpt; no seconds of speech: a mere guess."""

    probabilities: tuple[tuple[str, float], ...]
    speech_s: float


@dataclass(frozen=True, slots=True)
class WindowText:
    """Output: the segments of one window, in file time, and how far into the file it is.

    `heard_s` is where the window ends, `total_s` the length the file says it has, in seconds; 0: not known.
    `fallbacks` names what was done in the second-best way so far, `warnings` what of the file is not heard.
    """

    segments: tuple[Segment, ...]
    heard_s: float = 0.0
    total_s: float = 0.0
    fallbacks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlignedText:
    """Output of an alignment, the first: the text, cut into sentences, and their words; joined they are the text."""

    sentences: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class AlignedWords:
    """Output of an alignment: what is known of words, by their number in the text.

    `heard_s` is how far into the file it looked, of `total_s`, in seconds.
    """

    words: tuple[tuple[int, Word], ...]
    heard_s: float
    total_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionSummary(MeasuredWork):
    """Closing statement: what is known when the whole file was heard; durations in seconds, the rest as above.

    `has_speakers`: who speaks was asked, and segments and words have their speakers already.
    """

    speech_s: float
    language: str
    language_probability: float
    fallbacks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    has_speakers: bool = False


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How a model is loaded and run; all but `is_for_crowd`, `replica` and `tuning_dir` are settings by the same names.

    Attributes:
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        compute_type: Number format of the weights at work, `auto` for the usual one of the device.
        threads: CPU threads in all, 0 for as many as the process may use.
        is_for_crowd: This is the copy for what is not alone.
        max_batch: Most windows of one call; 0: the engine chooses.
        replica: Which of `replicas` engines with the same model this is: they divide the GPUs or the CPUs.
        tuning_dir: Where is kept what was measured on this machine.
        fake_text: What engine `fake` hears; empty: how long it was.
    """

    device: str = "auto"
    compute_type: str = "auto"
    threads: int = 0
    max_batch: int = 0
    is_for_crowd: bool = False
    replica: int = 0
    replicas: int = 1
    tuning_dir: Path | None = None
    fake_text: str = ""


@dataclass(frozen=True, slots=True)
class AsrWorkerConfig:
    """What an ASR engine process is started with; fields without a comment are those of the settings.

    Attributes:
        model: The one to load.
        operator_paths: Names that may be paths.
        options: How to load it.
    """

    engine: str
    model: str
    model_dir: Path
    offline: bool
    operator_paths: tuple[str, ...]
    options: EngineOptions
    vad_enabled: bool
    window_s: float
    max_audio_s: float
    fallback_language: str


@dataclass(frozen=True, slots=True)
class SpeakersWorkerConfig:
    """What a process that tells speakers apart is started with; fields without a comment are those of the settings.

    Attributes:
        engine: The one that the model is for.
        model: The one to load.
        options: How to load it.
    """

    engine: str
    model: str
    model_dir: Path
    offline: bool
    options: EngineOptions
    vad_enabled: bool
    max_audio_s: float
