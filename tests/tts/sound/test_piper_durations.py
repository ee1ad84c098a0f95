"""A Piper voice tells when it speaks each word, and keeps to the speed that was asked for."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from piper_speech import VOICE
from voice_stack.tts.engine.base import Spoken, VoiceOptions
from voice_stack.tts.engine.onnx import expose_tensor
from voice_stack.tts.engine.piper import PiperEngine, is_durations
from voice_stack.tts.sound.finishing import Delivery, Finisher, VoiceLevels
from voice_stack.utils.audio.word_alignment import TimedPhoneme, align_words, cut_words, time_words
from voice_stack.utils.text import Clause

TEXTS = [
    "The old lighthouse stands on a rocky island, two miles from the harbor.",
    'In the middle of the night, he said: "Wait for me at the station."',
    "Of the 42 people there, only 7 stayed until 10:30 - or so it seems.",
    "Yes!",
]


@pytest.fixture(scope="module")
def piper() -> PiperEngine:
    onnxruntime.set_seed(5)
    return PiperEngine(VOICE, device="cpu", threads=1)


def speak(piper: PiperEngine, text: str, speed: float = 1.0) -> Spoken:
    (spoken,) = piper.synthesize(text, VoiceOptions(speed=speed))
    return spoken


@pytest.mark.parametrize("text", TEXTS)
def test_words_are_in_order_and_inside(piper: PiperEngine, text: str) -> None:
    spoken = speak(piper, text)
    assert [word.text for word in spoken.words] == cut_words(text)
    edges = [edge for word in spoken.words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    assert edges[0] >= 0
    assert edges[-1] <= len(spoken.samples) / piper.sample_rate
    assert all(0.03 < word.end_s - word.start_s < 1.5 for word in spoken.words)


def test_pauses_lie_between_words(piper: PiperEngine) -> None:
    spoken = speak(piper, TEXTS[0])
    by_text = {word.text: word for word in spoken.words}
    assert by_text["two"].start_s - by_text["island,"].end_s > 0.1
    level = np.abs(spoken.samples)
    middle = round((by_text["two"].start_s + by_text["island,"].end_s) / 2 * piper.sample_rate)
    assert level[middle - 300 : middle + 300].max() < 0.1 * level.max()


def test_words_without_an_engines_help_are_near(piper: PiperEngine) -> None:
    errors_s = []
    for text in TEXTS[:3]:
        spoken = speak(piper, text)
        estimated = align_words(cut_words(text), spoken.samples, piper.sample_rate)
        errors_s += [abs(start_s - word.start_s) for (start_s, _), word in zip(estimated, spoken.words, strict=True)]
    assert np.median(errors_s) < 0.08
    assert max(errors_s) < 0.6


def mean_length_s(piper: PiperEngine, speed: float) -> float:
    engine_speed = min(max(speed, 1.0), 1.5)
    lengths = []
    for text in TEXTS[:3] * 2:
        delivery = Delivery(Clause(text, 0.0), VoiceOptions(speed=engine_speed), speed)
        finisher = Finisher(delivery, VoiceLevels(None), piper.sample_rate)
        pieces = finisher.push(speak(piper, text, engine_speed)), finisher.finish()
        lengths.append(sum(len(piece.samples) for piece in pieces))
    return float(np.mean(lengths)) / piper.sample_rate


@pytest.fixture(scope="module")
def natural_length_s(piper: PiperEngine) -> float:
    return mean_length_s(piper, 1.0)


@pytest.mark.parametrize("speed", [0.5, 1.2, 1.5, 3.0])
def test_speech_is_as_fast_as_asked_for(piper: PiperEngine, natural_length_s: float, speed: float) -> None:
    # No two runs of a voice are equally long: 3 %.
    assert natural_length_s / mean_length_s(piper, speed) == pytest.approx(speed, rel=0.06)


def test_words_move_with_the_speed(piper: PiperEngine) -> None:
    spoken = speak(piper, TEXTS[0])
    finisher = Finisher(Delivery(Clause(TEXTS[0], 0.0), VoiceOptions(), speed=0.5), VoiceLevels(-19), piper.sample_rate)
    finished = finisher.push(spoken)
    length_s = (len(finished.samples) + len(finisher.finish().samples)) / piper.sample_rate
    for before, after in zip(spoken.words, finished.words, strict=True):
        assert after.end_s - after.start_s == pytest.approx(2 * (before.end_s - before.start_s), abs=1e-6)
    assert finished.words[-1].end_s <= length_s


def small_model(*operations: str) -> bytes:
    """Takes `x` through one operation after the other."""
    names = ["x", *(f"t{index}" for index in range(1, len(operations))), "y"]
    nodes = [helper.make_node(op, [a], [b]) for op, a, b in zip(operations, names, names[1:], strict=False)]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    model = helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:]), ir_version=8)
    model.opset_import[0].version = 15
    data: bytes = model.SerializeToString()
    return data


def run(model: bytes) -> list[float]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return [float(value[0]) for value in session.run(None, {"x": np.array([2.5], np.float32)})]


def test_the_rounded_tensor_becomes_an_output() -> None:
    model = expose_tensor(small_model("Ceil", "Neg", "Abs"), is_durations)
    assert [output.name for output in onnx.load_from_string(model).graph.output] == ["y", "t1"]
    assert run(model) == [3.0, 3.0]
    assert expose_tensor(model, is_durations) == model


@pytest.mark.parametrize("operations", [("Neg",), ("Ceil", "Neg", "Ceil")])
def test_other_models_stay_as_they_are(operations: tuple[str, ...]) -> None:
    model = small_model(*operations)
    assert expose_tensor(model, is_durations) == model


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda _: b"\xff" * 50, lambda _: b"<html>"])
def test_damaged_files_are_refused(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ValueError, match="damaged"):
        expose_tensor(damage(small_model("Ceil", "Neg")), is_durations)


def phonemes(text: str) -> list[TimedPhoneme]:
    return [TimedPhoneme(symbol, 100) for symbol in text]


def test_words_that_run_together_are_parted() -> None:
    words = time_words(["of", "the", "house."], ["ʌv", "ðə", "haʊs."], phonemes("ʌvðə haʊs."), 1_000)
    assert [(word.text, word.start_s, word.end_s) for word in words] == [
        ("of", 0, pytest.approx(0.2)),
        ("the", pytest.approx(0.2), pytest.approx(0.4)),
        ("house.", pytest.approx(0.5), pytest.approx(0.9)),
    ]


@pytest.mark.parametrize(("pronunciations", "clause"), [(["", "b"], "ab"), (["a", "b"], ""), (["a", "b", "c"], "x")])
def test_words_that_are_not_found_have_no_times(pronunciations: list[str], clause: str) -> None:
    assert time_words(["?"] * len(pronunciations), pronunciations, phonemes(clause), 1_000) == ()
