"""Checks of `voice-stack doctor` that ask other servers, and what a check is."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2

from voice_stack.chat.settings import ChatSettings
from voice_stack.cli.servers import SERVERS
from voice_stack.core.errors import ConfigurationError, KeyRefusedError, ProviderAuthError, VoiceStackError
from voice_stack.core.provider import Provider, providers_of
from voice_stack.core.provider import check_providers as require_providers
from voice_stack.core.provider_client import ProviderClient, Question
from voice_stack.core.settings import EngineSettings, ServerSettings
from voice_stack.core.shared.state import SharedState, hide_password
from voice_stack.core.system.addresses import HostName
from voice_stack.core.system.objects import ObjectStore
from voice_stack.language_model.settings import LanguageModelSettings
from voice_stack.tts.settings import TtsSettings


@dataclass(frozen=True)
class Check:
    """One row of the report.

    Args:
        status: `FAIL` keeps a server from working, `WARN` does not.
        remedy: The command or step that mends it; empty where nothing needs mending.
    """

    status: Literal["OK", "WARN", "FAIL"]
    name: str
    detail: str
    remedy: str = ""


ASK_TIMEOUT_S = 3.0
USUAL_MODELS = {"Ollama": 11434, "llama.cpp": 8080, "vLLM": 8000, "LM Studio": 1234}
"""Servers of language models, and the port of each."""
WANTS_KEY, REFUSES_KEY = "wants a key", "refuses the key"


@dataclass(frozen=True, slots=True)
class Found:
    """What a server with OpenAI's API says of its models; `problem` where it does not."""

    models: Sequence[str] = ()
    problem: str = ""


