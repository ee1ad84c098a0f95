"""A checked transcription request: everything a client can get wrong in its fields is answered here."""

import re
from dataclasses import dataclass, replace
from email.message import Message

from voice_stack.asr.form import (
    REFERENCES,
    AlignmentForm,
    TranscriptionForm,
    TranslationForm,
    read_fields,
    read_known_speakers,
)
from voice_stack.asr.rendering import DIARIZED_JSON, RenderOptions, require_transcript_format
from voice_stack.asr.request import (
    ALL_STEPS,
    AudioFile,
    DecodeOptions,
    KnownVoice,
    PcmFormat,
    SpeakerChoice,
    Times,
    TranscriptionRequest,
    TranslationChoice,
    VadChoice,
)
from voice_stack.asr.settings import AsrSettings
from voice_stack.core.errors import InvalidAudioError, InvalidRequestError, UnsupportedValueError
from voice_stack.core.http.form import Form, check_fields
from voice_stack.core.http.spool import SpooledFile
from voice_stack.core.jobs import options_from
from voice_stack.utils.cues.cue import CueOptions
from voice_stack.utils.language import find_characters, find_code, read_language, require_language

_BIG_ENDIAN = {"audio/pcm": False, "audio/x-pcm": False, "audio/l16": True}
_RATES = range(4_000, 384_001)
_CHANNELS = range(1, 9)
_ENDIANNESS = {"little-endian": False, "big-endian": True}


def pcm_format(content_type: str) -> PcmFormat | None:
    """What a content type says of signed 16-bit samples without a header; None for any other type.

    The samples of `audio/pcm` are little-endian, 16 kHz, mono, those of `audio/L16` big-endian (RFC 2586); parameters
    `rate`, `channels` and `endianness` say otherwise: `audio/pcm;rate=24000;channels=2`.

    Raises:
        InvalidAudioError: A parameter is none that samples can have.
    """
    # The parser of mail headers: quoted values, any case, any order.
    header = Message()
    header["Content-Type"] = content_type.replace("\r", " ").replace("\n", " ")
    kind = header.get_content_type()
    if kind not in _BIG_ENDIAN:
        return None
    order = str(header.get_param("endianness", "")).lower()
    if order and order not in _ENDIANNESS:
        raise InvalidAudioError(f"endianness={order!r} of {kind}: use one of {', '.join(_ENDIANNESS)}")
    return PcmFormat(
        sample_rate=_read_number(header, "rate", _RATES, PcmFormat().sample_rate),
        channels=_read_number(header, "channels", _CHANNELS, 1),
        big_endian=_ENDIANNESS.get(order, _BIG_ENDIAN[kind]),
    )


def _read_number(header: Message, name: str, possible: range, default: int) -> int:
    given = header.get_param(name)
    if given is None:
        return default
    text = str(given)
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
    if number not in possible:
        bounds = f"{possible.start} to {possible.stop - 1}"
        raise InvalidAudioError(f"{name}={text[:40]!r} of {header.get_content_type()}: possible are {bounds}")
    return number


_OPENAI_THRESHOLDS = (0.01, 0.99)
"""OpenAI's threshold may be 0 or 1, with which the detector would find everything or nothing."""


def read_vad_choice(fields: TranscriptionForm) -> VadChoice:
    """What the fields say of the detector: single fields count before `vad_parameters`, these before the strategy."""
    by_strategy, strategy = VadChoice(), fields.chunking_strategy
    if strategy is not None and strategy.type == "server_vad":
        low, high = _OPENAI_THRESHOLDS
        by_strategy = VadChoice(
            enabled=True,
            threshold=None if strategy.threshold is None else min(max(strategy.threshold, low), high),
            min_silence_duration_ms=strategy.silence_duration_ms,
            speech_pad_ms=strategy.prefix_padding_ms,
        )
    by_own_names = VadChoice(fields.vad_filter, fields.vad_threshold)
    return options_from(VadChoice, by_own_names, fields, fields.vad_parameters, by_strategy)


FILE_FIELD = "file"
LANGUAGE_NAMING_MODEL = "gpt-transcribe"
"""Of OpenAI's models the one whose answers name the language."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A form that can be served, for either task; fields without a comment are those of the form.

    Attributes:
        file: The upload.
        model: As named: it may stand for another.
        request: The work, as far as it does not depend on the model.
        render: What the answer shows.
        ignored: Names of fields that were sent and mean nothing here.
        sent: Names of those that mean something.
    """

    file: SpooledFile
    model: str
    request: TranscriptionRequest
    render: RenderOptions
    response_format: str = "json"
    stream: bool = False
    background: bool = False
    webhook_url: str | None = None
    ignored: tuple[str, ...] = ()
    sent: tuple[str, ...] = ()


VERBOSE_FORMAT = "verbose_json"
ALIGNMENT_BEAM_SIZE = 1
"""The text is known: what is recognised only has to show where it is said."""
_FORMS: dict[str, type[TranslationForm | AlignmentForm]] = {
    "transcribe": TranscriptionForm,
    "translate": TranslationForm,
    "align": AlignmentForm,
}


