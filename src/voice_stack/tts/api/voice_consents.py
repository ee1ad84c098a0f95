"""OpenAI's routes for the consents of speakers."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.http.api_docs import json_docs
from voice_stack.core.http.form import check_fields
from voice_stack.core.http.uploads import receive_object
from voice_stack.tts.api.documents import ConsentObject, ConsentPage, Deleted
from voice_stack.tts.api.recordings import form_docs, listen, receive_recording
from voice_stack.tts.service import TtsService
from voice_stack.tts.voices.recordings import ConsentChanges, ConsentForm, ConsentRecord

FILE_FIELD = "recording"


def create_consents_router(service: TtsService) -> APIRouter:
    """The routes, below the API prefix."""
    router = APIRouter(tags=["voices"], dependencies=[Depends(service.mirror.refresh)])
    uploads = service.uploads

    @router.post(
        "/audio/voice_consents",
        openapi_extra=form_docs(ConsentForm, FILE_FIELD),
        responses={200: {"model": ConsentObject}},
    )
    async def create_consent(request: Request) -> dict[str, object]:
        """Keep a recording in which a speaker agrees to be cloned."""
        async with receive_recording(request, service.settings, FILE_FIELD) as received:
            form = check_fields(ConsentForm, received.fields)
            file = received.require_file(FILE_FIELD)
            return _describe(*await listen(uploads.add_consent, file, form.name, form.language))

    @router.get("/audio/voice_consents", responses={200: {"model": ConsentPage}})
    async def list_consents(
        after: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 20
    ) -> dict[str, object]:
        """The consents, newest first, page by page."""
        found = [_describe(*item) for item in await asyncio.to_thread(uploads.consents)]
        return _cut_page(found, after, limit)

    @router.get("/audio/voice_consents/{consent_id}", responses={200: {"model": ConsentObject}})
    async def show_consent(consent_id: str) -> dict[str, object]:
        """One consent."""
        return _describe(consent_id, await asyncio.to_thread(uploads.consent, consent_id))

    @router.post(
        "/audio/voice_consents/{consent_id}",
        openapi_extra=json_docs(ConsentChanges),
        responses={200: {"model": ConsentObject}},
    )
    async def rename_consent(request: Request, consent_id: str) -> dict[str, object]:
        """Change its label."""
        name = check_fields(ConsentChanges, await receive_object(request)).name
        return _describe(consent_id, await asyncio.to_thread(uploads.rename_consent, consent_id, name))

    @router.delete("/audio/voice_consents/{consent_id}", responses={200: {"model": Deleted}})
    async def delete_consent(consent_id: str) -> dict[str, object]:
        """Delete a consent; voices that name it stay."""
        await asyncio.to_thread(uploads.remove_consent, consent_id)
        return {"id": consent_id, "object": "audio.voice_consent", "deleted": True}

    return router


def _cut_page(found: Sequence[Mapping[str, object]], after: str | None, limit: int) -> dict[str, object]:
    ids = [consent["id"] for consent in found]
    if after is not None and after not in ids:
        raise InvalidRequestError(f"after={after[:100]!r}: there is no such consent", param="after")
    start = 0 if after is None else ids.index(after) + 1
    page = found[start : start + limit]
    first_id, last_id = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    has_more = start + limit < len(found)
    return {"object": "list", "data": page, "first_id": first_id, "last_id": last_id, "has_more": has_more}


def _describe(consent_id: str, record: ConsentRecord) -> dict[str, object]:
    return {"id": consent_id, "object": "audio.voice_consent", **record.model_dump()}
