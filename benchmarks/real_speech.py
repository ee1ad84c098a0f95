"""Real speech, if there is any: the served words against those of faster-whisper called in this process.

`VOICE_STACK_SPEECH_DIR` names a folder with WAV files and, beside each, its text in a `.txt` file.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jiwer
from faster_whisper import WhisperModel
from whisper_normalizer.basic import BasicTextNormalizer

from benchmarks.report import Figure
from benchmarks.running import Servers
from benchmarks.speech import Clip, join_clips
from benchmarks.transcribing import TranscriptionServer, one_by_one
from voice_stack.asr.engine_factory import open_store
from voice_stack.asr.settings import AsrSettings

SPEECH_DIR = "VOICE_STACK_SPEECH_DIR"
LONG_S = 600.0
BEAM_SIZE = 5
MAX_MORE = 0.3

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
