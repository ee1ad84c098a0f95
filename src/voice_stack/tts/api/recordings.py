"""How recordings arrive: a form with one file, bounded, on disk while it is worked on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from fastapi import Request
from pydantic import BaseModel

from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.http.uploads import receive_form
from voice_stack.tts.settings import TtsSettings

MAX_FIELDS_BYTES = 65_536
MAX_VOICE_BYTES = 10 << 20
"""Ten minutes of speech even as MP3; a voice is made of less than half a minute."""
_LISTENERS = ThreadPoolExecutor(2, thread_name_prefix="recordings")
"""A crowd of uploads leaves the threads of everybody else, such as those that encode speech, alone."""
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReceivedRecording:
    """A form: its fields, and where its file lies; None if none was sent."""

    fields: dict[str, str]
    file: Path | None

    def require_file(self, field: str) -> Path:
        """The file.

        Raises:
            InvalidRequestError: None was sent.
        """
        if self.file is None:
            raise InvalidRequestError(f"you must provide {field!r}, a recording as a file", param=field)
        return self.file


@asynccontextmanager
async def receive_recording(request: Request, settings: TtsSettings, field: str) -> AsyncIterator[ReceivedRecording]:
    """Receive a form with a recording; its file lies on disk until the context ends. Empty fields count as absent.

    Raises:
        PayloadTooLargeError: It is larger than `MAX_VOICE_BYTES`.
        InvalidRequestError: It is no complete form.
        StorageFullError: The disk has no room for it.
        ClientDisconnect: The client went away before the end.
    """
    max_bytes = MAX_VOICE_BYTES + MAX_FIELDS_BYTES
    async with receive_form(request, file_field=field, max_bytes=max_bytes, spool_dir=settings.spool_dir) as form:
        fields = {name: values[-1] for name, values in form.fields.items() if values[-1] != ""}
        yield ReceivedRecording(fields, form.file.path if form.file else None)


async def listen(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run work on a recording in one of two threads that do nothing else."""
    return await asyncio.get_running_loop().run_in_executor(_LISTENERS, partial(work, *args, **kwargs))


def form_docs(schema: type[BaseModel], field: str) -> dict[str, Any]:
    """A form with a file for the API docs."""
    fields = schema.model_json_schema()
    fields["properties"][field] = {"type": "string", "format": "binary", "description": "The recording."}
    fields["required"] = [field, *fields.get("required", [])]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": fields}}}}
