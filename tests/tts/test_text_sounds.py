"""Sounds and pauses in texts, as a measure of their length."""

import pytest

from voice_stack.tts.engine.faithfulness import count_pauses, count_sounds

# "Everyone has the right to life, liberty and security of person", with phonemes counted by hand or by syllables.
SAME_SENTENCE = {
    "en": "Everyone has the right to life, liberty and security of person.",
    "de": "Jeder hat das Recht auf Leben, Freiheit und Sicherheit der Person.",
    "es": "Todo individuo tiene derecho a la vida, a la libertad y a la seguridad de su persona.",
    "fr": "Tout individu a droit à la vie, à la liberté et à la sûreté de sa personne.",
    "ru": "Каждый человек имеет право на жизнь, на свободу и на личную неприкосновенность.",
    "zh": "人人有权享有生命、自由和人身安全。",
    "ja": "すべて人は、生命、自由及び身体の安全に対する権利を有する。",
    "ko": "모든 사람은 생명과 신체의 자유와 안전에 대한 권리를 가진다.",
    "ar": "لكل فرد الحق في الحياة والحرية وسلامة شخصه.",
    "hi": "प्रत्येक व्यक्ति को जीवन, स्वाधीनता और वैयक्तिक सुरक्षा का अधिकार है।",
}


@pytest.mark.parametrize("language", SAME_SENTENCE)
def test_the_same_sentence_has_about_as_many_sounds_in_every_language(language: str) -> None:
    # Three to seven seconds at twelve sounds a second: languages differ, scripts by far more.
    assert 36 <= count_sounds(SAME_SENTENCE[language], language) <= 84


@pytest.mark.parametrize("text", ["", " ", "...", "🎉", "—", "()"])
def test_what_is_not_spoken_has_none(text: str) -> None:
    assert count_sounds(text, "en") == 0.0


def test_a_digit_counts_as_a_word() -> None:
    assert count_sounds("7", "en") == pytest.approx(count_sounds("seven", "en"), abs=1.0)


def test_composed_and_decomposed_letters_count_the_same() -> None:
    assert count_sounds("e\u0301te\u0301", "es") == count_sounds("\u00e9t\u00e9", "es")


@pytest.mark.parametrize(
    ("text", "pauses"),
    [
        ("Yes.", 0),
        ("Well, yes.", 1),
        ("One, two; three: four!", 3),
        ("1,000.5 metres", 0),
        ("人人、自由。", 1),
        ("", 0),
    ],
)
def test_marks_inside_a_text_are_pauses(text: str, pauses: int) -> None:
    assert count_pauses(text) == pauses
