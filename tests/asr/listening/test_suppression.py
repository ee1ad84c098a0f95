"""The rules against text that nobody said, one by one: what each drops, and what it must not touch."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.sounds import make_applause, make_white_noise
from numpy.typing import NDArray

from piper_speech import speak
from voice_stack.asr.listening.suppression import (
    COURTESIES,
    CREDITS,
    SIGN_OFFS,
    is_boilerplate,
    is_courtesy,
    suppress,
)
from voice_stack.asr.listening.windows import Window, WindowPiece
from voice_stack.asr.request import ALL_STEPS, STEPS, parse_steps
from voice_stack.asr.transcript import Segment, Word

RATE = 16_000
SURE = Segment(" Good morning.", 0.0, 2.0, (), 0.0, -0.2, 1.0, 0.05)
UNSURE = replace(SURE, avg_logprob=-0.9)


@pytest.fixture(scope="session")
def speech() -> NDArray[np.float32]:
    """About three seconds."""
    return 0.3 * speak("The harbour wakes before the town does.")


def silence(duration_s: float) -> NDArray[np.float32]:
    return np.zeros(round(duration_s * RATE), np.float32)


def window(*parts: NDArray[np.float32]) -> Window:
    """A window without gaps, as it is cut where the voice detector is switched off."""
    samples = np.concatenate(parts)
    return Window(samples, (WindowPiece(0, 0, samples.size, 0, samples.size),), 0)


def at(segment: Segment, start_s: float, end_s: float, *words: Word) -> Segment:
    return replace(segment, start_s=start_s, end_s=end_s, words=words)


@pytest.mark.parametrize("noise", [silence(4), make_white_noise(4) / 1000], ids=["zeros", "-86 dBFS"])
@pytest.mark.parametrize("segment", [SURE, UNSURE], ids=["sure", "unsure"])
def test_digital_silence_says_nothing(noise: NDArray[np.float32], segment: Segment) -> None:
    assert suppress((segment,), window(noise), ALL_STEPS) == ()
    assert suppress((segment,), window(noise), frozenset()) == (segment,)


def test_first_segment_does_not_start_in_leading_zeros(speech: NDArray[np.float32]) -> None:
    (kept,) = suppress((at(SURE, 0.0, 5.0),), window(silence(2), speech, silence(4)), ALL_STEPS)
    assert kept.start_s == pytest.approx(2, abs=0.3)
    assert kept.start_s >= 2
    assert kept.text == SURE.text


def test_word_stretched_over_silence_is_drawn_back(speech: NDArray[np.float32]) -> None:
    end_s = speech.size / RATE
    last = Word("morning.", end_s - 0.5, end_s + 4.0, 0.9)
    (kept,) = suppress((at(SURE, 0.0, end_s + 4, last),), window(speech, silence(5)), ALL_STEPS)
    assert kept.words[0].start_s == last.start_s
    assert end_s - 0.4 < kept.words[0].end_s <= end_s
    assert kept.end_s <= end_s


def test_word_does_not_reach_over_silence_that_was_left_out(speech: NDArray[np.float32]) -> None:
    # Two stretches of the file, ten seconds apart, lie side by side in the window.
    first, second = (
        WindowPiece(start, at_, RATE, start + 4800, start + 11200) for start, at_ in ((0, 0), (10 * RATE, RATE))
    )
    cut = Window(speech[: 2 * RATE], (first, second), 0)
    (kept,) = suppress((at(SURE, 0.0, 2.0, Word("Good", 0.4, 1.35, 0.9)),), cut, ALL_STEPS)
    assert kept.words[0].end_s < 1
    assert cut.to_file_s(kept.words[0].end_s, is_end=True) < 1


def test_sure_text_beside_its_speech_is_moved_not_dropped(speech: NDArray[np.float32]) -> None:
    sound = window(silence(2), speech)
    (kept,) = suppress((at(SURE, 1.4, 1.8),), sound, ALL_STEPS)
    assert kept.start_s >= 2
    assert suppress((at(UNSURE, 1.4, 1.8),), sound, ALL_STEPS) == ()


@pytest.mark.parametrize("gain_db", [0, -30])
def test_doubtful_text_needs_a_voice(speech: NDArray[np.float32], gain_db: int) -> None:
    gain = 10 ** (gain_db / 20)
    assert suppress((UNSURE,), window(make_applause(3) * gain), ALL_STEPS) == ()
    assert [s.text for s in suppress((UNSURE,), window(speech * gain), ALL_STEPS)] == [UNSURE.text]


def test_sure_text_needs_no_voice() -> None:
    # Singing that the voice detector does not know.
    assert [s.text for s in suppress((SURE,), window(make_applause(3)), ALL_STEPS)] == [SURE.text]


def test_model_that_hears_no_speech_is_believed(speech: NDArray[np.float32]) -> None:
    silent = replace(SURE, avg_logprob=-1.1, no_speech_prob=0.7)
    assert suppress((silent,), window(speech), frozenset({"no_speech"})) == ()
    assert suppress((silent,), window(speech), ALL_STEPS - {"no_speech"}) != ()


@pytest.mark.parametrize("text", [" ...", " ♪♪", " ●", ""])
def test_text_without_a_word_is_dropped(speech: NDArray[np.float32], text: str) -> None:
    assert suppress((replace(SURE, text=text),), window(speech), ALL_STEPS) == ()


@pytest.mark.parametrize(
    "text",
    [
        "Thanks for watching!",
        " thank you.",
        "Thank you. Thank you. Thank you.",
        "Subtitles by the Amara.org community",
        "Untertitelung des ZDF, 2020",
        "Untertitel im Auftrag des ZDF für funk, 2017",
        "Sous-titrage ST' 501",
        "Teksting av Nicolai Winther",
        "ご視聴ありがとうございました。",
        "시청해 주셔서 감사합니다.",
        "Редактор субтитров А.Семкин",
        "Продолжение следует...",
        "¡Gracias por ver el vídeo!",
        "Дякую за перегляд!",
        "Titulky vytvořil JohnyX",
        "Napisy stworzone przez społeczność Amara.org",
        "Legendas pela comunidade Amara.org",
        "Sottotitoli e revisione a cura di QTSS",
        "Ondertitels ingediend door de Amara.org gemeenschap",
        "Altyazı M.K.",
        "ترجمة نانسي قنقر",
        "字幕由 Amara.org 社群提供",
        "MBC 뉴스 이덕영입니다.",
        "Thank you. Bye. See you next time.",
        "[BLANK_AUDIO]",
        " (music)",
        "*applause*",
    ],
)
def test_boilerplate_is_dropped_only_without_speech(speech: NDArray[np.float32], text: str) -> None:
    said = replace(SURE, text=text)
    assert [s.text for s in suppress((said,), window(speech), ALL_STEPS)] == [text]
    assert suppress((said,), window(make_white_noise(3)), ALL_STEPS) == ()
    assert suppress((replace(said, no_speech_prob=0.5),), window(speech), ALL_STEPS) == ()
    assert suppress((said,), window(make_white_noise(3)), ALL_STEPS - {"boilerplate", "labels"}) != ()


def test_a_courtesy_is_dropped_only_where_no_voice_is_heard(speech: NDArray[np.float32]) -> None:
    said = replace(SURE, text=" Danke.", no_speech_prob=0.5, avg_logprob=-0.9)
    assert [s.text for s in suppress((said,), window(speech), ALL_STEPS)] == [said.text]
    assert suppress((said,), window(make_white_noise(3)), ALL_STEPS) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Thank you for the soup.",
        "He watched the subtitles.",
        "You know what?",
        "Untertitel sind heute selten.",
        "字幕が出ません。",
        "Copyright law is hard.",
        "The music was too loud.",
        "byebyebyebyebyebyebyebyebyebyebyebyebyebyebyebye love",
    ],
)
def test_other_text_is_no_boilerplate(text: str) -> None:
    assert not is_boilerplate(text)


def test_every_phrase_of_the_tables_is_found() -> None:
    assert all(is_boilerplate(f" {text}.") for texts in SIGN_OFFS.values() for text in texts)
    assert all(is_courtesy(f" {text}.") for texts in COURTESIES.values() for text in texts)
    assert all(is_boilerplate(f"{text} XY 2019") for texts in CREDITS.values() for text in texts)


def spoken(probability: float, duration_s: float) -> Segment:
    words = tuple(Word("la", n * duration_s, (n + 1) * duration_s, probability) for n in range(4))
    return replace(at(UNSURE, 0.0, 4 * duration_s, *words), text=" la la la la")


@pytest.mark.parametrize(("probability", "duration_s"), [(0.05, 0.3), (0.9, 0.01)])
def test_nothing_but_absurd_words_is_dropped(
    speech: NDArray[np.float32], probability: float, duration_s: float
) -> None:
    absurd = spoken(probability, duration_s)
    assert suppress((absurd,), window(speech), ALL_STEPS) == ()
    assert suppress((absurd,), window(speech), ALL_STEPS - {"words"}) != ()
    assert suppress((replace(absurd, avg_logprob=-0.2),), window(speech), ALL_STEPS) != ()


def test_a_few_absurd_words_are_no_reason(speech: NDArray[np.float32]) -> None:
    mixed = spoken(0.05, 0.3)
    mixed = replace(mixed, words=(replace(mixed.words[0], probability=0.6), *mixed.words[1:]))
    assert suppress((mixed,), window(speech), ALL_STEPS) != ()
    assert suppress((spoken(0.9, 0.3),), window(speech), ALL_STEPS) != ()


def test_each_removal_is_logged_with_reason_and_file_times(caplog: pytest.LogCaptureFixture) -> None:
    film = Window(silence(4), (WindowPiece(100 * RATE, 0, 4 * RATE, 100 * RATE, 104 * RATE),), 0)
    with caplog.at_level(logging.INFO):
        suppress((at(SURE, 1.0, 2.0),), film, ALL_STEPS)
    (record,) = caplog.records
    fields = record.__dict__["fields"]
    assert (fields["reason"], fields["start_s"], fields["end_s"]) == ("digital silence", 101.0, 102.0)


def test_steps_are_read_from_a_list() -> None:
    assert parse_steps(" silence, words ,") == {"silence", "words"}
    assert parse_steps("none") == parse_steps("") == frozenset()
    with pytest.raises(ValueError, match=f"'loops' is no step .* possible are {', '.join(STEPS)}, or none"):
        parse_steps("silence,loops")


@pytest.mark.parametrize("word", ["No.", "Go!", "Up."])
def test_shortest_words_are_a_voice(word: str) -> None:
    sound = window(silence(1), 0.5 * speak(word), silence(1))
    assert suppress((at(UNSURE, 1.0, 1.5),), sound, ALL_STEPS) != ()
