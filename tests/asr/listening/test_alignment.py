"""Where a text is laid beside the sound: what lies between recognised words, in pieces that a model can hear."""

from itertools import pairwise
from pathlib import Path

from e2e.sound import tone
from voice_stack.asr.listening.alignment import PASSAGE_S, Passage, plan_alignment
from voice_stack.asr.request import AlignmentRequest, AudioFile, VadChoice
from voice_stack.asr.transcript import Word
from voice_stack.core.jobs import Expected, Job, Unit

SUNG = "when the silver morning comes across the water we will sail beyond the farthest island"
HEARD = "wen da silvah mornin cums akross da watah we wil sale beyon da fardest ilan"
ANNOUNCED = "This recording is in the public domain and was made by volunteers for everybody who likes to listen."


def plan(folder: Path, text: str, heard: str) -> tuple[list[Passage], float]:
    """The passages of a text, with a word heard each half second, and how much work they are said to be."""
    words = tuple(Word(word, n / 2, n / 2 + 0.4, 0.5) for n, word in enumerate(heard.split()))
    path = folder / "a.wav"
    path.write_bytes(tone(len(words) / 2))
    request = AlignmentRequest(AudioFile(path), text, words, "en", len(words) / 2, VadChoice())
    steps = list(plan_alignment(Job("a", request, "r"), request, can_align=True, has_vad=False))
    units = [step.data for step in steps if isinstance(step, Unit)]
    passages = [data for data in units if isinstance(data, Passage)]
    return passages, next(step.work_s for step in steps if isinstance(step, Expected))


def test_a_minute_that_was_badly_heard_is_cut_where_the_letters_agree(tmp_path: Path) -> None:
    passages, work_s = plan(tmp_path, f"{SUNG} " * 6, f"{HEARD} " * 6)
    assert all(passage.duration_s < PASSAGE_S + 2 for passage in passages)
    assert sum(passage.duration_s for passage in passages) <= work_s
    gaps = [gap for passage in passages for gap in passage.gaps]
    asked = [number for gap in gaps for number in range(gap.first, gap.last)]
    assert len(asked) > 0.7 * 6 * len(SUNG.split())
    assert all(one.end_s <= other.start_s + 0.1 for one, other in pairwise(gaps))
    # Each word is looked for where it is said: half a second a word.
    assert all(gap.start_s - 2 <= number / 2 <= gap.end_s + 2 for gap in gaps for number in range(gap.first, gap.last))


def test_a_few_words_beside_a_long_announcement_are_looked_for_at_both_of_its_ends(tmp_path: Path) -> None:
    known = "the old harbour wakes before the town does"
    passages, _ = plan(tmp_path, f"{known} Zuzu Qaqqa {known}", f"{known} {ANNOUNCED * 3} {known}")
    assert [[text for number, text in passage.words if number in (8, 9)] for passage in passages] == [
        ["Zuzu", "Qaqqa"],
        ["Zuzu", "Qaqqa"],
    ]
    (one,), (other,) = (passage.gaps for passage in passages)
    assert one.end_s < 10 < other.start_s
