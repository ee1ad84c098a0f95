"""What is read out: written texts and what a native reader says for them."""

import string
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.utils.text import normalise
from voice_stack.utils.text.spoken import read_spans
from voice_stack.utils.text.spoken.grammar import GRAMMARS


def speak_out(text: str, language: str) -> str:
    return read_spans(text, language).text


XTTS_LANGUAGES = ["en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh", "hu", "ko", "ja", "hi"]

SAYINGS = {
    "en": [
        ("I have 21 cats and 1,234 mice.", "I have twenty-one cats and one thousand two hundred thirty-four mice."),
        ("Pi is 3.14, not 3.", "Pi is three point one four, not three."),
        ("It is -5 °C or 23°F.", "It is minus five degrees Celsius or twenty-three degrees Fahrenheit."),
        ("On March 5, 2024, on 5 May", "On March fifth, twenty twenty-four, on the fifth of May"),
        ("The 1st, the 22nd, the 103rd.", "The first, the twenty-second, the one hundred third."),
        ("born in 1984, not in 2005", "born in nineteen eighty-four, not in two thousand five"),
        ("the 1980s and '90s", "the nineteen eighties and nineties"),
        ("2024-03-05 or 3/5/2024", "March fifth, twenty twenty-four or March fifth, twenty twenty-four"),
        ("at 2:30 pm, at 14:05, at 9:00", "at two thirty P M, at fourteen oh five, at nine o'clock"),
        ("Open 9:00-17:00.", "Open nine o'clock to seventeen o'clock."),
        ("$5.50, £1.01, $0.99, €1, ¥500",
         "five dollars and fifty cents, one pound and one penny, ninety-nine cents, one euro, five hundred yen"),
        ("$3.5 million, $5k", "three point five million dollars, five thousand dollars"),
        ("50% of 5-10 km at 100 km/h", "fifty percent of five to ten kilometers at one hundred kilometers per hour"),
        ("1 kg, 2 kg, 1.5 kg, 7 s", "one kilogram, two kilograms, one point five kilograms, seven seconds"),
        ("Call 555-123-4567.", "Call five five five, one two three, four five six seven."),
        ("card 4111111111111111", "card four" + " one" * 15),
        ("agent 007", "agent zero zero seven"),
        ("Louis XIV and World War II", "Louis the Fourteenth and World War two"),
        ("Chapter III. I am Henry VIII.", "Chapter three. I am Henry the Eighth."),
        ("I said I, Malcolm X, plan C.", "I said I, Malcolm X, plan C."),
        ("Dr. Smith of St. Paul, e.g. Main St.", "Doctor Smith of Saint Paul, for example Main Street."),
        ("See www.open-ai.com/a?x=1.", "See w w w dot open dash ai dot com slash a."),
        ("Mail jo.doe@mail.co.uk!", "Mail jo dot doe at mail dot co dot uk!"),
        ("MP3, B2B, covid-19, 24/7", "MP three, B two B, covid-nineteen, twenty-four seven"),
        ("1/2 cup, ¾ cup, R&D, #5", "one half cup, three quarters cup, R and D, number five"),
        ("No. 5 said no. Well-known.", "number five said no. Well-known."),
        ("v1.2.3, 2+2=4, 3*4", "v one dot two dot three, two plus two equals four, three times four"),
        ("Call 555-1234 or 555-0199.",
         "Call five five five, one two three four or five five five, zero one nine nine."),
        ("1-800-555-0199", "one, eight zero zero, five five five, zero one nine nine"),
        ("pages 100-1200", "pages one hundred to twelve hundred"),
        ("Wait 30s; in her 30s; the 40s", "Wait thirty seconds; in her thirties; the forties"),
        ("1 1/2 cups, 2½ cups", "one and a half cups, two and a half cups"),
        ("Order #12345", "Order number twelve thousand three hundred forty-five"),
        ("5pm-6:30pm", "five P M to six thirty P M"),
        ("Jan 2024, vol. 2, ch. 3", "January twenty twenty-four, volume two, chapter three"),
        ("$5-10, €5–€10", "five to ten dollars, five to ten euros"),
        ("$.50, 99¢, 1¢", "fifty cents, ninety-nine cents, one cent"),
        ("$25/hr, $50k/yr, 3/day", "twenty-five dollars per hour, fifty thousand dollars per year, three per day"),
        ("Born 5/3/24, died 12/25/99",
         "Born May third, twenty twenty-four, died December twenty-fifth, nineteen ninety-nine"),
        ("2/5 of it, 7/8, 1 3/5 cups, ⅜", "two fifths of it, seven eighths, one and three fifths cups, three eighths"),
        ("on 12/25, on 2/5. Salmon 1/2", "on December twenty-fifth, on February fifth. Salmon one half"),
        ("versions 1.2.10 and 10/12", "versions one dot two dot ten and ten/twelve"),
        ("He is 6'2\" tall, a 27\" screen, 6\" of snow",
         "He is six feet two inches tall, a twenty-seven inch screen, six inches of snow"),
        ('She said "I am 27" and "no."', 'She said "I am twenty-seven" and "no."'),
        ("6 ft 2 in, 5 ft. tall, 10 in. wide, 2 in London",
         "six feet two inches, five feet tall, ten inches wide, two in London"),
        ("100 MB/s, 1 Gbps, 16 GB", "one hundred megabytes per second, one gigabit per second, sixteen gigabytes"),
        ("1.5M users, 10-15k people, 3k",
         "one point five million users, ten to fifteen thousand people, three thousand"),
        ("4K TV, 3M, 7B model", "four K TV, three M, seven B model"),
        ("Dr. Smith lives on Maple Dr. near Dr. Jones.", "Doctor Smith lives on Maple Drive near Doctor Jones."),
        ("5 Old Oak Dr. Springfield, Hello Dr., the Dr. is in",
         "five Old Oak Drive Springfield, Hello Doctor, the Doctor is in"),
        ("12 Main St. Springfield, St. Peter", "twelve Main Street Springfield, Saint Peter"),
        ("12\u202f345 and 1\u202f234\u202f567",
         "twelve thousand three hundred forty-five and one million two hundred thirty-four thousand "
         "five hundred sixty-seven"),
        ("Open my_file2.tar.gz or main.py.", "Open my underscore file two dot tar dot gz or main dot py."),
        ("#VoiceStack by @some_user, C#", "hashtag Voice Stack by at some user, C sharp"),
        ("3x faster, 2x4, 1920x1080", "three times faster, two by four, nineteen twenty by one thousand eighty"),
        ("~10, ≥ 5, ±2, 10 ± 1", "about ten, at least five, plus or minus two, ten plus or minus one"),
        ("192.168.1.1, 30 sec", "one hundred ninety-two dot one hundred sixty-eight dot one dot one, thirty seconds"),
    ],
    "de": [
        ("21 Katzen, 1.234 Mäuse, 3,14",
         "einundzwanzig Katzen, eintausendzweihundertvierunddreißig Mäuse, drei Komma eins vier"),
        ("Am 3. Mai um 14:30 Uhr", "Am dritten Mai um vierzehn Uhr dreißig"),
        ("Der 3. Mai. Um 1 Uhr.", "Der dritte Mai. Um ein Uhr."),
        ("im 20. Jahrhundert, die 2. Auflage", "im zwanzigsten Jahrhundert, die zweite Auflage"),
        ("Ich bin 12. Du auch.", "Ich bin zwölf. Du auch."),
        ("1984", "neunzehnhundertvierundachtzig"),
        ("5,50 €, 1 €, 3,5 Mio. €", "fünf Euro fünfzig, ein Euro, drei Komma fünf Millionen Euro"),
        ("1 km, 1 h, 50 %, -5 °C", "ein Kilometer, eine Stunde, fünfzig Prozent, minus fünf Grad Celsius"),
        ("z. B. Dr. Müller, usw.", "zum Beispiel Doktor Müller, und so weiter."),
        ("Ludwig XIV. und Kapitel IV", "Ludwig der Vierzehnte und Kapitel vier"),
        ("www.bild.de", "w w w Punkt bild Punkt de"),
        ("In der Hauptstr. 5, in der Ringstr.", "In der Hauptstraße fünf, in der Ringstraße."),
        ("5–10 €, €5-10", "fünf bis zehn Euro, fünf bis zehn Euro"),
        ("2/5, 1/7, ⅞", "zwei Fünftel, ein Siebtel, sieben Achtel"),
        ("5 MB/s, 12 345, 12\u202f345 m",
         "fünf Megabyte pro Sekunde, zwölftausenddreihundertfünfundvierzig, "
         "zwölftausenddreihundertfünfundvierzig Meter"),
        ("am 05.03.24, Version 1.2.10",
         "am fünften März zweitausendvierundzwanzig, Version eins Punkt zwei Punkt zehn"),
        ("~10, >5, a.pdf, #Bahn", "etwa zehn, mehr als fünf, a Punkt pdf, hashtag Bahn"),
        ("1,5M Nutzer, 3k", "eine Million fünfhunderttausend Nutzer, dreitausend"),
    ],
    "fr": [
        ("21 chats, 1 234 souris, 3,14",
         "vingt-et-un chats, mille deux cent trente-quatre souris, trois virgule quatorze"),
        ("Le 1er mai à 14h30", "Le premier mai à quatorze heures trente"),
        ("Louis XIV, XXe siècle, François Ier", "Louis quatorze, vingtième siècle, François premier"),
        ("5,50 €, 3 millions €", "cinq euros cinquante, trois millions d'euros"),
        ("à 1 h, 50 %, 2e, M. Dupont", "à une heure, cinquante pour cent, deuxième, Monsieur Dupont"),
        ("2/5, 8/9", "deux cinquièmes, huit neuvièmes"),
        ("le 5/3/24, 5 MB/s", "le cinq mars deux mille vingt-quatre, cinq mégaoctets par seconde"),
    ],
    "es": [
        ("21 gatos, 21 horas, 3,14", "veintiún gatos, veintiuna horas, tres coma catorce"),
        ("El 1 de mayo de 2024 a las 14:30", "El primero de mayo de dos mil veinticuatro a las catorce treinta"),
        ("siglo XXI, Felipe VI, Luis XIV", "siglo veintiuno, Felipe sexto, Luis catorce"),
        ("5,50 €, $3 millones, 1 kg, 50 %",
         "cinco euros con cincuenta, tres millones de dólares, un kilogramo, cincuenta por ciento"),
        ("1º, 2ª, EE. UU., Sr. López", "primero, segunda, Estados Unidos, señor López"),
        ("2/5, 1/10", "dos quintos, un décimo"),
    ],
    "it": [
        ("3,14, 1 kg, 50%", "tre virgola quattordici, un chilogrammo, cinquanta per cento"),
        ("Il 1° maggio 2024 alle 14:30", "Il primo maggio duemilaventiquattro alle quattordici e trenta"),
        ("XX secolo, Enrico VIII", "ventesimo secolo, Enrico ottavo"),
        ("5,50 €", "cinque euro e cinquanta"),
        ("2/5, 1/8", "due quinti, un ottavo"),
    ],
    "pt": [
        ("21 gatos, 2 horas, 3,14", "vinte e um gatos, duas horas, três vírgula catorze"),
        ("1 de maio de 2024", "primeiro de maio de dois mil e vinte e quatro"),
        ("R$ 5,50, século XXI, Pedro II", "cinco reais e cinquenta centavos, século vinte e um, Pedro segundo"),
        ("2/5, 1/9", "dois quintos, um nono"),
    ],
    "nl": [
        ("21 katten, 3,14", "eenentwintig katten, drie komma veertien"),
        ("om 14:30 uur, in 1984", "om veertien uur dertig, in negentienvierentachtig"),
        ("€ 5,50, 1e, Willem II, bijv. 5 km",
         "vijf euro vijftig, eerste, Willem de tweede, bijvoorbeeld vijf kilometer"),
        ("2/5, 1/8", "twee vijfde, een achtste"),
    ],
    "pl": [
        ("2 km, 5 kg, 2 h, 50%", "dwa kilometry, pięć kilogramów, dwie godziny, pięćdziesiąt procent"),
        ("5 maja o 14:30", "piątego maja o czternastej trzydzieści"),
        ("w 1984 roku", "w tysiąc dziewięćset osiemdziesiątym czwartym roku"),
        ("5,50 zł, np. to", "pięć złotych pięćdziesiąt groszy, na przykład to"),
        ("1/5, 2/5, 5/6", "jedna piąta, dwie piąte, pięć szóstych"),
    ],
    "cs": [
        ("3,14, 2 Kč, 5 km, 5 s ním", "tři celé čtrnáct, dvě koruny, pět kilometrů, pět s ním"),
        ("5. března", "pátého března"),
        ("1/5, 2/5, 5/6", "jedna pětina, dvě pětiny, pět šestin"),
    ],
    "ru": [
        ("21 кошка, 2 минуты, 2 км", "двадцать одна кошка, две минуты, два километра"),
        ("в 1984 году", "в тысяча девятьсот восемьдесят четвёртом году"),
        ("3,14", "три целых четырнадцать сотых"),
        ("5 марта, 1-й, 2-я", "пятого марта, первый, вторая"),
        ("XX век, в XXI веке", "двадцатый век, в двадцать первом веке"),
        ("5,50 ₽, 50 %, т. е. так", "пять рублей пятьдесят копеек, пятьдесят процентов, то есть так"),
        ("1/5, 2/5, 5 МБ/с, #Новости", "одна пятая, две пятых, пять мегабайт в секунду, хештег Новости"),
    ],
    "hu": [
        ("2 km, 2 óra, 50%", "két kilométer, két óra, ötven százalék"),
        ("március 5-én, XX. század", "március ötödikén, huszadik század"),
        ("3,14", "három egész tizennégy század"),
        ("2/5, 5 MB/s", "két ötöd, öt megabájt per másodperc"),
    ],
    "tr": [
        ("%50, 5 ₺, 3'üncü", "yüzde elli, beş lira, üçüncü"),
        ("100 km/h", "saatte yüz kilometre"),
        ("2/5, 5 MB/s", "beşte iki, saniyede beş megabayt"),
    ],
    "ar": [("٢٥", "خمسة وعشرون"), ("3.14", "ثلاثة فاصل أربعة عشر"), ("50%", "خمسون بالمئة")],
    "zh": [
        ("2024年3月5日14:30", "二零二四年三月五日十四点三十分"),
        ("2个人，21只猫", "两个人，二十一只猫"),
        ("第2次，2次，第2个人", "第二次，两次，第二个人"),
        ("50%，5km，-5°C，¥5", "百分之五十，五公里，负五摄氏度，五元"),
        ("2/5，5 MB/s", "五分之二，每秒钟五兆字节"),
    ],
    "ja": [
        ("2024年3月5日14:30", "二千二十四年三月五日十四時三十分"),
        ("¥500、50%、5km", "五百円、五十パーセント、五キロメートル"),
        ("2/5、5 MB/s", "五分の二、毎秒五メガバイト"),
    ],
    "ko": [
        ("3시, 5명, 6월 5일", "세 시, 다섯 명, 유월 오 일"),
        ("50%, ₩5000", "오십 퍼센트, 오천 원"),
    ],
    "hi": [("21, 50%, ₹5", "इक्कीस, पचास प्रतिशत, पाँच रुपये"), ("3.14", "तीन दशमलव एक चार")],
}  # fmt: skip


