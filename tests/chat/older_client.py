"""The client that users of older voice services have, written again from its description, with aiohttp."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp


class OlderClient:
    """Asks for health, text, speech and voices; anything but a 200 is a RuntimeError."""

    def __init__(self, base_url: str = "http://localhost:8011") -> None:
        self.base_url = base_url.rstrip("/")
        self.session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self.session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self.session
        await self.session.close()

    async def _ask(self, method: str, path: str, **body: Any) -> aiohttp.ClientResponse:
        assert self.session
        answer = await self.session.request(method, f"{self.base_url}{path}", **body)
        if answer.status != 200:
            raise RuntimeError(f"{path} failed: {answer.status} - {await answer.text()}")
        return answer

    async def health_check(self) -> dict[str, Any]:
        return await (await self._ask("GET", "/health")).json()  # type: ignore[no-any-return]

    async def list_voices(self) -> dict[str, Any]:
        return await (await self._ask("GET", "/voices")).json()  # type: ignore[no-any-return]

    async def speech_to_text(self, audio_file_path: str | Path) -> dict[str, Any]:
        name = Path(audio_file_path).name
        with open(audio_file_path, "rb") as audio_file:  # noqa: ASYNC230, PTH123 - as it is
            form = aiohttp.FormData()
            form.add_field("audio_file", audio_file, filename=name, content_type="audio/wav")
            return await (await self._ask("POST", "/voice/stt", data=form)).json()  # type: ignore[no-any-return]

    async def text_to_speech(
        self, text: str, voice_id: str = "default", language: str = "en", output_dir: str | Path = "outputs"
    ) -> dict[str, Any]:
        asked = {"text": text, "voice_id": voice_id, "language": language}
        spoken = await (await self._ask("POST", "/voice/tts", json=asked)).json()
        path = Path(output_dir) / f"{spoken['audio_file_id']}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(await (await self._ask("GET", f"/voice/audio/{spoken['audio_file_id']}")).read())
        return {**spoken, "local_audio_path": str(path)}
