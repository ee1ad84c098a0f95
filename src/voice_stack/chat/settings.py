"""Settings of the Voice server: where the others are, and what a conversation is like that says nothing else."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from voice_stack.core.settings import ServerSettings, user_folder

INSTRUCTIONS = (
    "You are talking with somebody who hears your answer spoken. Answer in one to three short sentences of plain text, "
    "in the language you are spoken to: no Markdown, no lists, no emoji, no links. Write numbers as one says them."
)


def _check_address(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError("an address is http://HOST:PORT or https://HOST:PORT, with a path if there is one")
    return url.rstrip("/")


Address = Annotated[str, AfterValidator(_check_address)]


class ChatSettings(ServerSettings):
    """Settings of the Voice server."""

    model_config = SettingsConfigDict(env_prefix="CHAT_")

    port: int = Field(5003, ge=0, le=65535, description="Port to listen on.")
    asr_url: Address = Field("http://127.0.0.1:5001", description="Address of the ASR server, with or without `/v1`.")
    tts_url: Address = Field("http://127.0.0.1:5002", description="Address of the TTS server, with or without `/v1`.")
    llm_url: Address = Field(
        "",
        description="Address of a language model with OpenAI's API, with its `/v1`: `http://127.0.0.1:11434/v1` for "
        "Ollama, `:8080/v1` for llama.cpp, `:8000/v1` for vLLM, `:1234/v1` for LM Studio. Empty: none, and "
        "conversations say so; all else works.",
    )
    llm_model: str = Field("", description="Its model; empty: the one that it has, or the first of several.")
    llm_key: SecretStr = Field(SecretStr(""), description="Key for the language model.")
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
    cache: Literal["exact", "query", "off"] = Field(
        "exact",
        description="Replies kept for half an hour: `exact`: to the same words after the same conversation; `query`: "
        "to the same words, whatever was said before, for kiosks; `off`.",
    )
