"""Turkish."""

from voice_stack.utils.text.spoken.grammar import Grammar, table, words

GRAMMAR = Grammar(
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
