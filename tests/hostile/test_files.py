"""Files that ask for everything: each is a sound or a 400 with the reason, within bounds, and others go on."""

import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event, Thread

import httpx2
import psutil
import pytest

from chaos.listening import FAKE_ASR, URL, check_windows, form
from chaos.speaking import FAKE_TTS
from e2e.sound import duration_s
from hostile import hostile_files as files
from running_server import RunningServer, wait_until
from tts.voices.sounds import BIRCH

StartServer = Callable[..., AbstractContextManager[RunningServer]]
VOICES = "/v1/audio/voices"
MIB = 1 << 20
MAX_GROWTH_MIB = 150.0
"""Of one process, at its peak."""
QUICK_S = 30.0
"""On a busy machine; each takes less than a second."""
MAX_API_MIB = 80.0
"""Of its own. What it maps of files comes on top: 35 to 65 MiB, as the file system has it."""
LIBRARIES = re.compile("onnxruntime|ctranslate2")


@pytest.fixture(scope="module")
def asr(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server("asr", **FAKE_ASR) as server, server.http() as client:
        client.post(URL, **form(1.0))  # type: ignore[arg-type]
        yield server
        assert "Traceback (most" not in server.log.read_text()


@pytest.fixture(scope="module")
def tts(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("voices")
    with start_server("tts", **FAKE_TTS, TTS_VOICE_DIR=str(folder)) as server:
        yield server
        assert "Traceback (most" not in server.log.read_text()


@contextmanager
def watched(server: RunningServer) -> Iterator[dict[int, float]]:
    """The peak memory of each of a server's processes above what it had at first (none before it began), in MiB."""
    process = psutil.Process(server.process.pid)
    ended, grown = Event(), dict[int, float]()
    before = {one.pid: one.memory_info().rss for one in [process, *process.children(recursive=True)]}

    def watch() -> None:
        while not ended.wait(0.02):
            for one in [process, *process.children(recursive=True)]:
                try:
                    growth = (one.memory_info().rss - before.get(one.pid, 0)) / MIB
                except psutil.NoSuchProcess:
                    continue
                grown[one.pid] = max(grown.get(one.pid, 0.0), growth)

    thread = Thread(target=watch)
    thread.start()
    try:
        yield grown
    finally:
        ended.set()
        thread.join()


def send(client: httpx2.Client, content: bytes, **fields: str) -> httpx2.Response:
    data = {"model": "whisper-1", "language": "en", **fields}
    return client.post(URL, data=data, files={"file": ("a.bin", content)})


def check_refusal(answer: httpx2.Response, server: RunningServer) -> str:
    """A 400 in OpenAI's form that names nothing of the server."""
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert str(server.spool_dir) not in answer.text
    assert "file:" not in answer.text
    return str(error["message"])


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "pictures of gigabytes": (lambda: files.picture_tracks(8000, 8), "window 2.0 s"),
    "a packet of gigabytes": (lambda: files.inflating_sound(1500), "window 0.4 s"),
    "hours between sounds": (files.hours_between_sounds, "window"),
    "no packet": (files.without_packets, ""),
    "a billion samples": (lambda: files.movie(0x3FFFFFFF), "window 1.0 s"),
    "a table of durations": (lambda: files.movie(files.RATE, tables={b"stts": b"\x0f\xff\xff\xff"}), "tables beyond"),
    "a table of chunks": (lambda: files.movie(files.RATE, tables={b"stsc": b"\x0f\xff\xff\xff"}), ""),
    "20 large indexes": (lambda: files.movie(10_000_000, sample_size=1, codec=b"mp4a", tracks=20), ""),
    "300 indexes": (lambda: files.movie(3_400_000, sample_size=1, codec=b"mp4a", tracks=300), "tables beyond"),
    "1 Hz": (lambda: files.movie(files.RATE, rate=1), "1 Hz"),
    "no channels": (lambda: files.movie(files.RATE, channels=0), ""),
    "rates": (lambda: files.changing_rates(200), "window"),
    "frames of any rate": (lambda: files.flac_frames_of_any_rate(20_000), "change 21 times"),
    "300 tracks of MOV": (lambda: files.many_tracks("mov", "pcm_s16le", 300), "window 0.5 s"),
    "300 tracks of MP4": (lambda: files.many_tracks("mp4", "aac", 300), "window 0.5 s"),
    "300 tracks of TS": (lambda: files.many_tracks("mpegts", "mp2", 300), "window 0.5 s"),
    "300 tracks of MKV": (lambda: files.many_tracks("matroska", "pcm_s16le", 300), "window 0.5 s"),
    "120 tracks of ASF": (lambda: files.many_tracks("asf", "pcm_s16le", 120), "window 0.5 s"),
    "99 tracks of AVI": (lambda: files.many_tracks("avi", "pcm_s16le", 99), "window 0.5 s"),
    "401 tracks": (lambda: files.many_tracks("mov", "pcm_s16le", 401), "more than 400 tracks"),
}

MOST_GROWTH_MIB = {"300 tracks of MP4": 400.0, "300 indexes": 1100.0}
"""Where there is a decoder for each track, and where the process that decodes meets its bound."""


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_read_flat_or_refused(asr: RunningServer, kind: str) -> None:
    """What is told is in the text of a transcription, or in the reason of the refusal."""
    make, told = FILES[kind]
    content = make()
    with asr.http() as client, watched(asr) as grown, ThreadPoolExecutor(1) as threads:
        pid, started = asr.engine_pid(), time.monotonic()
        sent = threads.submit(send, client, content)
        while not sent.done():
            since = time.monotonic()
            assert client.post(URL, **form(1.0)).json()["text"] == "window 1.0 s."  # type: ignore[arg-type]
            assert time.monotonic() - since < QUICK_S
        answer = sent.result()
        assert time.monotonic() - started < QUICK_S
        assert asr.engine_pid() == pid
    text = answer.json()["text"] if answer.status_code == 200 else check_refusal(answer, asr)
    assert told in text
    assert max(grown.values(), default=0.0) < MOST_GROWTH_MIB.get(kind, MAX_GROWTH_MIB), grown


REAL: dict[str, tuple[Callable[[], bytes], float]] = {
    "late sound in MPEG-TS": (lambda: files.late_sound("mpegts"), 9.0),
    "late sound in MPEG-PS": (lambda: files.late_sound("mpeg"), 9.0),
    "a cover of 12 MB": (lambda: files.with_cover(12), 1.0),
    "an index at the end": (lambda: files.transcode_tone("mp4", "aac", 30.0), 30.0),
}


@pytest.mark.parametrize("kind", REAL)
def test_what_people_have_is_read_as_ever(asr: RunningServer, kind: str) -> None:
    make, length_s = REAL[kind]
    with asr.http() as client:
        told = send(client, make(), response_format="verbose_json").json()
    assert told["duration"] == pytest.approx(length_s, abs=0.1)
    assert "window" in told["text"]


@pytest.mark.parametrize("kind", files.WAVES)
def test_a_wave_of_extremes_is_heard_or_refused(asr: RunningServer, kind: str) -> None:
    started = time.monotonic()
    with asr.http() as client, watched(asr) as grown:
        answer = send(client, files.wave(*files.WAVES[kind]))
    assert time.monotonic() - started < QUICK_S
    if answer.status_code != 200:
        check_refusal(answer, asr)
    assert max(grown.values(), default=0.0) < MAX_GROWTH_MIB


def test_chains_of_thousands_of_links_cost_what_their_length_does(asr: RunningServer) -> None:
    link = files.transcode_tone("ogg", "flac")
    started = time.monotonic()
    with asr.http() as client:
        heard = send(client, link * 3000).json()["text"]
    check_windows(heard, 3000 * duration_s(link))
    assert time.monotonic() - started < 2 * QUICK_S


def test_samples_in_another_file_are_not_fetched(asr: RunningServer, tmp_path: Path) -> None:
    secret = tmp_path / "secret.raw"
    os.mkfifo(secret)
    # Whoever opened the pipe would wait for its other end.
    with asr.http() as client:
        answer = send(client, files.elsewhere(str(secret)))
    assert answer.status_code in {200, 400}, answer.text


@pytest.mark.parametrize("container", ["mov", "matroska", "ogg", "flac", "mpegts"])
def test_a_file_may_end_anywhere(asr: RunningServer, container: str) -> None:
    codec = {"mov": "aac", "matroska": "aac", "ogg": "libopus", "flac": "flac", "mpegts": "mp2"}[container]
    whole = files.transcode_tone(container, codec, 0.5)
    with asr.http() as client:
        for end in range(1, len(whole), max(1, len(whole) // 25)):
            answer = send(client, whole[:end])
            if answer.status_code != 200:
                check_refusal(answer, asr)


@pytest.mark.parametrize("kind", ["pictures of gigabytes", "20 large indexes", "frames of any rate", "no packet"])
def test_voices_are_examined_beside_the_api_process(tts: RunningServer, kind: str) -> None:
    content = FILES[kind][0]()
    started = time.monotonic()
    with tts.http() as client, watched(tts) as grown:
        answer = client.post(VOICES, data={"name": "Eve"}, files={"audio_sample": ("a.wav", content)})
    assert check_refusal(answer, tts)
    assert answer.json()["error"]["param"] == "audio_sample"
    assert time.monotonic() - started < QUICK_S
    assert max(grown.values(), default=0.0) < MAX_GROWTH_MIB, grown


def test_the_api_process_stays_small(start_server: StartServer, tmp_path: Path) -> None:
    with start_server("tts", **FAKE_TTS, TTS_VOICE_DIR=str(tmp_path)) as tts, tts.http() as client:
        for name in ("mp3", "opus", "aac", "flac", "wav"):
            body = {"model": "tts-1", "input": "Guten Morgen, wie geht es Ihnen?", "response_format": name}
            assert client.post("/v1/audio/speech", json=body).status_code == 200
        made = client.post(VOICES, data={"name": "Ann"}, files={"audio_sample": ("a.flac", BIRCH.read_bytes())})
        assert made.status_code == 200, made.text
        voice = made.json()["id"]
        assert client.get(f"{VOICES}/{voice}/preview").headers["content-type"] == "audio/mpeg"
        assert client.get(f"{VOICES}/{voice}").json()["warnings"] == []
        process = psutil.Process(tts.process.pid)
        assert process.memory_full_info().uss / MIB < MAX_API_MIB
        loaded = {mapped.path for mapped in process.memory_maps() if LIBRARIES.search(mapped.path)}
        assert not loaded
        assert client.delete(f"{VOICES}/{voice}").json()["deleted"]


def test_a_file_that_kills_the_decoder_harms_no_other_job(asr: RunningServer) -> None:
    with asr.http() as client, ThreadPoolExecutor(1) as threads:
        engine = asr.engine_pid()
        (decoder,) = (child for child in psutil.Process(engine).children() if child.nice() > 0)
        long = threads.submit(client.post, URL, **form(240.0, prompt="sleep=0.05"))  # type: ignore[arg-type]
        wait_until(lambda: asr.count_jobs()[0], QUICK_S, "it is heard")
        time.sleep(0.5)
        decoder.kill()
        check_windows(long.result().json()["text"], 240.0)
        assert client.post(URL, **form(1.0)).json()["text"] == "window 1.0 s."  # type: ignore[arg-type]


def examiners(server: RunningServer) -> list[psutil.Process]:
    """The processes that examine recordings: those with FFmpeg that are no engines."""
    engine = server.engine_pid()
    children = psutil.Process(server.process.pid).children(recursive=True)
    return [
        child for child in children
        if child.pid != engine and any("libavformat" in mapped.path for mapped in child.memory_maps())
    ]  # fmt: skip


def test_an_examination_whose_process_dies_is_answered_and_the_next_goes_well(tts: RunningServer) -> None:
    def upload() -> httpx2.Response:
        with tts.http() as client:
            return client.post(VOICES, data={"name": "Ann"}, files={"audio_sample": ("a.flac", BIRCH.read_bytes())})

    assert upload().status_code == 200
    (process,) = examiners(tts)
    assert process.nice() > 0
    process.suspend()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(upload)
        time.sleep(0.5)
        assert not waiting.done()
        process.kill()
        assert "process died" in check_refusal(waiting.result(timeout=QUICK_S), tts)
    assert upload().status_code == 200


def test_nothing_outlives_an_api_process_that_is_killed(start_server: StartServer, tmp_path: Path) -> None:
    with start_server("tts", **FAKE_TTS, TTS_VOICE_DIR=str(tmp_path)) as server:
        with server.http() as client:
            client.post(VOICES, data={"name": "Ann"}, files={"audio_sample": ("a.flac", BIRCH.read_bytes())})
        (process,) = examiners(server)
        process.suspend()
        server.process.kill()
        wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, 10, "it is gone")
