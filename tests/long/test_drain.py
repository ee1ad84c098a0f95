"""A server behind a load balancer: it is still there while that looks elsewhere."""

from core.http.limits.conftest import FAKE_ASR, StartServer
from e2e.sound import tone
from running_server import wait_until


def test_a_load_balancer_has_time_to_look_elsewhere(start_server: StartServer) -> None:
    with start_server("asr", "--shutdown-delay-s", "8", **FAKE_ASR) as server, server.http() as client:

        def post() -> tuple[int, str | None]:
            files = {"file": ("a.wav", tone(1.0))}
            answer = client.post("/v1/audio/transcriptions", files=files, data={"model": "whisper-1"})
            return answer.status_code, answer.headers.get("connection")

        assert post() == (200, None)
        server.process.terminate()
        wait_until(lambda: client.get("/ready").status_code == 503, 6, "it is not ready any more")
        assert post() == (200, "close")
        assert server.process.wait(60) == 0
