"""Who may call: keys, browsers."""

from pydantic import Field
from pydantic_settings import BaseSettings

from voice_stack.core.settings.fields import CommaSeparated


class AccessSettings(BaseSettings):
    """Part of the settings of both servers."""

    api_keys: CommaSeparated = Field(
        default_factory=list,
        validation_alias="API_KEYS",
        description="Keys, separated by commas; clients then send `Authorization: Bearer KEY`. Empty: no key needed.",
    )
    cors_origins: CommaSeparated = Field(
        default_factory=list,
        validation_alias="CORS_ORIGINS",
        description="Web origins that may call from a browser, separated by commas; empty: none.",
    )
