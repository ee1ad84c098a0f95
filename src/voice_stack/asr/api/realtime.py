"""OpenAI's Realtime: words while they are spoken, over a WebSocket; and short-lived keys for browsers."""

import asyncio
import time

from fastapi import APIRouter, Request, Response, WebSocket

from voice_stack.asr.api.documents import TRANSCRIPT
from voice_stack.asr.api.live import LiveSockets
from voice_stack.asr.jobs.sessions import SessionTranscripts
from voice_stack.asr.live.session import RealtimeSession
from voice_stack.asr.live.turns import LiveRequest
from voice_stack.asr.live.wire import ModelChoice, SessionSettings, grant, grant_flat
from voice_stack.asr.rendering import RenderOptions, render, require_transcript_format, warnings_header
from voice_stack.core.errors import UnsupportedValueError
from voice_stack.core.http.realtime import ClientSecretBody, ClientSecretObject, ClientSecrets
from voice_stack.core.http.uploads import receive_object

LIVE_MODELS = frozenset({"gpt-live-transcribe", "gpt-realtime-whisper"})
"""OpenAI's models that do nothing but transcribe live: here the default model."""


def create_realtime_router(sockets: LiveSockets, sessions: SessionTranscripts, secrets: ClientSecrets) -> APIRouter:
    """The routes, below the API prefix."""
    router, choice = APIRouter(tags=["realtime"]), sockets.choice

    @router.websocket("/realtime")
    async def realtime(websocket: WebSocket) -> None:
        session = _open_session(websocket, choice, sockets.base, sessions.replica)
        await sockets.serve(websocket, session, is_kept=True)

    body = {"requestBody": {"content": {"application/json": {"schema": ClientSecretBody.model_json_schema()}}}}

    @router.post("/realtime/client_secrets", openapi_extra=body, responses={200: {"model": ClientSecretObject}})
    async def create_client_secret(request: Request) -> dict[str, object]:
        """A short-lived key for a browser, and the session that begins with it."""
        granted = grant(choice, await receive_object(request), time.time(), _key_id(request))
        await secrets.share(granted)
        return granted

    @router.post("/realtime/transcription_sessions", include_in_schema=False)
    @router.post("/realtime/sessions", include_in_schema=False)
    async def create_session(request: Request) -> dict[str, object]:
        body = await receive_object(request)
        _require_transcription(choice, body.get("model"))
        granted = grant_flat(choice, body, time.time(), _key_id(request))
        secret = granted["client_secret"]
        assert isinstance(secret, dict)
        await secrets.share(secret)
        return granted

    @router.get("/realtime/sessions/{session_id}/transcript", response_class=Response, responses=TRANSCRIPT)
    async def show_transcript(session_id: str, response_format: str = "json") -> Response:
        """What a session has heard, or what of it is final so far."""
        media_type = require_transcript_format(response_format).media_type
        transcript = await sessions.transcript(session_id)
        options = RenderOptions(granularities=frozenset({"segment", "word"} if transcript.words else ()))
        body = await asyncio.to_thread(render, transcript, response_format, options)
        return Response(body, media_type=media_type, headers=warnings_header(transcript.warnings))

    @router.delete("/realtime/sessions/{session_id}/transcript")
    async def forget_transcript(session_id: str) -> dict[str, object]:
        """Forget what a session heard; of one that goes on nothing more is kept."""
        await sessions.remove(session_id)
        return {"id": session_id, "object": "realtime.session.transcript", "deleted": True}

    return router


def _key_id(request: Request) -> str:
    return str(getattr(getattr(request.state, "api_key", None), "id", ""))


def _open_session(websocket: WebSocket, choice: ModelChoice, base: LiveRequest, replica: str) -> RealtimeSession:
    """The session that a URL and a key ask for.

    Raises:
        UnsupportedValueError: They ask for another kind of session.
        ModelNotFoundError: The model is none that transcribes here.
    """
    query, headers, now_s = websocket.query_params, websocket.headers, time.time()
    if "call_id" in query or query.get("intent") not in {None, "", "transcription"}:
        message = "Only transcription sessions are held here: connect with intent=transcription."
        raise UnsupportedValueError(message, param="call_id" if "call_id" in query else "intent")
    secret = websocket.scope["state"].get("client_secret")
    if not query.get("intent") and not secret:
        _require_transcription(choice, query.get("model"))
    named = {"input_audio_transcription": {"model": query["model"]}} if query.get("model") else {}
    settings = SessionSettings().changed(secret or {}).changed(named)
    is_beta = "realtime=v1" in headers.get("openai-beta", "")
    return RealtimeSession(choice, base, settings, now_s, is_beta=is_beta, replica=replica)


def _require_transcription(choice: ModelChoice, model: object) -> None:
    """Raise `ModelNotFoundError` for the name of a model that holds conversations, or of none."""
    if isinstance(model, str) and model and model not in LIVE_MODELS:
        choice.resolve(model)
