"""Weights with a licence of their own: nothing is fetched or started before the operator accepted it."""

import pytest

from cli.commands import assert_one_line, run

TERMS = ("Coqui Public Model License", "no commercial use", "https://huggingface.co/", "TTS_ACCEPT_CPML=true")


def test_a_server_on_xtts_does_not_start(environment: dict[str, str]) -> None:
    assert_one_line(run(environment, "tts", "--engine", "xtts", "--model", "xtts_v2"), *TERMS)


def test_the_weights_are_not_fetched(environment: dict[str, str]) -> None:
    assert_one_line(run(environment, "models", "pull", "xtts_v2"), *TERMS)


@pytest.mark.parametrize("acceptance", [{"TTS_ACCEPT_CPML": "true"}, {"COQUI_TOS_AGREED": "1"}])
def test_once_accepted_only_the_network_is_missing(acceptance: dict[str, str], environment: dict[str, str]) -> None:
    result = run({**environment, **acceptance, "OFFLINE": "true"}, "models", "pull", "xtts_v2")
    assert result.returncode == 1
    assert "coqui/XTTS-v2: OFFLINE=true" in result.stderr
    assert "License" not in result.stderr
