import re
import threading

import pytest
from babel import Locale
from faster_whisper.tokenizer import _LANGUAGE_CODES

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.utils.language import LANGUAGES, find_language, find_region, require_language
from voice_stack.utils.language_detection import detect_text_language

XTTS = ("en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-cn", "hu", "ko", "ja", "hi")


def test_table_holds_exactly_the_languages_of_whisper() -> None:
    assert set(LANGUAGES) == set(_LANGUAGE_CODES)
    assert len(LANGUAGES) == 100


def test_names_are_the_english_ones_but_for_five_of_whisper() -> None:
    usual = Locale("en").languages
    others = {one.code: one.name for one in LANGUAGES.values() if one.name != usual.get(one.code, "").lower()}
    assert others == {"bn": "bengali", "jw": "javanese", "mi": "maori", "my": "myanmar", "nn": "nynorsk"}


def test_no_spelling_means_two_languages() -> None:
    owners: dict[str, set[str]] = {}
    for language in LANGUAGES.values():
        for spelling in (language.code, language.alpha3, language.name, *language.aliases):
            owners.setdefault(spelling.casefold(), set()).add(language.code)
    assert {spelling: codes for spelling, codes in owners.items() if len(codes) > 1} == {}


def test_every_spelling_of_the_table_is_found_in_any_case() -> None:
    for language in LANGUAGES.values():
        for spelling in (language.code, language.alpha3, language.name, *language.aliases):
            assert find_language(spelling) is language
            assert find_language(f" {spelling.upper()} ") is language
            assert len(language.alpha3) == 3


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("en-US", "en"), ("en us", "en"), ("pt_BR", "pt"), ("zh-TW", "zh"), ("zh-cn", "zh"), ("zh-Hant-HK", "zh"),
        ("sr-Latn", "sr"), ("es-419", "es"), ("de_AT.UTF-8@euro", "de"), ("eng-GB", "en"), ("no-NO", "no"),
        ("nb-NO", "no"),
        ("nn-NO", "nn"), ("zh-yue", "yue"), ("yue-HK", "yue"), ("iw", "he"), ("iw-IL", "he"), ("in", "id"),
        ("ji", "yi"), ("mo", "ro"), ("jv", "jw"), ("jav", "jw"), ("nob", "no"), ("nno", "nn"), ("cmn", "zh"),
        ("fil", "tl"), ("ger", "de"), ("deu", "de"), ("fre", "fr"), ("fra", "fr"), ("chi", "zh"), ("zho", "zh"),
        ("wel", "cy"), ("cym", "cy"), ("burmese", "my"), ("Castilian", "es"), ("Haitian Creole", "ht"),
        ("haitian_creole", "ht"), ("FARSI", "fa"), ("flemish", "nl"), ("haw", "haw"), ("Cantonese", "yue"),
        ("scc", "sr"), ("scr", "hr"), ("alb", "sq"), ("may", "ms"), ("mao", "mi"), ("mac", "mk"), ("slo", "sk"),
    ],
)  # fmt: skip
def test_codes_names_and_regions_find_their_language(text: str, code: str) -> None:
    language = find_language(text)
    assert language is not None
    assert language.code == code


@pytest.mark.parametrize("text", ["", " ", "auto", "xx", "klingon", "english-ish", "en-", "-en", "e", "🙂", "1"])
def test_what_is_no_language_is_not_found(text: str) -> None:
    assert find_language(text) is None


def test_refusal_names_the_value_the_field_and_the_choices() -> None:
    with pytest.raises(UnsupportedValueError) as caught:
        require_language("klingon", param="target")
    assert "'klingon'" in caught.value.message
    assert caught.value.param == "target"
    listed = re.split(r"[ ,.]+", caught.value.message)
    assert {"en", "haw", "jw", "zh"} <= set(listed)


def test_refusal_of_an_endless_value_stays_short() -> None:
    with pytest.raises(UnsupportedValueError) as caught:
        require_language("x" * 100_000)
    assert len(caught.value.message) < 1000
    assert caught.value.param == "language"


