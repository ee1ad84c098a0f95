"""Where a server listens and by which addresses it is known."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings


class ListeningSettings(BaseSettings):
    """Part of the settings of both servers."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(0, ge=0, le=65535, description="Port to listen on.")
    socket: Path | None = Field(
        None,
        description="Unix socket to listen on instead of an address, for a proxy on this machine; its user and group "
        "may connect. Empty: none.",
    )
