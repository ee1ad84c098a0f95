"""What XTTS is given: texts that it can take, options that it has."""

import pytest

from voice_stack.core.errors import InvalidRequestError, UnsupportedValueError
from voice_stack.core.system.device import choose_device
from voice_stack.tts.engine.xtts_input import XttsOptions, fit_text, read_options

DEFAULTS = XttsOptions(temperature=0.75, top_k=50, top_p=0.85, repetition_penalty=5.0, length_penalty=1.0)


def fit(text: str, *, max_chars: int = 1000, max_tokens: int = 40) -> list[str]:
    return fit_text(text, "en", lambda part: len(part) <= min(max_chars, max_tokens))


def test_a_text_that_fits_is_left_whole() -> None:
    assert fit("Good morning, everybody.") == ["Good morning, everybody."]


def test_a_long_text_is_cut_at_its_marks_and_nothing_is_lost() -> None:
    text = "The train is late, the bus is full, the road is closed; so we walk."
    pieces = fit(text)
    assert len(pieces) == 2
    assert pieces[0].endswith(",")
    assert " ".join(pieces) == text


@pytest.mark.parametrize("text", ["x" * 500, "语" * 500, "a " * 300 + "b", "1, " * 200])
def test_every_piece_is_within_both_limits(text: str) -> None:
    pieces = fit(text, max_chars=50, max_tokens=40)
    assert all(0 < len(piece) <= 40 for piece in pieces)
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")


def test_a_number_that_has_no_name_is_read_digit_by_digit() -> None:
    def count(text: str) -> int:
        if any(len(word) > 9 for word in text.split()):
            raise OverflowError("too large to have a name")
        return len(text)

    assert fit_text("12345678901.25", "en", lambda part: count(part) <= 40) == ["1 2 3 4 5 6 7 8 9 0 1 2 5"]


def test_a_number_at_the_end_is_no_ordinal_where_the_language_has_no_words_for_those() -> None:
    def count(text: str) -> int:
        if "7." in text:
            raise NotImplementedError
        return len(text)

    assert fit_text("Rádio 7.", "cs", lambda part: count(part) <= 40) == ["Rádio 7 ."]


def test_what_cannot_be_read_at_all_is_the_requests_fault() -> None:
    def count(_text: str) -> int:
        raise NotImplementedError("no number words")

    with pytest.raises(InvalidRequestError, match=r"XTTS cannot read 'Room 7' in 'en': no number words"):
        fit_text("Room 7", "en", lambda part: count(part) <= 40)


def test_a_language_whose_package_is_missing_says_what_to_install() -> None:
    def count(_text: str) -> int:
        raise ImportError("Chinese requires: pypinyin")

    with pytest.raises(UnsupportedValueError, match=r"'zh'.*pypinyin.*voice-stack\[xtts\]") as refused:
        fit_text("你好", "zh", lambda part: count(part) <= 400)
    assert refused.value.status == 400


def test_options_of_the_voice_are_stronger_than_those_of_the_model() -> None:
    options = read_options((("temperature", 0.4), ("top_k", 20.0), ("seed", 7)), DEFAULTS)
    assert options == XttsOptions(
        temperature=0.4, top_k=20, top_p=0.85, repetition_penalty=5.0, length_penalty=1.0, seed=7
    )


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("loudness", 1.0, "'loudness' of the voice: XTTS has temperature, top_k"),
        ("temperature", 0.0, "temperature=0.0 of the voice: a number from 0.01 to 2"),
        ("temperature", "hot", "temperature='hot'"),
        ("temperature", float("nan"), "temperature=nan"),
        ("top_k", 2.5, "top_k=2.5 of the voice: a whole number from 1"),
        ("seed", True, "seed=True"),
        ("max_retries", 99, "a whole number from 0 to 10"),
    ],
)
def test_options_that_it_has_not_are_refused(name: str, value: float | str | bool, reason: str) -> None:
    with pytest.raises(UnsupportedValueError, match=reason):
        read_options(((name, value),), DEFAULTS)


@pytest.mark.parametrize(
    ("wanted", "count", "replica", "device"),
    [
        ("auto", 0, 0, "cpu"),
        ("auto", 2, 0, "cuda:0"),
        ("auto", 2, 3, "cuda:1"),
        ("cpu", 2, 0, "cpu"),
        ("cuda", 1, 0, "cuda:0"),
        ("cuda:1", 2, 0, "cuda:1"),
    ],
)
def test_the_device_is_what_the_setting_means_here(wanted: str, count: int, replica: int, device: str) -> None:
    assert str(choose_device(wanted, count, replica=replica)) == device


@pytest.mark.parametrize("wanted", ["tpu", "cuda:one", ""])
def test_other_devices_are_refused_with_those_there_are(wanted: str) -> None:
    with pytest.raises(ValueError, match=f"'{wanted}' is not one of auto, cpu, cuda"):
        choose_device(wanted, 1)
