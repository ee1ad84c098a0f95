"""Replicas in Kubernetes: an id leads to the pod that knows it, and Prometheus says how many there have to be."""

import math
import re
from pathlib import Path

import pytest
import yaml

from deploy.manifests import Manifest, build, dig, entries, of_kind, pod_of
from deploy.prometheus import promtool
from voice_stack.core.ids import new_id

MOST = 4


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """What is applied for replicas that scale."""
    return build(tmp_path_factory.mktemp("gateway"), "gateway, keda")


def _named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = (manifest for manifest in of_kind(manifests, kind) if dig(manifest, "metadata", "name") == name)
    return found


@pytest.mark.parametrize("name", ["voice-stack-asr", "voice-stack-tts", "voice-stack-chat"])
def test_ids_carry_the_index_of_the_pod(manifests: list[Manifest], name: str) -> None:
    pod = dig(_named(manifests, "StatefulSet", name), "spec", "template", "spec", "containers", 0)
    variables = {str(one["name"]): one for one in entries(pod, "env")}
    index = dig(variables["POD_INDEX"], "valueFrom", "fieldRef", "fieldPath")
    assert index == "metadata.labels['apps.kubernetes.io/pod-index']"
    assert dig(variables["REPLICA"], "value") == "$(POD_INDEX)"
    assert list(variables).index("POD_INDEX") < list(variables).index("REPLICA")  # or it would not be put in


@pytest.mark.parametrize(
    ("server", "path", "headers", "backend"),
    [
        ("asr", "/v1/jobs/{job}", {}, "asr-2"),
        ("asr", "/v1/jobs/{job}/result", {}, "asr-2"),
        ("asr", "/v1/realtime/sessions/{session}/transcript", {}, "asr-2"),
        ("chat", "/v1/voice/sessions/{session}", {}, "chat-2"),
        ("chat", "/v1/voice/sessions/{session}/ws", {}, "chat-2"),
        ("asr", "/v1/jobs", {}, "asr"),
        ("asr", "/v1/jobs", {"x-replica": "3"}, "asr-3"),
        ("asr", "/v1/jobs/{unnamed}", {}, "asr"),
        ("tts", "/v1/audio/speech", {}, "tts"),
        # What the Voice server passes on is for any of its replicas; the balancer of the ASR server looks at the id.
        ("chat", "/v1/jobs/{job}", {}, "chat"),
        ("chat", "/api/voice/chat", {}, "chat-0"),
    ],
)
def test_an_id_leads_to_the_pod_that_knows_it(
    manifests: list[Manifest], server: str, path: str, headers: dict[str, str], backend: str
) -> None:
    path = path.format(job=new_id("job", "2"), session=new_id("sess", "2"), unnamed=new_id("job"))
    rules = entries(_named(manifests, "HTTPRoute", f"voice-stack-{server}"), "spec", "rules")
    matches = [(rule, match) for rule in rules for match in rule.get("matches", [{}])]  # type: ignore[attr-defined]
    *special, _for_all = [rule for rule, match in matches if _fits(match, path, headers)]
    assert len(special) <= 1, "one rule for a request, and that for all"
    chosen = dig(special[0] if special else _for_all, "backendRefs", 0, "name")
    assert chosen == f"voice-stack-{backend}"
    assert pod_of(_named(manifests, "Service", str(chosen))) == (chosen if special else "")


def _fits(match: Manifest, path: str, headers: dict[str, str]) -> bool:
    """Whether a match takes a request, as the Gateway API has it."""
    kind, value = ("PathPrefix", "/")
    if "path" in match:
        kind, value = str(dig(match, "path", "type")), str(dig(match, "path", "value"))
    is_path = re.fullmatch(value, path) is not None if kind == "RegularExpression" else path.startswith(value)
    wanted = entries(match, "headers") if "headers" in match else []
    return is_path and all(headers.get(str(one["name"])) == one["value"] for one in wanted)


def test_there_is_a_way_to_each_replica_that_there_may_be(manifests: list[Manifest]) -> None:
    for scaled in of_kind(manifests, "ScaledObject"):
        assert dig(scaled, "spec", "maxReplicaCount") == MOST
        server = str(dig(scaled, "metadata", "name"))
        for number in range(MOST):
            assert pod_of(_named(manifests, "Service", f"{server}-{number}")) == f"{server}-{number}"
        queries = [str(dig(trigger, "metadata", "query")) for trigger in entries(scaled, "spec", "triggers")]
        by_pod = [query for query in queries if f"{server}-0" in query]
        assert all(f'"{server}-{number}"' in query for query in by_pod for number in range(MOST))


