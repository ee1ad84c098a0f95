"""The files for Prometheus and Grafana, checked by their own tools against servers that work."""

import io
import json
import wave
from collections.abc import Iterator
from typing import cast

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from chat.scripted_model import ScriptedModel, run_scripted_model
from conftest import StartServer
from deploy.prometheus import DEPLOY, METRIC, RULES, Prometheus, promtool, running_prometheus
from deploy.traffic import use_asr, use_chat, use_tts
from running_server import RunningServer, wait_until

DASHBOARD = DEPLOY / "grafana" / "voice-stack.json"
VARIABLES = {"$job": ".*", "$instance": ".*", "$__rate_interval": "1m", "$__range": "5m"}


def _load_dashboard() -> dict[str, object]:
    loaded: dict[str, object] = json.loads(DASHBOARD.read_text())
    return loaded


def _expressions() -> list[tuple[str, str]]:
    """Title of the panel and expression, as Grafana would send it."""
    found = []
    for panel in cast("list[dict[str, object]]", _load_dashboard()["panels"]):
        for target in cast("list[dict[str, str]]", panel.get("targets", [])):
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            found.append((str(panel["title"]), expression))
    return found


@pytest.fixture(scope="module")
def wav() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(b"\1\0" * 16_000 * 6)
    return file.getvalue()


Servers = tuple[RunningServer, RunningServer, RunningServer]


@pytest.fixture(scope="module")
def shared_model() -> Iterator[ScriptedModel]:
    with run_scripted_model() as model:
        yield model


@pytest.fixture(scope="module")
def servers(start_server: StartServer, wav: bytes, shared_model: ScriptedModel) -> Iterator[Servers]:
    """The servers, with an engine of each that has worked."""
    asr_settings = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_WINDOW_S": "2", "ASR_IDLE_TIMEOUT_S": "1"}
    with (
        start_server("asr", **asr_settings, ASR_VAD_ENABLED="false") as asr,
        start_server("tts", TTS_ENGINE="fake", TTS_MODEL="fake") as tts,
        start_server("chat", CHAT_ASR_URL=asr.url, CHAT_TTS_URL=tts.url, CHAT_LLM_URL=shared_model.url) as chat,
    ):
        yield asr, tts, chat


@pytest.fixture(scope="module")
def prometheus(
    servers: Servers, shared_model: ScriptedModel, wav: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Prometheus, after it has seen every kind of traffic."""
    asr, tts, chat = servers
    targets = {f"127.0.0.1:{5001 + place}": f"127.0.0.1:{server.port}" for place, server in enumerate(servers)}
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), targets) as running:
        wait_until(lambda: len(running.query("voice_stack_ready == 1")) == 3, 60, "all servers are scraped")
        use_asr(asr, wav)
        use_tts(tts)
        use_chat(chat, shared_model)
        seen = "count_over_time(voice_stack_jobs_total{outcome='done'}[5m]) >= 3"
        wait_until(lambda: len(running.query(seen)) == 2, 60, "three scrapes of both after the traffic")
        seen = "count_over_time(voice_stack_errors_total{code='upstream_failed'}[5m]) >= 3"
        wait_until(lambda: running.query(seen), 60, "three scrapes of the third after the traffic")
        yield running


def test_prometheus_takes_configuration_and_rules() -> None:
    for arguments in (("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml")):
        code, said = promtool(*arguments)
        assert (code, "FAILED" in said) == (0, False), said


def test_alerts_fire_when_they_should_and_only_then() -> None:
    code, said = promtool("test", "rules", "alerts.test.yml")
    assert (code, "SUCCESS" in said) == (0, True), said
    tests = (RULES / "alerts.test.yml").read_text()
    alerts = [line.split()[-1] for line in (RULES / "alerts.yml").read_text().splitlines() if "- alert:" in line]
    assert alerts
    assert [alert for alert in alerts if f"alertname: {alert}\n        exp_alerts" not in tests] == []


def test_promtool_finds_nothing_wrong_with_the_metrics(servers: Servers, prometheus: Prometheus) -> None:
    for server in servers:
        with server.http() as client:
            code, said = promtool("check", "metrics", stdin=client.get("/metrics").content)
        assert (code, said) == (0, "")


def test_dashboard_is_nothing_but_what_grafanas_schema_knows() -> None:
    plugins.register_default_plugins()
    written = _load_dashboard()
    understood = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(written)))
    assert _lost(written, understood, "") == []


def _lost(written: object, understood: object, path: str) -> list[str]:
    """Where a value did not survive the schema's classes: a name they do not know is dropped; defaults are added."""
    if isinstance(written, dict) and isinstance(understood, dict):
        return [
            place
            for name, value in written.items()
            for place in (
                _lost(value, understood[name], f"{path}/{name}") if name in understood else [f"{path}/{name}"]
            )
        ]
    if isinstance(written, list) and isinstance(understood, list) and len(written) == len(understood):
        pairs = enumerate(zip(written, understood, strict=True))
        return [place for index, (a, b) in pairs for place in _lost(a, b, f"{path}/{index}")]
    return [] if written == understood else [path]


def test_panels_have_places_and_numbers_of_their_own() -> None:
    panels = cast("list[dict[str, dict[str, int]]]", _load_dashboard()["panels"])
    assert len({str(panel["id"]) for panel in panels}) == len(panels)
    squares = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(squares)) == len(squares)
    assert max(x for x, _ in squares) < 24


def test_every_panel_shows_something(servers: Servers, prometheus: Prometheus) -> None:
    known = cast("list[str]", prometheus.ask("/api/v1/label/__name__/values"))
    empty = []
    for title, expression in _expressions():
        result = prometheus.query(expression)
        if not result and set(METRIC.findall(expression)) <= set(known):
            empty.append(title)
    assert empty == []


def test_dashboard_and_alerts_name_only_metrics_that_exist(servers: Servers, prometheus: Prometheus) -> None:
    exposed: set[str] = set()
    for server in servers:
        with server.http() as client:
            text = client.get("/metrics").text
        families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
        exposed |= families | {f"{name}{end}" for name in families for end in ("_bucket", "_sum", "_count")}
    asked = {name for _, expression in _expressions() for name in METRIC.findall(expression)}
    alerting = set(METRIC.findall(" ".join(_alert_expressions())))
    assert len(asked) > 20
    assert len(alerting) > 5
    assert (asked | alerting) - exposed == set()


def _alert_expressions() -> list[str]:
    """What the rules file asks, comments and words for people left out."""
    lines = (RULES / "alerts.yml").read_text().splitlines()
    return [line for line in lines if "summary:" not in line and "description:" not in line]
