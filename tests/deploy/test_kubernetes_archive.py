"""The Indexed Job of deploy/kubernetes/archive: its fields, and what its pods do together."""

import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from e2e.sound import tone
from voice_stack.archive.manifest import Shard

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes" / "archive"


@pytest.fixture(scope="module")
def job() -> dict[str, dict[str, object]]:
    command = [shutil.which("kubectl") or "kubectl", "kustomize", str(FOLDER)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    manifests = list(yaml.safe_load_all(built.stdout))
    for manifest in manifests:
        # The first looks for failures by index; the other is the newest that the schemas know.
        for release in ("1.32", "1.37"):
            kubernetes_validate.validate(manifest, release, strict=True)
    return next(manifest for manifest in manifests if manifest["kind"] == "Job")


def test_its_pods_do_all_parts_of_it_together(job: dict[str, dict[str, object]], tmp_path: Path) -> None:
    count, container = job["spec"]["completions"], job["spec"]["template"]["spec"]["containers"][0]  # type: ignore[index]
    films, texts = tmp_path / "films", tmp_path / "texts"
    films.mkdir()
    for number in range(3):
        (films / f"{number}.wav").write_bytes(tone(1.0 + number))
    program, *command = [*container["command"], *container["args"]]
    assert program == "voice-stack"
    environment = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_VAD_ENABLED": "false", "HOME": str(tmp_path)}
    parts = [index for index in range(count) if any(Shard(index, count).has(path.name) for path in films.iterdir())]
    for index in parts:
        shown = [word.replace("$(JOB_COMPLETION_INDEX)", str(index)) for word in command]
        assert shown != command, "each pod has its own part"
        placed = [word.replace("/archive/", f"{tmp_path}/") for word in shown]
        subprocess.run([sys.executable, "-m", "voice_stack", *placed], env=environment, timeout=120, check=True)
    assert sorted(path.name for path in texts.glob("*.srt")) == ["0.en.srt", "1.en.srt", "2.en.srt"]
    assert len(list(texts.glob("archive-report-*.json"))) == len(parts)
