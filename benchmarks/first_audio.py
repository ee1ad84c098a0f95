"""How long a listener waits for the first sound, alone and among others."""

import time

from benchmarks.libraries import Library
from benchmarks.report import Figure
from benchmarks.speaking_server import SpeakingServer, at_once, vary
from benchmarks.speech import PARAGRAPH

FORMATS = ("mp3", "pcm")
CLIENTS = 4
ALONE_BAR = 1.2
CROWD_BAR = 2.0
FIRST_SENTENCE = PARAGRAPH.partition(".")[0] + "."


def measure(server: SpeakingServer, rounds: int) -> list[Figure]:
    """First audio byte over HTTP against the bare library's first sentence, in turn, models warm."""
    library = server.library
    bare: list[float] = []
    alone: dict[str, list[float]] = {name: [] for name in FORMATS}
    crowd: list[float] = []
    # The first round warms up and is not counted.
    for _ in range(rounds + 1):
        bare.append(_first_sentence_s(library))
        for name in FORMATS:
            alone[name].append(server.first_byte_s(vary(PARAGRAPH), name))
            server.await_idle()
        _, waits = at_once(lambda text: server.first_byte_s(text, "mp3"), [vary(PARAGRAPH) for _ in range(CLIENTS)])
        crowd += waits
        server.await_idle()
    title, reference = f"{library.name}: first audio of a 60-word paragraph", tuple(bare[1:])
    against = "over HTTP / first sentence by itself"
    return [
        *(Figure(f"{title}, {n}: {against}", "s", tuple(alone[n][1:]), reference, ALONE_BAR) for n in FORMATS),
        Figure(f"{title}, mp3, {CLIENTS} clients: {against}", "s", tuple(crowd[CLIENTS:]), reference, CROWD_BAR),
    ]


def _first_sentence_s(library: Library) -> float:
    started = time.perf_counter()
    next(library.speak(FIRST_SENTENCE, library.voices[0]))
    return time.perf_counter() - started
