"""Texts that nobody would read aloud: each is spoken at a plausible length, or refused in OpenAI's form."""

import json
from collections.abc import Iterator

import httpx2
import numpy as np
import pytest

from e2e.sound import samples_of
from running_server import RunningServer, wait_until

URL = "/v1/audio/speech"
BYTES_PER_S = 48_000
SILENT = {
    "empty": "",
    "blanks": " \t\r\n\u00a0\u3000",
    "emoji only": "🎉🎊👩\u200d👩\u200d👧",
    "marks only": "?! ... — «»",
    "nothing visible": "\u200b\u200d\ufeff\u2060",
    "control characters only": "\x00\x07\x1b\x7f",
    "Markdown only": "**__~~``~~__**\n---\n# ",
}
SPOKEN: dict[str, tuple[str, float, float]] = {
    "one letter": ("a", 0.1, 2),
    "one digit": ("7", 0.1, 2),
    "letter with a thousand accents": ("e" + "\u0301" * 1000 + "!", 0.1, 5),
    "control characters": ("Good\x00 mor\x07ning, \x1b[31meveryone\x1b[0m.", 0.5, 8),
    "emoji between words": ("Dinner 🍝 is ready 🎉🎉🎉.", 0.5, 6),
    "foreign names": ("Yesterday Иван met 山田 at the station of Αθήνα.", 2, 15),
    "letters of a formula": ("α + β = 5 Ω", 0.5, 10),
    "a language that nobody here speaks": ("Das ist ja ein Ding, sagte der Müller.", 1, 10),
    "both directions": ("He said \u202e\u0645\u0631\u062d\u0628\u0627\u202c and left.", 0.5, 15),
    "marks up like SSML": ('<speak>Hello <break time="1s"/> <prosody rate="fast">world</prosody></speak>', 0.5, 12),
    "not quite HTML": ("a < b && c > d; </p> &nbsp; &#65;", 0.5, 12),
    "a long word": ("Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft", 1.5, 15),
    "a path and an address": ("C:\\Temp\\new, /etc/passwd and http://[::1]:80/?q=%00#x", 1, 25),
    "one letter again and again": ("a" * 300, 1, 90),
    "every line ending": ("One.\rTwo.\r\nThree.\u2028Four.\u2029Five.\x0bSix.", 1.5, 10),
}
"""Text, and the shortest and longest speech that is plausible for it, in seconds."""

UNREADABLE = {
    "Здравствуйте, меня зовут Анна, а это Anna.": "Cyrillic letters",
    "שלום לכולם, ברוכים הבאים.": "Hebrew letters",
    "你": "Chinese letters",
    "こんにちは": "Japanese letters; voice 'alloy' speaks en; engines that do: kokoro, xtts, qwen3",
}
"""Text that an English voice cannot read, and what is said about it."""


@pytest.fixture(scope="module")
def piper(tts_server: RunningServer) -> Iterator[httpx2.Client]:
    """A real voice."""
    with tts_server.http() as client:
        yield client
    assert "Traceback" not in tts_server.log.read_text()


@pytest.fixture(scope="module")
def fake(fake_tts: RunningServer) -> Iterator[httpx2.Client]:
    """A voice that takes no time: for texts that a real one would speak for an hour."""
    with fake_tts.http() as client:
        yield client


def ask(text: str, **fields: object) -> dict[str, object]:
    return {"model": "tts-1", "voice": "alloy", "input": text, **fields}


def check_refusal(answer: httpx2.Response, param: str | None) -> None:
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


@pytest.mark.parametrize("text", SILENT.values(), ids=SILENT)
@pytest.mark.parametrize("stream_format", ["audio", "sse"])
def test_what_has_nothing_to_speak_is_refused(fake: httpx2.Client, text: str, stream_format: str) -> None:
    check_refusal(fake.post(URL, json=ask(text, stream_format=stream_format)), "input")


