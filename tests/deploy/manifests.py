"""The manifests of deploy/kubernetes, put together by kubectl."""

import shutil
import subprocess
from pathlib import Path

import yaml

Manifest = dict[str, object]
MANIFESTS = Path(__file__).parents[2] / "deploy" / "kubernetes"


def build(folder: Path, components: str = "") -> list[Manifest]:
    """What is applied with some components, as `gateway, keda`, from a copy in an empty folder."""
    whole = shutil.copytree(MANIFESTS, folder / "kubernetes") / "kustomization.yaml"
    whole.write_text(whole.read_text("utf-8").replace("components: []", f"components: [{components}]"), "utf-8")
    command = [shutil.which("kubectl") or "kubectl", "kustomize", str(whole.parent)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert built.returncode == 0, built.stderr
    assert built.stderr == ""
    return [document for document in yaml.safe_load_all(built.stdout) if document]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """Those of one kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def dig(value: object, *path: str | int) -> object:
    """What lies at a path in an object."""
    for step in path:
        assert isinstance(value, dict | list), (value, step)
        value = value[step]  # type: ignore[index]
    return value


def entries(value: object, *path: str | int) -> list[Manifest]:
    """The objects of a list at a path."""
    found = dig(value, *path)
    assert isinstance(found, list)
    return found


def pod_of(service: Manifest) -> str:
    """The pod of a service that leads to one alone; empty for all else."""
    spec = dig(service, "spec")
    assert isinstance(spec, dict)
    return str(spec.get("selector", {}).get("statefulset.kubernetes.io/pod-name", ""))
