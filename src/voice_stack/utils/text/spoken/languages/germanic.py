"""German, English, Dutch."""

from dataclasses import replace

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

GERMAN = Grammar(
    code="de",
    groups=".' ",
    point="Komma",
    has_long_years=True,
    signs=table("minus=minus; +=plus; to=bis; eq=gleich; ×=mal; &=und; @=ät; .=Punkt; /=Schrägstrich; -=Bindestrich; "
                "_=Unterstrich; #=Nummer; §=Paragraf"
                "; x=mal; ±=plus minus; ~=etwa; ≈=etwa; ≥=mindestens; ≤=höchstens; >=mehr als; <=weniger als"),
    percent="{} Prozent",
    feminine=("Stunde", "Minute", "Sekunde", "Millisekunde", "Tonne", "Meile", "Unze", "Lira", "Rupie", "Krone"),
    currencies=table("USD=Dollar; EUR=Euro; GBP=Pfund; JPY=Yen; CNY=Yuan; CHF=Franken; INR=Rupie|Rupien; KRW=Won; "
                     "RUB=Rubel; TRY=Lira; PLN=Zloty; CZK=Kronen; HUF=Forint"),
    cents=table("USD=Cent; EUR=Cent; GBP=Pence|Pence; CHF=Rappen"),
    money="{main} {cents}",
    scales=table("tausend=; Tausend=; Million=; Millionen=; Milliarde=; Milliarden=; Billionen=; Mio.=Millionen; "
                 "Mrd.=Milliarden"),
    ordinal_contexts=table("""
        der=spellout-ordinal; die=spellout-ordinal; das=spellout-ordinal; Der=spellout-ordinal; Die=spellout-ordinal;
        Das=spellout-ordinal; am=spellout-ordinal-n; Am=spellout-ordinal-n; vom=spellout-ordinal-n;
        Vom=spellout-ordinal-n; zum=spellout-ordinal-n; Zum=spellout-ordinal-n; im=spellout-ordinal-n;
        Im=spellout-ordinal-n; beim=spellout-ordinal-n; dem=spellout-ordinal-n; den=spellout-ordinal-n;
        Dem=spellout-ordinal-n; Den=spellout-ordinal-n; des=spellout-ordinal-n; Des=spellout-ordinal-n;
        zur=spellout-ordinal-n; seit=spellout-ordinal-m; ab=spellout-ordinal-m; bis=spellout-ordinal-n;
        ein=spellout-ordinal-r; eine=spellout-ordinal; ihr=spellout-ordinal-r; sein=spellout-ordinal-r
    """),
    ordinal_followers=words("Jahrhundert Jahrhunderts Stock Stockwerk Klasse Platz Mal Geburtstag Weltkrieg Kapitel "
                            "Band Auflage Tag Woche Monat Jahr Runde Etage Person Generation Juni Juli"),
    counters=table("Person|Woche|Seite|Frau|Tasse|Flasche|Million|Milliarde|Sekunde|Minute=spellout-cardinal-feminine; "
                   "[A-ZÄÖÜ]\\w+=spellout-cardinal-masculine; Uhr=spellout-cardinal-masculine; "
                   "Mal=spellout-cardinal-masculine; mal=spellout-cardinal-masculine"),
    date="{day} {month} {year}",
    day="spellout-ordinal-r",
    clock=table("time={h} Uhr {m}; full={h} Uhr; rules=spellout-cardinal-masculine"),
    after_clock=" Uhr",
    roman_words=words("kapitel teil band akt szene abschnitt buch artikel klasse typ"),
    regnal="der {}",
    abbreviations=table("""
        Dr.=Doktor; Prof.=Professor; Hr.=Herr; Hrn.=Herrn; Fr.^=Frau; St.^=Sankt; z.B.=zum Beispiel; d.h.=das heißt;
        u.a.=unter anderem; usw.=und so weiter; bzw.=beziehungsweise; ca.=circa; etc.=et cetera; evtl.=eventuell;
        ggf.=gegebenenfalls; inkl.=inklusive; vgl.=vergleiche; Nr.=Nummer; Str.=Straße; str.=straße; Tel.=Telefon;
        Mio.=Millionen; Mrd.=Milliarden; Std.=Stunden; Min.#=Minuten; Abb.#=Abbildung; Kap.#=Kapitel; Bd.#=Band;
        S.#=Seite; Jh.=Jahrhundert; v.Chr.=vor Christus; n.Chr.=nach Christus; o.ä.=oder Ähnliches;
        u.s.w.=und so weiter; i.d.R.=in der Regel; z.T.=zum Teil; Jan.=Januar; Feb.=Februar; Aug.=August;
        Sept.=September; Okt.=Oktober; Nov.=November; Dez.=Dezember
    """),
    fractions=("ein halb", "ein Drittel", "zwei Drittel", "ein Viertel", "drei Viertel"),
    fraction="{n} {d}",
    parts=("Fünftel", "Sechstel", "Siebtel", "Achtel", "Neuntel", "Zehntel"),
    parts_counted="spellout-cardinal-neuter",
)  # fmt: skip


