"""The Voice server is a server of the house."""

from running_server import RunningServer


def test_it_says_who_it_is(chat_server: RunningServer) -> None:
    with chat_server.http() as client:
        assert client.get("/health").json()["server"] == "chat"
        assert client.get("/ready").status_code == 200


def test_a_browser_gets_the_page_and_a_program_what_it_always_got(chat_server: RunningServer) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    with chat_server.http() as client:
        page, told = client.get("/", headers=browser), client.get("/")
        assert 'data-server="chat"' in page.text
        assert told.json()["page"] == "/try"
        assert {"Accept" in answer.headers["vary"] for answer in (page, told)} == {True}
        features = client.get("/page/about.json").json()["features"]
        assert features.items() >= {"language_model": True, "jobs": True}.items()  # its own, and the ASR server's


def test_what_the_servers_behind_do_is_told_here_as_well(
    chat_server: RunningServer, fake_asr: RunningServer, fake_tts: RunningServer
) -> None:
    with chat_server.http() as client:
        for name, server in (("asr", fake_asr), ("tts", fake_tts)):
            with server.http() as behind:
                told, own = client.get(f"/status/{name}").json(), behind.get("/status").json()
            assert told.keys() == own.keys()
            assert told["server"] == name
        assert client.get("/status/gpu").status_code == 400