@pytest.mark.parametrize(
    ("language", "written", "spoken"), [(code, *saying) for code, sayings in SAYINGS.items() for saying in sayings]
)
def test_text_is_read_as_it_is_spoken(language: str, written: str, spoken: str) -> None:
    assert speak_out(written, language) == spoken


@pytest.mark.parametrize(
    ("tag", "spoken"),
    [
        ("en", "May third, twenty twenty-four"),
        ("en-US", "May third, twenty twenty-four"),
        ("en-XX", "May third, twenty twenty-four"),
        ("en-GB", "the fifth of March, twenty twenty-four"),
        ("en_AU", "the fifth of March, twenty twenty-four"),
    ],
)
def test_english_dates_are_in_the_order_of_the_country(tag: str, spoken: str) -> None:
    assert speak_out("5/3/24", tag) == speak_out("5/3/2024", tag) == spoken
    assert speak_out("On 5/3 we met.", tag) == f"On {spoken.removesuffix(', twenty twenty-four')} we met."


@pytest.mark.parametrize("blank", ["\u00a0", "\u2007", "\u2009", "\u202f"])
def test_blanks_that_do_not_break_are_inside_one_number(blank: str) -> None:
    assert speak_out(normalise(f"5{blank}000, 20{blank}%"), "en") == "five thousand, twenty percent"


