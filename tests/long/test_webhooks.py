"""The end of a job is told to a server that the settings allow: signed, again after failures, and to nobody else."""

import base64
import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import pytest

from e2e.sound import tone
from e2e.test_jobs import FAKE, await_status, error, job, submit
from running_server import RunningServer, free_port, wait_until
from voice_stack.asr.jobs.webhooks import check_webhook_url, parse_secret, sign
from voice_stack.core.errors import UnsupportedValueError

StartServer = Callable[..., AbstractContextManager[RunningServer]]
KEY = b"a key of thirty-two bytes, no less"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@dataclass
class Receiver:
    """What a server heard, and with which statuses it answers before it answers 200."""

    url: str
    statuses: list[int] = field(default_factory=list)
    heard: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            state.heard.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(state.statuses.pop(0) if state.statuses else 200)
            self.send_header("location", f"{state.url}/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield state
        server.shutdown()
        thread.join()


def _told(server: RunningServer, job_id: str) -> dict[str, object]:
    with server.http() as client:
        wait_until(lambda: job(client, job_id)["webhook"]["status"] != "pending", 30, "the webhook")  # type: ignore[index]
        return dict(job(client, job_id)["webhook"])  # type: ignore[call-overload]


def test_end_of_a_job_is_told_and_signed(start_server: StartServer, receiver: Receiver) -> None:
    settings = {"ASR_WEBHOOK_ALLOWED": f"{receiver.url}/hooks/", "ASR_WEBHOOK_SECRET": SECRET, **FAKE}
    with start_server("asr", **settings) as server, server.http() as client:
        job_id = submit(client, webhook_url=f"{receiver.url}/hooks/asr?from=us")
        failing = submit(client, prompt="fail", webhook_url=f"{receiver.url}/hooks/asr")
        assert _told(server, job_id)["status"] == "delivered"
        assert _told(server, failing)["status"] == "delivered"
    events = {json.loads(body)["data"]["id"]: (path, headers, body) for path, headers, body in receiver.heard}
    path, headers, body = events[job_id]
    assert path == "/hooks/asr?from=us"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    event = json.loads(body)
    assert event["type"] == "transcription.completed"
    assert event["data"]["result_url"] == f"/v1/jobs/{job_id}/result"
    assert json.loads(events[failing][2])["type"] == "transcription.failed"


def test_failures_are_tried_again_and_redirects_not_followed(start_server: StartServer, receiver: Receiver) -> None:
    receiver.statuses[:] = [302]
    with start_server("asr", ASR_WEBHOOK_ALLOWED="127.0.0.1", **FAKE) as server, server.http() as client:
        job_id = submit(client, webhook_url=f"{receiver.url}/hook")
        told = _told(server, job_id)
    assert (told["status"], told["attempts"], told["error"]) == ("delivered", 2, None)
    assert [path for path, _, _ in receiver.heard] == ["/hook", "/hook"]
    first, second = (headers for _, headers, _ in receiver.heard)
    assert first["webhook-id"] == second["webhook-id"]
    assert "webhook-signature" not in first


def test_receiver_that_is_down_harms_no_job_and_is_told_after_a_restart(
    start_server: StartServer, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = str(tmp_path_factory.mktemp("jobs") / "kept")
    settings = {"ASR_WEBHOOK_ALLOWED": "127.0.0.1", "ASR_JOBS_DIR": folder, **FAKE}
    receiver.statuses[:] = [500]
    with start_server("asr", **settings) as server, server.http() as client:
        closed = submit(client, webhook_url=f"http://127.0.0.1:{free_port()}/")
        await_status(client, closed, "completed")
        wait_until(lambda: job(client, closed)["webhook"]["attempts"], 20, "an attempt")  # type: ignore[index]
        assert "ConnectError" in job(client, closed)["webhook"]["error"]  # type: ignore[index]
        job_id = submit(client, webhook_url=receiver.url)
        wait_until(lambda: job(client, job_id)["webhook"]["attempts"], 20, "an attempt")  # type: ignore[index]
        assert client.get("/health").status_code == 200
        assert "answered 500" in job(client, job_id)["webhook"]["error"]  # type: ignore[index]
    with start_server("asr", **settings) as server:
        assert _told(server, job_id)["status"] == "delivered"


def test_nothing_is_allowed_unless_the_settings_say_so(fake_asr: RunningServer, receiver: Receiver) -> None:
    fields = {"model": "whisper-1", "background": "true", "webhook_url": receiver.url}
    with fake_asr.http() as client:
        answer = client.post("/v1/audio/transcriptions", data=fields, files={"file": ("a.wav", tone(1.0))})
    assert "ASR_WEBHOOK_ALLOWED" in error(answer, 400)["message"]
    assert receiver.heard == []


ALLOWED = ["hooks.lan", "box.lan:8080", "https://safe.lan/asr/"]


@pytest.mark.parametrize(
    "url",
    ["http://hooks.lan/x", "https://hooks.lan:444/", "http://box.lan:8080/", "https://safe.lan/asr/x?y=1"],
)
def test_allowed_urls(url: str) -> None:
    assert check_webhook_url(url, ALLOWED) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://other.lan/",
        "http://hooks.lan.evil.com/",
        "http://evil.com/hooks.lan",
        "http://hooks.lan@evil.com/",
        "http://evil.com#hooks.lan",
        "http://box.lan/",
        "http://box.lan:80808/",
        "http://safe.lan/asr/x",
        "https://safe.lan/asrx",
        "https://safe.lan/asr/../admin",
        "https://safe.lan/asr/%2e%2e/admin",
        "https://safe.lan:8443/asr/x",
        "file:///etc/passwd",
        "ftp://hooks.lan/",
        "hooks.lan/x",
        "",
        "http://",
        "http://[::1",
        "http://hooks.lan\n/",
    ],
)
def test_refused_urls(url: str) -> None:
    with pytest.raises(UnsupportedValueError) as caught:
        check_webhook_url(url, ALLOWED)
    assert caught.value.param == "webhook_url"


@pytest.mark.parametrize(
    ("variable", "value"), [("ASR_WEBHOOK_SECRET", "whsec_%%"), ("ASR_WEBHOOK_ALLOWED", "hooks.lan/x")]
)
def test_wrong_setting_keeps_the_server_from_starting(start_server: StartServer, variable: str, value: str) -> None:
    with pytest.raises(AssertionError, match=variable), start_server("asr", **FAKE, **{variable: value}):
        pass


def test_signature_is_that_of_the_specification_s_example() -> None:
    secret = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
