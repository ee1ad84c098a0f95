"""Captions are kept for a while, and never more of them than the memory may hold."""

import numpy as np
import pytest

from voice_stack.core.errors import NotFoundError
from voice_stack.tts.cache.entry import Note
from voice_stack.tts.captions.kept import Captions, CaptionStore
from voice_stack.tts.captions.sentences import describe_sound, find_sentence
from voice_stack.tts.request import Sound
from voice_stack.utils.audio.word_alignment import WordTime

RATE = 1_000


def sound(text: str, duration_s: float, *words: WordTime, is_last: bool = False) -> Sound:
    return Sound(np.zeros(round(duration_s * RATE), np.float32), RATE, is_last, text, words)


def notes(*sounds: Sound) -> list[Note]:
    start_s, made = 0.0, []
    for piece in sounds:
        made.append(Note(0, describe_sound(piece, start_s)))
        start_s += len(piece.samples) / RATE
    return made


async def open_captions(store: CaptionStore, count: int = 1) -> Captions:
    return await store.open(notes(*[sound("Hello.", 1) for _ in range(count)]), "en", "word")


def test_times_count_from_the_beginning_of_the_speech() -> None:
    spoken = notes(sound("One.", 1.5, WordTime("One.", 0.1, 0.4)), sound("Two.", 1, WordTime("Two.", 0.2, 0.5)))
    sentence = find_sentence(spoken[1].content)
    assert sentence is not None
    assert (sentence.start_s, sentence.end_s) == (1.7, 2.0)
    assert sentence.words == (WordTime("Two.", 1.7, 2.0),)


def test_a_sentence_says_that_its_words_are_estimated() -> None:
    words = WordTime("One.", 0.1, 0.4, is_estimated=True), WordTime("Two.", 0.5, 0.9)
    estimated, known = (find_sentence(notes(sound(word.text, 1, word))[0].content) for word in words)
    assert estimated is not None
    assert known is not None
    assert estimated.describe(with_words=True)["estimated"] is True
    assert "estimated" not in estimated.describe(with_words=False)
    assert "estimated" not in known.describe(with_words=True)


def test_a_sentence_without_words_lasts_as_long_as_its_sound() -> None:
    sentence = find_sentence(notes(sound("One.", 1), sound("Two.", 0.5))[1].content)
    assert sentence is not None
    assert (sentence.start_s, sentence.end_s) == (1, 1.5)


def test_a_sentence_in_pieces_is_told_once() -> None:
    spoken = notes(
        sound("", 1), sound("Hello there.", 0.5, WordTime("Hello", -0.9, -0.2), WordTime("there.", -0.1, 0.4))
    )
    captions = Captions(spoken, "en", "word")
    (sentence,) = captions.sentences
    assert (sentence.start_s, sentence.end_s) == (pytest.approx(0.1), pytest.approx(1.4))
    assert captions.duration_s == 1.5


def test_the_status_is_that_of_the_speech() -> None:
    spoken = notes(sound("One.", 1))
    captions = Captions(spoken, "en", "word")
    assert captions.status == "in_progress"
    captions.end()
    assert captions.status == "incomplete"
    spoken += notes(sound("Two.", 1, is_last=True))
    assert captions.status == "completed"
    assert [sentence.text for sentence in captions.sentences] == ["One.", "Two."]


async def test_they_go_after_a_while_but_not_while_the_speech_goes_on() -> None:
    store = CaptionStore(ttl_s=0)
    captions = await open_captions(store)
    assert await store.find(captions.id) is captions
    captions.end()
    with pytest.raises(NotFoundError, match=f"{captions.id}.*kept for 0 s"):
        await store.find(captions.id)


async def test_the_oldest_make_room() -> None:
    store = CaptionStore(ttl_s=1_000, max_sentences=20)
    kept = [await open_captions(store, 12) for _ in range(6)]
    last = await open_captions(store)
    assert await store.find(last.id) is last
    assert await store.find(kept[-1].id) is kept[-1]
    with pytest.raises(NotFoundError):
        await store.find(kept[0].id)


async def test_ids_cannot_be_guessed() -> None:
    store = CaptionStore(ttl_s=1_000)
    assert len({(await open_captions(store)).id for _ in range(100)}) == 100
    with pytest.raises(NotFoundError, match=r"'\.\./\.\./etc'"):
        await store.find("../../etc")


def test_no_caption_outlasts_the_sound() -> None:
    words = (WordTime("Good", 0.1, 0.5), WordTime("night.", 0.6, 1.3))
    sentence = find_sentence(describe_sound(sound("Good night.", 1, *words, is_last=True), 2.0))
    assert sentence is not None
    assert (sentence.start_s, sentence.end_s) == (2.1, 3.0)
    assert [(word.start_s, word.end_s) for word in sentence.words] == [(2.1, 2.5), (2.6, 3.0)]
