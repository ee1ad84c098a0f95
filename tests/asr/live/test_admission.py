"""How many live sessions are let in before anything is known of the machine, and which places they take."""

import pytest

from voice_stack.asr.app import create_service
from voice_stack.asr.service import AsrService
from voice_stack.asr.settings import AsrSettings
from voice_stack.core.errors import QueueFullError


def let_in(service: AsrService, sessions: int) -> int:
    for number in range(sessions):
        try:
            service.admit_live("fake")
        except QueueFullError:
            return number
    return sessions


def test_a_crowd_that_comes_at_once_is_let_in_as_far_as_it_can_be_followed() -> None:
    service = create_service(AsrSettings.read(engine="fake", offline=True))
    assert 16 <= let_in(service, 64) < 64
    with pytest.raises(QueueFullError, match="one more would take") as refused:
        service.admit_live("fake")
    assert refused.value.retry_after_s


def test_who_was_let_in_and_speaks_takes_one_place_not_two() -> None:
    service = create_service(AsrSettings.read(engine="fake", offline=True))
    let_in(service, 64)
    service.desk.begin_live()
    assert let_in(service, 2) == 1