@pytest.mark.parametrize(("text", "least_s", "most_s"), SPOKEN.values(), ids=SPOKEN)
def test_what_can_be_spoken_is(piper: httpx2.Client, text: str, least_s: float, most_s: float) -> None:
    answer = piper.post(URL, json=ask(text, response_format="flac"))
    assert answer.status_code == 200, answer.text
    samples, rate = samples_of(answer.content)
    assert least_s < samples.size / rate < most_s
    assert np.abs(samples).max() > 500, "silence"


@pytest.mark.parametrize(("text", "reason"), UNREADABLE.items())
def test_letters_that_the_voice_cannot_read_are_refused(piper: httpx2.Client, text: str, reason: str) -> None:
    for fields in ({}, {"voice": "en_US-joe-medium"}, {"language": "en", "stream_format": "sse"}):
        answer = piper.post(URL, json=ask(text, **fields))
        check_refusal(answer, "input")
        voice = str(fields.get("voice", "alloy"))
        assert reason.replace("alloy", voice) in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("escapes", "is_text"),
    [(r"\ud83d\ude00 hi", True), (r"\ud83d hi", False), (r"hi \udc00", False), (r"\ude00\ud83d hi", False)],
    ids=["a pair", "only the first half", "only the second half", "the wrong way round"],
)
def test_surrogates_in_escapes(fake: httpx2.Client, escapes: str, is_text: bool) -> None:
    body = f'{{"model": "tts-1", "voice": "alloy", "input": "{escapes}"}}'
    answer = fake.post(URL, content=body, headers={"content-type": "application/json"})
    if is_text:
        assert answer.status_code == 200
    else:
        check_refusal(answer, None)


def test_four_thousand_digits(fake: httpx2.Client) -> None:
    seconds = 0.0
    with fake.stream("POST", URL, json=ask("1234567890" * 400, response_format="pcm")) as answer:
        assert answer.status_code == 200
        for chunk in answer.iter_bytes():
            seconds += len(chunk) / BYTES_PER_S
    # The fake voice takes 0.06 s for a character, a digit may have become a word, and pauses come on top.
    assert 200 < seconds < 4000


def test_a_book_of_100_kb_begins_at_once_and_can_be_closed(fake: httpx2.Client, fake_tts: RunningServer) -> None:
    # A twentieth of a second for each sentence: over a minute for all.
    book = "The lamp burns low, and nobody in the house is awake but sleep=0.05 the cat. " * 1400
    assert len(book) > 100_000
    with fake.stream("POST", URL, json=ask(book, response_format="pcm")) as answer:
        assert answer.status_code == 200
        # Held by a name: an iterator that is dropped closes the connection.
        chunks, heard = answer.iter_bytes(), 0
        while heard < 60 * BYTES_PER_S:
            heard += len(next(chunks))
        assert sum(fake_tts.count_jobs()) == 1, "sound came only when the whole book was spoken"
    wait_until(lambda: fake_tts.count_jobs() == (0, 0), 30, "the speech for a listener who left is over")


@pytest.mark.parametrize("body", [b"", b"\xff\xfe{}", b"[]", b'"text"', b"null", b"{", b'{"input": NaN}'])
def test_bodies_that_are_no_request(fake: httpx2.Client, body: bytes) -> None:
    check_refusal(fake.post(URL, content=body, headers={"content-type": "application/json"}), None)


@pytest.mark.parametrize("speed", [True, False])
def test_a_truth_is_no_speed(fake: httpx2.Client, speed: bool) -> None:
    answer = fake.post(URL, json=ask("Hello.", speed=speed))
    check_refusal(answer, "speed")
    assert "a number from 0.25 to 4" in answer.json()["error"]["message"]


def test_a_refusal_repeats_little_of_what_is_wrong(fake: httpx2.Client) -> None:
    answer = fake.post(URL, json=ask("Hello.", speed=["x" * 100_000], voice="v" * 150))
    check_refusal(answer, "speed")
    assert len(json.dumps(answer.json())) < 1000