def check_form(form: Form, task: str, settings: AsrSettings, *, is_verbose: bool = False) -> Checked:
    """Check a form.

    Args:
        form: As received.
        task: `transcribe`, `translate` or `align`.
        settings: What counts where the form says nothing.
        is_verbose: Everything will be shown, words included; `response_format` and `stream` mean nothing then.

    Raises:
        InvalidRequestError: A field is missing or does not fit; the message names it.
    """
    targets = [value for value in form.fields.get("target_language", ()) if value] or [""]
    if task == "translate" and translates_text(targets[-1], task, settings):
        task = "transcribe"
    read = read_fields(_FORMS[task], form.fields, file_field=FILE_FIELD)
    sent = tuple(read.values)
    # A translation takes fewer fields: the others have their defaults.
    text = _require_text(read.values) if task == "align" else None
    fields = check_fields(TranscriptionForm, read.values)
    if is_verbose:
        shown = {"response_format": VERBOSE_FORMAT, "stream": False, "word_timestamps": True}
        fields = fields.model_copy(update=shown)
    else:
        _check_companions(fields, task)
    target = None if task == "translate" else fields.target_language
    translation = choose_translation(target, settings, options_from(CueOptions, fields), as_heard=fields.stream)
    if fields.original and translation is None:
        message = "original=true: what was said stands beside a translation by a language model: add target_language"
        raise UnsupportedValueError(message, param="original")
    speakers, unused = _read_speakers(fields, form) if text is None else (None, (REFERENCES,) * bool(form.small_files))
    if fields.webhook_url and not fields.background:
        raise InvalidRequestError("webhook_url is for background jobs: add background=true", param="webhook_url")
    named = [name for value in fields.languages for name in value.split(",")]
    found = (read_language(name, param="languages") for name in named)
    languages = tuple(dict.fromkeys(language.code for language in found if language))
    granularities = fields.timestamp_granularities | ({"word"} if fields.word_timestamps else set())
    model = re.sub("%2f", "/", fields.model, flags=re.IGNORECASE)
    names_language = bool(languages) or (task == "transcribe" and fields.model == LANGUAGE_NAMING_MODEL)
    decode = _read_decode_options(fields, task, settings, shows_words="word" in granularities)
    if text is not None:
        decode = replace(decode, task="transcribe", word_timestamps=True, beam_size=ALIGNMENT_BEAM_SIZE)
    return options_from(
        Checked,
        fields,
        file=(file := require_file(form)),
        model=model,
        request=TranscriptionRequest(
            AudioFile(file.path, pcm_format(file.content_type), read_track(fields.audio_track)),
            decode,
            () if decode.language else languages,
            read_vad_choice(fields),
            suppress=ALL_STEPS - {"labels"} if fields.sdh else ALL_STEPS,
            characters=find_characters(target) or find_characters(fields.language, *named),
            multilingual=fields.multilingual,
            text=text,
            speakers=speakers,
            translation=translation,
            times=_finest_times(fields, granularities),
        ),
        render=options_from(
            RenderOptions,
            fields,
            granularities=granularities,
            token_usage=model.startswith("gpt-"),
            shows_languages=names_language,
        ),
        ignored=read.ignored + unused,
        sent=sent,
    )


def _read_decode_options(
    fields: TranscriptionForm, task: str, settings: AsrSettings, *, shows_words: bool
) -> DecodeOptions:
    # The cues of a translation go by its segments: its words were not said. A job's result may be wanted as cues.
    uses_words = require_transcript_format(fields.response_format).uses_words or fields.background
    uses_words = uses_words or bool(fields.target_language)
    return options_from(
        DecodeOptions,
        fields,
        settings,
        task=task,
        language=language.code if (language := read_language(fields.language)) else None,
        word_timestamps=shows_words or (uses_words and task == "transcribe"),
        hotwords=", ".join(filter(None, (fields.hotwords, *fields.keywords))) or None,
        token_logprobs="logprobs" in fields.include,
    )


def translates_text(target: str | None, task: str, settings: AsrSettings) -> bool:
    """Whether the text that is heard is translated; without a language model English is the ASR model's own work."""
    is_spoken = task == "translate" and not settings.llm_url and find_code(target or "") == "en"
    return bool(target) and not is_spoken


def choose_translation(
    target: str | None, settings: AsrSettings, cues: CueOptions, *, as_heard: bool = False
) -> TranslationChoice | None:
    """Into which language a text is translated; None where no language is named.

    Raises:
        UnsupportedValueError: There is no such language, or no language model that translates.
    """
    if not target:
        return None
    language = require_language(target, param="target_language")
    if not settings.llm_url:
        raise UnsupportedValueError(
            f"target_language={target!r}: there is no language model that translates, for ASR_LLM_URL is empty. Set it "
            "to the address of one with OpenAI's API: http://127.0.0.1:11434/v1 for Ollama.",
            param="target_language",
        )
    return TranslationChoice(language.code, target.strip(), cues, as_heard)


