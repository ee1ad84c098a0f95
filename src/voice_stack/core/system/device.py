"""Which device a model runs on."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Device:
    """A device as PyTorch writes it: `cpu`, or `cuda:0` and so on."""

    kind: Literal["cpu", "cuda"]
    index: int = 0

    def __str__(self) -> str:
        return "cpu" if self.kind == "cpu" else f"cuda:{self.index}"


def choose_device(wanted: str, cuda_count: int, *, replica: int = 0) -> Device:
    """The device that a setting means on this machine.

    Args:
        wanted: `auto`, `cpu`, `cuda` or `cuda:1`; `auto` is CUDA where there is some.
        cuda_count: How many CUDA devices the library sees that runs the model.
        replica: Which of several equal engines asks; they share the devices out.

    Raises:
        ValueError: There is no such kind of device.
    """
    kind, _, index = wanted.replace("auto", "cuda" if cuda_count else "cpu").partition(":")
    if kind not in {"cpu", "cuda"} or not (index or "0").isdecimal():
        raise ValueError(f"device {wanted!r} is not one of auto, cpu, cuda, cuda:0, cuda:1 and so on")
    return Device("cpu") if kind == "cpu" else Device("cuda", int(index or replica % max(1, cuda_count)))
