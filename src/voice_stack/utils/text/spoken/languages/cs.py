"""Czech."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

GRAMMAR = Grammar(
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
