"""Chinese (Mandarin)."""

from voice_stack.utils.text.spoken.grammar import Grammar, table

GRAMMAR = Grammar(
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
