"""OpenAI's model objects, and which names stand for a server's default model."""

from collections.abc import Iterable

from voice_stack.core.errors import ModelNotFoundError
from voice_stack.core.model_store import ModelStore

# Start of the year in which the list was written; a local model has no date of its own.
CREATED = 1_735_689_600


def describe_model(name: str) -> dict[str, object]:
    """One entry of `GET /models`."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "voice-stack"}


class ModelNames:
    """The names a server answers to.

    Args:
        store: Where models are.
        default: The model that OpenAI's names stand for.
        aliases: OpenAI's names.
    """

    def __init__(self, store: ModelStore, default: str, aliases: Iterable[str]) -> None:
        self._store = store
        self.default = default
        self._aliases = tuple(aliases)

    def names(self) -> list[str]:
        """Every name that works at once: OpenAI's, the default, and the models on this machine."""
        local = [spec.name for spec in self._store.catalogue.models if self._store.is_local(spec.name)]
        return list(dict.fromkeys([*self._aliases, self.default, *local]))

    def expand(self, name: str) -> str:
        """The default model for one of OpenAI's names; any other name as it is."""
        return self.default if name in self._aliases else name

    def resolve(self, name: str) -> str:
        """The model behind a name.

        Raises:
            ModelNotFoundError: No model on this machine has that name.
        """
        name = self.expand(name)
        if name == self.default:
            return name
        spec = self._store.find(name)
        if spec is not None and self._store.is_local(name):
            return spec.name
        raise ModelNotFoundError(
            f"The model `{name}` does not exist or you do not have access to it. Models here: {', '.join(self.names())}"
        )

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
