"""What the library transformers has to say, in our log."""

from transformers.utils import logging


def take_over_log() -> None:
    """Let its errors come into our log in our form; what it warns of at each load is of no use to an operator."""
    logging.disable_default_handler()
    logging.enable_propagation()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
