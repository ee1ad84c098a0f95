"""The captions of a speech that was asked for with `timestamps`."""

import asyncio

from fastapi import APIRouter, Response

from voice_stack.tts.api.documents import CAPTIONS
from voice_stack.tts.captions.formats import require_caption_format
from voice_stack.tts.captions.store import CaptionStore

CAPTIONS_HEADER = "x-captions"
"""Tells where the captions of the speech in the answer are."""


def add_caption_routes(router: APIRouter, store: CaptionStore) -> None:
    """Add the route to a router below the API prefix."""

    @router.get("/audio/speech/{speech_id}/captions", response_class=Response, responses=CAPTIONS)
    async def get_captions(speech_id: str, format: str = "json") -> Response:  # noqa: A002 - its name in the query
        """When each sentence and word of a speech is said; while it is still being spoken: so far."""
        caption_format = require_caption_format(format)
        body = await asyncio.to_thread(caption_format.render, store.find(speech_id))
        return Response(body, media_type=caption_format.media_type)


def captions_path(prefix: str, speech_id: str) -> str:
    """Where the captions of a speech are, below the server's address."""
    return f"{prefix}/audio/speech/{speech_id}/captions"
