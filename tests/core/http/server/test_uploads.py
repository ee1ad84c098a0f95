"""Forms with a file: read in any order, refused with the reason, never left on disk or held in memory."""

import json
import re
from collections.abc import Iterator

import psutil
import pytest

from core.http.server.forms import FILE, MULTIPART, form, part
from core.http.server.site import CAP, MIB, Site, error_of, spool_is_empty


@pytest.mark.parametrize("file_first", [True, False])
def test_upload_in_any_order(site: Site, file_first: bool) -> None:
    file = part("file", b"RIFF\r\n--B\r\n\0data", filename="é ü.mp3")
    typed = "Content-Type: text/plain; charset=utf-8\r\n"
    fields = [
        part("model", b"whisper-1", headers=typed),
        part("timestamp_granularities[]", b"word"),
        part("timestamp_granularities[]", b"segment"),
        part("prompt", "Grüße".encode()),
    ]
    body = form(file, *fields) if file_first else form(*fields, file)
    status, _, reply = site.call("POST", "/v1/upload", body, MULTIPART)
    assert status == 200
    assert json.loads(reply) == {
        "fields": {
            "model": ["whisper-1"],
            "timestamp_granularities[]": ["word", "segment"],
            "prompt": ["Grüße"],
        },
        "file": ["é ü.mp3", "", 16, 16, "RIFF\r\n--B\r\n\0data"],
    }
    assert site.modes[-1] == 0o600
    assert spool_is_empty(site)


def test_a_name_in_the_extended_form_makes_a_file_too(site: Site) -> None:
    head = b"--BB\r\nContent-Disposition: form-data; name=\"file\"; filename*=utf-8''%C3%BC.wav\r\n\r\n"
    status, _, reply = site.call("POST", "/v1/upload", head + b"\xff\r\n--BB--\r\n", MULTIPART)
    assert status == 200
    assert json.loads(reply)["file"][2:4] == [1, 1]
    assert spool_is_empty(site)


def test_file_type_is_kept_and_failure_removes_the_file(site: Site) -> None:
    body = form(
        part("file", b"x" * 3 * MIB, filename="a.wav", headers="Content-Type: audio/x-wav\r\n"), part("model", b"m")
    )
    reply = site.call("POST", "/v1/upload", body, MULTIPART)
    assert json.loads(reply[2])["file"][:4] == ["a.wav", "audio/x-wav", 3 * MIB, 3 * MIB]
    assert site.call("POST", "/v1/upload?fail=1", body, MULTIPART)[0] == 404
    assert spool_is_empty(site)


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        ("application/x-www-form-urlencoded", b"model=x", "multipart/form-data"),
        ("", b"hello", "multipart/form-data"),
        ("multipart/form-data", form(FILE), "boundary"),
        ("multipart/form-data; boundary=" + "B" * 400, form(FILE), "oundary"),
        ("multipart/form-data; boundary=BB", b"no parts here" * 10, "broken"),
        ("multipart/form-data; boundary=BB", FILE, "ends early"),
        ("multipart/form-data; boundary=BB", b"", "ends early"),
        ("multipart/form-data; boundary=BB", form(FILE, FILE), "More than one file"),
        ("multipart/form-data; boundary=BB", form(part("audio", b"x", filename="a")), "'audio'"),
        ("multipart/form-data; boundary=BB", form(part("model", b"\xff\xfe")), "'model'"),
        ("multipart/form-data; boundary=BB", form(part("prompt", b"x" * (MIB + 1))), "'prompt'"),
        ("multipart/form-data; boundary=BB", form(*[part("a", b"x")] * 201), "200 fields"),
        ("multipart/form-data; boundary=BB", b"--BB\r\nX-Y: z\r\n\r\nv\r\n--BB--\r\n", "no name"),
        ("multipart/form-data; boundary=BB", b"--BB\r\nX-Y: z\r\n", "ends early"),
        ("multipart/form-data; boundary=BB", b"--BB\r\nno header\r\n\r\nv\r\n--BB--\r\n", "broken"),
        ("multipart/form-data; boundary=BB", b"--BB\r\nX\0: z\r\n\r\nv\r\n--BB--\r\n", "broken"),
        ("multipart/form-data; boundary=BB", b"--BB\nX: z\n\nv\n--BB--\n", "broken"),
        ("multipart/form-data; boundary=CC", form(FILE), "broken"),
        ("multipart/form-data; boundary=BB", b"--BB\r\nX: " + b"z" * MIB + b"\r\n\r\nv\r\n--BB--\r\n", "broken"),
        ("multipart/form-data; boundary=BB", b"--BB\r\n" + b"X: z\r\n" * 10_000 + FILE[4:], "broken"),
        (
            "multipart/form-data; boundary=BB",
            b'--BB\r\nContent-Disposition: attachment; filename="a"\r\n\r\nv\r\n--BB--\r\n',
            "no name",
        ),
        (
            "multipart/form-data; boundary=BB",
            b'--BB\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nv\r\n--BB--\r\n',
            "a field name",
        ),
    ],
)
def test_bad_form_says_what_is_wrong(site: Site, content_type: str, body: bytes, reason: str) -> None:
    reply = site.call("POST", "/v1/upload", body, {"content-type": content_type} if content_type else {})
    assert reply[0] == 400
    assert reason in str(error_of(reply)["message"])
    assert spool_is_empty(site)


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_upload_reads_its_413(site: Site, chunked: bool) -> None:
    body = form(part("file", b"x" * 3 * CAP, filename="a.wav"))
    payload = iter([body[at : at + 65536] for at in range(0, len(body), 65536)]) if chunked else body
    reply = site.call("POST", "/v1/upload", payload, MULTIPART)
    assert reply[0] == 413
    assert reply[1]["connection"] == "close"
    message = str(error_of(reply)["message"])
    assert re.fullmatch(rf"Maximum content size limit \({CAP}\) exceeded \(\d+ bytes read\)", message)
    read = int(message.split("(")[2].split()[0])
    assert read == len(body) if not chunked else CAP < read < CAP + MIB
    assert spool_is_empty(site)


def test_refused_client_that_waits_for_100_continue_is_not_asked_for_its_body(site: Site) -> None:
    sock = site.connect(
        "POST /v1/upload HTTP/1.1\nHost: x\nContent-Type: multipart/form-data; boundary=BB\n"
        "Content-Length: 999999999\nExpect: 100-continue\n\n"
    )
    assert sock.recv(20).startswith(b"HTTP/1.1 413")
    sock.close()


def test_large_upload_does_not_grow_memory(site: Site) -> None:
    size = 100 * MIB
    block = b"x" * 65536
    head, tail = part("file", b"", filename="a.wav")[:-2], b"\r\n--BB--\r\n"
    process = psutil.Process()

    def blocks() -> Iterator[bytes]:
        yield head
        for _ in range(size // len(block)):
            peaks.append(process.memory_info().rss)
            yield block
        yield tail

    peaks: list[int] = []
    site.call("POST", "/v1/upload", form(FILE), MULTIPART)
    before = process.memory_info().rss
    status, _, body = site.call("POST", f"/v1/upload?cap={2 * size}", blocks(), MULTIPART)
    assert status == 200
    assert json.loads(body)["file"][3] == size
    assert max(peaks) - before < 20 * MIB
