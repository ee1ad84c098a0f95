"""Engines that are tasks: jobs, turns, readers that are slow, faults, lives; what the host makes of it."""

import asyncio
import logging
from collections.abc import AsyncGenerator

import pytest

from core.engine.tasks import Config, Script, error_of, open_pool, run, task_spec
from voice_stack.core.engine.handle import FULL_COUNT
from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.engine.pool import Substitute
from voice_stack.core.engine.task import Closing, TaskLink
from voice_stack.core.errors import (
    EngineError,
    EngineUnavailableError,
    InvalidAudioError,
    ModelBusyError,
    ModelLoadError,
    ModelNotFoundError,
    ShuttingDownError,
    UnsupportedValueError,
    UpstreamError,
    VoiceStackError,
)
from voice_stack.core.jobs import Expected, HostEvent, Job, Loaded, MeasuredWork, Submit, UnitStarted
from voice_stack.core.logging import TextFormatter, logged_for

ENGINE = task_spec()


async def two_words() -> AsyncGenerator[object, None]:
    yield Expected("job-1", 3.0)
    yield "one"
    await asyncio.sleep(0)
    yield "two"
    yield Closing(MeasuredWork(audio_in_s=2.0))


async def half_an_answer() -> AsyncGenerator[object, None]:
    yield "half"


async def fault() -> AsyncGenerator[object, None]:
    yield "half"
    raise KeyError("Bearer sk-secret")


def failing(error: VoiceStackError, *given: str) -> Script:
    async def fail() -> AsyncGenerator[object, None]:
        for word in given:
            yield word
        raise error

    return fail


class Door:
    """A job that waits before it ends, and says who is in."""

    def __init__(self) -> None:
        self.opens, self.inside, self.left = asyncio.Event(), 0, 0

    async def wait(self) -> AsyncGenerator[object, None]:
        self.inside += 1
        try:
            await self.opens.wait()
            yield "through"
            yield Closing(None)
        finally:
            self.left += 1


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_job_from_its_outputs_to_its_end() -> None:
    async with open_pool() as pool:
        handle = await pool.submit([ENGINE], two_words, "req")
        assert [output async for output in handle.outputs()] == ["one", "two"]
        assert (handle.summary, handle.outcome) == (MeasuredWork(audio_in_s=2.0), "done")
        (status,) = pool.status()
        assert (status["state"], status["pid"], status["memory_mb"], status["jobs_running"]) == ("ready", None, 0.0, 0)


async def test_more_jobs_than_lanes_take_turns_and_hold_nobody_up_before_that() -> None:
    async with open_pool() as pool:
        doors = [Door() for _ in range(3)]
        jobs = [asyncio.create_task(run(pool, doors[0].wait))]
        await _settle()
        assert pool.queue([ENGINE]).wait_s(10.0) == 0
        jobs += [asyncio.create_task(run(pool, door.wait)) for door in doors[1:]]
        await _settle()
        assert [door.inside for door in doors] == [1, 1, 0]
        assert pool.queue([ENGINE]).wait_s(10.0) > 0
        doors[0].opens.set()
        assert await jobs[0] == ["through"]
        await _settle()
        assert doors[2].inside == 1
        for door in doors:
            door.opens.set()
        assert await asyncio.gather(*jobs) == [["through"]] * 3


async def test_nothing_is_made_for_a_reader_who_is_slow() -> None:
    made = 0

    async def count() -> AsyncGenerator[object, None]:
        nonlocal made
        for number in range(1000):
            made += 1
            yield number
        yield Closing(None)

    async with open_pool() as pool:
        handle = await pool.submit([ENGINE], count, "req")
        await _settle()
        assert made == FULL_COUNT
        assert [output async for output in handle.outputs()] == list(range(1000))


