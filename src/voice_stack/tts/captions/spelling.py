"""Words as they are spoken -> the client's own words: `five dollars` is where `$5` is said."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import accumulate, pairwise

from voice_stack.tts.engine.base import WordTime
from voice_stack.utils.audio.word_alignment import cut_words


def respell(words: Sequence[WordTime], written: str) -> tuple[WordTime, ...]:
    """Give the times of spoken words to the words that were written.

    Words that are spelled the same have the same times. Between them, what was written shares the time of what is
    spoken there, by length; what is not spoken has no time and is left out.

    Args:
        words: A clause's, in order.
        written: The same clause as the client wrote it.

    Returns:
        The written words in order with their marks; the spoken ones if nothing was written.
    """
    own = cut_words(written)
    if not own or [word.text for word in words] == own:
        return tuple(words)
    matcher = SequenceMatcher(None, [_key(text) for text in own], [_key(word.text) for word in words], autojunk=False)
    times: list[WordTime] = []
    own_at = spoken_at = 0
    for own_start, spoken_start, size in matcher.get_matching_blocks():
        times += _share(own[own_at:own_start], words[spoken_at:spoken_start])
        own_at, spoken_at = own_start + size, spoken_start + size
        pairs = zip(own[own_start:own_at], words[spoken_start:spoken_at], strict=True)
        times += [WordTime(text, word.start_s, word.end_s) for text, word in pairs]
    return tuple(times)


def _key(word: str) -> str:
    return "".join(filter(str.isalnum, word)).casefold()


def _share(own: Sequence[str], words: Sequence[WordTime]) -> Iterator[WordTime]:
    """The time of spoken words, shared among what was written in their place."""
    if not own or not words:
        return
    start_s, end_s = words[0].start_s, words[-1].end_s
    lengths = [len(text) for text in own]
    shares = [total / sum(lengths) for total in accumulate(lengths, initial=0)]
    edges_s = [start_s + share * (end_s - start_s) for share in shares]
    for text, (word_start_s, word_end_s) in zip(own, pairwise(edges_s), strict=True):
        yield WordTime(text, word_start_s, word_end_s)
