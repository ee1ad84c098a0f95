"""`python -m benchmarks.speaking`: the TTS server against the bare libraries, Piper, hibari and Kokoro."""

import click

from benchmarks import first_audio, speech_quality, whole_speech
from benchmarks.libraries import load_libraries
from benchmarks.report import Figure, show
from benchmarks.running import Servers, run_servers
from benchmarks.speaking_server import SpeakingServer

ROUNDS = 5


def measure(
    servers: Servers,
    *,
    rounds: int = ROUNDS,
    sentences: int = speech_quality.SENTENCES,
    engine: str = "",
    voices: tuple[str, ...] = (),
) -> list[Figure]:
    """Every figure of the TTS server.

    Args:
        servers: Where it runs.
        rounds: How often each time is taken.
        sentences: How many are rated in each voice; 0: none.
        engine: Measure this library alone, as `piper`; empty: all that are here.
        voices: Rate these voices in place of the usual ones.
    """
    figures = list[Figure]()
    for library in load_libraries():
        if engine and engine.lower() != library.name.lower():
            continue
        server = SpeakingServer(servers.urls["tts"], library)
        figures += first_audio.measure(server, rounds)
        figures += whole_speech.measure(server, rounds)
        if sentences:
            figures += speech_quality.measure(server, voices or library.voices, sentences)
    return figures


@click.command()
@click.option("--rounds", default=ROUNDS, help="How often each time is taken.")
@click.option("--sentences", default=speech_quality.SENTENCES, help="Sentences rated in each voice; 0: none.")
@click.option("--engine", default="", help="Only this one: piper, hibari or kokoro.")
@click.option("--voices", default="", help="Voices to rate, separated by commas; with --engine.")
@click.option("--markdown", is_flag=True, help="Print the table for docs/performance.md.")
def main(rounds: int, sentences: int, engine: str, voices: str, markdown: bool) -> None:
    """Measure first sound, throughput, encoding, repeated requests and speech quality."""
    chosen = tuple(name for name in voices.split(",") if name)
    with run_servers() as servers:
        figures = measure(servers, rounds=rounds, sentences=sentences, engine=engine, voices=chosen)
    show(figures, markdown=markdown)


if __name__ == "__main__":
    main()
