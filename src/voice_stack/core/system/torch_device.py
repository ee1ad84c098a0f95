"""Which device a model of PyTorch runs on."""


def choose_torch_device(wanted: str, cuda_count: int, *, replica: int = 0) -> str:
    """The device that a setting means on this machine.

    Args:
        wanted: `auto`, `cpu`, `cuda` or `cuda:1`; `auto` is CUDA where there is some.
        cuda_count: How many CUDA devices PyTorch sees.
        replica: Which of several equal engines asks; they share the devices out.

    Returns:
        `cpu` or `cuda:0` and so on.

    Raises:
        ValueError: There is no such kind of device.
    """
    if wanted == "auto" and not cuda_count:
        return "cpu"
    kind, _, index = wanted.replace("auto", "cuda").partition(":")
    if kind not in {"cpu", "cuda"} or not (index or "0").isdecimal():
        raise ValueError(f"device {wanted!r} is not one of auto, cpu, cuda, cuda:0, cuda:1 and so on")
    return "cpu" if kind == "cpu" else f"cuda:{index or replica % max(1, cuda_count)}"
