"""Archives of thousands, and what happens to one: killed, interrupted, a full disk, workers that die or are busy."""

import json
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from cli.commands import COMMAND, run
from cli.conftest import environment, model_dir
from cli.test_archive import FAKE
from e2e.sound import tone, wrap_pcm
from object_storage import run_object_storage
from running_server import run_server, wait_until
from voice_stack.core.system.objects import ObjectStore

__all__ = ["environment", "model_dir"]

MOST_AT_ONCE = 64
PATIENCE_S = 900
MOST_MEMORY_BYTES = 400 << 20


def _texts(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.en.*")}


def test_servers_and_an_engine_of_its_own_make_the_same_texts(environment: dict[str, str], tmp_path: Path) -> None:
    films = tmp_path / "films"
    for name, length_s in {"long film": 140.0, "season 1/a": 3.0, "season 1/b": 7.5, "season 2/a": 4.2}.items():
        path = films / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tone(length_s))
    (films / "season 2/b.mp3").write_bytes(b"no sound")
    wishes = ["--format", "srt,verbose_json,text", "--diarize", str(films), "--out"]
    own = run(environment | FAKE, "archive", *wishes, str(tmp_path / "own"))
    assert own.returncode == 1
    nobody = f"http://127.0.0.1:{environment['ASR_PORT']}"
    with run_server("asr", tmp_path / "server", FAKE) as server:
        there = run(environment, "archive", "--workers", f"{server.url},{nobody}", *wishes, str(tmp_path / "there"))
        with server.http() as client:
            assert client.get("/v1/jobs").json()["data"] == [], "what went as a job is removed from the server"
    assert there.returncode == 1, there.stderr
    assert f"left out for now worker={nobody}" in there.stderr
    made = _texts(tmp_path / "own")
    assert len(made) == 12
    assert b"SPEAKER_00" in made["season 1/a.en.txt"]
    assert _texts(tmp_path / "there") == made
    metrics = (tmp_path / "there/.voice-stack/archive.prom").read_text()
    assert 'voice_stack_archive_recordings{archive="archive",state="done"} 4' in metrics
    assert 'voice_stack_archive_recordings{archive="archive",state="refused"} 1' in metrics
    assert 'voice_stack_archive_done_ratio{archive="archive"} 1.000' in metrics
    for out in ("own", "there"):
        report = json.loads((tmp_path / out / "archive-report.json").read_text())
        assert (report["found"], report["done"], report["refused"], report["failed"]) == (5, 4, 1, 0)
        (failure,) = report["failures"]
        assert failure["key"] == "season 2/b.mp3"
        assert failure["reason"].startswith("Invalid file format.")
    assert [line for line in own.stderr.splitlines() if line.startswith("5 recordings: 4 done, 1 refused;")]


def _record(folder: Path, count: int) -> Path:
    """So many short recordings, of which no two are the same."""
    samples = np.random.default_rng(1).integers(-3000, 3000, 16_000, dtype="<i2")
    for number in range(count):
        path = folder / f"{number // 500:02}" / f"clip {number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        samples[0], samples[1] = number % 30_000, number // 30_000
        path.write_bytes(wrap_pcm(samples[: 4000 + number % 50 * 160].tobytes(), 16_000))
    return folder


