"""Arabic."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

GRAMMAR = Grammar(
    code="ar",
    decimal=".",
    groups=",٬",
    point="فاصل",
    decimals="number",
    signs=table("minus=ناقص; +=زائد; to=إلى; eq=يساوي; ×=ضرب; &=و; @=آت; .=نقطة; /=شرطة مائلة; -=شرطة; "
                "_=شرطة سفلية; #=رقم; §=فقرة"
                "; hashtag=هاشتاغ"),
    percent="{} بالمئة",
    units=table("l={} لتر; L={} لتر; °={} درجة; V={} فولت; ha={} هكتار"),
    currencies=table("USD=دولار; EUR=يورو; GBP=جنيه إسترليني; JPY=ين; CNY=يوان; CHF=فرنك; RUB=روبل; TRY=ليرة; "
                     "INR=روبية"),
    cents=table("USD=سنت; EUR=سنت"),
    money="{main} و{cents} {unit}",
    scales=table("ألف=; آلاف=; مليون=; ملايين=; مليار=; مليارات="),
    date="{day} {month} {year}",
    clock=table("time={h} و{m} دقيقة; full={h}"),
    roman_words=words("الفصل الجزء الباب"),
    abbreviations=table("د.^=دكتور; د.=دكتور; أ.د.=الأستاذ الدكتور; إلخ.=إلى آخره; ق.م.=قبل الميلاد; "
                        "ص.ب.=صندوق بريد; كم=كيلومتر; كغ=كيلوغرام"),
    fractions=("نصف", "ثلث", "ثلثان", "ربع", "ثلاثة أرباع"),
)  # fmt: skip
