"""Hungarian."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

GRAMMAR = Grammar(
    code="hu",
    groups=" .",
    point="egész",
    denominators=("tized", "század", "ezred"),
    signs=table("minus=mínusz; +=plusz; to=-; eq=egyenlő; ×=szor; &=és; @=kukac; .=pont; /=per; -=kötőjel; "
                "_=aláhúzás; #=szám; §=paragrafus"),
    percent="{} százalék",
    currencies=table("USD=dollár; EUR=euró; GBP=font; JPY=jen; CNY=jüan; CHF=frank; HUF=forint; RUB=rubel; "
                     "PLN=zloty; CZK=korona; TRY=líra; INR=rúpia; KRW=von"),
    cents=table("USD=cent; EUR=cent; GBP=penny"),
    money="{main} {cents} {unit}",
    scales=table("ezer=; millió=; milliárd=; M=millió; Mrd=milliárd"),
    ordinal_followers=words("század században században fejezet kötet évfolyam osztály emelet kerület oldal nap hét"),
    counters=table("\\w{2,}=attributive"),
    roman_followers=table("század=spellout-ordinal; századi=spellout-ordinal; században=spellout-ordinal"),
    date="{year} {month} {day}",
    date_order="ymd",
    day="hungarian",
    clock=table("time={h} óra {m}; full={h} óra"),
    roman_words=words("fejezet rész kötet könyv felvonás jelenet"),
    abbreviations=table("""
        pl.=például; stb.=és a többi; ill.=illetve; kb.=körülbelül; ún.=úgynevezett; vö.=vesd össze; Dr.=doktor;
        dr.=doktor; u.=utca; sz.=szám; old.=oldal; tel.=telefon; i.e.=időszámításunk előtt; i.sz.=időszámításunk szerint
    """),
    fractions=("fél", "egy harmad", "két harmad", "egy negyed", "három negyed"),
    fraction="{n} {d}",
    parts=("ötöd", "hatod", "heted", "nyolcad", "kilenced", "tized"),
)  # fmt: skip