@contextmanager
def _started(
    environment: dict[str, str], *arguments: str, limit: Callable[[], None] | None = None
) -> Iterator[subprocess.Popen[str]]:
    command = [*COMMAND, "archive", *arguments]
    process = subprocess.Popen(
        command, env=environment, cwd=environment["HOME"], stderr=subprocess.PIPE, text=True, preexec_fn=limit
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _archive(environment: dict[str, str], *arguments: str, limit: Callable[[], None] | None = None) -> tuple[int, str]:
    """Run the command to its end; returns its exit code and what it says."""
    with _started(environment, *arguments, limit=limit) as process:
        _, told = process.communicate(timeout=PATIENCE_S)
        return process.returncode, told


def _count(out: Path) -> int:
    return sum(1 for _ in out.rglob("*.srt"))


def _report(out: Path, part: str = "") -> dict[str, int]:
    report = json.loads((out / "archive-report.json").read_text())
    counts: dict[str, int] = report[part] if part else report
    return counts


@pytest.mark.timeout(2 * PATIENCE_S)
def test_ten_thousand_survive_a_kill_and_lose_what_was_in_hand(environment: dict[str, str], tmp_path: Path) -> None:
    films, out = _record(tmp_path / "films", 10_000), tmp_path / "out"
    arguments = [str(films), "--out", str(out), "--format", "srt,json"]
    with _started(environment | FAKE, *arguments) as process:
        wait_until(lambda: _count(out) > 2_000, PATIENCE_S, "2,000 are done")
        engines = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    made = _count(out)
    wait_until(lambda: not any(engine.is_running() for engine in engines), 60, "the engines are gone")
    with _started(environment | FAKE, *arguments) as process:
        most, watched = 0, psutil.Process(process.pid)
        while process.poll() is None:
            most = max(most, watched.memory_info().rss)
            time.sleep(0.2)
        assert process.returncode == 0, process.stderr and process.stderr.read()
    report = _report(out)
    assert (report["found"], report["done"]) == (10_000, 10_000)
    done_anew = _report(out, "this_run")["done"] - (10_000 - made)
    assert 0 <= done_anew <= MOST_AT_ONCE
    assert most < MOST_MEMORY_BYTES
    assert _count(out) == 10_000


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_work_and_the_same_command_goes_on(
    environment: dict[str, str], tmp_path: Path, end: signal.Signals
) -> None:
    films, out = tmp_path / "films", tmp_path / "out"
    films.mkdir()
    for number in range(4):
        (films / f"{number}.wav").write_bytes(tone(140.0 + 20 * number))
    arguments = [str(films), "--out", str(out), "--prompt", "sleep=0.1"]
    with run_server("asr", tmp_path / "server", FAKE) as server:
        with _started(environment, *arguments, "--workers", server.url) as process, server.http() as client:
            wait_until(lambda: _count(out) > 1, 120, "the first is done and noted")
            process.send_signal(end)
            _, told = process.communicate(timeout=60)
            assert process.returncode == 130
            assert "interrupted: the same command goes on with the rest" in told
            assert "Traceback" not in told
            statuses = {job["status"] for job in client.get("/v1/jobs").json()["data"]}
            assert statuses <= {"cancelled"}
        code, told = _archive(environment, *arguments, "--workers", server.url)
    assert code == 0, told
    assert _report(out, "this_run")["done"] < 4


def test_a_full_disk_ends_the_run_and_room_lets_it_go_on(environment: dict[str, str], tmp_path: Path) -> None:
    films, out = tmp_path / "films", tmp_path / "out"
    films.mkdir()
    (films / "talkative.wav").write_bytes(tone(200.0))
    (films / "short.wav").write_bytes(tone(1.0))
    text = "a long story " * 100
    arguments = [str(films), "--out", str(out), "--format", "verbose_json", "--prompt", f"text={text}"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    code, told = _archive(environment | FAKE, *arguments, limit=limit)
    assert code == 3
    assert "has no room" in told
    assert "Traceback" not in told
    assert not list(out.rglob("talkative*"))
    assert _archive(environment | FAKE, *arguments)[0] == 0
    assert len(list(out.rglob("talkative*"))) == 1


def test_what_a_worker_had_in_hand_when_it_died_others_do(environment: dict[str, str], tmp_path: Path) -> None:
    films, out = _record(tmp_path / "films", 150), tmp_path / "out"
    (films / "long.wav").write_bytes(tone(140.0))
    with ExitStack() as stack:
        servers = [stack.enter_context(run_server("asr", tmp_path / name, FAKE)) for name in ("one", "two")]
        workers = ",".join(server.url for server in servers)
        arguments = [str(films), "--out", str(out), "--workers", workers, "--prompt", "sleep=0.1"]
        with _started(environment, *arguments) as process:
            wait_until(lambda: _count(out) > 20, 120, "20 are done")
            assert all(sum(server.count_jobs()) for server in servers), "both have work"
            servers[0].process.kill()
            _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert f"left out for now worker={servers[0].url}" in told
    report = _report(out)
    assert (report["found"], report["done"], report["failed"]) == (151, 151, 0)


def test_a_server_that_takes_no_more_is_not_pressed(environment: dict[str, str], tmp_path: Path) -> None:
    films, out = _record(tmp_path / "films", 40), tmp_path / "out"
    strict = FAKE | {"ASR_REQUESTS_AT_ONCE_PER_CLIENT": "2"}
    with run_server("asr", tmp_path / "server", strict) as server:
        code, told = _archive(
            environment, str(films), "--out", str(out), "--workers", server.url, "--prompt", "sleep=0.3"
        )
        assert "status=429" in server.log.read_text(), "it was too much at first"
    assert code == 0, told


def test_from_bucket_to_bucket(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_object_storage() as storage:
        environment |= FAKE | storage.environment
        for name, value in storage.environment.items():
            monkeypatch.setenv(name, value)
        films, texts = ObjectStore.open(storage.at("films")), ObjectStore.open(storage.at("texts"))
        for name in ("a", "deep/b c", "deep/ü"):
            films.put(f"{name}.wav", tone(2.0))
        films.put("deep/notes.txt", b"no film")
        arguments = [storage.at("films"), "--out", storage.at("texts"), "--format", "srt,json"]

        def done_now() -> int:
            code, told = _archive(environment, *arguments)
            assert code == 0, told
            return int(json.loads(texts.read("archive-report.json", 1 << 20))["this_run"]["done"])

        assert done_now() == 3
        names = [found.key for found in texts.list()]
        assert names == ["a.en.json", "a.en.srt", "archive-report.json", "deep/b c.en.json", "deep/b c.en.srt",
                         "deep/ü.en.json", "deep/ü.en.srt"]  # fmt: skip
        assert done_now() == 0
        films.put("a.wav", tone(3.0))
        texts.delete("deep/ü.en.srt")
        assert done_now() == 2
        listed = tmp_path / "list.txt"
        listed.write_text(f"{storage.at('films/a.wav')}\n{storage.at('films/gone.wav')}\n")
        code, told = _archive(environment, str(listed), "--out", str(tmp_path / "out"))
        assert code == 1
        assert "not looked at: " in told
        assert "gone.wav: there is no such object" in told
        assert _count(tmp_path / "out") == 1
        code, told = _archive(environment, str(listed), "--out", "s3://no-such-bucket/texts")
        assert (code, len(told.splitlines()), "there is no such bucket" in told) == (1, 1, True), told
        environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
        code, told = _archive(environment, *arguments)
        assert (code, len(told.splitlines())) == (1, 1), told
