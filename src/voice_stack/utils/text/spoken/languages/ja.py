"""Japanese: numbers in kanji, which every reader of Japanese pronounces by what they count."""

from voice_stack.utils.text.spoken.grammar import Grammar, table

GRAMMAR = Grammar(
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
