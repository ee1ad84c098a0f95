"""JSON of strangers: deep, wide and huge bodies on every route, and sound in base64 in every spelling."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
import psutil
import pytest

from chaos.listening import check_windows
from e2e.sound import tone
from running_server import RunningServer

URL = "/v1/audio/transcriptions"
MIB = 1 << 20
HEALTH_BOUND_S = 1.0  # what holds a server up takes seconds, and the machine is shared with two other workers
MEMORY_BOUND_BYTES = 48 * MIB
SOUND = tone(0.5)
BASE64 = base64.b64encode(SOUND).decode()
JSON_TYPE = {"content-type": "application/json"}
SENDS = {"post", "put", "patch", "delete"}


@dataclass
class Cost:
    """What others had of it: the longest wait for `/health`, and the memory that was needed in between."""

    health_s: float = 0.0
    memory_bytes: int = 0


@contextmanager
def watch(server: RunningServer) -> Iterator[Cost]:
    process = psutil.Process(server.process.pid)
    before, is_over, cost = process.memory_info().rss, threading.Event(), Cost()

    def look() -> None:
        with server.http() as client:
            while not is_over.wait(0.01):
                started = time.monotonic()
                assert client.get("/health").status_code == 200
                cost.health_s = max(cost.health_s, time.monotonic() - started)
                cost.memory_bytes = max(cost.memory_bytes, process.memory_info().rss - before)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield cost
    finally:
        is_over.set()
        thread.join()


def expect_error(answer: httpx2.Response, statuses: range | set[int] = range(400, 500)) -> dict[str, object]:
    assert answer.status_code in statuses, (answer.status_code, answer.text[:500])
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return dict(error)


def expect_others_error(answer: httpx2.Response, path: str) -> None:
    """As ElevenLabs and Deepgram tell errors, on their routes alone."""
    assert answer.status_code in range(400, 500)
    if path.startswith("/v1/text-to-speech/"):
        assert set(answer.json()["detail"]) >= {"status", "message"}
    else:
        assert path == "/v1/listen"
        assert set(answer.json()) >= {"err_code", "err_msg", "request_id"}


def post(server: RunningServer, body: bytes | Iterator[bytes], path: str = URL) -> httpx2.Response:
    with server.http() as client:
        return client.post(path, content=body, headers=JSON_TYPE)


@pytest.mark.alone
@pytest.mark.parametrize("item", [b"[],", b'{"a":{}},', b'"\\u00e9",'])
def test_a_body_of_many_things_holds_nobody_up(fake_asr: RunningServer, item: bytes) -> None:
    filling = item * (36 * MIB // len(item))
    body = b'{"model":"whisper-1","x":[' + filling + b'[]],"input_audio":{"data":"AAAA"}}'
    post(fake_asr, b"{}")
    with watch(fake_asr) as cost:
        expect_error(post(fake_asr, body), {413})
    assert cost.health_s < HEALTH_BOUND_S
    assert cost.memory_bytes < MEMORY_BOUND_BYTES


@pytest.mark.alone
def test_sound_in_json_is_not_held_in_memory(fake_asr: RunningServer) -> None:
    sound = tone(15 * 60.0)
    body = json.dumps({"model": "whisper-1", "input_audio": {"data": base64.b64encode(sound).decode()}}).encode()
    post(fake_asr, json.dumps({"model": "whisper-1", "input_audio": {"data": BASE64}}).encode())
    with watch(fake_asr) as cost:
        answer = post(fake_asr, body)
    assert answer.status_code == 200, answer.text
    check_windows(answer.json()["text"], 15 * 60.0)
    assert len(body) > 36 * MIB
    assert cost.memory_bytes < len(sound)
    fake_asr.expect_no_uploads()


def escape(text: str) -> str:
    return text.replace("/", "\\/").replace("+", "\\u002B").replace("=", "\\u003d")


SPELLINGS = {
    "sound first": f'{{"input_audio":{{"data":"{BASE64}","format":"wav"}},"model":"whisper-1"}}',
    "sound last": f'{{"model":"whisper-1","input_audio":{{"format":"wav","data":"{BASE64}"}}}}',
    "spaces": f'\n{{ "model" :\t"whisper-1" ,\r\n "input_audio" : {{ "data" : "{BASE64}" }} }}\n',
    "escapes": f'{{"model":"whisper-1","input_audio":{{"data":"{escape(BASE64)}"}}}}',
    "escaped names": f'{{"model":"whisper-1","input\\u005faudio":{{"d\\u0061ta":"{BASE64}"}}}}',
    "data URL": f'{{"model":"whisper-1","input_audio":{{"data":"data:audio/wav;base64,{BASE64}"}}}}',
    "escaped data URL": f'{{"model":"whisper-1","input_audio":{{"data":"data:audio\\/wav;base64,{escape(BASE64)}"}}}}',
    "names elsewhere": '{"model":"whisper-1","x":[{"input_audio":{"data":"no"}},"input_audio",{"data":"\\\\"}],'
    f'"data":"}}\\"{{","y":{{"input_audio":{{"data":"***"}}}},"input_audio":{{"data":"{BASE64}"}}}}',
    "a mark before it": "\ufeff" + f'{{"model":"whisper-1","input_audio":{{"data":"{BASE64}"}}}}',
}


@pytest.mark.parametrize("piece_bytes", [7, 100_000])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_sound_is_found_in_every_spelling(fake_asr: RunningServer, spelling: str, piece_bytes: int) -> None:
    body = SPELLINGS[spelling].encode()
    answer = post(fake_asr, iter([body[at : at + piece_bytes] for at in range(0, len(body), piece_bytes)]))
    assert answer.status_code == 200, answer.text
    assert answer.json()["text"] == "window 0.5 s."
    fake_asr.expect_no_uploads()


@pytest.mark.parametrize(
    ("audio", "param", "told"),
    [
        ('{"data":"' + BASE64 + '","data":"' + BASE64 + '"}', "input_audio", "twice"),
        ('{"data":"' + BASE64 + '"},"input_audio":{"data":"AAAA"}', "input_audio", "twice"),
        ('{"data":"' + BASE64 + '"},"input_audio":{}', "input_audio", "must be an object"),
        ('{"data":"' + BASE64 + '","data":5}', "input_audio", "must be an object"),
        ('"' + BASE64 + '"', "input_audio", "must be an object"),
        ('[{"data":"' + BASE64 + '"}]', "input_audio", "must be an object"),
        ('{"data":{"data":"' + BASE64 + '"}}', "input_audio", "must be an object"),
        ('{"data":"' + BASE64 + '!' * 100_000 + '"}', "input_audio", "no base64"),
        ('{"data":"' + "AA==" * 50_000 + '"}', "input_audio", "no base64"),
        ('{"data":"' + "A" * 4001 + '"}', "input_audio", "no base64"),
        ('{"data":"' + "A" * 400 + '\\"' + "A" * 400 + '"}', "input_audio", "no base64"),
        ('{"data":"' + "A" * 400 + "\\n" * 40 + '"}', "input_audio", "no base64"),
        ('{"data":"' + "A" * 400 + "\\U002B" + "A" * 399 + '"}', "input_audio", "no base64"),
        ('{"data":"' + "A" * 400 + "\\u005c/" + "A" * 399 + '"}', "input_audio", "no base64"),
        ('{"data":"data:audio/wav,' + BASE64 + '"}', "input_audio", "no base64"),
        ('{"data":"' + BASE64, None, "not valid JSON"),
        ('{"data":"' + BASE64 + '"', None, "not valid JSON"),
        ('{"data":"' + BASE64 + '" 5}', None, "not valid JSON"),
        ('{"data":"' + BASE64 + '","format":"\\ud800"}', None, "not valid JSON"),
        ('{"data":"' + BASE64 + '","x":' + "[" * 900 + "]" * 900 + "}", None, "nested too deeply"),
    ],
)  # fmt: skip
def test_sound_that_is_none_is_a_400(fake_asr: RunningServer, audio: str, param: str | None, told: str) -> None:
    body = '{"model":"whisper-1","input_audio":' + audio + "}"
    for pieces in ([body.encode()], [body[:777].encode(), body[777:].encode()]):
        error = expect_error(post(fake_asr, iter(pieces)), {400})
        assert (error["param"], told in str(error["message"])) == (param, True), error
    fake_asr.expect_no_uploads()


def nest(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


DEEP = {
    "33 lists": nest(33),
    "900 lists": nest(900),
    "5000 lists": nest(5000),
    "900 objects": nest(900, '{"a":', "}").replace(":}", ":1}", 1),
    "900 open lists": "[" * 900,
    "40,000 lists beside each other": "[" + "[]," * 40_000 + "[]]",
    "a number of 100,000 digits": "9" * 100_000,
    "quotes without end": '"' + '\\"' * 50_000,
    "infinity": "1e999",
    "a text": '"' + "x" * 300_000 + '"',
}


def routes(server: RunningServer) -> Iterator[tuple[str, str, list[str]]]:
    """Method, path and fields of every route that takes a body."""
    with server.http() as client:
        document = client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method in SENDS & set(operations):
            content = operations[method].get("requestBody", {}).get("content", {})
            fields = [name for kind in content.values() for name in kind["schema"].get("properties", {})]
            yield method, path.replace("{voice_id}", "alloy").replace("{", "").replace("}", ""), fields


@pytest.mark.parametrize("kind", ["asr", "tts"])
@pytest.mark.parametrize("value", DEEP)
def test_no_route_fails_at_odd_json(fake_asr: RunningServer, fake_tts: RunningServer, kind: str, value: str) -> None:
    server = {"asr": fake_asr, "tts": fake_tts}[kind]
    odd, tried, log_before = DEEP[value], 0, len(server.log.read_text())
    known = {"model": '"tts-1"', "input": '"x"', "name": '"x"', "input_audio": f'{{"data":"{BASE64}"}}'}
    with watch(server) as cost, server.http() as client:
        for method, path, fields in routes(server):
            names = [name.removesuffix("[]") for name in fields if name != "file"]
            texts = [odd, *(_object({**known, name: odd}) for name in ["x", *names])]
            for text in texts:
                answer = client.request(method, path, content=text.encode(), headers=JSON_TYPE)
                assert answer.status_code < 500, (method, path, text[:80], answer.text[:300])
                if answer.is_error:
                    expect_error(answer) if "error" in answer.json() else expect_others_error(answer, path)
                tried += 1
    assert tried > 20
    assert cost.health_s < HEALTH_BOUND_S
    assert "Traceback (most" not in server.log.read_text()[log_before:]


def _object(values: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{text}' for name, text in values.items()) + "}"


@pytest.mark.parametrize("depth", [31, 33, 900, 100_000])
def test_a_form_field_that_is_json_may_not_be_deep_either(fake_asr: RunningServer, depth: int) -> None:
    with fake_asr.http() as client:
        for name in ("vad_parameters", "chunking_strategy", "languages", "include[]"):
            text = '{"threshold":' + nest(depth) + "}" if name[0] in "vc" else nest(depth)
            form = {"model": "whisper-1", name: text}
            answer = client.post(URL, data=form, files={"file": ("a.wav", SOUND)})
            error = expect_error(answer, {400})
            assert error["param"] == name.removesuffix("[]")


@pytest.mark.alone
@pytest.mark.parametrize("item", ["[],", '{"a":{}},', '"",', '"\\u00e9",'])
def test_the_largest_speech_request_holds_nobody_up(fake_tts: RunningServer, item: str) -> None:
    body = '{"model":"tts-1","input":"x","x":[' + item * (2_300_000 // len(item)) + "[]]}"
    with watch(fake_tts) as cost:
        answers = [post(fake_tts, body.encode(), "/v1/audio/speech") for _ in range(3)]
    assert {answer.status_code for answer in answers} <= {200, 400}
    assert cost.health_s < HEALTH_BOUND_S
    expect_error(post(fake_tts, b'{"x":"' + b"x" * 3_000_000 + b'"}', "/v1/audio/speech"), {413})


def test_every_text_that_may_be_spoken_fits_as_escapes(fake_tts: RunningServer) -> None:
    with fake_tts.http() as client:
        smiles = json.dumps({"model": "tts-1", "input": "\U0001f600" * 200_001}).encode()
        error = expect_error(client.post("/v1/audio/speech", content=smiles, headers=JSON_TYPE), {400})
    assert error["code"] == "string_above_max_length"


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("500,000 headers", b"--X\r\n" + b"a: b\r\n" * 500_000 + b"\r\n"),
        ("a header of 8 MB", b'--X\r\nContent-Disposition: form-data; name="file"; filename="' + b"y" * (8 * MIB)),
        ("a header name of 8 MB", b"--X\r\n" + b"y" * (8 * MIB) + b": x\r\n"),
        ("400,000 parameters", b"--X\r\nContent-Disposition: form-data" + b"; a=b" * 400_000 + b'; name="x"\r\n'),
        ("semicolons", b"--X\r\nContent-Disposition: form-data" + b";" * (2 * MIB) + b'; name="x"\r\n'),
        ("quotes", b'--X\r\nContent-Disposition: form-data; name="' + b'\\"' * 500_000 + b'"\r\n'),
        ("a preamble of 5 MB", b"z" * (5 * MIB) + b"\r\n"),
        ("a preamble of half boundaries", b"\r\n--" * MIB + b"\r\n"),
    ],
)
def test_part_headers_are_bounded(fake_asr: RunningServer, name: str, start: bytes) -> None:
    with fake_asr.http() as client, watch(fake_asr) as cost:
        answer = client.post(URL, content=start + FORM, headers={"content-type": "multipart/form-data; boundary=X"})
        error = expect_error(answer, {400})
        assert "broken" in str(error["message"]), name
    assert cost.health_s < HEALTH_BOUND_S
    assert cost.memory_bytes < MEMORY_BOUND_BYTES


FORM = (
    b'--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--X\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + SOUND + b"\r\n--X--\r\n"
)


@pytest.mark.parametrize(
    "preamble", [b"", b"\r\n", b"This is a message in MIME format.\r\n", b"-" * 60_000 + b"\r\n--\r\n"]
)
@pytest.mark.parametrize("piece_bytes", [5, 100_000])
def test_a_preamble_means_nothing(fake_asr: RunningServer, preamble: bytes, piece_bytes: int) -> None:
    body = preamble + FORM
    pieces = iter([body[at : at + piece_bytes] for at in range(0, len(body), piece_bytes)])
    with fake_asr.http() as client:
        answer = client.post(URL, content=pieces, headers={"content-type": "multipart/form-data; boundary=X"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["text"] == "window 0.5 s."
