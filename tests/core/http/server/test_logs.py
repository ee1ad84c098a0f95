"""The log: one line for each request, one line whatever it holds."""

import json
import logging
import re
from collections.abc import Callable

import pytest

from core.http.server.forms import FILE, MULTIPART, form
from core.http.server.site import Site, wait_until
from voice_stack.core.logging import TextFormatter, configure_logging


def test_request_line_in_the_log(site: Site, log_lines: Callable[[str], list[dict[str, object]]]) -> None:
    site.call("POST", "/v1/upload", form(FILE), {**MULTIPART, "x-request-id": "req-1"})
    wait_until(lambda: bool(log_lines("request")))
    (line,) = log_lines("request")
    expected = {
        "level": "INFO", "server": "asr", "request_id": "req-1", "method": "POST", "path": "/v1/upload",
        "status": 200, "audio_s": 1.5, "note": "two\nlines", "client": "127.0.0.1",
    }  # fmt: skip
    assert line.items() >= expected.items()
    assert "aborted" not in line
    quiet = ["/health", "/page/page.css", "/v1/status"]
    for path in [*quiet, "/page/nothing.css"]:
        site.call("GET", path)
    wait_until(lambda: len(log_lines("request")) == 5)
    levels = {line["path"]: line["level"] for line in log_lines("request")[1:]}
    assert levels == {**dict.fromkeys(quiet, "DEBUG"), "/page/nothing.css": "INFO"}


def test_text_line_is_one_line_whatever_the_values() -> None:
    record = logging.makeLogRecord(
        {"msg": "hi\nthere", "levelname": "INFO", "fields": {"a": 1, "b": "x y", "c": "l1\r\nl2\x1b\u2028", "d": ""}}
    )
    line = TextFormatter("tts").format(record)
    pattern = r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO tts hi\\nthere a=1 b="x y" c=l1\\r\\nl2\\x1b\\u2028 d=""'
    assert re.fullmatch(pattern, line)


def test_traceback_cannot_forge_a_log_line() -> None:
    error = ValueError("x\n2026-11-21 10:00:00 INFO asr forged")
    record = logging.makeLogRecord({"msg": "m", "exc_info": (ValueError, error, None)})
    lines = TextFormatter("asr").format(record).splitlines()
    assert any("forged" in line for line in lines)
    assert all(line.startswith("    ") for line in lines[1:])


def test_uvicorn_goes_through_the_same_handler(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        configure_logging("INFO", "json", "asr")
        logging.getLogger("uvicorn.error").info("started")
        logging.getLogger("uvicorn.access").info("GET /")
        logging.getLogger("voice_stack").debug("hidden")
    finally:
        root.handlers[:], root.level = before
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["logger"], line["message"]) for line in lines] == [("uvicorn.error", "started")]
