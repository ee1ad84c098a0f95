"""The cache of finished results: bounded in bytes and in age."""

from hypothesis import given
from hypothesis import strategies as st

from voice_stack.asr.transcript import Segment, Transcript
from voice_stack.core.result_cache import ResultCache


def test_a_result_comes_back_as_it_was() -> None:
    segment = Segment(" Hello.", 0.0, 1.5, (1, 2), 0.0, -0.1, 1.0, 0.01)
    transcript = Transcript("transcribe", "en", 0.9, 1.5, (segment,))
    assert ResultCache[Transcript].unpack(ResultCache[Transcript].pack(transcript)) == transcript


def test_old_results_are_forgotten() -> None:
    now = [0.0]
    cache = ResultCache[str](1000, 60.0, lambda: now[0])
    cache.keep("a", b"1")
    now[0] = 60.0
    assert cache.find("a") == b"1"
    now[0] = 60.1
    assert cache.find("a") is None
    assert len(cache) == 0


def test_least_recently_used_goes_first() -> None:
    cache = ResultCache[str](3, 60.0)
    for key in "abc":
        cache.keep(key, b"1")
    cache.find("a")
    cache.keep("d", b"1")
    assert [cache.find(key) for key in "abcd"] == [b"1", None, b"1", b"1"]


@given(st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=40))), st.integers(0, 60))
def test_never_more_bytes_than_allowed(kept: list[tuple[int, bytes]], max_bytes: int) -> None:
    cache = ResultCache[str](max_bytes, 60.0)
    for key, packed in kept:
        cache.keep(key, packed)
        assert cache.find(key) == (packed if len(packed) <= max_bytes else None)
        assert sum(len(cache.find(key) or b"") for key in range(6)) <= max_bytes
