"""German."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

GRAMMAR = Grammar(
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
