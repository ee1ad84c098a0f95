"""What was said and when: the one result model that every output format renders."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody who speaks in a recording.

    Attributes:
        number: From 0, in order of their first words; in a transcript those without a name come first, so that letters
            begin with A.
        name: That of the known voice it is; empty for somebody unknown.
        score: How alike that voice and this one are, cosine, -1 to 1; 0 without a name.
    """

    number: int
    name: str = ""
    score: float = 0.0

    @property
    def label(self) -> str:
        """The name, or `SPEAKER_00`, as other programs number them."""
        return self.name or f"SPEAKER_{self.number:02}"

    @property
    def letter(self) -> str:
        """The name, or `A`, `B` ... `Z`, `AA`, as OpenAI letters them."""
        if self.name:
            return self.name
        letters, rest = "", self.number + 1
        while rest:
            rest, place = divmod(rest - 1, 26)
            letters = chr(ord("A") + place) + letters
        return letters


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word with the marks that cling to it.

    Attributes:
        text: Without surrounding space.
        start_s: Where it begins, in seconds; `end_s` is where it ends.
        probability: The model's confidence, 0 to 1.
        is_heard: False for a word of a given text that is not in the sound: its times are a neighbour's.
        speaker: Who says it, where that was asked and somebody was found.
    """

    text: str
    start_s: float
    end_s: float
    probability: float
    is_heard: bool = True
    speaker: Speaker | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token of the text and how probable it was.

    Attributes:
        data: Its UTF-8 bytes; a character may be spread over several tokens.
        logprob: Natural logarithm of its probability, at most 0.
    """

    data: bytes
    logprob: float

    @property
    def text(self) -> str:
        """The bytes as text, with U+FFFD for what is no whole character."""
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech as the model cut it, about a sentence.

    Attributes:
        text: With its leading space where the language writes one: texts of segments join without a separator.
        start_s: Where it begins, in seconds; `end_s` is where it ends.
        tokens: The model's tokens, timestamps included.
        temperature: At which it was decoded.
        avg_logprob: Mean log-probability of the tokens.
        compression_ratio: Bytes of the text over its bytes when compressed; high means repetition.
        no_speech_prob: Probability that nothing is said, 0 to 1.
        seek: Start of the window it was decoded in, in frames of 10 ms.
        words: Empty unless word times were asked for.
        logprobs: Empty unless token log-probabilities were asked for; the tokens of the text, without timestamps.
        language: Code of the language spoken in it.
        speaker: Who says it, where that was asked and somebody was found.
        original: What was said, where `text` is a translation of it that was made from the text.
    """

    text: str
    start_s: float
    end_s: float
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    seek: int = 0
    words: tuple[Word, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    language: str = ""
    speaker: Speaker | None = None
    original: str = ""

    def later(self, by_s: float) -> "Segment":
        """The same so many seconds later."""
        if not by_s:
            return self
        start_s, end_s, seek = self.start_s + by_s, self.end_s + by_s, self.seek + round(by_s * 100)
        words = tuple(replace(word, start_s=word.start_s + by_s, end_s=word.end_s + by_s) for word in self.words)
        return replace(self, start_s=start_s, end_s=end_s, seek=seek, words=words)


@dataclass(frozen=True, slots=True)
class Transcript:
    """The result of one request.

    Attributes:
        task: `transcribe`, `translate`, or `align`: segments are the sentences of a given text then.
        language: Code of the spoken language; of several that of which there is most.
        language_probability: 0 to 1; 1 where the user named the language.
        duration_s: Length of the audio in seconds.
        segments: In order of time.
        warnings: What of the file is not heard, in ASCII.
        has_speakers: Who speaks was asked, so segments and words have their speakers.
        target_language: Code of the language that a language model has put it into: segments are cues then, each with
            its original; empty: it has not been translated so.
    """

    task: str
    language: str
    language_probability: float
    duration_s: float
    segments: tuple[Segment, ...]
    warnings: tuple[str, ...] = ()
    has_speakers: bool = False
    target_language: str = ""

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def original(self) -> str:
        """The same in the language in which it was said, of a transcript that has a `target_language`."""
        return "".join(segment.original for segment in self.segments).strip()

    @property
    def source(self) -> "Transcript":
        """What was said, of a transcript that may be a translation: cue by cue as it was translated."""
        if not self.target_language:
            return self
        said = tuple(replace(segment, text=segment.original, original="") for segment in self.segments)
        return replace(self, task="transcribe", target_language=self.language, segments=said)

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages spoken, that of which there is most first; none where nobody speaks."""
        if not self.segments:
            return ()
        named = (segment.language or self.language for segment in self.segments)
        found = dict.fromkeys(filter(None, named))
        return tuple(sorted(found, key=lambda code: code != self.language))

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all segments."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...]:
        """The tokens of all segments."""
        return tuple(token for segment in self.segments for token in segment.logprobs)


class TextDeltas:
    """Turns segments, as they come, into pieces of text whose concatenation is exactly `Transcript.text`."""

    def __init__(self) -> None:
        self._started = False
        self._space = ""  # seen but not sent: at the end of the transcript it would not belong to the text

    def push(self, segment: Segment) -> str:
        """The text this segment adds; empty if it adds none."""
        text = self._space + segment.text
        if not self._started:
            text = text.lstrip()
        delta = text.rstrip()
        self._space = text[len(delta) :]
        self._started = self._started or bool(delta)
        return delta
