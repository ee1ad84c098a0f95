"""Czech, Polish, Russian."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

CZECH = Grammar(
    code="cs",
    groups=" .",
    point="celá|celé|celých|celých",
    decimals="number",
    signs=table("minus=minus; +=plus; to=až; eq=rovná se; ×=krát; &=a; @=zavináč; .=tečka; /=lomítko; -=pomlčka; "
                "_=podtržítko; #=číslo; §=paragraf"),
    percent="{} procento|{} procenta|{} procenta|{} procent",
    feminine=("hodin", "minut", "sekund", "milisekund", "tun", "míl", "mil", "unc", "libr", "koruna", "koruny", "lir",
              "rupi", "stop"),
    currencies=table("USD=dolar|dolary|dolaru|dolarů; EUR=euro|eura|eura|eur; GBP=libra|libry|libry|liber; "
                     "JPY=jen|jeny|jenu|jenů; CZK=koruna|koruny|koruny|korun; PLN=zlotý|zloté|zlotého|zlotých; "
                     "CHF=frank|franky|franku|franků; RUB=rubl|rubly|rublu|rublů; HUF=forint|forinty|forintu|forintů"),
    cents=table("USD=cent|centy|centu|centů; EUR=cent|centy|centu|centů; CZK=haléř|haléře|haléře|haléřů"),
    money="{main} {cents} {unit}",
    scales=table("tis.=tisíc; mil.=milionů; mld.=miliard; tisíc=; milion=; miliony=; milionů=; miliarda=; miliardy=; "
                 "miliard="),
    date="{day} {month} {year}",
    day="genitive",
    clock=table("time={h} {m}; full={h} hodin; full_one={h} hodina; rules=spellout-cardinal-feminine"),
    roman_words=words("kapitola část díl svazek kniha jednání dějství scéna článek příloha fáze typ"),
    abbreviations=table("""
        např.=například; tj.=to jest; tzn.=to znamená; atd.=a tak dále; apod.=a podobně; č.=číslo; str.#=strana;
        ul.=ulice; nám.=náměstí; hod.=hodin; cca=cirka; tzv.=takzvaný; mj.=mimo jiné; resp.=respektive; tel.=telefon;
        kap.#=kapitola; př.n.l.=před naším letopočtem; n.l.=našeho letopočtu; prof.=profesor; Ing.=inženýr;
        Dr.=doktor; sv.^=svatý
    """),
    fractions=("jedna polovina", "jedna třetina", "dvě třetiny", "jedna čtvrtina", "tři čtvrtiny"),
    fraction="{n} {d}",
    parts=("pětina|pětiny|pětiny|pětin", "šestina|šestiny|šestiny|šestin", "sedmina|sedminy|sedminy|sedmin",
           "osmina|osminy|osminy|osmin", "devítina|devítiny|devítiny|devítin", "desetina|desetiny|desetiny|desetin"),
    parts_counted="spellout-cardinal-feminine",
)  # fmt: skip


POLISH = Grammar(
    code="pl",
    groups=" .",
    point="przecinek",
    decimals="number",
    signs=table("minus=minus; +=plus; to=-; eq=równa się; ×=razy; &=i; @=małpa; .=kropka; /=ukośnik; -=myślnik; "
                "_=podkreślnik; #=numer; §=paragraf"),
    percent="{} procent",
    feminine=("godzina", "godziny", "minuta", "minuty", "sekunda", "sekundy", "milisekund", "ton", "mil", "uncj",
              "koron", "lir", "rupi", "stopa", "stopy"),
    currencies=table("USD=dolar|dolary|dolarów; EUR=euro; GBP=funt|funty|funtów; JPY=jen|jeny|jenów; "
                     "CNY=juan|juany|juanów; CHF=frank|franki|franków; RUB=rubel|ruble|rubli; PLN=złoty|złote|złotych; "
                     "CZK=korona|korony|koron; HUF=forint|forinty|forintów; INR=rupia|rupie|rupii; TRY=lira|liry|lir; "
                     "KRW=won|wony|wonów"),
    cents=table("USD=cent|centy|centów; EUR=cent|centy|centów; PLN=grosz|grosze|groszy; GBP=pens|pensy|pensów"),
    money="{main} {cents} {unit}",
    scales=table("tys.=tysięcy; mln=milionów; mld=miliardów; tysiąc=; tysiące=; tysięcy=; milion=; miliony=; "
                 "milionów=; miliard=; miliardy=; miliardów="),
    counters=table("osób|osoby|minut|godzin|sekund|kobiet|książek|stron|minuty|godziny|sekundy|kobiety|książki|strony"
                   "=spellout-cardinal-feminine"),
    years=table("roku=genitive; r.=genitive|roku"),
    date="{day} {month} {year}",
    day="genitive",
    clock=table("time={h} {m}; full={h}; rules=hour"),
    roman_words=words("rozdział część tom księga akt scena artykuł załącznik faza typ"),
    abbreviations=table("""
        dr=doktor; prof.=profesor; mgr=magister; inż.=inżynier; np.=na przykład; tzn.=to znaczy; tj.=to jest;
        itd.=i tak dalej; itp.=i tym podobne; m.in.=między innymi; ok.=około; nr=numer; ul.=ulica; al.=aleja;
        św.^=święty;
        godz.=godzinie; str.#=strona; rozdz.#=rozdział; tel.=telefon; wg=według; tys.=tysięcy; mln=milionów;
        mld=miliardów
    """),
    fractions=("jedna druga", "jedna trzecia", "dwie trzecie", "jedna czwarta", "trzy czwarte"),
    fraction="{n} {d}",
    parts=("piąta|piąte|piątych", "szósta|szóste|szóstych", "siódma|siódme|siódmych",
           "ósma|ósme|ósmych", "dziewiąta|dziewiąte|dziewiątych", "dziesiąta|dziesiąte|dziesiątych"),
    parts_counted="spellout-cardinal-feminine",
)  # fmt: skip


RUSSIAN = Grammar(
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
