"""Names: a page whose name is made to mean this machine gets no answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.http.server.site import KEY, Site, error_of, serving

OWN = ("localhost", "localhost:5001", "LOCALHOST.", "127.0.0.1", "127.8.8.8:1", "[::1]:5001")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("spool")) as running:
        yield running


def ask(site: Site, host: str, path: str = "/status") -> int:
    return site.call("GET", path, headers={"host": host})[0]


@pytest.mark.parametrize("host", [*OWN, "asr:5001", "voice_asr", "nas.local", "asr.lan", "a.home.arpa", "192.168.1.20"])
def test_names_that_nobody_on_the_internet_can_own(site: Site, host: str) -> None:
    assert ask(site, host) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:5001", "", "a b", "x@y"]
)
def test_other_names_are_refused_without_keys(site: Site, host: str) -> None:
    reply = site.call("GET", "/status", headers={"host": host})
    error = error_of(reply)
    assert (reply[0], error["code"]) == (400, "host_not_allowed")
    assert repr(host) in str(error["message"])
    assert "ALLOWED_HOSTS" in str(error["message"])
    assert ask(site, host, "/health") == 200, "probes ask by any name"


def test_two_names_are_none(site: Site) -> None:
    with site.connect("GET /status HTTP/1.1\nHost: localhost\nHost: evil.example\nConnection: close\n\n") as sock:
        assert b" 400 " in sock.recv(1000)


@pytest.mark.parametrize(
    ("settings", "host"), [({"api_keys": [KEY]}, "evil.example"), ({"host": "0.0.0.0"}, "asr.me.example")]
)
def test_keys_or_an_open_address_take_any_name(spool_dir: Path, settings: dict[str, object], host: str) -> None:
    with serving(spool_dir, **settings) as site:
        assert site.call("GET", "/status", headers={"host": host, "authorization": f"Bearer {KEY}"})[0] == 200


def test_a_list_of_names_is_kept_to(spool_dir: Path) -> None:
    with serving(spool_dir, host="0.0.0.0", allowed_hosts=["asr.example", "*.home.example", "192.0.2.1"]) as site:
        allowed = (*OWN, "asr.example", "ASR.example:443", "a.b.home.example", "192.0.2.1:5001", "0.0.0.0")
        assert {ask(site, host) for host in allowed} == {200}
        refused = ("home.example", "xhome.example", "asr.example.evil.example", "asr", "192.0.2.2")
        assert {ask(site, host) for host in refused} == {400}
