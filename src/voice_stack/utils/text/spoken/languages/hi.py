"""Hindi."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

GRAMMAR = Grammar(
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