def test_requiring_a_known_language_gives_it() -> None:
    assert require_language("deu") is LANGUAGES["de"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The weather is lovely today, shall we go for a walk?", "en"),
        ("Mañana iremos a la playa con nuestros amigos.", "es"),
        ("Demain nous irons à la plage avec nos amis.", "fr"),
        ("Morgen fahren wir mit unseren Freunden ans Meer.", "de"),
        ("Domani andremo al mare con i nostri amici.", "it"),
        ("Amanhã vamos à praia com os nossos amigos.", "pt"),
        ("Jutro pojedziemy z przyjaciółmi nad morze.", "pl"),
        ("Yarın arkadaşlarımızla denize gideceğiz.", "tr"),
        ("Завтра мы поедем с друзьями на море.", "ru"),
        ("Morgen gaan we met onze vrienden naar zee.", "nl"),
        ("Zítra pojedeme s přáteli k moři.", "cs"),
        ("غدا سنذهب إلى البحر مع أصدقائنا.", "ar"),
        ("明天我们和朋友一起去海边。", "zh-cn"),
        ("Holnap a barátainkkal a tengerhez megyünk.", "hu"),
        ("내일 우리는 친구들과 바다에 갈 거예요.", "ko"),
        ("明日は友達と海に行きます。", "ja"),
        ("कल हम दोस्तों के साथ समुद्र तट पर जाएंगे।", "hi"),
    ],
)
def test_language_of_a_sentence_is_told_in_the_callers_spelling(text: str, language: str) -> None:
    assert detect_text_language(text, XTTS) == language


@pytest.mark.parametrize("text", ["", "  \n", "123", "!!!", "ok", "🎉🎉", "\ud800", "ab cd"])
def test_text_without_evidence_has_no_language(text: str) -> None:
    assert [detect_text_language(text, among) for among in (XTTS, ("en", "de"), ("en",))] == [None] * 3


def test_short_word_of_many_languages_is_not_guessed() -> None:
    assert detect_text_language("Hello", XTTS) is None


def test_text_in_none_of_the_languages_has_no_answer() -> None:
    assert detect_text_language("明天我们和朋友一起去海边。", ("en", "de")) is None


def test_answer_depends_on_the_choices_and_earlier_choices_leave_no_trace() -> None:
    text = "Hvor er den nærmeste stasjonen, vet du det?"
    assert detect_text_language(text, ("en", "no")) == "no"
    assert detect_text_language(text, ("en", "da")) == "da"
    assert detect_text_language(text, ("no", "en")) == "no"


def test_languages_the_model_never_learned_are_never_the_answer() -> None:
    assert detect_text_language("Aloha kākou, pehea ʻoukou?", ("haw",)) is None
    assert detect_text_language("Good evening, ladies and gentlemen.", ("haw", "en")) == "en"
    assert detect_text_language("Good evening, ladies and gentlemen.", ()) is None


def test_javanese_goes_by_whispers_code() -> None:
    assert detect_text_language("Aku arep lunga menyang pasar karo ibuku sesuk esuk.", ("jw", "en")) == "jw"


def test_choices_that_are_no_language_are_refused() -> None:
    with pytest.raises(UnsupportedValueError, match="klingon"):
        detect_text_language("Hello", ("en", "klingon"))


def test_process_wide_identifier_of_the_library_is_left_alone() -> None:
    import py3langid

    assert detect_text_language("Guten Morgen, wie geht es Ihnen?", ("de", "fr")) == "de"
    assert py3langid.classify("Завтра мы поедем с друзьями на море.")[0] == "ru"


def test_many_threads_with_different_choices_get_their_own_answers() -> None:
    text = {"fr": "Demain nous irons à la plage.", "it": "Domani andremo al mare.", "ja": "明日は海に行きます。"}
    wrong: list[tuple[str, str | None]] = []
    start = threading.Barrier(12)

    def work(language: str, partner: str) -> None:
        start.wait()
        for _ in range(50):
            answer = detect_text_language(text[language], (language, partner))
            if answer != language:
                wrong.append((language, answer))

    threads = [threading.Thread(target=work, args=(a, b)) for a in text for b in ("en", "de", "sv", "fi")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_two_spellings_of_one_language_give_the_same_one_each_time() -> None:
    text = "The weather is lovely today, shall we go for a walk?"
    assert {detect_text_language(text, {"en-US", "en-GB", "de"}) for _ in range(5)} == {"en-GB"}


@pytest.mark.parametrize(
    ("tag", "region"),
    [
        ("en-GB", "GB"),
        ("en_us", "US"),
        ("pt_BR.UTF-8", "BR"),
        ("zh-Hant-HK", "HK"),
        ("en", ""),
        ("english", ""),
        ("", ""),
    ],
)
def test_region_of_a_tag(tag: str, region: str) -> None:
    assert find_region(tag) == region
