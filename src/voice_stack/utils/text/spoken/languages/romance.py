"""Spanish, French, Italian, Portuguese."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

SPANISH = Grammar(
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


FRENCH = Grammar(
    code="fr",
    groups=" .",
    point="virgule",
    decimals="number",
    signs=table("minus=moins; +=plus; to=à; eq=égale; ×=fois; &=et; @=arobase; .=point; /=slash; -=tiret; "
                "_=tiret bas; #=numéro; §=paragraphe"
                "; x=par; ±=plus ou moins; ~=environ; ≈=environ; ≥=au moins; ≤=au plus; >=plus de; <=moins de"),
    percent="{} pour cent",
    feminine=("heure", "minute", "seconde", "milliseconde", "tonne", "livre", "once", "roupie", "couronne"),
    currencies=table("USD=dollar|dollars; EUR=euro|euros; GBP=livre|livres; JPY=yen|yens; CNY=yuan|yuans; "
                     "CHF=franc|francs; INR=roupie|roupies; KRW=won|wons; RUB=rouble|roubles; TRY=livre|livres; "
                     "PLN=zloty|zlotys; CZK=couronne|couronnes; HUF=forint|forints"),
    cents=table("USD=cent|cents; EUR=centime|centimes; GBP=penny|pence; CHF=centime|centimes"),
    money="{main} {cents}",
    scales=table("mille=; million=de; millions=de; milliard=de; milliards=de"),
    ordinals=table("er=spellout-ordinal-masculine; re|ère=spellout-ordinal-feminine; "
                   "e|ème|nd|nde=spellout-ordinal-masculine"),
    counters=table("heures?|minutes?|secondes?|fois|années?|personnes?|semaines?|pages?=spellout-cardinal-feminine"),
    date="{day} {month} {year}",
    day="first",
    first_day="premier",
    clock=table("time={h} heures {m}; full={h} heures; one={h} heure {m}; full_one={h} heure; "
                "rules=spellout-cardinal-feminine; mark=h"),
    roman_words=words("chapitre partie tome volume livre acte scène section article annexe phase type"),
    regnal_first="premier",
    abbreviations=table("""
        M.^=Monsieur; MM.^=Messieurs; Mme=Madame; Mmes=Mesdames; Mlle=Mademoiselle; Dr=Docteur; Pr^=Professeur;
        St-=Saint-;
        Ste-=Sainte-; etc.=et cetera; p.ex.=par exemple; c.-à-d.=c'est-à-dire; n°=numéro; N°=numéro; no#=numéro;
        env.=environ; av.J.-C.=avant Jésus-Christ; apr.J.-C.=après Jésus-Christ; chap.#=chapitre; vol.#=volume;
        p.#=page; fig.#=figure; tél.=téléphone; bd=boulevard; janv.=janvier; févr.=février; juil.=juillet;
        sept.=septembre; oct.=octobre; nov.=novembre; déc.=décembre
    """),
    fractions=("un demi", "un tiers", "deux tiers", "un quart", "trois quarts"),
    fraction="{n} {d}",
    parts=("cinquième|cinquièmes", "sixième|sixièmes", "septième|septièmes",
           "huitième|huitièmes", "neuvième|neuvièmes", "dixième|dixièmes"),
)  # fmt: skip


ITALIAN = Grammar(
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


PORTUGUESE = Grammar(
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
