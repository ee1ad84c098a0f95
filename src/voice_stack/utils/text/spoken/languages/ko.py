"""Korean."""

from voice_stack.utils.text.spoken.grammar import Grammar, table

GRAMMAR = Grammar(
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
