"""Spanish."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

GRAMMAR = Grammar(
    code="es",
    groups=". ",
    point="coma",
    decimals="number",
    signs=table("minus=menos; +=más; to=a; eq=igual a; ×=por; &=y; @=arroba; .=punto; /=barra; -=guion; "
                "_=guion bajo; #=número; §=sección"
                "; x=por; ±=más menos; ~=alrededor de; ≈=alrededor de; ≥=al menos; ≤=como máximo; "
                ">=más de; <=menos de"),
    percent="{} por ciento",
    feminine=("hora", "tonelada", "milla", "libra", "onza", "lira", "rupia", "corona", "hectárea"),
    currencies=table("USD=dólar|dólares; EUR=euro|euros; GBP=libra|libras; JPY=yen|yenes; CNY=yuan|yuanes; "
                     "CHF=franco|francos; INR=rupia|rupias; KRW=won|wons; RUB=rublo|rublos; TRY=lira|liras; "
                     "PLN=esloti|eslotis; CZK=corona|coronas; HUF=forinto|forintos; MXN=peso|pesos"),
    cents=table("USD=centavo|centavos; EUR=céntimo|céntimos; GBP=penique|peniques"),
    money="{main} con {cents}",
    scales=table("mil=; millón=de; millones=de"),
    ordinals=table("er=spellout-ordinal-masculine-adjective; º|o=spellout-ordinal-masculine; "
                   "ª|a=spellout-ordinal-feminine"),
    counters=table("(?:día|problema|mapa|idioma|programa|tema|sistema)s?=spellout-cardinal-masculine; "
                   "(?:\\w+as|(?<=1 )\\w+a|veces|mujeres)=spellout-cardinal-feminine; "
                   "(?!del|con|por|para|que|más|como)\\w{3,}=spellout-cardinal-masculine"),
    date="{day} de {month} de {year}",
    day="first",
    first_day="primero",
    clock=table("time={h} {m}; full={h} en punto; rules=spellout-cardinal-feminine"),
    roman_words=words("capítulo parte tomo volumen libro acto escena sección artículo anexo fase tipo siglo"),
    regnal="{}",
    regnal_limit=11,
    abbreviations=table("""
        Sr.=señor; Sra.=señora; Srta.=señorita; Dr.=doctor; Dra.=doctora; D.^=don; Dña.^=doña; Ud.=usted; Uds.=ustedes;
        etc.=etcétera; p.ej.=por ejemplo; núm.=número; n.º=número; pág.=página; págs.=páginas; cap.#=capítulo;
        vol.#=volumen; fig.#=figura; tel.=teléfono; Avda.=avenida; EE.UU.=Estados Unidos; a.C.=antes de Cristo;
        d.C.=después de Cristo; aprox.=aproximadamente
    """),
    fractions=("un medio", "un tercio", "dos tercios", "un cuarto", "tres cuartos"),
    fraction="{n} {d}",
    parts=("quinto|quintos", "sexto|sextos", "séptimo|séptimos", "octavo|octavos", "noveno|novenos", "décimo|décimos"),
)  # fmt: skip
