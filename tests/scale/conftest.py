"""Eight replicas and the balancers before them, started once; `SCALE=long` gives everything more time."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from scale.balancers import COMMANDS, Balancer, run_balancer
from scale.network import Lan, run_lan
from scale.replicas import Replica
from scale.store import Store

REPLICAS, CLIENTS = 8, 48
IS_LONG = os.environ.get("SCALE") == "long"


@pytest.fixture(scope="session")
def lan() -> Iterator[Lan]:
    """The network."""
    with run_lan() as lan:
        yield lan


@pytest.fixture(scope="session")
def addresses(lan: Lan) -> list[str]:
    """Where the clients come from."""
    return lan.add_home_addresses(CLIENTS)


@pytest.fixture(scope="session")
def store(lan: Lan) -> Store:
    """What the replicas share."""
    return Store(lan)


@pytest.fixture(scope="session")
def replicas(lan: Lan, store: Store, tmp_path_factory: pytest.TempPathFactory) -> list[Replica]:
    """All of them, ready."""
    folder = tmp_path_factory.mktemp("replicas")
    replicas = [Replica(lan, number, folder) for number in range(REPLICAS)]
    for replica in replicas:
        replica.start()
    for replica in replicas:
        replica.wait_until_ready()
    with ThreadPoolExecutor() as threads:
        list(threads.map(Replica.warm_up, replicas))
    return replicas


@pytest.fixture(scope="session")
def balancers(lan: Lan, replicas: list[Replica], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Balancer]]:
    """nginx, Envoy and Traefik."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(run_balancer(name, lan, tmp_path_factory.mktemp(name), len(replicas)))
            for name in COMMANDS
        ]
