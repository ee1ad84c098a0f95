"""`/jobs` and `/models`: what the server is doing, results of background jobs, models loaded by hand."""

import asyncio
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from voice_stack.asr.api.documents import TRANSCRIPT, JobGone, JobList, JobObject
from voice_stack.asr.engine_factory import engine_specs
from voice_stack.asr.jobs.background import BackgroundJobs
from voice_stack.asr.jobs.record import Activity, request_object
from voice_stack.asr.rendering import TRANSCRIPT_FORMATS, render, require_transcript_format, warnings_header
from voice_stack.asr.service import AsrService
from voice_stack.core.errors import ConflictError
from voice_stack.core.http.models import add_model_routes
from voice_stack.core.http.streaming import finish_unless_disconnected


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


def create_jobs_router(jobs: BackgroundJobs, activity: Activity) -> APIRouter:
    """The routes, below the API prefix."""
    router = APIRouter(tags=["jobs"])

    @router.get("/jobs", responses={200: {"model": JobList}})
    async def list_jobs(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, object]:
        """Background jobs and the requests that are waited for, newest first."""
        found = [*_open_requests(activity).values(), *jobs.list(limit + 1)]
        found.sort(key=lambda job: int(str(job["created_at"])), reverse=True)
        return {"object": "list", "data": found[:limit], "has_more": len(found) > limit}

    @router.get("/jobs/{job_id}", responses={200: {"model": JobObject}})
    async def show_job(job_id: str) -> dict[str, object]:
        """How far a job is."""
        return _open_requests(activity).get(job_id) or jobs.describe(job_id)

    @router.get("/jobs/{job_id}/result", response_class=Response, responses=TRANSCRIPT)
    async def show_result(
        job_id: str, response_format: str | None = None, original: bool | None = None, translated: bool = True
    ) -> Response:
        """The result of a completed job, in the format it was sent with or another.

        `translated=false`: what was said, of a job that translates it, also of one that failed to. `original`: whether
        that stands beside the translation, if not as it was sent.
        """
        if response_format is not None:
            require_transcript_format(response_format)
        if activity.find(job_id):
            raise ConflictError(
                f"{job_id} is no background job: its result goes to whoever sent it", code="job_running"
            )
        transcript, checked = await jobs.result(job_id, is_source=not translated)
        name = response_format or checked.response_format
        shown = checked.render if original is None else replace(checked.render, original=original)
        body = await asyncio.to_thread(render, transcript, name, shown)
        headers = warnings_header(transcript.warnings)
        return Response(body, media_type=TRANSCRIPT_FORMATS[name].media_type, headers=headers)

    @router.delete("/jobs/{job_id}", responses={200: {"model": JobObject | JobGone}})
    async def cancel_job(job_id: str) -> dict[str, object]:
        """Cancel a job that is not over; remove one that is."""
        if request := activity.find(job_id):
            request.cancel()
            return {**request_object(request, None), "status": "cancelled"}
        return await jobs.cancel(job_id)

    return router


def _open_requests(activity: Activity) -> dict[str, dict[str, object]]:
    """The objects of all open requests; those that wait are numbered in the order in which they came."""
    requests = activity.requests()
    waiting = [request.id for request in requests if request.transcription.handle.started_at is None]
    places = {job_id: number for number, job_id in enumerate(waiting, start=1)}
    return {request.id: request_object(request, places.get(request.id)) for request in reversed(requests)}
