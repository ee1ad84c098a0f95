"""Italian."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

GRAMMAR = Grammar(
    code="it",
    groups=".' ",
    point="virgola",
    decimals="number",
    signs=table("minus=meno; +=più; to=a; eq=uguale; ×=per; &=e; @=chiocciola; .=punto; /=barra; -=trattino; "
                "_=trattino basso; #=numero; §=paragrafo"
                "; x=per; ±=più o meno; ~=circa; ≈=circa; ≥=almeno; ≤=al massimo; >=più di; <=meno di"),
    percent="{} per cento",
    units=table("t={} tonnellata|{} tonnellate"),
    feminine=("ora", "tonnellata", "libbra", "oncia", "sterlina", "lira", "rupia", "corona"),
    currencies=table("USD=dollaro|dollari; EUR=euro|euro; GBP=sterlina|sterline; JPY=yen; CNY=yuan; "
                     "CHF=franco|franchi; INR=rupia|rupie; KRW=won; RUB=rublo|rubli; TRY=lira|lire; "
                     "PLN=zloty; CZK=corona|corone; HUF=fiorino|fiorini"),
    cents=table("USD=centesimo|centesimi; EUR=centesimo|centesimi; GBP=penny|pence"),
    money="{main} e {cents}",
    scales=table("mila=; milione=di; milioni=di; miliardo=di; miliardi=di"),
    ordinals=table("º|°|o=spellout-ordinal-masculine; ª|a=spellout-ordinal-feminine"),
    counters=table("(?:problema|programma|tema|sistema)=spellout-cardinal-masculine; "
                   "(?<=1 )\\w+a=spellout-cardinal-feminine; "
                   "(?!del|con|per|che|più|come)\\w{3,}=spellout-cardinal-masculine"),
    date="{day} {month} {year}",
    day="first",
    first_day="primo",
    clock=table("time={h} e {m}; full={h}; rules=spellout-cardinal-feminine"),
    roman_words=words("capitolo parte tomo volume libro atto scena sezione articolo allegato fase tipo"),
    roman_followers=table("secolo=spellout-ordinal-masculine"),
    regnal="{}",
    abbreviations=table("""
        Sig.=signor; Sig.ra=signora; Dott.=dottor; Dott.ssa=dottoressa; Dr.=dottor; Prof.=professor; Avv.=avvocato;
        Ing.=ingegner; ecc.=eccetera; es.=esempio; p.es.=per esempio; n.#=numero; N.#=numero; pag.=pagina; pagg.=pagine;
        cap.#=capitolo; vol.#=volume; fig.#=figura; tel.=telefono; a.C.=avanti Cristo; d.C.=dopo Cristo; ca.=circa
    """),
    fractions=("un mezzo", "un terzo", "due terzi", "un quarto", "tre quarti"),
    fraction="{n} {d}",
    parts=("quinto|quinti", "sesto|sesti", "settimo|settimi", "ottavo|ottavi", "nono|noni", "decimo|decimi"),
)  # fmt: skip
