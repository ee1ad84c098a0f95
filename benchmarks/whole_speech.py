"""Whole texts: how fast they are spoken, what the formats cost, and how fast a repeated one is there."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.libraries import Library, Samples
from benchmarks.report import Figure
from benchmarks.speaking_server import SpeakingServer, at_once, vary
from benchmarks.speech import PARAGRAPH
from voice_stack.utils.audio.encode import open_encoder

THROUGHPUT_BAR = 1 / 0.95
"""Time is measured: 0.95 of the library's throughput is this much of its time."""
SECOND_CLIENT_BAR = 1.0
ENCODE_BAR = 0.03
REPEATED_BAR_S = 0.010
REPEATS = 10
FORMATS = ("pcm", "mp3")
"""Samples, which is what the library gives, and what most clients ask for."""
CODECS = ("mp3", "opus", "aac", "flac")


def measure(server: SpeakingServer, rounds: int) -> list[Figure]:
    """Every figure on whole texts; library and server in turn, models warm."""
    return [*_measure_throughput(server, rounds), *_measure_encoding(server.library, rounds), _measure_repeats(server)]


def _measure_throughput(server: SpeakingServer, rounds: int) -> list[Figure]:
    library = server.library
    bare: list[float] = []
    alone: dict[str, list[float]] = {name: [] for name in FORMATS}
    paired: list[float] = []
    for _ in range(rounds):
        bare.append(_speak(library).wall_s)
        for name in FORMATS:
            alone[name].append(server.whole_s(vary(library.long_text), name))
        total_s, _ = at_once(server.whole_s, [vary(library.long_text) for _ in range(2)])
        paired.append(total_s / 2)
    title = f"{library.name}: text of {len(library.long_text.split())} words"
    return [
        *(
            Figure(f"{title}, {n}: over HTTP / by itself", "s", tuple(alone[n]), tuple(bare), THROUGHPUT_BAR)
            for n in FORMATS
        ),
        Figure(
            f"{title}, mp3: per text, two clients / one", "s", tuple(paired), tuple(alone["mp3"]), SECOND_CLIENT_BAR
        ),
    ]


def _measure_encoding(library: Library, rounds: int) -> list[Figure]:
    """What a format costs more than the samples themselves, which are brought to the API's rate for PCM too.

    Cost is processor time on both sides: one thread encodes, all cores synthesise.
    """
    spoken = [_speak(library) for _ in range(rounds)]
    wall_s, processor_s = tuple(one.wall_s for one in spoken), tuple(one.processor_s for one in spoken)
    plain_s = [_encode_s(one.pieces, "pcm", library.sample_rate) for one in spoken]
    title = f"{library.name}: encode a text of {len(library.long_text.split())} words"
    figures = []
    for codec in CODECS:
        whole_s = tuple(_encode_s(one.pieces, codec, library.sample_rate) for one in spoken)
        encoding_s = tuple(whole - plain for whole, plain in zip(whole_s, plain_s, strict=True))
        figures += [
            Figure(
                f"{title}, {codec} beyond pcm / processor time of synthesis", "s", encoding_s, processor_s, ENCODE_BAR
            ),
            Figure(f"{title}, {codec}, with resampling / time of synthesis on all cores", "s", whole_s, wall_s),
        ]
    return figures


def _measure_repeats(server: SpeakingServer) -> Figure:
    text = vary(PARAGRAPH)
    server.whole_s(text)
    times = tuple(server.whole_s(text) for _ in range(REPEATS))
    return Figure(
        f"{server.library.name}: a repeated request, 60 words, mp3, to the last byte", "s", times, bar=REPEATED_BAR_S
    )


@dataclass(frozen=True)
class _Spoken:
    """A text that the library spoke, the time that passed and that of all processors together."""

    pieces: Sequence[Samples]
    wall_s: float
    processor_s: float


def _speak(library: Library) -> _Spoken:
    wall_s, processor_s = time.perf_counter(), time.process_time()
    pieces = list(library.speak(library.long_text, library.voices[0]))
    return _Spoken(pieces, time.perf_counter() - wall_s, time.process_time() - processor_s)


def _encode_s(pieces: Sequence[Samples], codec: str, sample_rate: int) -> float:
    started = time.process_time()
    with open_encoder(codec, sample_rate) as encoder:
        for piece in pieces:
            encoder.push(piece)
        encoder.finish()
    return time.process_time() - started
