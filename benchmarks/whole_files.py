"""`python -m benchmarks.whole_files`: what is heard of files that hold more than a plain reader finds in them.

Three sentences in three files that were joined end to end, and in some whose channels cancel each other; and
words of a second voice, 30 dB below the first. `VOICE_STACK_SPEECH_DIR` is as for `benchmarks.real_speech`.
"""

import io
from collections.abc import Iterator
from fractions import Fraction

import av
import click
import httpx2
import jiwer
import numpy as np
from numpy.typing import NDArray

from benchmarks.real_speech import find_clips, of_one_reader, words_of
from benchmarks.report import Figure, show
from benchmarks.running import run_servers
from benchmarks.speech import Clip

RATE = 16_000
QUIET_DB = -30.0
PAUSE_S = 1.0
HEARD_SHARE = 0.7
"""Of the words of a sentence: so many right ones mean that it was heard."""
CONTAINERS = (("wav", "pcm_s16le"), ("mp4", "aac"), ("webm", "libopus"), ("matroska", "flac"), ("aiff", "pcm_s16be"),
              ("au", "pcm_s16be"), ("asf", "pcm_s16le"), ("flac", "flac"), ("mp3", "libmp3lame"))  # fmt: skip
Samples = NDArray[np.float32]


def measure(asr_url: str) -> list[Figure]:
    """Sentences missed of three in each file, and words missed of the quiet voice."""
    clips = of_one_reader(find_clips())[:3]
    if len(clips) < 3:
        return []
    sounds = [read(clip) for clip in clips]
    with httpx2.Client(base_url=asr_url, trust_env=False, timeout=600) as client:
        joined = [_missed_sentences(client, clips, file) for file in _joined(sounds)]
        opposed = [_missed_sentences(client, clips, file) for file in _opposed(sounds)]
        pairs = [(first, second) for first in range(3) for second in range(3) if first != second]
        quiet = [_missed_words(client, clips, sounds, *pair) for pair in pairs]
    return [
        Figure(f"sentences missed, {len(joined)} times three files joined", "", (float(sum(joined)),), bar=0.0),
        Figure(
            f"sentences missed, {len(opposed)} times three where channels cancel", "", (float(sum(opposed)),), bar=0.0
        ),
        Figure(f"words missed of a second voice {-QUIET_DB:g} dB below the first", "%", tuple(quiet), bar=10.0),
    ]


def read(clip: Clip) -> Samples:
    """Mono float32 at 16 kHz, of a whole number of milliseconds."""
    with av.open(str(clip.path)) as file:
        resampler = av.AudioResampler("flt", "mono", RATE)
        frames = [*file.decode(audio=0), None]
        return np.concatenate([out.to_ndarray()[0] for frame in frames for out in resampler.resample(frame)])


def encode(channels: list[Samples], container: str, codec: str) -> bytes:
    """A file of one or two channels."""
    target, layout = io.BytesIO(), ["mono", "stereo"][len(channels) - 1]
    with av.open(target, "w", format=container) as file:
        stream = file.add_stream(codec, 48_000 if codec == "libopus" else RATE, layout=layout)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.stack(channels), "fltp", layout)
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
        resampler = av.AudioResampler(stream.codec_context.format, layout, stream.rate, stream.frame_size or 4096)
        for out in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(out))
        file.mux(stream.encode(None))
    return target.getvalue()


def _joined(sounds: list[Samples]) -> Iterator[bytes]:
    for kind in CONTAINERS:
        yield b"".join(encode([sound], *kind) for sound in sounds)
    yield b"".join(encode([sound], *kind) for sound, kind in zip(sounds, CONTAINERS[:3], strict=True))
    yield b"".join(encode([sound], *kind) for sound, kind in zip(sounds, CONTAINERS[::-1], strict=False))


def _opposed(sounds: list[Samples]) -> Iterator[bytes]:
    whole = _in_turn(*sounds)
    noise = np.random.default_rng(1).normal(0, 0.001, (2, whole.size)).astype(np.float32)
    late, places = np.roll(whole, RATE // 4000), np.arange(whole.size)
    others = [-whole, -0.6 * whole, -late, -whole + noise[1], np.where(places // RATE % 2, whole, -whole)]
    for other in others:
        yield encode([whole, other], "wav", "pcm_s16le")
    yield encode([whole + noise[0], -whole], "mp4", "aac")


def _in_turn(*sounds: Samples) -> Samples:
    pause = np.zeros(round(PAUSE_S * RATE), np.float32)
    return np.concatenate([part for sound in sounds for part in (sound, pause)])


def _missed_words(client: httpx2.Client, clips: list[Clip], sounds: list[Samples], first: int, second: int) -> float:
    quiet = np.float32(10 ** (QUIET_DB / 20)) * sounds[second]
    heard = _transcribe(client, encode([_in_turn(sounds[first], quiet, sounds[first])], "wav", "pcm_s16le"))
    both = " ".join(words_of(clips[n].text or "") for n in (first, second, first))
    found = jiwer.process_words(both, heard or "-")
    return 100 * found.deletions / len(words_of(clips[second].text or "").split())


def _missed_sentences(client: httpx2.Client, clips: list[Clip], file: bytes) -> int:
    heard = _transcribe(client, file).split()
    said = [words_of(clip.text or "").split() for clip in clips]
    return sum(sum(word in heard for word in words) < HEARD_SHARE * len(words) for words in said)


def _transcribe(client: httpx2.Client, file: bytes) -> str:
    fields = {"model": "whisper-1", "language": "en"}
    answer = client.post("/v1/audio/transcriptions", data=fields, files={"file": ("a", file)})
    return words_of(answer.json()["text"]) if answer.status_code == 200 else ""


@click.command()
@click.option("--markdown", is_flag=True, help="Print the table for docs/performance.md.")
def main(markdown: bool) -> None:
    """Count what is heard of joined files, of channels that cancel each other, and of a quiet second voice."""
    with run_servers() as servers:
        show(measure(servers.urls["asr"]), markdown=markdown)


if __name__ == "__main__":
    main()
