"""Portuguese, as in Brazil."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

GRAMMAR = Grammar(
    code="pt",
    groups=". ",
    point="vírgula",
    decimals="number",
    signs=table("minus=menos; +=mais; to=a; eq=igual a; ×=vezes; &=e; @=arroba; .=ponto; /=barra; -=hífen; "
                "_=sublinhado; #=número; §=parágrafo"
                "; x=por; ±=mais ou menos; ~=cerca de; ≈=cerca de; ≥=pelo menos; ≤=no máximo; >=mais de; <=menos de"),
    percent="{} por cento",
    units=table("t={} tonelada|{} toneladas"),
    feminine=("hora", "tonelada", "milha", "libra", "onça", "lira", "rúpia", "rupia", "coroa"),
    currencies=table("USD=dólar|dólares; EUR=euro|euros; GBP=libra|libras; JPY=iene|ienes; CNY=yuan|yuans; "
                     "CHF=franco|francos; INR=rúpia|rúpias; KRW=won; RUB=rublo|rublos; TRY=lira|liras; "
                     "PLN=zloty|zlotys; CZK=coroa|coroas; HUF=forint|forints; BRL=real|reais"),
    cents=table("USD=centavo|centavos; EUR=cêntimo|cêntimos; GBP=penny|pence; BRL=centavo|centavos"),
    money="{main} e {cents} {unit}",
    scales=table("mil=; milhão=de; milhões=de; bilhão=de; bilhões=de"),
    ordinals=table("º|°|o=spellout-ordinal-masculine; ª|a=spellout-ordinal-feminine"),
    counters=table("(?:dia|problema|mapa|idioma|programa|tema|sistema)s?=spellout-cardinal-masculine; "
                   "(?<=1 )\\w+a|vez|\\w+as|vezes|mulheres=spellout-cardinal-feminine"),
    date="{day} de {month} de {year}",
    day="first",
    first_day="primeiro",
    clock=table("time={h} e {m}; full={h} horas; full_one={h} hora; rules=spellout-cardinal-feminine; mark=h"),
    roman_words=words("capítulo parte tomo volume livro ato cena seção artigo anexo fase tipo século"),
    regnal="{}",
    regnal_limit=11,
    abbreviations=table("""
        Sr.=senhor; Sra.=senhora; Srta.=senhorita; Dr.=doutor; Dra.=doutora; Prof.=professor; Profa.=professora;
        etc.=et cetera;
        p.ex.=por exemplo; núm.=número; n.º=número; nº=número; pág.=página; cap.#=capítulo; vol.#=volume;
        fig.#=figura; tel.=telefone; Av.^=avenida; a.C.=antes de Cristo; d.C.=depois de Cristo; aprox.=aproximadamente
    """),
    fractions=("meio", "um terço", "dois terços", "um quarto", "três quartos"),
    fraction="{n} {d}",
    parts=("quinto|quintos", "sexto|sextos", "sétimo|sétimos", "oitavo|oitavos", "nono|nonos", "décimo|décimos"),
)  # fmt: skip
