"""What many listeners at once leave behind in the server's process."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import psutil
import pytest

from chaos.speaking import FAKE_TTS, URL, ask
from running_server import RunningServer, wait_until

pytestmark = pytest.mark.alone

StartServer = Callable[..., AbstractContextManager[RunningServer]]
FORMATS = ("wav", "mp3", "opus", "aac", "flac", "pcm")
SPEECHES = 40
"""Of each format."""
MAX_MIB = 24.0
GIVEN_BACK_S = 20.0


def test_encoders_leave_no_heaps_of_their_threads(start_server: StartServer) -> None:
    with start_server("tts", **FAKE_TTS, TTS_CACHE_MB="0") as server, server.http() as client:

        def speak(number: int, response_format: str) -> None:
            text = f"Speech number {number} takes a while, and is one of many."
            client.post(URL, json=ask(text, response_format=response_format)).raise_for_status()

        for response_format in FORMATS:
            speak(0, response_format)
        process = psutil.Process(server.process.pid)
        before = process.memory_info().rss
        for response_format in FORMATS:
            with ThreadPoolExecutor(8) as threads:
                list(threads.map(speak, range(SPEECHES), [response_format] * SPEECHES))
        wait_until(lambda: process.memory_info().rss - before < MAX_MIB * 2**20, GIVEN_BACK_S, "it is given back")