async def test_who_leaves_ends_the_work_at_once_also_before_it_began() -> None:
    async with open_pool() as pool:
        doors = [Door() for _ in range(4)]
        handles = [await pool.submit([ENGINE], door.wait, "req") for door in doors]
        await _settle()
        handles[0].cancel()
        handles[2].cancel()
        await _settle()
        assert [(door.inside, door.left) for door in doors] == [(1, 1), (1, 0), (0, 0), (1, 0)]
        assert [handle.outcome for handle in handles if handle.is_over] == ["cancelled"] * 2
        for door in doors:
            door.opens.set()
        for handle in handles[1::2]:
            assert [output async for output in handle.outputs()] == ["through"]


@pytest.mark.parametrize(("script", "says"), [(fault, "KeyError"), (half_an_answer, "without an end")])
async def test_a_fault_fails_its_job_alone_and_tells_no_secret(
    script: Script, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_pool() as pool:
        door = Door()
        other = asyncio.create_task(run(pool, door.wait))
        error = await error_of(pool, script)
        assert type(error) is EngineError
        assert says in error.message
        assert "secret" not in error.message
        door.opens.set()
        assert await other == ["through"]
    assert any(record.exc_info for record in caplog.records) == (script is fault)


async def test_an_engine_that_does_not_load_is_left_alone_after_a_while() -> None:
    config = Config(UpstreamError("wrong key"))
    async with open_pool() as pool:
        spec = task_spec(config=config)
        errors = [await error_of(pool, two_words, spec) for _ in range(5)]
        assert [type(error) for error in errors] == [UpstreamError] * 4 + [EngineUnavailableError]
        assert "wrong key" in errors[4].message
        another = task_spec("odd", Config(ValueError("Bearer sk-secret")))
        error = await error_of(pool, two_words, another)
        assert type(error) is ModelLoadError
        assert "secret" not in error.message


async def test_input_over_time_is_refused() -> None:
    async with open_pool() as pool:
        handle = await pool.submit([ENGINE], two_words, "req", is_fed=True)
        await handle.feed(b"sound")
        with pytest.raises(UnsupportedValueError, match="whole requests"):
            async for _ in handle.outputs():
                pass


async def test_a_crowd_that_comes_before_the_engine_is_let_in() -> None:
    async with open_pool() as pool:
        handles = [await pool.submit([ENGINE], two_words, "req", work_s=10.0) for _ in range(20)]
        assert pool.queue([ENGINE]).wait_s(10.0) == 0
        for handle in handles:
            assert [output async for output in handle.outputs()] == ["one", "two"]


async def test_tasks_take_no_place_and_no_memory() -> None:
    process = EngineSpec("process", "process", f"{__name__}:no_such_thing", None)
    async with open_pool(memory_mb=1000.0) as pool:
        doors, specs = [Door() for _ in range(3)], [task_spec(name) for name in "abc"]
        jobs = [asyncio.create_task(run(pool, door.wait, spec)) for door, spec in zip(doors, specs, strict=True)]
        await _settle()
        assert [door.inside for door in doors] == [1, 1, 1]
        assert pool.memory()["models_mb"] == 0
        assert pool.queue([process]).lefts_s == ()
        await pool.submit([process], None, "req", work_s=10.0)
        assert pool.queue([task_spec("d")]).lefts_s == ()
        for door in doors:
            door.opens.set()
        await asyncio.gather(*jobs)


@pytest.mark.parametrize("is_killed", [True, False])
async def test_an_engine_that_ends_under_a_job_says_no_more_of_it(is_killed: bool) -> None:
    config, door, events, exits = Config(), Door(), list[HostEvent](), list[int | None]()
    link = TaskLink(task_spec(config=config), events.append, exits.append)
    link.send(Submit(Job("job-1", door.wait, "req")))
    await _settle()
    assert [type(event) for event in events] == [Loaded, UnitStarted]
    if is_killed:
        link.kill()
        await asyncio.sleep(0)
        assert not link.is_alive
    else:
        await link.stop()
    await _settle()
    assert (door.left, config.lives, exits, len(events)) == (1, ["loaded", "closed"], [None], 2)


async def test_idle_engines_end_and_come_back(caplog: pytest.LogCaptureFixture) -> None:
    config = Config()
    caplog.handler.setFormatter(TextFormatter("asr"))
    with caplog.at_level(logging.INFO):
        async with open_pool(idle_timeout_s=0.0) as pool:
            for lives in (1, 2):
                with logged_for(["first-request"]):
                    assert await run(pool, two_words, task_spec(config=config)) == ["one", "two"]
                await config.is_closed.wait()
                config.is_closed.clear()
                assert config.lives == ["loaded", "closed"] * lives
    ends = [line for line in caplog.text.splitlines() if "engine stopped" in line]
    assert len(ends) == 2
    assert not any("first-request" in line for line in ends)


async def test_engines_are_loaded_and_unloaded_by_hand_but_not_from_under_a_job() -> None:
    config, door = Config(), Door()
    spec = task_spec(config=config)
    async with open_pool() as pool:
        await pool.load_now([spec])
        job = asyncio.create_task(run(pool, door.wait, spec))
        await _settle()
        with pytest.raises(ModelBusyError, match="1 jobs"):
            await pool.unload([spec])
        door.opens.set()
        assert await job == ["through"]
        for _ in range(2):  # the second time there is nothing to unload
            await pool.unload([spec])
            assert config.lives == ["loaded", "closed"]
        assert await run(pool, two_words, spec) == ["one", "two"]
        with pytest.raises(UpstreamError, match="wrong key"):
            await pool.load_now([task_spec("locked", Config(UpstreamError("wrong key")))])


async def test_the_end_of_the_server_ends_what_runs(caplog: pytest.LogCaptureFixture) -> None:
    config, door = Config(), Door()
    with caplog.at_level(logging.WARNING):
        async with open_pool() as pool:
            handle = await pool.submit([task_spec(config=config)], door.wait, "req")
            await _settle()
        with pytest.raises(ShuttingDownError):
            _ = [output async for output in handle.outputs()]
    assert (config.lives, door.inside, door.left) == (["loaded", "closed"], 1, 1)
    assert not caplog.records


def _spare(script: Script) -> Substitute:
    return Substitute([task_spec("spare")], script, for_missing=False)


async def test_what_one_engine_fails_at_another_one_does_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async with open_pool() as pool:
        handle = await pool.submit([ENGINE], failing(UpstreamError("it is away")), "req", _spare(two_words))
        assert [output async for output in handle.outputs()] == ["one", "two"]
        assert handle.substitute is not None
        assert handle.substitute.model == "spare"
        assert [status["jobs_waiting"] for status in pool.status()] == [0, 0]
    assert any("it is away" in str(getattr(record, "fields", "")) for record in caplog.records)


async def test_an_engine_that_fails_at_everything_is_not_waited_for_where_there_is_another_one() -> None:
    tried = 0

    async def fail() -> AsyncGenerator[object, None]:
        nonlocal tried
        tried += 1
        async for step in failing(UpstreamError("it is away"))():
            yield step

    async with open_pool() as pool:
        for _ in range(6):
            assert await run(pool, fail, substitute=_spare(two_words)) == ["one", "two"]
        assert tried == 4
        assert (await error_of(pool, fail)).message == "it is away"  # nobody else would do this one
        assert await run(pool, two_words) == ["one", "two"]
        assert await run(pool, fail, substitute=_spare(two_words)) == ["one", "two"]
        assert tried == 6, "it is well again, and asked again"


@pytest.mark.parametrize(
    ("script", "spare", "reason"),
    [
        (failing(EngineError("first")), failing(EngineError("second")), "second"),
        (failing(UpstreamError("cut off"), "half"), two_words, "cut off"),
        (failing(InvalidAudioError("no sound in it")), two_words, "no sound in it"),
        (failing(ModelNotFoundError("no such model")), two_words, "no such model"),
    ],
    ids=["only once", "something is out", "the client's fault", "a name that the client chose"],
)
async def test_no_other_engine_takes(script: Script, spare: Script, reason: str) -> None:
    async with open_pool() as pool:
        assert (await error_of(pool, script, substitute=_spare(spare))).message == reason
