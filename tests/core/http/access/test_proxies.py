"""Reverse proxies: who is believed, and who a request then comes from."""

import json
from pathlib import Path

import pytest

from core.http.server.site import Site, serving
from voice_stack.core.http.layers import find_client
from voice_stack.core.system.addresses import parse_networks

FORWARDED = {
    "x-forwarded-for": "203.0.113.9, 198.51.100.7",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "asr.home.example",
}


def whoami(site: Site, headers: dict[str, str]) -> tuple[str, str]:
    seen = json.loads(site.call("GET", "/v1/whoami", headers=headers)[2])
    return seen["client"], seen["url"]


def test_by_default_nobody_is_believed(spool_dir: Path) -> None:
    with serving(spool_dir) as site:
        assert whoami(site, FORWARDED) == ("127.0.0.1", f"http://127.0.0.1:{site.port}/v1/whoami")


def test_a_stranger_is_not_believed(spool_dir: Path) -> None:
    with serving(spool_dir, trusted_proxies=["10.0.0.0/8", "unix"]) as site:
        assert whoami(site, FORWARDED)[0] == "127.0.0.1"


def test_what_a_trusted_proxy_saw_counts(spool_dir: Path) -> None:
    settings = {"trusted_proxies": ["127.0.0.0/8"], "allowed_hosts": ["asr.home.example"]}
    with serving(spool_dir, **settings) as site:
        assert whoami(site, FORWARDED) == ("198.51.100.7", "https://asr.home.example/v1/whoami")
        assert whoami(site, {})[0] == "127.0.0.1"
        # The host that a proxy tells is checked like any other.
        evil = {**FORWARDED, "x-forwarded-host": "evil.example"}
        assert site.call("GET", "/v1/whoami", headers=evil)[0] == 400
        odd = {"x-forwarded-for": "unknown", "x-forwarded-proto": "gopher", "x-forwarded-host": "a b"}
        assert whoami(site, odd) == ("127.0.0.1", f"http://127.0.0.1:{site.port}/v1/whoami")
        chain = {"x-forwarded-for": "203.0.113.9, 127.0.0.2", "x-forwarded-proto": "https, http"}
        assert whoami(site, chain) == ("203.0.113.9", f"https://127.0.0.1:{site.port}/v1/whoami")


@pytest.mark.parametrize(
    ("header", "client", "hops"),
    [
        ("203.0.113.9", "203.0.113.9", 1),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9", 1),
        ("6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9", 2),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3", 2),
        ("6.6.6.6, garbage, 10.0.0.2", "10.0.0.2", 1),
        ("garbage", None, 1),
        ("203.0.113.9:4711", "203.0.113.9", 1),
        ("[2001:db8::1]:4711", "2001:db8::1", 1),
        ("2001:db8::1", "2001:db8::1", 1),
        ("6.6.6.6, ::ffff:10.0.0.2", "6.6.6.6", 2),
        ("6.6.6.6,", None, 1),
    ],
)
def test_the_list_is_read_from_the_right(header: str, client: str | None, hops: int) -> None:
    assert find_client([part.strip() for part in header.split(",")], parse_networks(["10.0.0.0/8"])) == (client, hops)


def test_no_header_no_client() -> None:
    assert find_client([], parse_networks(["10.0.0.0/8"])) == (None, 1)
