"""The languages that numbers and the like can be read out in."""

from voice_stack.utils.text.spoken.grammar import Grammar
from voice_stack.utils.text.spoken.languages.germanic import DUTCH, ENGLISH, GERMAN
from voice_stack.utils.text.spoken.languages.others import ARABIC, CHINESE, HINDI, HUNGARIAN, JAPANESE, KOREAN, TURKISH
from voice_stack.utils.text.spoken.languages.romance import FRENCH, ITALIAN, PORTUGUESE, SPANISH
from voice_stack.utils.text.spoken.languages.slavic import CZECH, POLISH, RUSSIAN

GRAMMARS: dict[str, Grammar] = {
    grammar.code: grammar
    for grammar in (
        ARABIC,
        CZECH,
        GERMAN,
        ENGLISH,
        SPANISH,
        FRENCH,
        HINDI,
        HUNGARIAN,
        ITALIAN,
        JAPANESE,
        KOREAN,
        DUTCH,
        POLISH,
        PORTUGUESE,
        RUSSIAN,
        TURKISH,
        CHINESE,
    )
}
"""Every grammar by the code of its language."""
