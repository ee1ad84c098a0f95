"""English."""

from dataclasses import replace

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

GRAMMAR = Grammar(
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

DAY_FIRST = replace(GRAMMAR, date_order="dmy", date="the {day} of {month}, {year}")
"""As in Britain, Australia and wherever else the day stands before the month."""