ENGLISH = Grammar(
    code="en",
    decimal=".",
    groups=",",
    point="point",
    has_long_years=True,
    signs=table("minus=minus; +=plus; to=to; eq=equals; ×=times; &=and; @=at; .=dot; /=slash; -=dash; _=underscore; "
                "#=number; §=section"
                "; x=by; ±=plus or minus; ~=about; ≈=about; ≥=at least; ≤=at most; >=more than; <=less than"),
    percent="{} percent",
    currencies=table("USD=dollar|dollars; EUR=euro|euros; GBP=pound|pounds; JPY=yen|yen; CNY=yuan|yuan; "
                     "INR=rupee|rupees; "
                     "KRW=won|won; RUB=ruble|rubles; TRY=lira|lira; PLN=zloty|zlotys; CZK=koruna|korunas; "
                     "HUF=forint|forints"),
    cents=table("USD=cent|cents; EUR=cent|cents; GBP=penny|pence; INR=paisa|paise"),
    money="{main} and {cents} {unit}",
    scales=table("hundred=; thousand=; million=; billion=; trillion="),
    ordinals=table("st|nd|rd|th=spellout-ordinal"),
    date="{month} {day}, {year}",
    date_order="mdy",
    day="spellout-ordinal",
    clock=table("time={h} {m}; full={h} o'clock; oh={h} oh {m}; half={h} {m} {half}; full_half={h} {half}; am=A M; "
                "pm=P M"),
    roman_words=words("chapter part volume book act scene section article appendix figure phase type grade level war "
                      "bowl olympiad class stage title psalm canto"),
    regnal="the {}",
    abbreviations=table("""
        Mr.=Mister; Mrs.=Missus; Dr.=Doctor; Dr.~=Drive; St.~=Street; Ct.~=Court; Pl.~=Place; Sq.~=Square;
        Ln.~=Lane; Pkwy.=Parkway; Hwy.=Highway; Apt.#=Apartment; Ste.#=Suite; Co.=Company;
        Prof.=Professor; St.^=Saint; St.=Street; Jr.=Junior; Sr.=Senior;
        vs.=versus; etc.=et cetera; e.g.=for example; i.e.=that is; approx.=approximately; a.k.a.=also known as;
        No.#=number; Nos.#=numbers; Fig.#=figure; Vol.#=volume; Ch.#=chapter; p.#=page; pp.#=pages; Sec.#=section;
        Ave.=Avenue; Blvd.=Boulevard; Rd.=Road; Mt.^=Mount; Ft.^=Fort; Gen.^=General; Col.^=Colonel; Capt.^=Captain;
        Lt.^=Lieutenant; Sgt.^=Sergeant; Gov.^=Governor; Sen.^=Senator; Rep.^=Representative; Rev.^=Reverend;
        Inc.=Incorporated; Ltd.=Limited; Corp.=Corporation; dept.=department; a.m.=A M; p.m.=P M; w/o=without; w/=with;
        vol.#=volume; ch.#=chapter; fig.#=figure; sec.#=section; no.#=number; nos.#=numbers; Jan#=January;
        Feb#=February; Mar#=March; Apr#=April; Jun#=June; Jul#=July; Aug#=August; Sep#=September;
        Sept#=September; Oct#=October; Nov#=November; Dec#=December; 24/7=twenty-four seven; Jan.=January;
        Feb.=February; Aug.=August; Sept.=September; Oct.=October; Nov.=November; Dec.=December
    """),
    fractions=("one half", "one third", "two thirds", "one quarter", "three quarters"),
    fraction="{n} {d}",
    parts=("fifth|fifths", "sixth|sixths", "seventh|sevenths", "eighth|eighths", "ninth|ninths", "tenth|tenths"),
)  # fmt: skip

DAY_FIRST = replace(ENGLISH, date_order="dmy", date="the {day} of {month}, {year}")
"""As in Britain, Australia and wherever else the day stands before the month."""


DUTCH = Grammar(
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
