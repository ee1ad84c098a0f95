"""How much work is taken and how long it may last."""

from pydantic import Field
from pydantic_settings import BaseSettings


class LimitSettings(BaseSettings):
    """Part of the settings of both servers."""

    max_queue_wait_s: float = Field(
        3600.0,
        ge=0,
        description="Longest that a request may be held up by those before it, in seconds as estimated; beyond it is "
        "answered with 429. 0: no limit. Bazarr's requests and background jobs always wait.",
    )
    requests_per_minute_per_client: int = Field(
        0, ge=0, description="Requests a minute from one address, unless its key has a limit of its own; 0: no limit."
    )
    requests_at_once_per_client: int = Field(
        0, ge=0, description="Requests at once from one address, unless its key has a limit of its own; 0: no limit."
    )
    request_timeout_s: float = Field(
        0.0,
        ge=0,
        description="Longest that a whole request may take, in seconds; 0: no limit. Bazarr's requests and background "
        "jobs have none.",
    )
    header_timeout_s: float = Field(
        20.0, gt=0, le=3600, description="Seconds in which the head of a request must have arrived."
    )
    upload_timeout_s: float = Field(
        60.0, gt=0, description="Seconds without a byte after which an upload is given up (408)."
    )
    upload_min_bytes_per_s: int = Field(
        500,
        ge=0,
        description="An upload that is slower on average, after its first `upload_timeout_s`, is given up; 0: none is.",
    )
    reader_timeout_s: float = Field(
        300.0,
        gt=0,
        description="Seconds without a byte taken after which a client that does not read its answer is dropped.",
    )
    max_connections: int = Field(
        2000,
        ge=8,
        description="Connections at once, as far as the system's limit of open files allows; beyond it those make room "
        "that have waited longest without a request, then slow uploads.",
    )
    shutdown_delay_s: float = Field(
        0.0,
        ge=0,
        description="Seconds that a stopping server still takes requests while `/ready` says 503, for load balancers.",
    )
    shutdown_grace_s: float = Field(
        10.0, ge=0, description="Seconds that running requests get to finish when the server stops."
    )
