"""Everything at once, with clients that leave: no wrong answer, no request without one, and nothing is left behind."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import pytest

from chaos.dose import Dose
from chaos.footprint import Footprint, await_quiet, measure
from chaos.listening import FAKE_ASR, LISTENING, hears
from chaos.load import Fate, Journal, Load, run_loads
from chaos.speaking import FAKE_TTS, Speaking, ask, says
from e2e.sound import duration_s
from running_server import RunningServer

pytestmark = pytest.mark.alone

StartServer = Callable[..., AbstractContextManager[RunningServer]]
SENTENCE = "The kettle is boiling in the kitchen."
WORDS = ("kettle", "boiling", "kitchen")
LEAVING = 0.15
LOOKS = 6
ONE_COPY = {"ASR_THREADS": "1"}
"""Which copy of the model works, and so has its memory, would depend on what else the machine does."""
WARM_UP_S = 6.0
WARM_UP_SHARE = 1 / 30
"""Of the load that follows: in half an hour the largest requests meet more often than in ten seconds."""
WARM_UPS = 4
STEADY_MIB = 8.0
MAX_GROWTH_MIB = 24.0
"""Of one process that has met all kinds of requests already. What differs from one moment of quiet to the next is how
full the allocator's pools are: measured 2 to 9 MiB, whether after one minute or after thirty. A kilobyte kept of each
request is more than that after half an hour."""


@dataclass(frozen=True)
class Place:
    """Four servers, two without models for speed and two with, and what is asked of them."""

    servers: dict[str, RunningServer]
    loads: list[Load]

    def measure(self) -> dict[str, Footprint]:
        await_quiet(*self.servers.values())
        return {name: measure(server) for name, server in self.servers.items()}


@pytest.fixture
def place(start_server: StartServer, spoken: Callable[[str], bytes], dose: Dose) -> Iterator[Place]:
    few = max(1, dose.callers // 4)
    with ExitStack() as stack:
        fake_asr, fake_tts, asr, tts = (
            stack.enter_context(start_server(kind, "--idle-timeout-s", "-1", **settings))
            for kind, settings in (("asr", FAKE_ASR), ("tts", FAKE_TTS), ("asr", ONE_COPY), ("tts", {}))
        )
        with fake_tts.http() as client:
            speaking = Speaking.learn(client)
        with tts.http() as client:
            length_s = duration_s(client.post("/v1/audio/speech", json=ask(SENTENCE, response_format="wav")).content)
        loads = [
            Load(fake_asr.url, LISTENING, dose.callers, LEAVING, seed=1),
            Load(fake_tts.url, speaking.visits(), dose.callers, LEAVING, seed=2),
            Load(asr.url, {"real words": hears(spoken(SENTENCE), WORDS)}, few, LEAVING, seed=3),
            Load(tts.url, {"real voice": says(SENTENCE, length_s)}, few, LEAVING, seed=4),
        ]
        yield Place({"fake asr": fake_asr, "fake tts": fake_tts, "asr": asr, "tts": tts}, loads)


@pytest.mark.timeout(3600)
def test_mixed_load_leaves_nothing_behind(place: Place, dose: Dose) -> None:
    before = _warm_up(place, max(WARM_UP_S, dose.load_s * WARM_UP_SHARE))
    journal = asyncio.run(_run_watched(place, dose.load_s))
    after = place.measure()
    print(journal.summary())
    for name in before:
        print(f"{name} before: {before[name]}\n{name} after:  {after[name]}")
    _check_answers(journal)
    for name, server in place.servers.items():
        _check_nothing_left(name, before[name], after[name])
        assert "Traceback (most" not in server.log.read_text()


def _warm_up(place: Place, round_s: float) -> dict[str, Footprint]:
    """Work until nothing grows any more; every kind of request has been met then, however slow the machine is."""
    before: dict[str, Footprint] = {}
    for _ in range(WARM_UPS):
        asyncio.run(run_loads(place.loads, round_s))
        now = place.measure()
        if before and all(now[name].memory_mib < before[name].memory_mib + STEADY_MIB for name in now):
            return now
        before = now
    return before


async def _run_watched(place: Place, load_s: float) -> Journal:
    """The load, with a look at the servers now and then; what they hold in the midst of it is only told."""

    async def watch() -> None:
        for _ in range(LOOKS):
            await asyncio.sleep(load_s / (LOOKS + 2))
            for name, server in place.servers.items():
                print(name, await asyncio.to_thread(measure, server), flush=True)

    journal, _ = await asyncio.gather(run_loads(place.loads, load_s), watch())
    return journal


def _check_answers(journal: Journal) -> None:
    assert journal.count(Fate.WRONG, Fate.LOST, Fate.BROKEN) == 0, journal.notes(Fate.WRONG, Fate.LOST, Fate.BROKEN)
    assert set(journal.statuses()) <= {429}, journal.notes(Fate.REFUSED)
    asked = {record.kind for record in journal.records if record.fate is Fate.RIGHT}
    assert asked >= {*LISTENING, "pcm", "captions", "real words", "real voice"}


def _check_nothing_left(name: str, before: Footprint, after: Footprint) -> None:
    assert after.processes == before.processes, name
    assert after.files == before.files == 0, name
    assert after.descriptors <= before.descriptors + 4, name
    assert after.threads <= before.threads + 4, name
    assert after.api_mib < before.api_mib + MAX_GROWTH_MIB, name
    assert after.engines_mib < before.engines_mib + MAX_GROWTH_MIB, name