def _finest_times(fields: TranscriptionForm, granularities: frozenset[str]) -> Times:
    if fields.target_language:
        return "segments"
    if fields.response_format not in _WITHOUT_TIMES:
        return "words" if "word" in granularities and fields.response_format == VERBOSE_FORMAT else "segments"
    return "wanted" if fields.background else "none"


def _require_text(values: dict[str, object]) -> str:
    """The text to align; from then on the other fields are those of a transcription that leaves nothing out."""
    checked = check_fields(AlignmentForm, values)
    values |= {**checked.model_dump(exclude={"text"}, exclude_none=True), "sdh": True}
    if not any(map(str.isalnum, checked.text)):
        raise InvalidRequestError(f"text={checked.text[:40]!r} holds no word", param="text")
    return checked.text


def read_track(track: str | None) -> int | str | None:
    """Which audio track a form means: by number, by language, or the default."""
    return int(track) if track and re.fullmatch("[0-9]{1,4}", track) else track


_WITHOUT_TIMES = frozenset({"json", "text"})
_WITHOUT_SPEAKERS = frozenset({"json", "text"})
"""Formats in which OpenAI's diarizing model names nobody, known or not."""


def _read_speakers(fields: TranscriptionForm, form: Form) -> tuple[SpeakerChoice | None, tuple[str, ...]]:
    """What is known of the speakers, None where nobody asks for them; and which fields then mean nothing.

    Who says anything of speakers asks for them, unless `diarize` says otherwise.

    Raises:
        InvalidRequestError: What is said of them cannot be.
    """
    counts = [name for name in ("num_speakers", "min_speakers", "max_speakers") if getattr(fields, name)]
    known = ["known_speaker_names"] * bool(fields.known_speaker_names)
    known += [REFERENCES] * bool(fields.known_speaker_references or form.small_files)
    is_meant = bool(counts or (known and fields.response_format not in _WITHOUT_SPEAKERS))
    if fields.response_format != DIARIZED_JSON and not (is_meant if fields.diarize is None else fields.diarize):
        return None, (*counts, *known)
    voices = read_known_speakers(fields.known_speaker_names, form)
    return choose_speakers(fields.num_speakers, fields.min_speakers, fields.max_speakers, voices), ()


def choose_speakers(
    count: int | None, least: int | None, most: int | None, known: tuple[KnownVoice, ...] = ()
) -> SpeakerChoice:
    """How many speak, and who of them is known, as a request has it.

    Raises:
        UnsupportedValueError: That cannot be.
    """
    if least is not None and most is not None and least > most:
        raise UnsupportedValueError(f"min_speakers={least} is more than max_speakers={most}", param="min_speakers")
    if count is not None and not (least or count) <= count <= (most or count):
        bounds = [f"min_speakers={least}"] * bool(least) + [f"max_speakers={most}"] * bool(most)
        raise UnsupportedValueError(f"num_speakers={count} contradicts {' and '.join(bounds)}", param="num_speakers")
    return SpeakerChoice(count, least, most, known)


def _check_companions(fields: TranscriptionForm, task: str) -> None:
    """Fields that mean something only together with others."""
    shown = fields.response_format
    if shown == DIARIZED_JSON and task == "translate":
        message = (
            "a translation has no response_format 'diarized_json': verbose_json and diarize=true name the speakers"
        )
        raise UnsupportedValueError(message, param="response_format")
    if fields.target_language and task != "translate" and ("word" in fields.timestamp_granularities or fields.include):
        name = "include" if fields.include else "timestamp_granularities"
        message = f"{name}: words and their probabilities are those of what was said, and a translation has none"
        raise UnsupportedValueError(message, param=name)
    streams_text = fields.stream and shown != DIARIZED_JSON
    if "word" in fields.timestamp_granularities and shown != VERBOSE_FORMAT and not streams_text:
        raise UnsupportedValueError(
            f"timestamp_granularities 'word' needs response_format 'verbose_json', not {shown!r}",
            param="timestamp_granularities",
        )
    if fields.stream and fields.background:
        raise UnsupportedValueError("background=true has no stream to send: leave one of the two out", param="stream")
    if fields.include and shown != "json" and not streams_text:
        raise UnsupportedValueError(f"include 'logprobs' needs response_format 'json', not {shown!r}", param="include")


def require_file(form: Form) -> SpooledFile:
    """The file of a form.

    Raises:
        InvalidRequestError: There is none.
    """
    if form.file is not None:
        return form.file
    if FILE_FIELD in form.fields:
        message = "part 'file' was sent as text: it needs a filename, as `curl -F file=@NAME` gives it"
    else:
        sent = ", ".join(repr(name[:40]) for name in form.fields)
        message = f"no file was sent: the form needs a file in part 'file', not only {sent}"
    raise InvalidRequestError(message, param=FILE_FIELD)
