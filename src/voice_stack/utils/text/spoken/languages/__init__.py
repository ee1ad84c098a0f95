"""The languages that numbers and the like can be read out in."""

from voice_stack.utils.text.spoken.grammar import Grammar
from voice_stack.utils.text.spoken.languages import ar, cs, de, en, es, fr, hi, hu, it, ja, ko, nl, pl, pt, ru, tr, zh

GRAMMARS: dict[str, Grammar] = {
    module.GRAMMAR.code: module.GRAMMAR
    for module in (ar, cs, de, en, es, fr, hi, hu, it, ja, ko, nl, pl, pt, ru, tr, zh)
}
"""Every grammar by the code of its language."""