def _lane(pod: int, *, model: str = "base", busy_s: int, lanes: int) -> list[tuple[str, str]]:
    """An engine process whose lanes work so many seconds of a minute, all together."""
    labels = f'namespace="voice-stack",pod="voice-stack-asr-{pod}",engine="e",model="{model}"'
    return [
        (f"voice_stack_lane_busy_seconds_total{{{labels}}}", f"0+{busy_s}x20"),
        (f'voice_stack_engine_lanes{{{labels},state="busy"}}', "0x20"),
        (f'voice_stack_engine_lanes{{{labels},state="free"}}', f"{lanes}x20"),
    ]


def _waiting(pod: int, seconds: int) -> tuple[str, str]:
    labels = f'namespace="voice-stack",pod="voice-stack-asr-{pod}",engine="e",model="base"'
    return f"voice_stack_queue_seconds{{{labels}}}", f"{seconds}x20"


def _jobs(pod: int, state: str, count: int) -> tuple[str, str]:
    labels = f'namespace="voice-stack",pod="voice-stack-asr-{pod}",state="{state}"'
    return f"voice_stack_background_jobs{{{labels}}}", f"{count}x20"


Series = list[tuple[str, str]]
SITUATIONS: dict[str, tuple[Series, list[float | None], int]] = {
    "no replica has worked yet": ([_jobs(0, "running", 0)], [None, None, 0], 1),
    "nobody works": ([_waiting(0, 0), *_lane(0, busy_s=0, lanes=2), _jobs(0, "running", 0)], [0, 0, 0], 1),
    "a model that was unloaded has no lanes": ([_waiting(0, 0), *_lane(0, busy_s=0, lanes=0)], [0, None, None], 1),
    "two replicas are busy, and nobody waits yet": (
        [_waiting(0, 0), _waiting(1, 0), *_lane(0, busy_s=120, lanes=2), *_lane(1, busy_s=108, lanes=2)],
        [0, 1.9, None],
        3,
    ),
    "another engine that rests hides no busy one": (
        [*_lane(0, busy_s=60, lanes=1), *_lane(0, model="speakers", busy_s=0, lanes=1)],
        [None, 1, None],
        2,
    ),
    "a queue": ([_waiting(0, 100), _waiting(1, 20)], [120, None, None], 4),
    "a film is at work on the third replica, and nothing on the others": (
        [_waiting(0, 0), _waiting(2, 0), _jobs(0, "running", 0), _jobs(2, "running", 1), _jobs(2, "queued", 0)],
        [0, None, 3],
        3,
    ),
    "a film waits on the second replica": ([_jobs(1, "queued", 1), _jobs(1, "running", 0)], [None, None, 2], 2),
}


def test_prometheus_says_how_many_replicas_there_have_to_be(manifests: list[Manifest], tmp_path: Path) -> None:
    scaled = dig(_named(manifests, "ScaledObject", "voice-stack-asr"), "spec")
    asked = [
        (str(dig(one, "metadata", "query")), str(dig(one, "metadata", "threshold")))
        for one in entries(scaled, "triggers")
    ]
    tests = []
    for name, (series, values, wanted) in SITUATIONS.items():
        given = [
            {
                "expr": query,
                "eval_time": "10m",
                "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
            }
            for (query, _), value in zip(asked, values, strict=True)
        ]
        shown = [{"series": one, "values": steps} for one, steps in series]
        tests.append({"name": name, "interval": "1m", "input_series": shown, "promql_expr_test": given})
        # As a HorizontalPodAutoscaler goes by several averages.
        needed = [math.ceil(value / float(most)) for value, (_, most) in zip(values, asked, strict=True) if value]
        assert min(max([1, *needed]), MOST) == wanted, name
    (tmp_path / "scaling.test.yml").write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": tests}))
    code, said = promtool("test", "rules", tmp_path / "scaling.test.yml")
    assert (code, "SUCCESS" in said) == (0, True), said
