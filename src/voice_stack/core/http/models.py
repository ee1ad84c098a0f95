"""OpenAI's routes for the models that there are, the same on every server that has some."""

from fastapi import APIRouter

from voice_stack.core.models.store import ModelNames


def add_model_routes(router: APIRouter, models: ModelNames) -> None:
    """Add the lists of models and the description of one, whose name may hold slashes."""

    @router.get("/models")
    async def list_models() -> dict[str, object]:
        """The models that work here."""
        return models.list()

    @router.get("/audio/models")
    async def list_audio_models() -> dict[str, object]:
        """The models' names alone, as Open WebUI's settings page asks for them."""
        return {"models": [{"id": name} for name in models.names()]}

    @router.get("/models/{name:path}")
    async def show_model(name: str) -> dict[str, object]:
        """One model."""
        return models.describe(name)
