"""The manifests of deploy/kubernetes, put together by kubectl and checked against Kubernetes' own schemas."""

import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from voice_stack.asr.settings import AsrSettings
from voice_stack.chat.settings import ChatSettings
from voice_stack.tts.settings import TtsSettings

MANIFESTS = Path(__file__).parents[2] / "deploy" / "kubernetes"
COMPONENTS = ["gpu", "autoscaling", "keda"]
RELEASES = ["1.32", "1.37"]  # the oldest that is looked after somewhere, the newest that the schemas know
CUSTOM = {"ScaledObject"}  # of KEDA's, which publishes its schema elsewhere


def _build(folder: Path) -> list[dict[str, object]]:
    command = [shutil.which("kubectl") or "kubectl", "kustomize", str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert built.returncode == 0, built.stderr
    assert built.stderr == ""
    return [document for document in yaml.safe_load_all(built.stdout) if document]


@pytest.fixture(scope="module", params=["plain", *COMPONENTS])
def manifests(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """What is applied: without components, and with each of them."""
    folder = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(MANIFESTS, folder)
    if request.param != "plain":
        whole = folder / "kustomization.yaml"
        whole.write_text(whole.read_text("utf-8").replace("components: []", f"components: [{request.param}]"), "utf-8")
    return _build(folder)


def _of_kind(manifests: list[dict[str, object]], kind: str) -> list[dict[str, object]]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def _dig(value: object, *path: str | int) -> object:
    for step in path:
        assert isinstance(value, dict | list), (value, step)
        value = value[step]  # type: ignore[index]
    return value


def _container(workload: dict[str, object]) -> object:
    return _dig(workload, "spec", "template", "spec", "containers", 0)


@pytest.mark.parametrize("release", RELEASES)
def test_kubernetes_knows_every_field(manifests: list[dict[str, object]], release: str) -> None:
    for manifest in manifests:
        if manifest["kind"] not in CUSTOM:
            kubernetes_validate.validate(manifest, release, strict=True)


def test_each_server_runs_unprivileged_and_is_asked_how_it_is(manifests: list[dict[str, object]]) -> None:
    workloads = _of_kind(manifests, "StatefulSet")
    names = [_dig(workload, "metadata", "name") for workload in workloads]
    assert names == ["voice-stack-asr", "voice-stack-chat", "voice-stack-tts"]
    for workload in workloads:
        container = _container(workload)
        assert _dig(workload, "spec", "template", "spec", "securityContext", "runAsNonRoot") is True
        assert _dig(container, "securityContext") == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        probes = {name: _dig(container, name, "httpGet", "path") for name in ("startupProbe", "livenessProbe")}
        # A server that is busy loading must not be killed for it: that is what /ready is for.
        assert set(probes.values()) == {"/healthz"}
        assert _dig(container, "readinessProbe", "httpGet", "path") == "/ready"


def test_policies_and_services_choose_the_pods(manifests: list[dict[str, object]]) -> None:
    labels = [
        _dig(workload, "spec", "template", "metadata", "labels") for workload in _of_kind(manifests, "StatefulSet")
    ]
    chosen = {
        "Service": ("spec", "selector"),
        "PodDisruptionBudget": ("spec", "selector", "matchLabels"),
        "NetworkPolicy": ("spec", "podSelector", "matchLabels"),
    }
    for kind, path in chosen.items():
        assert [_dig(manifest, *path) for manifest in _of_kind(manifests, kind)] == labels


def test_settings_exist(manifests: list[dict[str, object]]) -> None:
    known = {cls.env_name(field) for cls in (AsrSettings, TtsSettings, ChatSettings) for field in cls.model_fields}
    (shared,) = (manifest for manifest in _of_kind(manifests, "ConfigMap"))
    named = set(map(str, _dig(shared, "data")))  # type: ignore[call-overload]
    for workload in _of_kind(manifests, "StatefulSet"):
        variables = _dig(_container(workload), "env")
        assert isinstance(variables, list)
        named |= {str(_dig(variable, "name")) for variable in variables}
    assert named <= known


def test_replicas_follow_the_queue(manifests: list[dict[str, object]]) -> None:
    scaled = [*_of_kind(manifests, "HorizontalPodAutoscaler"), *_of_kind(manifests, "ScaledObject")]
    for autoscaler in scaled:
        assert _dig(autoscaler, "spec", "scaleTargetRef", "name") == _dig(autoscaler, "metadata", "name")
        assert "voice_stack_queue_seconds" in yaml.safe_dump(autoscaler)
    kinds = {str(manifest["kind"]) for manifest in scaled}
    assert len(scaled) == 2 * len(kinds)
