"""An archive on a Ray cluster: the same texts as elsewhere, each recording once, whatever is killed."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from on_ray.conftest import Cluster
from on_ray.test_servers import make_wav
from running_server import wait_until

FILMS = 18
SETTINGS = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_VAD_ENABLED": "false", "ASR_WINDOW_S": "2"}


def make_archive(folder: Path) -> Path:
    for number in range(FILMS):
        film = folder / f"season {number % 3}" / f"{number}.wav"
        film.parent.mkdir(parents=True, exist_ok=True)
        film.write_bytes(make_wav(1 + number / 4))
    (folder / "broken.wav").write_bytes(b"this is no sound")
    return folder


class Archive:
    """The command `voice-stack archive` on a folder."""

    def __init__(self, films: Path, out: Path) -> None:
        self.films, self.out = films, out

    def begin(self, *options: str, **environment: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "voice_stack", "archive", str(self.films), "--out", str(self.out)]
        return subprocess.Popen(
            [*command, "--format", "srt,json", "--language", "en", *options],
            env={**os.environ, **SETTINGS, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *options: str, **environment: str) -> dict[str, int]:
        """Run it to its end; how many recordings ended in it in which state."""
        process = self.begin(*options, **environment)
        told = process.communicate(timeout=170)[0].decode()
        assert process.returncode == 1, told  # one is broken
        report = json.loads((self.out / "archive-report.json").read_text())
        assert report["failures"][0]["key"] == "broken.wav", told
        this_run = report["this_run"]
        return {state: this_run[state] for state in ("done", "refused", "failed") if this_run[state]}

    def texts(self) -> dict[str, bytes]:
        found = (path for kind in ("*.srt", "season*/*.srt", "season*/*.json") for path in self.out.glob(kind))
        return {str(path.relative_to(self.out)): path.read_bytes() for path in found}


def archivists() -> list[psutil.Process]:
    found = list[psutil.Process]()
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            found += [one] if "Archivist" in " ".join(one.cmdline()) else []
    return found


def test_the_same_texts_once(cluster: Cluster, tmp_path: Path) -> None:
    films = make_archive(tmp_path / "films")
    here, there = Archive(films, tmp_path / "here"), Archive(films, tmp_path / "there")
    on_ray = ("--ray", cluster.address, "--cpus", "0.5")
    assert here.run() == {"done": FILMS, "refused": 1}
    assert there.run(*on_ray) == {"done": FILMS, "refused": 1}
    assert len(there.texts()) == 2 * FILMS
    assert there.texts() == here.texts()
    (films / "season 1/new.wav").write_bytes(make_wav(3))
    assert there.run(*on_ray) == {"done": 1}


def test_what_is_killed_loses_nothing(cluster: Cluster, tmp_path: Path) -> None:
    archive = Archive(make_archive(tmp_path / "films"), tmp_path / "out")
    on_ray = ("--ray", cluster.address, "--cpus", "0.5", "--prompt", "sleep=0.2")
    command = archive.begin(*on_ray)
    wait_until(lambda: len(archive.texts()) >= 4, 120, "some are done")
    command.send_signal(signal.SIGKILL)
    command.wait()
    wait_until(lambda: not archivists(), 60, "its engines are gone")
    there = len(archive.texts()) // 2
    command = archive.begin(*on_ray)
    wait_until(lambda: len(archive.texts()) // 2 > there + 2, 120, "it goes on")
    archivists()[0].kill()
    told = command.communicate(timeout=170)[0].decode()
    assert command.returncode == 1, told
    assert len(archive.texts()) == 2 * FILMS
    report = json.loads((archive.out / "archive-report.json").read_text())
    assert [failure["key"] for failure in report["failures"]] == ["broken.wav"]
    assert report["this_run"]["done"] <= FILMS - there + 16, "what was in hand is done again, and nothing else"


def test_a_run_that_cannot_be(cluster: Cluster, tmp_path: Path) -> None:
    archive = Archive(make_archive(tmp_path / "films"), tmp_path / "out")
    command = archive.begin("--ray", cluster.address, "--cpus", "0.5", "--model", "nope")
    told = command.communicate(timeout=170)[0].decode()
    assert command.returncode == 3, told
    assert "The model `nope` does not exist" in told
    assert "Traceback" not in told


def test_no_cluster_there(tmp_path: Path) -> None:
    archive = Archive(make_archive(tmp_path / "films"), tmp_path / "out")
    command = archive.begin("--ray", "127.0.0.1:9")
    told = command.communicate(timeout=170)[0].decode()
    assert command.returncode == 3, told
    assert "--ray 127.0.0.1:9: no Ray cluster answers there" in told
