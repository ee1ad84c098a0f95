"""Arabic, Hindi, Hungarian, Japanese, Korean, Turkish, Chinese."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

ARABIC = Grammar(
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


HINDI = Grammar(
    code="hi",
    decimal=".",
    groups=",",
    point="दशमलव",
    signs=table("minus=ऋण; +=जमा; to=से; eq=बराबर; ×=गुणा; &=और; @=ऐट; .=डॉट; /=स्लैश; -=हाइफ़न; _=अंडरस्कोर; "
                "#=नंबर; §=धारा"
                "; hashtag=हैशटैग"),
    percent="{} प्रतिशत",
    currencies=table("USD=डॉलर; EUR=यूरो; GBP=पाउंड; JPY=येन; CNY=युआन; CHF=फ़्रैंक; INR=रुपया|रुपये; RUB=रूबल"),
    cents=table("USD=सेंट; EUR=सेंट; INR=पैसा|पैसे"),
    money="{main} {cents} {unit}",
    scales=table("हज़ार=; हजार=; लाख=; करोड़=; अरब="),
    ordinals=table("वाँ|वां=spellout-ordinal-masculine; वीं=spellout-ordinal-feminine"),
    date="{day} {month} {year}",
    clock=table("time={h} बजकर {m} मिनट; full={h} बजे"),
    after_clock=" बजे",
    roman_words=words("अध्याय भाग खंड"),
    abbreviations=table("डॉ.=डॉक्टर; प्रो.=प्रोफ़ेसर; कि.मी.=किलोमीटर; रु.=रुपये; ई.पू.=ईसा पूर्व"),
    fractions=("आधा", "एक तिहाई", "दो तिहाई", "एक चौथाई", "तीन चौथाई"),
)  # fmt: skip


HUNGARIAN = Grammar(
    code="hu",
    groups=" .",
    point="egész",
    denominators=("tized", "század", "ezred"),
    signs=table("minus=mínusz; +=plusz; to=-; eq=egyenlő; ×=szor; &=és; @=kukac; .=pont; /=per; -=kötőjel; "
                "_=aláhúzás; #=szám; §=paragrafus"),
    percent="{} százalék",
    currencies=table("USD=dollár; EUR=euró; GBP=font; JPY=jen; CNY=jüan; CHF=frank; HUF=forint; RUB=rubel; "
                     "PLN=zloty; CZK=korona; TRY=líra; INR=rúpia; KRW=von"),
    cents=table("USD=cent; EUR=cent; GBP=penny"),
    money="{main} {cents} {unit}",
    scales=table("ezer=; millió=; milliárd=; M=millió; Mrd=milliárd"),
    ordinal_followers=words("század században században fejezet kötet évfolyam osztály emelet kerület oldal nap hét"),
    counters=table("\\w{2,}=attributive"),
    roman_followers=table("század=spellout-ordinal; századi=spellout-ordinal; században=spellout-ordinal"),
    date="{year} {month} {day}",
    date_order="ymd",
    day="hungarian",
    clock=table("time={h} óra {m}; full={h} óra"),
    roman_words=words("fejezet rész kötet könyv felvonás jelenet"),
    abbreviations=table("""
        pl.=például; stb.=és a többi; ill.=illetve; kb.=körülbelül; ún.=úgynevezett; vö.=vesd össze; Dr.=doktor;
        dr.=doktor; u.=utca; sz.=szám; old.=oldal; tel.=telefon; i.e.=időszámításunk előtt; i.sz.=időszámításunk szerint
    """),
    fractions=("fél", "egy harmad", "két harmad", "egy negyed", "három negyed"),
    fraction="{n} {d}",
    parts=("ötöd", "hatod", "heted", "nyolcad", "kilenced", "tized"),
)  # fmt: skip


JAPANESE = Grammar(
    code="ja",
    decimal=".",
    groups=",",
    point="点",
    is_spaced=False,
    signs=table("minus=マイナス; +=たす; to=から; eq=イコール; ×=かける; &=アンド; @=アットマーク; .=ドット; "
                "/=スラッシュ; -=ハイフン; "
                "_=アンダーバー; #=番号; §=セクション"
                "; hashtag=ハッシュタグ"),
    percent="{}パーセント",
    units=table("km/h=時速{}キロメートル; mph=時速{}マイル; m/s=秒速{}メートル; °C={}度; °F=華氏{}度; °={}度; "
                "h={}時間; min={}分; s={}秒; "
                "kB={}キロバイト; KB={}キロバイト; MB={}メガバイト; GB={}ギガバイト; TB={}テラバイト; "
                "kg={}キログラム; V={}ボルト; kB/s=毎秒{}キロバイト; KB/s=毎秒{}キロバイト; MB/s=毎秒{}メガバイト; "
                "GB/s=毎秒{}ギガバイト; kbit/s=毎秒{}キロビット; Mbit/s=毎秒{}メガビット; Gbit/s=毎秒{}ギガビット"),
    currencies=table("USD=ドル; EUR=ユーロ; GBP=ポンド; JPY=円; CNY=元; CHF=スイスフラン; RUB=ルーブル; KRW=ウォン; "
                     "INR=ルピー"),
    scales=table("千=; 万=; 百万=; 億=; 兆="),
    date="{year}年{m}月{day}日",
    date_order="ymd",
    clock=table("time={h}時{m}分; full={h}時"),
    fractions=("二分の一", "三分の一", "三分の二", "四分の一", "四分の三"),
    fraction="{d}分の{n}",
)  # fmt: skip


KOREAN = Grammar(
    code="ko",
    decimal=".",
    groups=",",
    point="점",
    signs=table("minus=마이너스; +=더하기; to=에서; eq=는; ×=곱하기; &=앤드; @=골뱅이; .=닷; /=슬래시; -=하이픈; "
                "_=밑줄; #=번호; §=절"
                "; hashtag=해시태그"),
    percent="{} 퍼센트",
    units=table("h={} 시간; kB={} 킬로바이트; KB={} 킬로바이트; MB={} 메가바이트; GB={} 기가바이트; "
                "TB={} 테라바이트; °={} 도; V={} 볼트"),
    currencies=table("USD=달러; EUR=유로; GBP=파운드; JPY=엔; CNY=위안; CHF=스위스 프랑; KRW=원; RUB=루블; INR=루피"),
    cents=table("USD=센트; EUR=센트"),
    money="{main} {cents} {unit}",
    scales=table("천=; 만=; 백만=; 천만=; 억=; 조="),
    counters=table("개|명|시간|시|살|마리|권|잔|병|번|달|송이|그루|대|벌|켤레|사람=spellout-cardinal-native-attributive"),
    date="{year}년 {m}월 {day}일",
    date_order="ymd",
    clock=table("time={h} 시 {m} 분; full={h} 시; rules=hour"),
    abbreviations=table("6월=유월; 10월=시월"),
    fractions=("이분의 일", "삼분의 일", "삼분의 이", "사분의 일", "사분의 삼"),
    fraction="{d}분의 {n}",
)  # fmt: skip


TURKISH = Grammar(
    code="tr",
    groups=". ",
    point="virgül",
    decimals="number",
    signs=table("minus=eksi; +=artı; to=ila; eq=eşittir; ×=çarpı; &=ve; @=et; .=nokta; /=bölü; -=tire; "
                "_=alt çizgi; #=numara; §=madde"),
    percent="yüzde {}",
    units=table("km/h=saatte {} kilometre; mph=saatte {} mil; m/s=saniyede {} metre; km²={} kilometrekare; "
                "m²={} metrekare; m³={} metreküp; °C={} santigrat derece; °={} derece; "
                "kB/s=saniyede {} kilobayt; KB/s=saniyede {} kilobayt; MB/s=saniyede {} megabayt; "
                "GB/s=saniyede {} gigabayt; kbit/s=saniyede {} kilobit; Mbit/s=saniyede {} megabit; "
                "Gbit/s=saniyede {} gigabit"),
    currencies=table("USD=dolar; EUR=euro; GBP=sterlin; JPY=yen; CNY=yuan; CHF=frank; TRY=lira; RUB=ruble; "
                     "PLN=zloti; INR=rupi; KRW=von"),
    cents=table("USD=sent; EUR=sent; TRY=kuruş"),
    money="{main} {cents} {unit}",
    scales=table("bin=; milyon=; milyar=; trilyon="),
    ordinals=table("'?(?:i|ı|u|ü)?nc[iıuü]=spellout-ordinal"),
    date="{day} {month} {year}",
    clock=table("time={h} {m}; full={h}"),
    roman_words=words("bölüm kısım cilt kitap perde sahne ek faz tip"),
    abbreviations=table("""
        Dr.=doktor; Prof.=profesör; Doç.=doçent; Av.=avukat; vb.=ve benzeri; vs.=vesaire; örn.=örneğin; bkz.=bakınız;
        No.#=numara; no.#=numara; Cad.=caddesi; Sok.=sokak; Mah.=mahallesi; M.Ö.=milattan önce; M.S.=milattan sonra;
        tel.=telefon; s.#=sayfa; yy.=yüzyıl
    """),
    fractions=("yarım", "üçte bir", "üçte iki", "çeyrek", "dörtte üç"),
    fraction="{d} {n}",
    parts=("beşte", "altıda", "yedide", "sekizde", "dokuzda", "onda"),
)  # fmt: skip


CHINESE = Grammar(
    code="zh",
    decimal=".",
    groups=",",
    point="点",
    is_spaced=False,
    signs=table("minus=负; +=加; to=到; eq=等于; ×=乘; &=和; @=艾特; .=点; /=斜杠; -=杠; _=下划线; #=号; §=第"
                "; hashtag=话题"),
    percent="百分之{}",
    units=table("km={}公里; m={}米; cm={}厘米; mm={}毫米; km/h=每小时{}公里; m/s=每秒{}米; kg={}公斤; g={}克; "
                "mg={}毫克; t={}吨; "
                "l={}升; L={}升; ml={}毫升; mL={}毫升; °C={}摄氏度; °F={}华氏度; °={}度; km²={}平方公里; m²={}平方米; "
                "m³={}立方米; ha={}公顷; h={}小时; min={}分钟; s={}秒; ms={}毫秒; kWh={}千瓦时; W={}瓦; kW={}千瓦; "
                "MW={}兆瓦; "
                "Hz={}赫兹; kHz={}千赫; MHz={}兆赫; GHz={}吉赫; kB={}千字节; KB={}千字节; MB={}兆字节; GB={}吉字节; "
                "TB={}太字节; "
                "mi={}英里; ft={}英尺; lb={}磅; lbs={}磅; oz={}盎司; mph=每小时{}英里; V={}伏"),
    currencies=table("USD=美元; EUR=欧元; GBP=英镑; JPY=日元; CNY=元; CHF=瑞士法郎; RUB=卢布; KRW=韩元; INR=卢比; "
                     "TRY=里拉"),
    scales=table("千=; 万=; 百万=; 千万=; 亿="),
    # "两" where two are counted; the second one is "第二".
    counters=table("(?<!第2)(?:个|位|次|天|年|本|只|件|张|条|名|岁)=two"),
    years=table("年=year"),
    date="{year}年{m}月{day}日",
    date_order="ymd",
    clock=table("time={h}点{m}分; full={h}点; oh={h}点零{m}分"),
    fractions=("二分之一", "三分之一", "三分之二", "四分之一", "四分之三"),
    fraction="{d}分之{n}",
)  # fmt: skip
