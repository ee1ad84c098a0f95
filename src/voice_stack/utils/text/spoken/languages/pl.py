"""Polish."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

GRAMMAR = Grammar(
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
