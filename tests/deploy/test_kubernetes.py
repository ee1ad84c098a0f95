"""The manifests of deploy/kubernetes, put together by kubectl and checked against the schemas of their makers."""

import json
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest

from deploy.manifests import Manifest, build, dig, entries, of_kind, pod_of
from voice_stack.asr.settings import AsrSettings
from voice_stack.chat.settings import ChatSettings
from voice_stack.tts.settings import TtsSettings

JS = Path(__file__).parents[1] / "js"
COMPONENTS = ["gpu", "gateway", "shared-state", "gateway, shared-state, keda", "autoscaling", "keda"]
STATE = "voice-stack-shared-state"
RELEASES = ["1.32", "1.37"]  # the oldest that is looked after somewhere, the newest that the schemas know
CUSTOM = {"Gateway", "HTTPRoute", "ScaledObject"}
"""Kinds of the Gateway API and of KEDA, whose schemas are packages of their own."""
ENVOYS_OWN = {"BackendTrafficPolicy", "EnvoyProxy"}
"""No package has their schemas."""


@pytest.fixture(scope="module", params=["plain", *COMPONENTS])
def manifests(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """What is applied: without components, and with each of them."""
    chosen = "" if request.param == "plain" else str(request.param)
    return build(tmp_path_factory.mktemp("kubernetes"), chosen)


def _container(workload: Manifest) -> object:
    return dig(workload, "spec", "template", "spec", "containers", 0)


@pytest.mark.parametrize("release", RELEASES)
def test_kubernetes_knows_every_field(manifests: list[Manifest], release: str) -> None:
    for manifest in manifests:
        if manifest["kind"] not in CUSTOM | ENVOYS_OWN:
            kubernetes_validate.validate(manifest, release, strict=True)


def test_the_gateway_api_and_keda_take_their_kinds(manifests: list[Manifest]) -> None:
    assert (JS / "node_modules" / "@kubernetes-models").is_dir(), "missing: npm install --prefix tests/js"
    custom = json.dumps([manifest for manifest in manifests if manifest["kind"] in CUSTOM])
    command = ["node", str(JS / "kinds.mjs")]
    done = subprocess.run(command, input=custom, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_each_server_runs_unprivileged_and_is_asked_how_it_is(manifests: list[Manifest]) -> None:
    workloads = of_kind(manifests, "StatefulSet")
    names = [dig(workload, "metadata", "name") for workload in workloads]
    assert names == ["voice-stack-asr", "voice-stack-chat", "voice-stack-tts"]
    for workload in workloads:
        container = _container(workload)
        assert dig(workload, "spec", "template", "spec", "securityContext", "runAsNonRoot") is True
        assert dig(container, "securityContext") == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        probes = {name: dig(container, name, "httpGet", "path") for name in ("startupProbe", "livenessProbe")}
        # A server that is busy loading must not be killed for it: that is what /ready is for.
        assert set(probes.values()) == {"/healthz"}
        assert dig(container, "readinessProbe", "httpGet", "path") == "/ready"


def test_policies_and_services_choose_the_pods(manifests: list[Manifest]) -> None:
    labels = [dig(workload, "spec", "template", "metadata", "labels") for workload in of_kind(manifests, "StatefulSet")]
    chosen = {
        "Service": ("spec", "selector"),
        "PodDisruptionBudget": ("spec", "selector", "matchLabels"),
        "NetworkPolicy": ("spec", "podSelector", "matchLabels"),
    }
    for kind, path in chosen.items():
        ours = [manifest for manifest in of_kind(manifests, kind) if dig(manifest, "metadata", "name") != STATE]
        whole = [manifest for manifest in ours if not pod_of(manifest)]
        assert [dig(manifest, *path) for manifest in whole] == labels
        assert all("sessionAffinity" not in str(manifest) for manifest in whole)


def test_what_replicas_share_is_reached_by_the_servers_and_by_nobody_else(manifests: list[Manifest]) -> None:
    stores = [manifest for manifest in manifests if dig(manifest, "metadata", "name") == STATE]
    for store in of_kind(stores, "Deployment"):
        pod = dig(store, "spec", "template")
        labels, (port,) = dig(pod, "metadata", "labels"), entries(pod, "spec", "containers", 0, "ports")
        (service,), (policy,) = of_kind(stores, "Service"), of_kind(stores, "NetworkPolicy")
        assert dig(service, "spec", "selector") == labels == dig(policy, "spec", "podSelector", "matchLabels")
        assert dig(policy, "spec", "ingress", 0, "from") == [
            {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "voice-stack"}}}
        ]
        for workload in of_kind(manifests, "StatefulSet"):
            shared = {"name": "SHARED_URL", "value": f"redis://{STATE}:{dig(service, 'spec', 'ports', 0, 'port')}/0"}
            assert shared in entries(_container(workload), "env")
        ours = [one for one in of_kind(manifests, "NetworkPolicy") if one is not policy]
        out = [rule for one in ours for rule in entries(one, "spec", "egress")]
        way = {"to": [{"podSelector": {"matchLabels": labels}}], "ports": [{"port": port["containerPort"]}]}
        assert out.count(way) == len(of_kind(manifests, "StatefulSet"))


def test_settings_exist(manifests: list[Manifest]) -> None:
    known = {cls.env_name(field) for cls in (AsrSettings, TtsSettings, ChatSettings) for field in cls.model_fields}
    (shared,) = (manifest for manifest in of_kind(manifests, "ConfigMap"))
    named = set(map(str, dig(shared, "data")))  # type: ignore[call-overload]
    for workload in of_kind(manifests, "StatefulSet"):
        variables = dig(_container(workload), "env")
        assert isinstance(variables, list)
        named |= {str(dig(variable, "name")) for variable in variables}
    assert named - {"POD_INDEX"} <= known


def test_ids_carry_the_index_of_the_pod(manifests: list[Manifest]) -> None:
    for workload in of_kind(manifests, "StatefulSet"):
        variables = {str(dig(one, "name")): one for one in dig(_container(workload), "env")}  # type: ignore[attr-defined]
        index = dig(variables["POD_INDEX"], "valueFrom", "fieldRef", "fieldPath")
        assert index == "metadata.labels['apps.kubernetes.io/pod-index']"
        assert list(variables).index("POD_INDEX") < list(variables).index("REPLICA")  # or it would not be put in
        assert dig(variables["REPLICA"], "value") == "$(POD_INDEX)"


def test_replicas_follow_the_queue_and_the_lanes(manifests: list[Manifest]) -> None:
    scaled = [*of_kind(manifests, "HorizontalPodAutoscaler"), *of_kind(manifests, "ScaledObject")]
    for autoscaler in scaled:
        assert dig(autoscaler, "spec", "scaleTargetRef", "name") == dig(autoscaler, "metadata", "name")
        asked = str(autoscaler)
        assert "voice_stack_queue_seconds" in asked
        assert "voice_stack_busy_lanes_ratio" in asked or "voice_stack_lane_busy_seconds_total" in asked
    kinds = {str(manifest["kind"]) for manifest in scaled}
    assert len(scaled) == 2 * len(kinds)
