"""Settings of the Voice server: where the others are, and what a conversation is like that says nothing else."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from voice_stack.core.settings import Address, PortList, user_folder
from voice_stack.language_model.settings import LanguageModelSettings

INSTRUCTIONS = (
    "You are talking with somebody who hears your answer spoken. Answer in one to three short sentences of plain text, "
    "in the language you are spoken to: no Markdown, no lists, no emoji, no links. Write numbers as one says them."
)


CacheMode = Literal["exact", "query", "off"]
"""What makes a question the same as one that was answered."""


class ChatSettings(LanguageModelSettings):
    """Settings of the Voice server."""

    model_config = SettingsConfigDict(env_prefix="CHAT_")

    port: int = Field(5003, ge=0, le=65535, description="Port to listen on.")
    voice_ports: PortList = Field(
        default_factory=list,
        validation_alias="VOICE_PORTS",
        description="Further ports to listen on, separated by commas: `8011,8001` for clients of older voice services.",
    )
    asr_url: Address = Field("http://127.0.0.1:5001", description="Address of the ASR server, with or without `/v1`.")
    tts_url: Address = Field("http://127.0.0.1:5002", description="Address of the TTS server, with or without `/v1`.")
    asr_key: SecretStr = Field(
        SecretStr(""), description="Key for the ASR server; empty: the one that the caller has sent."
    )
    tts_key: SecretStr = Field(
        SecretStr(""), description="Key for the TTS server; empty: the one that the caller has sent."
    )
    voice: str = Field("alloy", description="Voice of conversations that name none.")
    instructions: str = Field(
        INSTRUCTIONS, description="What the language model is told first in conversations that say nothing else."
    )
    reasoning_opens: bool = Field(
        False,
        description="The model writes its thoughts first and only their closing tag, as DeepSeek-R1 does: what comes "
        "before that is not spoken.",
    )
    db: Path = Field(
        default_factory=lambda: user_folder("STATE") / "chat" / "conversations.db",
        description="SQLite file of the conversations.",
    )
    keep_days: int = Field(0, ge=0, description="Days after which a conversation is deleted; 0: it is kept.")
    cache: CacheMode = Field(
        "exact",
        description="Replies kept for half an hour: `exact`: to the same words after the same conversation; `query`: "
        "to the same words, whatever was said before, for kiosks; `off`.",
    )

    @field_validator("voice_ports")
    @classmethod
    def _need_address(cls, ports: list[int], info: ValidationInfo) -> list[int]:
        if ports and info.data.get("socket"):
            raise ValueError("ports belong to an address, and with CHAT_SOCKET the server listens on none")
        return ports

    @property
    def further_ports(self) -> list[int]:
        """Each once, and none that is `port`."""
        return [port for port in dict.fromkeys(self.voice_ports) if port != self.port]

    def split_address(self, address: str) -> tuple[str, str]:
        """What stands before the routes of another server that have no prefix, and the prefix of the others.

        `http://HOST:5001/v1` -> (`http://HOST:5001`, `/v1`); an address that ends with neither `/v1` nor our own prefix
        is one of a server with the same settings.
        """
        for prefix in filter(None, (self.api_v1_str, "/v1")):
            if address.endswith(prefix):
                return address.removesuffix(prefix), prefix
        return address, self.api_v1_str
