"""What models are expected to hold, what fits, and what processes are measured to hold."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from voice_stack.core.engine.link import EngineSpec
from voice_stack.core.engine.memory import FILE_FACTOR, PROCESS_MB, MemoryBudget
from voice_stack.core.errors import InsufficientMemoryError
from voice_stack.core.system.memory import Footprint, MemoryMeter

METER = MemoryMeter(has_gpu=False)
MIB = 1 << 20


def _budget(limit_mb: float, figures: Path | None = None, gpu_mb: float = 0.0) -> MemoryBudget:
    return MemoryBudget(Footprint(limit_mb, gpu_mb), METER, figures, lambda _model: 100 * MIB, "ASR_MEMORY_MB")


def _spec(model: str) -> EngineSpec:
    return EngineSpec("whisper", model, "module:function", None)


def test_files_tell_until_it_was_measured(tmp_path: Path) -> None:
    figures = tmp_path / "models" / "figures.json"
    budget = _budget(1000, figures)
    assert budget.expect(_spec("a")).footprint.memory_mb == pytest.approx(PROCESS_MB + 100 * FILE_FACTOR)
    budget.remember("whisper/a", Footprint(640.0, 3.0))
    _budget(1000, figures).remember("whisper/b", Footprint(50.0))
    later = _budget(1000, figures)
    assert (later.expect(_spec("a")).footprint, later.expect(_spec("a")).is_measured) == (Footprint(640.0, 3.0), True)
    assert later.expect(_spec("b")).footprint == Footprint(50.0)


def test_what_fitted_once_is_not_refused_for_having_grown(tmp_path: Path) -> None:
    budget = _budget(500, tmp_path / "figures.json")
    budget.remember("whisper/a", Footprint(900.0))
    budget.require_fit("whisper/a", budget.expect(_spec("a")), {})
    smaller = _budget(400, tmp_path / "figures.json")
    with pytest.raises(InsufficientMemoryError, match="a needs 500 MB"):
        smaller.require_fit("whisper/a", smaller.expect(_spec("a")), {})


@pytest.mark.parametrize("content", ["", "[]", '{"a": 3}', '{"a": {"mb": 3}}', "\x00"])
def test_figures_that_cannot_be_read_are_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "figures.json").write_text(content)
    assert not _budget(1000, tmp_path / "figures.json").expect(_spec("a")).is_measured


def test_figures_that_cannot_be_written_cost_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    budget = _budget(1000, Path("/dev/null/figures.json"))
    budget.remember("whisper/a", Footprint(640.0))
    assert budget.expect(_spec("a")).footprint.memory_mb == 640
    assert "memory figures are not kept" in caplog.text


def test_what_is_small_is_loaded_unasked(tmp_path: Path) -> None:
    budget = _budget(0, tmp_path / "figures.json")
    assert budget.is_small([_spec("a")])
    assert not budget.is_small([_spec("a")] * 100_000)
    budget.remember("whisper/b", Footprint(psutil.virtual_memory().available / MIB / 2))
    assert not budget.is_small([_spec("b")])
    assert not _budget(100).is_small([_spec("a")])  # it does not fit
    assert not MemoryBudget(Footprint(), METER).is_small([_spec("a")])  # it is not here


def test_what_cannot_fit_is_refused_with_the_figures() -> None:
    budget = _budget(300)
    with pytest.raises(InsufficientMemoryError) as caught:
        budget.require_fit("whisper/base", budget.expect(_spec("base")), {"whisper/tiny": Footprint(150.0)})
    for told in ("whisper/base needs 320 MB", "size of its files", "300 MB", "ASR_MEMORY_MB", "whisper/tiny 150 MB"):
        assert told in caught.value.message
    assert (caught.value.status, caught.value.headers()) == (503, {"x-should-retry": "false"})


def test_both_kinds_of_memory_have_their_limit_and_none_is_no_limit() -> None:
    budget = _budget(400, gpu_mb=8000)
    budget.remember("whisper/a", Footprint(100.0, 6000.0))
    need = budget.expect(_spec("a"))
    assert budget.has_room(need, [Footprint(300.0, 2000.0)])
    assert not budget.has_room(need, [Footprint(301.0)])
    assert not budget.has_room(need, [Footprint(0.0, 2001.0)])
    assert _budget(0).has_room(need, [Footprint(1e6, 1e6)])


def test_the_meter_sees_what_a_process_holds() -> None:
    script = "import sys; held = bytearray(b'x') * (200 << 20); print('', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        found = METER.measure([process.pid, os.getpid()])
        assert 200 < found[process.pid].memory_mb < 300
        assert set(found) == {process.pid, os.getpid()}
        process.kill()
    assert METER.measure([process.pid]) == {}


def test_a_machine_without_a_gpu_is_measured_all_the_same() -> None:
    meter = MemoryMeter(has_gpu=True)
    assert [meter.measure([os.getpid()])[os.getpid()].memory_mb > 10 for _ in range(2)] == [True, True]
