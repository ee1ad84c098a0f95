"""The client that comes with Java, as Debian has it."""

import base64
import json
import subprocess
from pathlib import Path

from e2e.sound import tone
from running_server import RunningServer

PROGRAM = Path(__file__).with_name("Habits.java")


def test_javas_own_client_is_served(fake_asr: RunningServer) -> None:
    sound = {"data": base64.b64encode(tone(1.0)).decode(), "format": "wav"}
    url = f"http://127.0.0.1:{fake_asr.port}/asr/v1/audio/transcriptions"
    command = ["java", str(PROGRAM), url, json.dumps({"model": "whisper-1", "input_audio": sound})]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    status, _, body = said.partition(" ")
    assert (status, json.loads(body)["text"]) == ("200", "window 1.0 s.")
