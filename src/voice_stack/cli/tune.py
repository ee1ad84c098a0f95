"""`voice-stack tune`: how fast a Whisper model is on this machine, and how it is run by that."""

from collections.abc import Mapping

import click

from voice_stack.asr.engine_factory import engine_specs, open_store
from voice_stack.asr.models import DEFAULT_MODEL_NAMES, ENGINE
from voice_stack.asr.request import AsrWorkerConfig
from voice_stack.asr.settings import AsrSettings
from voice_stack.core.errors import ConfigurationError, InvalidRequestError, ModelLoadError
from voice_stack.core.models.store import ModelNames
from voice_stack.core.system.cpus import OtherLoad


@click.command()
@click.argument("model", required=False)
@click.option("--show", is_flag=True, help="Only show what is kept.")
def tune(model: str | None, show: bool) -> None:
    """Measure how a Whisper model is best run on this machine, and keep it for the next start.

    Without MODEL the default one. A server does the same by itself once it has been idle; stop it first.
    """
    settings = AsrSettings.read()
    if settings.engine != ENGINE:
        raise InvalidRequestError(f"ASR_ENGINE is {settings.engine}; {ENGINE} is the only engine that is measured.")
    from voice_stack.asr.engine.compute_plan import measure_model, plan_compute

    store = open_store(settings)
    name = ModelNames(store, settings.model, DEFAULT_MODEL_NAMES).expand(model or settings.model)
    folder, config = store.resolve(name), engine_specs(settings, name)[0].config
    assert isinstance(config, AsrWorkerConfig)
    weights = folder / "model.bin"
    if not weights.is_file():
        raise ModelLoadError(f"{name} is no model of {ENGINE}: it lacks {weights.name}.")
    plan = plan_compute(config.options, weights.stat().st_size, folder)
    if plan.tuning_file is None:
        raise InvalidRequestError(
            "Nothing is measured on a GPU, where ASR_THREADS is set, or with several ASR_REPLICAS."
        )
    tuning = plan.tuning_file.read()
    if not show:
        others = OtherLoad()
        try:
            tuning = measure_model(folder, plan)
            busy_cpus = others.busy_cpus()
            plan.tuning_file.write(tuning)
        except RuntimeError as error:
            raise ModelLoadError(f"{name} cannot be measured: {error}") from error
        except OSError as error:
            raise ConfigurationError(f"What was measured is not kept (MODEL_DIR): {error.strerror}.") from error
        if busy_cpus > BUSY_CPUS:
            click.echo(f"Other programs kept {busy_cpus:.1f} CPUs busy: measure again when they have ended.", err=True)
    if tuning is None:
        click.echo(f"{name}: nothing is kept for this machine.")
        return
    click.echo(f"{name}, {plan.cpus} CPUs, {plan.compute_type}, {plan.tuning_file.made_for['library']}")
    _print("encoder, one window, by threads", tuning.encoder_ms, tuning.encoder_threads)
    _print("search for six tokens, by threads", tuning.search_ms, tuning.search_threads)
    _print("the same of a window in a batch, by windows", tuning.batch_ms, tuning.batch)
    if len(tuning.lanes_ms) > 1:
        _print("a window with lanes side by side, by lanes", tuning.lanes_ms, tuning.lanes)


BUSY_CPUS = 0.5


def _print(stage: str, times_ms: Mapping[int, float], chosen: int) -> None:
    times = ", ".join(f"{n}: {time_ms:.0f} ms{' (chosen)' * (n == chosen)}" for n, time_ms in sorted(times_ms.items()))
    click.echo(f"  {stage:<44} {times}")