def test_every_language_of_xtts_has_a_grammar_and_sayings() -> None:
    assert set(XTTS_LANGUAGES) <= set(GRAMMARS)
    assert set(SAYINGS) == set(GRAMMARS)


@pytest.mark.parametrize("language", ["sv", "zu", "", "no such language"])
def test_language_without_grammar_keeps_its_text(language: str) -> None:
    assert speak_out("Jag har 21 katter, 5 km & 50 %.", language) == "Jag har 21 katter, 5 km & 50 %."


@pytest.mark.parametrize("language", ["en-US", "zh-cn", "german", "pt_BR"])
def test_language_may_be_spelled_in_any_way(language: str) -> None:
    assert not any(map(str.isdigit, speak_out("21 Uhr 5", language)))


def test_words_without_numbers_are_left_alone() -> None:
    text = 'He said: "It\'s a well-known, mixed-up (and old) story - no more; CD, DC, MIX, I."'
    assert speak_out(text, "en") == text


def test_number_beyond_all_words_is_read_digit_by_digit() -> None:
    assert speak_out("9" * 4000, "en").split() == ["nine"] * 4000
    assert speak_out("7" * 4000, "zh") == "七" * 4000


PIECES = [
    "5", "12", "1984", "3.14", "1,000", "1.000.000", "-", "–", " ", " ", ",", ".", ":", "/", "%", "$", "€", "km", "°C",
    "XIV", "I", "Louis", "March", "5.", "1st", "2e", "14:30", "@", "www.", "a.b", "+", "=", "&", "#", "½", "²", "٣",
    "日", "年", "Dr.", "Uhr", "'", "(", ")", "mai", "года", "0", "99:99", "31/12/2024", "2024-13-45",
]  # fmt: skip
DECLINING = {"cs", "de", "es", "fr", "hu", "it", "nl", "pl", "pt", "ru", "tr"}
WRITTEN = st.one_of(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), st.text(max_size=60))


