"""The speech that is measured: said by the TTS server itself, so that nothing has to be downloaded."""

from pathlib import Path

import httpx2

MINUTE_TEXT = """\
The old harbour wakes before the town does. At five in the morning the first boats come back, their lamps still
burning, and the gulls follow them in a long white line. Men in heavy coats carry boxes across the stones, and a woman
with a red scarf writes the weight of each one into her book.

By eight the market is open. There are tables with herring, mackerel and crab, and at the end of the row a baker sells
warm bread from the back of his van. Tourists arrive with the nine o'clock train. Most of them buy nothing.

In the afternoon the wind turns, and the water in the basin becomes as flat as glass. Children jump from the wall,
although a sign forbids it. An old captain, who has not been at sea for twenty years, sits on his bench and names every
ship that passes the lighthouse. When the sun goes down, the lamps along the quay are lit one by one,
the boats are made ready again, and the whole day begins from the start.
"""

PARAGRAPH = """\
The museum opens at ten in the morning and closes at six. Tickets can be bought at the door or on the telephone, and
children below the age of twelve pay nothing. The large hall on the first floor shows ships from four centuries,
while the cellar holds maps, clocks and compasses. Guided tours begin every hour beside the anchor.
"""
"""A paragraph of 60 words."""

REQUEST_TIMEOUT_S = 120.0


def write_minute_of_speech(tts_url: str, path: Path) -> None:
    """Have the TTS server speak for about a minute into a WAV file."""
    body = {"model": "tts-1", "input": MINUTE_TEXT, "response_format": "wav", "stream": False}
    with httpx2.Client(trust_env=False, timeout=REQUEST_TIMEOUT_S) as client:
        answer = client.post(f"{tts_url}/v1/audio/speech", json=body)
    answer.raise_for_status()
    path.write_bytes(answer.content)
