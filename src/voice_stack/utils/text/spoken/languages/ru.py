"""Russian."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

GRAMMAR = Grammar(
    code="ru",
    groups=" .",
    point="целая|целых|целых|целых",
    denominators=("десятая|десятых|десятых", "сотая|сотых|сотых", "тысячная|тысячных|тысячных"),
    signs=table("minus=минус; +=плюс; to=-; eq=равно; ×=умножить на; &=и; @=собака; .=точка; /=слэш; -=дефис; "
                "_=нижнее подчёркивание; #=номер; №=номер; §=параграф"
                "; hashtag=хештег"),
    percent="{} процент|{} процента|{} процентов|{} процента",
    feminine=("минут", "секунд", "миллисекунд", "тонна", "тонны", "миля", "мили", "унци", "йена", "йены", "лира",
              "лиры", "рупи", "крона", "кроны", "копей"),
    currencies=table("USD=доллар|доллара|долларов|доллара; EUR=евро; GBP=фунт|фунта|фунтов|фунта; "
                     "JPY=йена|йены|йен|йены; CNY=юань|юаня|юаней|юаня; CHF=франк|франка|франков|франка; "
                     "RUB=рубль|рубля|рублей|рубля; TRY=лира|лиры|лир|лиры; INR=рупия|рупии|рупий|рупии; "
                     "PLN=злотый|злотых|злотых|злотого; CZK=крона|кроны|крон|кроны; KRW=вона|воны|вон|воны"),
    cents=table("USD=цент|цента|центов; EUR=цент|цента|центов; RUB=копейка|копейки|копеек"),
    money="{main} {cents} {unit}",
    scales=table("тыс.=тысяч; млн=миллионов; млрд=миллиардов; тысяча=; тысячи=; тысяч=; миллион=; миллиона=; "
                 "миллионов=; миллиард=; миллиарда=; миллиардов="),
    ordinals=table("-(?:ы|о|и)?й=spellout-ordinal-masculine; -(?:а)?я=spellout-ordinal-feminine; "
                   "-е(?= год)=spellout-ordinal-plural; -(?:о)?е=spellout-ordinal-neuter; "
                   "-(?:о)?го=spellout-ordinal-masculine-genitive; "
                   "-(?:о)?м=spellout-ordinal-masculine-locative; -(?:у)?ю=spellout-ordinal-feminine-accusative; "
                   "-(?:ы)?х=spellout-ordinal-plural-genitive"),
    # A two asks for the gender of a noun in the genitive, a one for that of the nominative.
    counters=table("(?<!11 )(?<=1 )\\w+[ая]|(?<!12 )(?<=2 )\\w+[ыи]=spellout-cardinal-feminine; "
                   "(?<!11 )(?<=1 )\\w+[ое]=spellout-cardinal-neuter"),
    years=table("год=spellout-ordinal-masculine; года=spellout-ordinal-masculine-genitive; "
                "году=spellout-ordinal-masculine-locative; г.=spellout-ordinal-masculine-genitive|года"),
    date="{day} {month} {year}",
    day="spellout-ordinal-neuter-genitive",
    clock=table("time={h} {m}; full={h} часов; full_one={h} час; full_few={h} часа"),
    roman_words=words("глава часть том книга акт сцена раздел статья приложение фаза тип"),
    roman_followers=table("век=spellout-ordinal-masculine; века=spellout-ordinal-masculine-genitive; "
                          "веке=spellout-ordinal-masculine-locative"),
    regnal="{}",
    abbreviations=table("""
        т.е.=то есть; т.д.=так далее; т.п.=тому подобное; т.к.=так как; др.=другие; ул.=улица; д.#=дом; стр.#=страница;
        рис.#=рисунок; гл.#=глава; им.=имени; проф.=профессор; г-н=господин; г-жа=госпожа; руб.=рублей; тел.=телефон;
        н.э.=нашей эры; см.^=смотри; тыс.=тысяч; млн=миллионов; млрд=миллиардов
    """),
    fractions=("одна вторая", "одна треть", "две трети", "одна четверть", "три четверти"),
    fraction="{n} {d}",
    parts=("пятая|пятых|пятых", "шестая|шестых|шестых", "седьмая|седьмых|седьмых",
           "восьмая|восьмых|восьмых", "девятая|девятых|девятых", "десятая|десятых|десятых"),
    parts_counted="spellout-cardinal-feminine",
)  # fmt: skip
