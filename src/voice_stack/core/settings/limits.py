"""How much work is taken and how long it may last."""

from pydantic import Field
from pydantic_settings import BaseSettings


class LimitSettings(BaseSettings):
    """Part of the settings of both servers."""

    shutdown_grace_s: float = Field(
        10.0, ge=0, description="Seconds that running requests get to finish when the server stops."
    )
