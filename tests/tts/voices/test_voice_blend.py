"""Blends of voices as clients write them."""

import pytest

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.tts.voices.builtin import parse_blend

NAMES = ("af_heart", "am_adam", "bf_emma")


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("af_heart+am_adam", {"af_heart": 0.5, "am_adam": 0.5}),
        ("af_heart*0.7+am_adam*0.3", {"af_heart": 0.7, "am_adam": 0.3}),
        ("af_heart(2)+am_adam(1)", {"af_heart": 2 / 3, "am_adam": 1 / 3}),
        ("af_heart(3)+am_adam", {"af_heart": 0.75, "am_adam": 0.25}),
        (" AF_Heart * 3 + am_adam ( 1 ) ", {"af_heart": 0.75, "am_adam": 0.25}),
        ("af_heart+am_adam+bf_emma+af_heart", {"af_heart": 0.5, "am_adam": 0.25, "bf_emma": 0.25}),
        ("af_heart*0+am_adam", {"am_adam": 1.0}),
        ("af_heart(4)", {"af_heart": 1.0}),
    ],
)
def test_shares_add_up_to_one(text: str, shares: dict[str, float]) -> None:
    blend = parse_blend(text, NAMES)
    assert blend is not None
    assert [name for name, _ in blend] == list(shares)
    assert dict(blend) == pytest.approx(shares)
    assert sum(share for _, share in blend) == pytest.approx(1.0)


@pytest.mark.parametrize("text", ["af_heart", "alloy", "my+voice", "a*2", "", "+", "../af_heart", "no_voice(2)"])
def test_other_names_are_no_blends(text: str) -> None:
    assert parse_blend(text, NAMES) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("af_heart+af_nobody", r"'af_nobody' is not one of af_heart, am_adam, bf_emma"),
        ("af_heart+", r"the part '' is neither NAME nor NAME\*0\.5"),
        ("af_heart+am_adam*-1", r"the part 'am_adam\*-1' is neither"),
        ("af_heart*nan+am_adam", r"the part 'af_heart\*nan' is neither"),
        ("af_heart*1e400+am_adam", r"the part 'af_heart\*1e400' is neither"),
        ("af_heart*0+am_adam*0.0", r"every weight is 0"),
        ("+".join(["af_heart"] * 11), r"has 11 parts, at most 10"),
    ],
)
def test_what_is_wrong_with_a_blend_is_said(text: str, reason: str) -> None:
    with pytest.raises(UnsupportedValueError, match=reason) as caught:
        parse_blend(text, NAMES)
    assert caught.value.param == "voice"
