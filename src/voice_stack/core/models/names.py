"""OpenAI's model objects, and which names stand for a server's default model."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from voice_stack.core.errors import ModelNotFoundError
from voice_stack.core.models.files import ModelSpec
from voice_stack.core.models.store import ModelStore

# Start of the year in which the list was written; a local model has no date of its own.
CREATED = 1_735_689_600
_MAX_SHOWN = 200  # characters of an unknown name that an error message repeats


def _is_pattern(name: str) -> bool:
    return any(mark in name for mark in "*?[")


def describe_model(name: str) -> dict[str, object]:
    """One entry of `GET /models`."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "voice-stack"}


class ModelNames:
    """The names a server answers to.

    Args:
        store: Where models are.
        default: The model that OpenAI's names stand for.
        aliases: OpenAI's names.
        allowed: Names and patterns (`Systran/*`) of the other models that requests may name, fetched when they are
            first used; empty: the models on this machine.
    """

    def __init__(self, store: ModelStore, default: str, aliases: Iterable[str], allowed: Iterable[str] = ()) -> None:
        self._store = store
        self.default = default
        self._aliases = tuple(aliases)
        self._allowed = tuple(allowed)

    def names(self) -> list[str]:
        """Every name that works: OpenAI's, the default, and the models that are here or allowed, by all their names."""
        known = [spec.name for spec in self._store.catalogue.models]
        named = [name for name in self._allowed if not _is_pattern(name)]
        usable = [spec for name in [*known, *named] if (spec := self._find_usable(name))]
        ids = [name for spec in usable for name in (spec.name, *spec.aliases)]
        return list(dict.fromkeys([*self._aliases, self.default, *ids]))

    def expand(self, name: str) -> str:
        """The default model for one of OpenAI's names; any other name as it is."""
        return self.default if name in self._aliases else name

    def resolve(self, name: str) -> str:
        """The model behind a name.

        Raises:
            ModelNotFoundError: No model that may be used here has that name.
        """
        name = self.expand(name)
        if name == self.default:
            return name
        if spec := self._find_usable(name):
            return spec.name
        raise ModelNotFoundError(
            f"The model `{name[:_MAX_SHOWN]}` does not exist or you do not have access to it. "
            f"Models here: {', '.join(self.names())}"
        )

    def _find_usable(self, name: str) -> ModelSpec | None:
        """The model of that name if it is allowed, and here or to be had."""
        spec = self._store.find(name)
        if spec is None:
            return None
        spellings = {name, spec.name, *spec.aliases, spec.hub_repo or spec.name}
        is_allowed = any(fnmatchcase(spelling, pattern) for spelling in spellings for pattern in self._allowed)
        can_fetch = is_allowed and self._store.can_fetch(spec)
        is_usable = (is_allowed or not self._allowed) and (can_fetch or self._store.is_local(name))
        return spec if is_usable else None

    def list(self) -> dict[str, object]:
        """The body of `GET /models`."""
        return {"object": "list", "data": [describe_model(name) for name in self.names()]}

    def describe(self, name: str) -> dict[str, object]:
        """The body of `GET /models/{id}`.

        Raises:
            ModelNotFoundError: No model has that name.
        """
        self.resolve(name)
        return describe_model(name)
