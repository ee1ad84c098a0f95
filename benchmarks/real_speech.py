"""Real speech, if there is any: the served words against those of faster-whisper called in this process.

`VOICE_STACK_SPEECH_DIR` names a folder with WAV files and, beside each, its text in a `.txt` file. Speech in several
languages comes from Kokoro, where its weights are on this machine.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import httpx2
import jiwer
import numpy as np
import soxr
from faster_whisper import WhisperModel
from whisper_normalizer.basic import BasicTextNormalizer

from benchmarks.hallucinations import TIMEOUT_S, wave_file
from benchmarks.libraries import KOKORO, Samples, load_libraries
from benchmarks.report import Figure
from benchmarks.running import Servers
from benchmarks.speech import PAUSE_S, TEXTS, Clip, join_clips
from benchmarks.speech_quality import TEXTS_OF
from benchmarks.transcribing import TranscriptionServer, one_by_one
from voice_stack.asr.engine_factory import open_store
from voice_stack.asr.settings import AsrSettings
from voice_stack.utils.audio.decode import decode_blocks

SPEECH_DIR = "VOICE_STACK_SPEECH_DIR"
LONG_S = 600.0
BEAM_SIZE = 5
MAX_MORE = 0.3
MAX_MORE_MIXED = 5.0
VOICES = {"en": "bf_emma", "fr": "ff_siwis", "es": "ef_dora", "it": "if_sara", "pt": "pm_alex"}
RATE = 16_000
CUTS = 20

_normalize = BasicTextNormalizer()


def measure(servers: Servers, folder: Path, model: str) -> list[Figure]:
    """Words wrong in the clips, and in ten minutes made of them, each language found by whoever is measured."""
    clips = find_clips()
    if not clips:
        return []
    library = WhisperModel(
        str(open_store(AsrSettings.read(offline=True)).resolve(model)), device="cpu", compute_type="int8"
    )
    server = replace(TranscriptionServer(servers.urls["asr"], model), language="")
    long = join_clips(of_one_reader(clips), folder / "real-long.wav", LONG_S)
    return [
        _compare(f"{model}: real speech, {len(clips)} files", server, library, clips),
        _compare(f"{model}: real speech, {LONG_S / 60:g} min of it", server, library, [long]),
    ]


def measure_languages(servers: Servers, model: str) -> list[Figure]:
    """Words wrong in a file of several languages, in each of them; and segments astray in files of one."""
    speech = {code: (sound, text) for code, sound, text in _speak_languages()}
    files = {code: [sound] for code, (sound, _) in speech.items()} | {"en": _real_english()}
    figures = list[Figure]()
    with httpx2.Client(base_url=servers.urls["asr"], trust_env=False, timeout=TIMEOUT_S) as client:
        if speech:
            mixed = np.concatenate([sound for sound, _ in speech.values()])
            parts = _hear_languages(client, model, mixed)
            for code, (sound, text) in speech.items():
                alone = " ".join(said for _, said in _hear_languages(client, model, sound, language=code))
                heard = " ".join(said for language, said in parts if language == code)
                more = _error_rate([Clip(Path(), text)], [heard]) - _error_rate([Clip(Path(), text)], [alone])
                name = f"{model}: {len(speech)} languages in one file, {code}: words wrong, points above {code} alone"
                figures.append(Figure(name, "%", (more,), bar=MAX_MORE_MIXED))
        astray = [
            sum(language != code for language, _ in _hear_languages(client, model, sound))
            for code, sounds in files.items()
            for sound in sounds
        ]
    if astray:
        name = f"{model}: segments in another language, {len(astray)} files of one language"
        figures.append(Figure(name, "segments", (float(sum(astray)),), bar=0.0))
    return figures


def _speak_languages() -> list[tuple[str, Samples, str]]:
    """Some 12 s of each language, at 16 kHz, with the text."""
    kokoro = next((library for library in load_libraries() if library.model == KOKORO), None)
    spoken = []
    for code, voice in VOICES.items() if kokoro else ():
        assert kokoro is not None
        texts = TEXTS_OF.get(voice[0], TEXTS[-2:])
        pieces = [piece for text in texts for piece in (*kokoro.speak(text, voice), _pause(kokoro.sample_rate))]
        resampled = soxr.resample(np.concatenate(pieces), kokoro.sample_rate, RATE).astype(np.float32)
        spoken.append((code, resampled, " ".join(texts)))
    return spoken


def _pause(sample_rate: int) -> Samples:
    return np.zeros(int(PAUSE_S * sample_rate), np.float32)


def _real_english() -> list[Samples]:
    """The reader's clips, and what is cut out of them one after another, wherever that begins."""
    clips = of_one_reader(find_clips()) if find_clips() else []
    sounds = [np.concatenate(list(decode_blocks(clip.path))) for clip in clips]
    if not sounds:
        return []
    whole = np.concatenate([part for sound in sounds for part in (sound, _pause(RATE))])
    rng = np.random.default_rng(1)
    starts = rng.integers(0, whole.size // 2, CUTS)
    return [*sounds, *(whole[start : start + rng.integers(4, 15) * RATE] for start in starts)]


def _hear_languages(client: httpx2.Client, model: str, sound: Samples, **fields: str) -> list[tuple[str, str]]:
    """Language and text of each segment."""
    form = {"model": model, "response_format": "verbose_json", **fields}
    answer = client.post("/v1/audio/transcriptions", data=form, files={"file": ("a.wav", wave_file(sound))})
    answer.raise_for_status()
    return [(segment["language"], segment["text"]) for segment in answer.json()["segments"]]


def find_clips() -> list[Clip]:
    """The recordings with their texts; none where the variable names no folder."""
    folder = os.environ.get(SPEECH_DIR)
    wavs = sorted(Path(folder).glob("*.wav")) if folder else []
    return [Clip(wav, wav.with_suffix(".txt").read_text("utf-8")) for wav in wavs if wav.with_suffix(".txt").is_file()]


def of_one_reader(clips: Sequence[Clip]) -> list[Clip]:
    """The clips whose names begin as most names do: readings cut from one recording."""
    names = [clip.path.name.split("-")[0] for clip in clips]
    reader = max(names, key=names.count)
    return [clip for clip, name in zip(clips, names, strict=True) if name == reader]


def words_of(text: str) -> str:
    """A text without marks and capitals."""
    return str(_normalize(text)).strip()


def _compare(name: str, server: TranscriptionServer, library: WhisperModel, clips: Sequence[Clip]) -> Figure:
    ours = [answer.text for answer in asyncio.run(one_by_one(server, clips))]
    bare = [_transcribe(library, clip) for clip in clips]
    more = _error_rate(clips, ours) - _error_rate(clips, bare)
    return Figure(f"{name}: words wrong, points above the library's", "%", (more,), bar=MAX_MORE)


def _transcribe(library: WhisperModel, clip: Clip) -> str:
    segments, _ = library.transcribe(str(clip.path), beam_size=BEAM_SIZE)
    return "".join(segment.text for segment in segments)


def _error_rate(clips: Sequence[Clip], texts: Sequence[str]) -> float:
    """Words wrong in a hundred."""
    said = [_normalize(clip.text or "") for clip in clips]
    return 100 * float(jiwer.wer(said, [_normalize(text) for text in texts]))
