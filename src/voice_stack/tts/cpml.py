"""The licence of the XTTS weights: the operator accepts it before they are fetched or loaded."""

from voice_stack.core.errors import LicenceNotAcceptedError

ENGINE = "xtts"
NAME = "Coqui Public Model License 1.0.0 (CPML)"
URL = "https://huggingface.co/coqui/XTTS-v2/blob/main/LICENSE.txt"
NOTICE = (
    f"the weights of XTTS-v2 are under the {NAME}, which allows no commercial use, neither of the model nor of the "
    f"speech it makes. Read it at {URL}; TTS_ACCEPT_CPML=true accepts it (COQUI_TOS_AGREED=1 does too)"
)


def check_licence(engine: str, *, accepted: bool) -> None:
    """Refuse an engine whose weights have a licence that nobody accepted yet.

    Args:
        engine: The engine that is to be used; only XTTS has such weights.
        accepted: Whether the operator accepted the CPML.

    Raises:
        LicenceNotAcceptedError: It has, and nobody did; the message tells what it is and how to accept it.
    """
    if engine == ENGINE and not accepted:
        raise LicenceNotAcceptedError(f"engine {engine}: {NOTICE}")
