"""French."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

GRAMMAR = Grammar(
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
