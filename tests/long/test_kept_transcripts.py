"""What live sessions heard, as it is kept: over a restart, for its time, and of who leaves at the last word."""

import json
import time
from itertools import product
from pathlib import Path

from conftest import StartServer
from long.test_live_transcripts import FAKE, fetch, session
from piper_speech import RATE, speak
from running_server import wait_until


def test_it_outlives_the_server_and_its_end(start_server: StartServer, tmp_path: Path) -> None:
    settings = {**FAKE, "ASR_JOBS_DIR": str(tmp_path / "jobs")}
    with start_server("asr", **settings) as server:
        with session(server) as ended:
            ended.say("The museum opens in the morning.")
        with session(server) as quiet:
            quiet.append(bytes(2 * RATE))
        with session(server) as mute:
            pass
        with session(server) as open_one:
            open_one.say("Tickets are sold at the door.")
            server.process.terminate()
            server.process.wait(20)
    with start_server("asr", **settings) as server:
        assert fetch(server, ended.id, "srt").startswith("1\n00:00:00,")
        assert json.loads(fetch(server, open_one.id))["text"].startswith("window")
        assert json.loads(fetch(server, quiet.id))["usage"] == {"type": "duration", "seconds": 1}
        assert json.loads(fetch(server, mute.id, status=404))["error"]["code"] == "session_not_found"
        with server.http() as http:
            assert http.get("/v1/jobs").json()["data"] == []
            assert http.get(f"/v1/jobs/{ended.id}/result").status_code == 404


def test_its_time_ends_as_that_of_jobs_does_and_none_is_kept_where_no_jobs_are(start_server: StartServer) -> None:
    with start_server("asr", **FAKE, ASR_JOBS_KEEP_H=str(3 / 3600)) as server:
        with session(server) as live:
            live.say("The museum opens in the morning.")
            fetch(server, live.id)
        time.sleep(3.1)
        fetch(server, live.id, status=404)
    with start_server("asr", **FAKE, ASR_MAX_JOBS="0") as server, session(server) as live:
        live.say("The museum opens in the morning.")
        fetch(server, live.id, status=404)


def test_who_leaves_at_the_last_word_finds_it_or_that_it_is_lost(start_server: StartServer) -> None:
    last = (speak("Tickets are sold at the door.") * 30_000).astype("<i2").tobytes()
    lost = "turns that failed or could not be kept: 1"
    with start_server("asr", **FAKE) as server, session(server) as other, server.http() as http:
        left = list[tuple[str, tuple[int, str | None]]]()
        for prompt, is_committed in product(("sleep=0.5", "sleep=0.2 fail"), (True, False)):
            with session(server) as live:
                live.say("The museum opens in the morning.")
                heard = {"transcription": {"prompt": prompt, "delay": "xhigh"}}
                live.send("session.update", session={"type": "transcription", "audio": {"input": heard}})
                live.append(last)
                if is_committed:
                    live.send("input_audio_buffer.commit")
            left.append((live.id, (1, lost) if "fail" in prompt else (2, None)))

        def find(session_id: str) -> tuple[int, str | None]:
            answer = http.get(f"/v1/realtime/sessions/{session_id}/transcript")
            return answer.json()["text"].count("window"), answer.headers.get("x-warnings")

        wait_until(lambda: all(find(session_id) == told for session_id, told in left), 10, "all is kept")
        assert other.say("The museum closes in the evening.")
        assert sum(server.count_jobs()) == 1, "that of the other one"
