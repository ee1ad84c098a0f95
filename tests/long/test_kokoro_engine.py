"""The Kokoro engine on its real weights."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from kokoro_speech import say
from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.tts.engine.base import EngineVoice
from voice_stack.tts.engine.kokoro import KokoroEngine
from voice_stack.tts.engine.kokoro_model import LENGTHS, SAMPLE_RATE
from voice_stack.tts.models import VOICE_NAMES

SENTENCE = "The kettle is boiling in the kitchen."


def seconds(samples: np.ndarray) -> float:
    return samples.size / SAMPLE_RATE


def test_every_voice_is_there(kokoro: KokoroEngine) -> None:
    assert set(kokoro.voices) == set(VOICE_NAMES)
    assert len(VOICE_NAMES) == 54
    assert len({path.read_bytes() for path in kokoro.voices.values()}) == 54, "no two are one"


def test_a_blend_of_one_voice_is_that_voice_and_of_two_is_another(kokoro: KokoroEngine) -> None:
    heart = say(kokoro, "Good morning.", "af_heart", "en").samples
    alone = say(kokoro, "Good morning.", EngineVoice(blend=(("af_heart", 1.0), ("am_adam", 0.0))), "en").samples
    mixed = say(kokoro, "Good morning.", EngineVoice(blend=(("af_heart", 0.5), ("am_adam", 0.5))), "en").samples
    turned = say(kokoro, "Good morning.", EngineVoice(blend=(("am_adam", 0.5), ("af_heart", 0.5))), "en").samples
    np.testing.assert_allclose(alone, heart, atol=1e-3)
    np.testing.assert_allclose(turned, mixed, atol=1e-3)
    assert mixed.size != heart.size or not np.allclose(mixed, heart, atol=0.01)


def test_a_blend_says_words_as_its_first_voice_does(kokoro: KokoroEngine) -> None:
    def ask(first: str, second: str) -> NDArray[np.float32]:
        return say(kokoro, "Ask for a bath.", EngineVoice(blend=((first, 0.5), (second, 0.5))), "en").samples

    british, american = ask("bf_emma", "af_heart"), ask("af_heart", "bf_emma")
    assert british.size != american.size or not np.allclose(british, american, atol=0.01)


def test_no_name_is_the_first_voice(kokoro: KokoroEngine) -> None:
    unnamed = say(kokoro, "Good morning.", EngineVoice(), "").samples
    np.testing.assert_allclose(unnamed, say(kokoro, "Good morning.", "af_heart", "en").samples, atol=1e-3)


def test_no_language_is_the_voice_s_own(kokoro: KokoroEngine) -> None:
    for text, voice, language in (("Buenos días.", "ef_dora", "es"), ("你好。", "zm_yunxi", "zh")):
        unnamed = say(kokoro, text, voice, "").samples
        np.testing.assert_allclose(unnamed, say(kokoro, text, voice, language).samples, atol=1e-3)


def test_words_are_all_there_in_order_and_inside_the_sound(kokoro: KokoroEngine) -> None:
    text = "In 1984, two of the “old” boats & the U.S.A. ferry didn't come back."
    spoken = say(kokoro, text, "bm_george", "en")
    assert " ".join(word.text for word in spoken.words) == text
    assert len(spoken.words) == len(text.split()) - 1  # nobody times the "&"
    times = [time_s for word in spoken.words for time_s in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert all(word.start_s < word.end_s for word in spoken.words)
    loud = np.flatnonzero(np.abs(spoken.samples) > 0.02 * float(np.abs(spoken.samples).max())) / SAMPLE_RATE
    assert times[0] == pytest.approx(loud[0], abs=0.15)
    assert times[-1] == pytest.approx(loud[-1], abs=0.4)


@pytest.mark.parametrize(
    ("voice", "language", "first", "second", "border"),
    [
        ("af_heart", "en", "The first train.", " The second train.", ("train.", "The")),
        ("jf_alpha", "ja", "最初の電車が来ました。", "二番目の電車も来ました。", ("た。", "二")),
        ("zf_xiaobei", "zh", "第一列火车来了。", "第二列火车也来了。", ("了。", "第")),
    ],
)
def test_a_pause_lies_between_the_words_around_it(
    kokoro: KokoroEngine, voice: str, language: str, first: str, second: str, border: tuple[str, str]
) -> None:
    spoken = say(kokoro, first + second, voice, language)
    index = next(i for i, word in enumerate(spoken.words) if word.text == border[0])
    before, after = spoken.words[index], spoken.words[index + 1]
    assert after.text == border[1]
    loud = np.flatnonzero(np.abs(spoken.samples) > 0.02 * float(np.abs(spoken.samples).max()))
    longest = int(np.argmax(np.diff(loud)))
    middle_s = float(loud[longest] + loud[longest + 1]) / 2 / SAMPLE_RATE
    assert before.start_s < middle_s < after.end_s
    # The model draws out some last vowels into the silence.
    assert abs(middle_s - (before.end_s + after.start_s) / 2) < 0.35


def test_it_says_how_fast_it_really_is(kokoro: KokoroEngine) -> None:
    text = "The kettle boils."
    plain = say(kokoro, text, "af_heart", "en")
    assert plain.pace == 1.0
    for speed in (0.7, 1.25):
        changed = say(kokoro, text, "af_heart", "en", speed)
        assert changed.pace is not None
        assert changed.pace == pytest.approx(speed, rel=0.15)
        assert changed.samples.size * changed.pace == pytest.approx(plain.samples.size, rel=0.02)
        assert changed.words[-1].end_s * changed.pace == pytest.approx(plain.words[-1].end_s, rel=0.1)


def test_a_text_longer_than_the_model_takes_is_spoken_whole(kokoro: KokoroEngine) -> None:
    text = ", ".join(["wonderful strawberries"] * 24)
    spoken = say(kokoro, text, "af_heart", "en", speed=4.0)
    assert [word.text for word in spoken.words] == text.split()
    assert spoken.words[0].start_s < 0.5
    assert seconds(spoken.samples) - 0.5 < spoken.words[-1].end_s <= seconds(spoken.samples)


@pytest.mark.parametrize(
    ("text", "language"), [("", "en"), ("  ", "en"), ("漢", "en"), ("𰻞々", "ja"), ("。", "zh"), ("", "zh")]
)
def test_odd_texts_end_without_an_error(kokoro: KokoroEngine, text: str, language: str) -> None:
    spoken = say(kokoro, text, "af_heart", language)
    assert np.isfinite(spoken.samples).all()


def test_as_many_threads_as_it_has_lanes_say_the_same(kokoro: KokoroEngine) -> None:
    lines = (("Bonjour.", "fr"), ("今晩は。", "ja"), ("Bonjour.", "fr"), ("今晩は。", "ja"))
    alone = {text: say(kokoro, text, "bf_emma", language).samples for text, language in set(lines)}
    with ThreadPoolExecutor(kokoro.lanes) as threads:
        together = list(threads.map(lambda line: say(kokoro, line[0], "bf_emma", line[1]).samples, lines))
    for (text, _), samples in zip(lines, together, strict=True):
        np.testing.assert_allclose(samples, alone[text], atol=1e-3)


def test_what_it_has_not_is_named_with_what_it_has(kokoro: KokoroEngine) -> None:
    with pytest.raises(EngineError, match=r"no voice 'af_nobody'; there are .*af_heart"):
        say(kokoro, SENTENCE, "af_nobody", "en")
    with pytest.raises(EngineError, match=r"does not speak 'de', but en, es, fr, hi, it, ja, pt, zh"):
        say(kokoro, SENTENCE, "jf_alpha", "de")


def test_export_with_other_names_and_without_durations_speaks_the_same(kokoro: KokoroEngine, tmp_path: Path) -> None:
    graph = onnx.load(next(kokoro.model_dir.glob("*.onnx")))
    names = {"tokens": "input_ids", LENGTHS: "lengths"}
    for node in graph.graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [names.get(tensor, tensor) for tensor in tensors]
    graph.graph.input[0].name = "input_ids"
    (tmp_path / "onnx").mkdir()
    onnx.save(graph, tmp_path / "onnx" / "model_quantized.onnx")
    (tmp_path / "voices").symlink_to(kokoro.model_dir / "voices")
    other = say(KokoroEngine(tmp_path, device="cpu", threads=0), "Good morning.", "af_heart", "en")
    np.testing.assert_allclose(other.samples, say(kokoro, "Good morning.", "af_heart", "en").samples, atol=1e-3)
    assert (other.words, other.pace) == ((), None)


def test_folder_without_a_model_and_damaged_files_are_named(kokoro: KokoroEngine, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"0 \.onnx files and 0 voices"):
        KokoroEngine(tmp_path, device="cpu", threads=1)
    (tmp_path / "model.onnx").write_bytes(b"no model" * 20)
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / "af_heart.bin").write_bytes(b"no voice")
    with pytest.raises(ModelLoadError, match=r"model\.onnx does not load"):
        KokoroEngine(tmp_path, device="cpu", threads=1)
    (tmp_path / "model.onnx").unlink()
    (tmp_path / "model.onnx").symlink_to(next(kokoro.model_dir.glob("*.onnx")))
    with pytest.raises(EngineError, match=r"af_heart\.bin is no voice"):
        say(KokoroEngine(tmp_path, device="cpu", threads=1), SENTENCE, "af_heart", "en")
