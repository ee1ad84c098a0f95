"""Where a language model is: the same fields for each server that asks one."""

import json
from typing import Annotated

from pydantic import BeforeValidator, Field, JsonValue, SecretStr
from pydantic_settings import NoDecode

from voice_stack.core.settings import Address, ServerSettings


def _parse_object(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value or "{}")
    except ValueError as error:
        raise ValueError(f'no JSON object, as {{"reasoning_effort": "none"}}: {error}') from error


JsonObject = Annotated[dict[str, JsonValue], NoDecode, BeforeValidator(_parse_object)]
"""Written as JSON in the environment."""


class LanguageModelSettings(ServerSettings):
    """Part of the settings of the servers that ask a language model."""

    llm_url: Address = Field(
        "",
        description="Address of a language model with OpenAI's API, with its `/v1`: `http://127.0.0.1:11434/v1` for "
        "Ollama, `:8080/v1` for llama.cpp, `:8000/v1` for vLLM, `:1234/v1` for LM Studio. Empty: none, and "
        "what needs one says so; all else works.",
    )
    llm_model: str = Field("", description="Its model; empty: the one that it has, or the first of several.")
    llm_key: SecretStr = Field(SecretStr(""), description="Key for the language model.")
    llm_options: JsonObject = Field(
        default_factory=dict,
        description="Fields sent with every request to it that names them not itself, as a JSON object: "
        '`{"reasoning_effort": "none"}` keeps Ollama\'s models from thinking before they speak.',
    )
