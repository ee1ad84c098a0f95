"""Words that begin a phrase, so that a line or a cue rather ends before them, and never after them."""

_BY_LANGUAGE = {
    "en": """a about after again against although an and as at because before between but by for from her his how if in
        into its my nor of on or our since so than that the their though through to under unless until upon when where
        whether which while who whose why with within without your i you he she it we they not no""",
    "de": """aber als am an auf aus bei beim bevor bis da damit das dass dem den denn der des die dein durch ein eine
        einem einen einer eines für gegen hinter ich ihr ihre im in ins ist mein mit nach nachdem neben nicht ob obwohl
        oder ohne sein seine seit sich sie sobald sondern über um und unser unter vom von vor während weil wenn wer wie
        wo zu zum zur zwischen er es wir kein keine""",
    "fr": """à afin au aux avant avec car ce ces cet cette chez comme dans de depuis derrière des dont du elle en entre
        et il ils je jusque la le les leur leurs lorsque ma mais mes mon ne nos notre nous on or ou où par parce pendant
        pour puisque quand que qui sa sans ses si son sous sur ta tes ton tu un une vers vos votre vous""",
    "es": """a al ante antes aunque bajo como con contra cuando de del desde donde durante e el ella en entre es hacia
        hasta la las lo los mi mientras ni no o para pero por porque pues que quien se según si sin sino sobre su sus
        tras tu u un una unos unas y yo él""",
    "it": """a ad agli ai al alla alle anche che chi col come con contro cui da dai dal dalla degli dei del della delle
        di dopo dove e ed fra gli i il in io la le lo ma mentre mia mio ne nei nel nella non o per perché però poiché
        prima quando se senza si sono su sua sui sul sulla suo tra un una uno""",
    "pt": """a ao aos até com como contra da das de desde do dos durante e ela ele em embora entre eu mas na nas nem no
        nos não o os ou para pela pelo por porque pois quando que quem se sem seu sob sobre sua são um uma""",
    "nl": """aan achter als bij binnen boven dan dat de die door dus een en haar het hij hun ik in is maar met mijn na
        naar naast nadat niet of om omdat onder ons op over sinds te tegen terwijl tot tussen uit van voor want wanneer
        we wie zij zijn zodat zonder""",
    "pl": """a aby albo ale bez bo będzie czy dla do gdy gdzie i ich ja jak jako jego jej jest jeśli kiedy które który
        lecz lub między mój na nad nie o od ona oraz po pod ponieważ przed przez przy się u w we z za ze że żeby""",
    "sv": """att av de den det där därför efter eller en ett för från genom han hon hos i inte jag kan med medan men
        min mot mellan när och om på samt sedan som så till under ur utan vi vid än över""",
}  # fmt: skip
_WORDS = {language: frozenset(words.split()) for language, words in _BY_LANGUAGE.items()}
_NONE: frozenset[str] = frozenset()


def opens_phrase(word: str, language: str) -> bool:
    """Whether it is a conjunction, preposition, article or pronoun of the language; its case does not matter.

    Languages without a table here have none, and their lines end by punctuation and balance alone.
    """
    return word.casefold() in _WORDS.get(language, _NONE)