def ask_models(address: str, key: str = "") -> Found:
    """Ask a server, whose address ends with its prefix."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    host = HostName.parse(urlsplit(address).hostname or "")
    # A proxy of the environment is for the way out, not for this house.
    is_outside = host is not None and not host.is_private
    try:
        answer = httpx2.get(f"{address}/models", headers=headers, timeout=ASK_TIMEOUT_S, trust_env=is_outside)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return Found(problem=f"does not answer: {error}")
    if answer.status_code in {httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN}:
        return Found(problem=REFUSES_KEY if key else WANTS_KEY)
    try:
        return Found([str(model["id"]) for model in answer.raise_for_status().json()["data"]])
    except (httpx2.HTTPStatusError, ValueError, KeyError, TypeError):
        return Found(problem=f"lists no models: GET /models answers {answer.status_code}")


_PROOFS = {"openai": "/models", "elevenlabs": "/v1/models", "deepgram": "/v1/projects"}
"""What each provider shows to whom it knows, and to nobody else."""


def check_providers(settings: EngineSettings) -> Iterator[Check]:
    """Whether the providers that may be used answer, and know our key; nothing is sent that was said or written."""
    row = settings.env_name("providers")
    try:
        require_providers(settings)
    except ConfigurationError as error:
        yield Check("FAIL", row, error.message, "docs/providers.md shows how it is written")
        return
    for provider in providers_of(settings):
        yield _check_provider(f"{row}: {provider.name}", provider)


def _check_provider(row: str, provider: Provider) -> Check:

    async def ask() -> None:
        client = ProviderClient(provider)
        try:
            async with asyncio.timeout(2 * ASK_TIMEOUT_S):
                await client.fetch(Question(_PROOFS[provider.name], answer_timeout_s=ASK_TIMEOUT_S))
        finally:
            await client.close()

    try:
        asyncio.run(ask())
    except ProviderAuthError as error:
        return Check("WARN", row, error.message, f"{provider.variable('key')}=...")
    except (TimeoutError, VoiceStackError) as error:
        detail = error.message if isinstance(error, VoiceStackError) else f"{provider.url} does not answer"
        return Check("WARN", row, detail, f"{provider.variable('url')}=... with an address that answers")
    return Check("OK", row, f"{provider.url} answers, and knows the key: what is asked there leaves this machine")


def check_object_stores(settings: TtsSettings) -> Iterator[Check]:
    """Whether what replicas share can be written, read, listed and deleted."""
    for field in ("cache_url", "voice_url"):
        if url := str(getattr(settings, field)):
            yield _check_object_store(f"{settings.env_name(field)}={url}", url)


def _check_object_store(row: str, url: str) -> Check:
    probe = f".doctor-{uuid4().hex}"
    try:
        store = ObjectStore.open(url, read_s=ASK_TIMEOUT_S, write_s=2 * ASK_TIMEOUT_S)
        store.put(probe, b"by voice-stack doctor", only_new=True)
        store.read(probe, 100)
        next(store.list(), None)
        store.delete(probe)
    except ConfigurationError as error:
        return Check("FAIL", row, error.message, "docs/guides/shared-storage.md has what it takes")
    except KeyRefusedError as error:
        remedy = "AWS_ACCESS_KEY_ID=... and AWS_SECRET_ACCESS_KEY=... of who may read, write, list and delete there"
        return Check("WARN", row, error.message, remedy)
    except VoiceStackError as error:
        return Check("WARN", row, error.message, "AWS_ENDPOINT_URL=..., AWS_REGION=..., and a bucket that is there")
    return Check("OK", row, "can be written and read")


def check_speech_servers(settings: ChatSettings) -> Iterator[Check]:
    """Whether those answer that the Voice server sends sound and text to."""
    for name in SERVERS["chat"].asks:
        variable, address = f"CHAT_{name.upper()}_URL", str(getattr(settings, f"{name}_url"))
        key: str = getattr(settings, f"{name}_key").get_secret_value()
        found, row = ask_models("".join(settings.split_address(address)), key), f"{variable}={address}"
        if not found.problem:
            yield Check("OK", row, "answers")
        elif found.problem == WANTS_KEY:
            yield Check("OK", row, "answers, and wants a key: that of each caller is passed on")
        elif found.problem == REFUSES_KEY:
            yield Check("WARN", row, found.problem, f"CHAT_{name.upper()}_KEY=...")
        elif f"{name}_url" not in settings.model_fields_set:
            yield Check("OK", row, "nobody answers there now; `voice-stack up` starts it, wherever it listens")
        else:
            yield Check("WARN", row, found.problem, f"{variable}=... with an address that answers")


def check_shared(settings: ServerSettings) -> Check:
    """Whether what replicas share can be reached, written, and keeps within bounds; all else works without."""
    url = settings.shared_url.get_secret_value()
    if not url:
        return Check("OK", "SHARED_URL", "empty: each replica keeps to itself")
    row = f"SHARED_URL={hide_password(url)}"
    try:
        reply = asyncio.run(_look_at_shared(settings))
    except ConfigurationError as error:
        return Check("FAIL", row, error.message, "docs/guides/replicas.md says what it needs")
    if isinstance(reply, str):
        remedy = "SHARED_URL=... with an address that answers, and with the password if it has one"
        return Check("WARN", row, f"{reply}; until then each replica keeps to itself", remedy)
    bound, policy = reply.get("maxmemory", "?"), reply.get("maxmemory_policy", "?")
    detail = f"answers, and takes entries; maxmemory {bound}, {policy}"
    if policy == "noeviction" and bound != 0:
        return Check("WARN", row, detail, "CONFIG SET maxmemory-policy allkeys-lru: when it is full old entries go")
    return Check("OK", row, detail)


async def _look_at_shared(settings: ServerSettings) -> Mapping[str, object] | str:
    """What it tells of its memory; or why it cannot be used."""
    shared = SharedState(settings.shared_url, "doctor")
    try:
        await shared.ask("SET", shared.name("doctor", ""), b"1", "PX", 1000)
        await shared.ask("EVAL", "return 1", 0)
        told = await shared.ask("INFO", "memory")
        return shared.describe()["reason"] or (told if isinstance(told, dict) else {})
    finally:
        await shared.close()


def check_language_model(settings: LanguageModelSettings) -> Check:
    """Whether conversations, or translations, have a language model; all else works without."""
    address, name = settings.llm_url, settings.llm_model
    at, key, called = (settings.env_name(field) for field in ("llm_url", "llm_key", "llm_model"))
    if not address:
        usual = {program: f"http://127.0.0.1:{port}/v1" for program, port in USUAL_MODELS.items()}
        here = {program: url for program, url in usual.items() if ask_models(url).models}
        addresses = ", ".join(f"{url} ({program})" for program, url in (here or usual).items())
        found = f"none is set, but {' and '.join(here)} runs here" if here else "none: conversations are refused"
        return Check("WARN", at, found, f"{at}=... with its address: {addresses}")
    row = f"{at}={address}"
    base = address if urlsplit(address).path else f"{address}/v1"
    answer = ask_models(base, settings.llm_key.get_secret_value())
    if answer.problem:
        is_locked = answer.problem in {WANTS_KEY, REFUSES_KEY}
        remedy = f"{key}=..." if is_locked else f"start it, or {at}=... with its `/v1`"
        return Check("WARN", row, answer.problem, remedy)
    names = ", ".join(answer.models[:5]) + (", ..." if len(answer.models) > 5 else "")
    if name and name not in answer.models:
        detail = f"does not list {called}={name}; it has {names or 'none'}"
        return Check("WARN", row, detail, f"{called}=... with one of those, or load it there")
    if not answer.models:
        return Check("WARN", row, "has no model", "load one there (Ollama: `ollama pull NAME`)")
    return Check("OK", row, f"answers; the model is {name or answer.models[0]}, of {names}")
