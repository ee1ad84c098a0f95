"""Routes for models: which there are, and loading and unloading them by hand."""

from fastapi import APIRouter, Request

from voice_stack.asr.engine_factory import engine_specs
from voice_stack.asr.service import AsrService
from voice_stack.core.disconnect import finish_unless_disconnected
from voice_stack.core.model_routes import add_model_routes


def create_models_router(service: AsrService) -> APIRouter:
    """The routes, below the API prefix. A name may hold slashes, plain or as `%2F`."""
    router = APIRouter(tags=["models"])

    add_model_routes(router, service.models)

    @router.post("/models/{name:path}")
    async def load_model(request: Request, name: str) -> dict[str, object]:
        """Load a model now; answers when it is ready."""
        replicas = engine_specs(service.settings, service.models.resolve(name))
        await finish_unless_disconnected(request, service.pool.load_now(replicas))
        return service.models.describe(name)

    @router.delete("/models/{name:path}")
    async def unload_model(name: str) -> dict[str, object]:
        """Give a model's memory back; its files stay, and the next request loads it again. 409 while it works."""
        await service.pool.unload(engine_specs(service.settings, service.models.resolve(name)))
        return {"id": name, "object": "model", "deleted": True}

    return router
