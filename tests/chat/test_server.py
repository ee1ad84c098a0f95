"""The Voice server is a server of the house."""

from running_server import RunningServer


def test_it_says_who_it_is(chat_server: RunningServer) -> None:
    with chat_server.http() as client:
        assert client.get("/health").json()["server"] == "chat"
        assert client.get("/ready").status_code == 200
