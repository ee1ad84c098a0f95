"""`/metrics` and `/v1/status`: what they count, in which forms, and that clients cannot make them grow."""

import json
import re
import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from core.http.server.forms import FILE, MULTIPART, form
from core.http.server.site import KEY, Site, wait_until

Sample = tuple[str, tuple[tuple[str, str], ...]]
OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0"}


def scrape(site: Site, **headers: str) -> dict[Sample, float]:
    status, answer_headers, body = site.call("GET", "/metrics", headers=headers)
    assert (status, answer_headers["content-type"].split(";")[0]) == (200, "text/plain")
    families = text_string_to_metric_families(body.decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def count(samples: dict[Sample, float], name: str, **labels: str) -> float:
    """Sum over the samples of that name with these labels among theirs."""
    return sum(
        value for (known, pairs), value in samples.items() if known == name and labels.items() <= dict(pairs).items()
    )


def test_requests_are_counted_by_template_and_class(site: Site) -> None:
    before = scrape(site)
    site.call("POST", "/v1/upload", form(FILE), MULTIPART)
    for name in ("load", "stop"):
        site.call("GET", f"/v1/known/{name}")
    wait_until(lambda: count(scrape(site), "voice_stack_http_requests_total", route="/v1/known/{name}") >= 2)
    after = scrape(site)

    def more(name: str, **labels: str) -> float:
        return count(after, name, **labels) - count(before, name, **labels)

    requests, duration = "voice_stack_http_requests_total", "voice_stack_http_request_duration_seconds_count"
    assert more(requests, method="POST", route="/v1/upload", status="2xx") == 1
    assert more(requests, method="GET", route="/v1/known/{name}", status="5xx") == 2
    assert more(duration, method="GET", route="/v1/known/{name}") == 2
    assert more("voice_stack_http_time_to_first_byte_seconds_count", route="/v1/known/{name}") == 2
    assert more("voice_stack_errors_total", type="server_error", code="model_load_failed") == 1
    assert more("voice_stack_errors_total", type="server_error", code="shutting_down") == 1


def test_what_clients_send_makes_no_series(site: Site) -> None:
    site.call("GET", "/first-unknown")
    site.call("PROPFIND", "/first-unknown")
    # What is counted is counted after the answer has gone out.
    wait_until(lambda: count(scrape(site), "voice_stack_http_requests_total", route="unmatched", method="other") >= 1)
    before = len(scrape(site))
    for number in range(50):
        site.call("GET", f"/unknown-{number}")
        site.call("GET", f"/v1/known-not/{number}?key={number}")
        site.call(("MKCOL", "SEARCH", "PURGE")[number % 3], "/unknown")
    assert len(scrape(site)) == before
    assert count(scrape(site), "voice_stack_http_requests_total", route="unmatched", method="other") >= 50


def test_broken_off_answer_is_counted(site: Site) -> None:
    def aborted() -> float:
        return count(scrape(site), "voice_stack_http_aborted_total", route="/v1/stream")

    before = aborted()
    with site.connect("GET /v1/stream HTTP/1.1\nHost: x\n\n") as sock:
        while sock.recv(4096):
            pass
    wait_until(lambda: aborted() == before + 1)


def test_server_describes_itself_and_its_event_loop(site: Site) -> None:
    samples = scrape(site)
    assert count(samples, "voice_stack_build_info", server="asr") == 1
    assert count(samples, "voice_stack_ready") == 1
    assert count(samples, "voice_stack_http_requests_in_progress") >= 1
    assert abs(count(samples, "process_start_time_seconds") - time.time()) < 86_400
    wait_until(lambda: count(scrape(site), "voice_stack_event_loop_lag_seconds_count") >= 1)
    site.reason = "model base is loading"
    try:
        assert count(scrape(site), "voice_stack_ready") == 0
    finally:
        site.reason = None


def test_openmetrics_for_those_who_ask_for_it(site: Site) -> None:
    _, headers, body = site.call("GET", "/metrics", headers=OPENMETRICS)
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_metrics_need_a_key_where_there_are_keys(locked: Site) -> None:
    assert locked.call("GET", "/metrics")[0] == 401
    assert scrape(locked, authorization=f"Bearer {KEY}")


def test_status_has_a_schema_and_two_addresses(site: Site) -> None:
    for path in ("/status", "/v1/status"):
        body = json.loads(site.call("GET", path)[2])
        assert body.items() >= {"server": "asr", "ready": True, "engines": [], "jobs": 3}.items()
        assert body["memory"]["server_mb"] > 1
        assert body["limits"].items() >= {"shutdown_grace_s": 10.0, "max_connections": 2000}.items()
    schema = json.loads(site.call("GET", "/openapi.json")[2])["components"]["schemas"]["ServerStatus"]
    assert {"version", "uptime_s", "engines", "queue", "memory", "limits"} <= set(schema["properties"])


def test_every_metric_is_documented(site: Site) -> None:
    exposed = site.call("GET", "/metrics")[2].decode()
    names = {line.split()[2] for line in exposed.splitlines() if line.startswith("# TYPE voice_stack")}
    page = (Path(__file__).parents[4] / "docs" / "observability.md").read_text()
    described = set(re.findall(r"^\| `(voice_stack_\w+)` \|", page, re.MULTILINE))
    # Without a server that counts its connections there is one metric less.
    assert described - names == {"voice_stack_open_connections"}
    assert names - described == set()
