"""Requests made up from the OpenAPI documents: no failure of the server, and every answer as the document says."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from chaos.dose import Dose
from chaos.footprint import await_idle
from chaos.listening import FAKE_ASR
from chaos.speaking import FAKE_TTS
from running_server import RunningServer

Operation = schemathesis.APIOperation[Any, Any, Any, Any]
StartServer = Callable[..., AbstractContextManager[RunningServer]]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SEED = 6
REQUEST_TIMEOUT_S = 30


@pytest.fixture(scope="module")
def asr(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server("asr", **FAKE_ASR) as server:
        yield server


@pytest.fixture(scope="module")
def tts(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with start_server("tts", **FAKE_TTS, TTS_VOICE_DIR=str(tmp_path_factory.mktemp("voices"))) as server:
        yield server


def _try_out(operation: Operation, examples: int) -> None:
    """Send made-up requests until one is answered as the document does not say."""

    # No phase that makes a failing request smaller: each step would be as slow as the request.
    @seed(SEED)
    @settings(
        max_examples=examples, deadline=None, phases=[Phase.explicit, Phase.generate], database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def send(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(checks=CHECKS, timeout=REQUEST_TIMEOUT_S)

    send()


def _find_failures(server: RunningServer, examples: int) -> dict[str, str]:
    """What is wrong with each operation."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    failures: dict[str, str] = {}
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        try:
            _try_out(operation, examples)
        except (Failure, FailureGroup) as error:
            found = error.exceptions if isinstance(error, FailureGroup) else [error]
            failures[operation.label] = "\n".join(str(one)[:1500] for one in found)
    return failures


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["asr", "tts"])
def test_answers_are_as_documented(kind: str, asr: RunningServer, tts: RunningServer, dose: Dose) -> None:
    server = {"asr": asr, "tts": tts}[kind]
    failures = _find_failures(server, dose.schema_examples)
    assert failures == {}, "\n\n".join(f"{label}\n{told}" for label, told in failures.items())
    await_idle(server)
    assert "Traceback (most" not in server.log.read_text()
