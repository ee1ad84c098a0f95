"""Dutch."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

GRAMMAR = Grammar(
    code="nl",
    groups=". ",
    point="komma",
    decimals="number",
    has_long_years=True,
    signs=table("minus=min; +=plus; to=tot; eq=is; ×=keer; &=en; @=apenstaartje; .=punt; /=slash; -=streepje; "
                "_=laag streepje; #=nummer; §=paragraaf"
                "; x=bij; ±=plus of min; ~=ongeveer; ≈=ongeveer; ≥=minstens; ≤=hoogstens; >=meer dan; <=minder dan"),
    percent="{} procent",
    units=table("h={} uur; °={} graden; t={} ton"),
    currencies=table("USD=dollar; EUR=euro; GBP=pond; JPY=yen; CNY=yuan; CHF=frank; INR=roepie; KRW=won; RUB=roebel; "
                     "TRY=lira; PLN=zloty; CZK=kroon|kronen; HUF=forint"),
    cents=table("USD=cent; EUR=cent; GBP=penny|pence"),
    money="{main} {cents}",
    scales=table("duizend=; miljoen=; miljard=; mln.=miljoen; mld.=miljard"),
    ordinals=table("e|ste|de=spellout-ordinal"),
    date="{day} {month} {year}",
    clock=table("time={h} uur {m}; full={h} uur"),
    after_clock=" uur| u",
    roman_words=words("hoofdstuk deel band boek akte scène artikel bijlage fase type klasse"),
    regnal="de {}",
    abbreviations=table("""
        dhr.=de heer; mevr.=mevrouw; dr.=dokter; prof.=professor; drs.=doctorandus; ir.=ingenieur; St.^=Sint;
        bijv.=bijvoorbeeld; bv.=bijvoorbeeld; d.w.z.=dat wil zeggen; enz.=enzovoort; o.a.=onder andere;
        m.b.t.=met betrekking tot;
        t.o.v.=ten opzichte van; i.p.v.=in plaats van; m.a.w.=met andere woorden; ca.=circa; nr.=nummer; blz.=bladzijde;
        tel.=telefoon; v.Chr.=voor Christus; n.Chr.=na Christus; hfst.#=hoofdstuk; incl.=inclusief; max.=maximaal
    """),
    fractions=("een half", "een derde", "twee derde", "een kwart", "drie kwart"),
    fraction="{n} {d}",
    parts=("vijfde", "zesde", "zevende", "achtste", "negende", "tiende"),
)  # fmt: skip