@settings(max_examples=300, deadline=None)
@given(WRITTEN, st.sampled_from(XTTS_LANGUAGES))
def test_any_text_can_be_read_and_digits_stay_only_where_a_case_or_gender_is_not_sure(text: str, language: str) -> None:
    spoken = speak_out(normalise(text), language)
    assert language in DECLINING or not set(spoken) & set(string.digits)


HOSTILE = [
    "1", "1,", "1 ", "1.", "1 234 ", "111 ", "1-", "-1", "1:", "12:30:", "1/", "$1", "$", "1€ ", "5 km", "+1 ", "(1",
    "@",
    "a@", "a@b.", "www.", "http://", "a.b", "a.com/", "XIV ", "Louis X", "I", "Dr.", "z. ", "e.g", "%", "1'", "1st",
    "5.",
    "5. ", "March ", "1 de ", "#", "&", "年", "2", "٣", "½", "2024-", "0", "a", " ", ".", "🎉", "\u0301", "م",
    "On 5.3.2024 at 14:30 we paid $5.50 (10%) to Dr. Smith, jo@doe.com. ",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_takes_time_in_proportion_to_its_length(unit: str) -> None:
    def seconds(chars: int) -> float:
        text = "a" + unit * (chars // len(unit)) + "a"
        started = time.process_time()
        for language in ("en", "fr", "zh"):
            speak_out(text, language)
        return time.process_time() - started

    seconds(100)  # loads the rules
    # Eight times the text: 8 times as long if linear, 64 times if quadratic; what is over in no time is linear anyway.
    assert seconds(12_000) < max(24 * seconds(1_500), 2.0)


def test_examples_in_the_documentation_are_true() -> None:
    page = (Path(__file__).parents[3] / "docs/text.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.count("|") == 4]
    examples = [row for row in rows if row[1] in GRAMMARS]
    assert len(examples) >= 5
    assert [speak_out(written, language) for written, language, _ in examples] == [row[2] for row in examples]
