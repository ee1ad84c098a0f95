"""What a path needs: nothing, a key, a key with a certain scope; or whether it is closed to all."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from voice_stack.core.access.networks import NOBODY, Networks
from voice_stack.core.keys import Scope
from voice_stack.core.middleware import HEALTH_PATHS, is_docs
from voice_stack.core.settings import CoreSettings

Access = Literal["open", "key", "closed"]
_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Gate:
    """What a request has to bring.

    Attributes:
        access: `key` only counts where there are keys.
        scope: Scope that the key needs; None: a key of any scope will do.
    """

    access: Access
    scope: Scope | None = None


@dataclass(frozen=True, slots=True)
class Exemption:
    """Paths that need no key when they are asked for from certain networks."""

    paths: Collection[str] = ()
    networks: Networks = NOBODY

    def holds(self, path: str, client: str | None) -> bool:
        """Whether a client may ask for a path without a key."""
        return path in self.paths and self.networks.holds(client)


NO_EXEMPTION = Exemption()


class AccessRules:
    """The rules of one server.

    Args:
        settings: Its settings.
        server: Its name, which is also the scope of its work.
    """

    def __init__(self, settings: CoreSettings, server: Scope) -> None:
        prefix = settings.api_v1_str
        self._work = Gate("key", server)
        self._docs = Gate(settings.docs_access)
        self._admin = Gate(settings.admin_access, "admin")
        self._models = f"{prefix}/models/"
        metrics, status, anybody = Gate(settings.metrics_access, "admin"), self._admin, Gate("key")
        self._by_path = {
            **dict.fromkeys(HEALTH_PATHS, Gate("open")),
            "/metrics": metrics,
            **dict.fromkeys(("/status", f"{prefix}/status", f"{prefix}/bazarr/status"), status),
            **dict.fromkeys(("", f"{prefix}/models", f"{prefix}/audio/models"), anybody),
        }

    def find(self, method: str, path: str) -> Gate:
        """The gate before a path; `path` is without the prefix of a proxy."""
        if is_docs(path):
            return self._docs
        if path.startswith(self._models):
            return Gate("key") if method in _READING else self._admin
        return self._by_path.get(path.rstrip("/"), self._work)
