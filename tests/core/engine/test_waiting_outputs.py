"""How much may wait for a reader: few large outputs, or many small ones."""

from dataclasses import dataclass

from voice_stack.core.engine.handle import FULL_BYTES, FULL_COUNT, LOW_BYTES, LOW_COUNT, WaitingOutputs


@dataclass(frozen=True)
class Large:
    """An output of so many bytes."""

    size_bytes: int


def test_small_outputs_are_counted() -> None:
    waiting = WaitingOutputs()
    for number in range(FULL_COUNT):
        assert not waiting.is_full
        waiting.put(number)
    assert waiting.is_full
    taken = 0
    while not waiting.is_low:
        assert waiting.take() == taken
        taken += 1
    assert taken == FULL_COUNT - LOW_COUNT


def test_large_outputs_are_weighed() -> None:
    waiting = WaitingOutputs()
    for _ in range(4):
        assert not waiting.is_full
        waiting.put(Large(FULL_BYTES // 4))
    assert waiting.is_full
    waiting.take()
    assert not waiting.is_low
    waiting.take()
    assert waiting.is_low
    assert FULL_BYTES // 2 <= LOW_BYTES


def test_what_is_forgotten_weighs_nothing() -> None:
    waiting = WaitingOutputs()
    waiting.put(Large(FULL_BYTES))
    waiting.clear()
    assert not waiting
    assert not waiting.is_full
    assert waiting.is_low
