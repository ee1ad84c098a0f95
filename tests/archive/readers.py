"""A transcriber without sound: what a file holds as text is what is said in it."""

import asyncio
from pathlib import Path

from voice_stack.archive.heard import Heard, Wanted
from voice_stack.archive.manifest import WHOLE, Done, Manifest, Shard
from voice_stack.archive.outputs import FolderOutputs
from voice_stack.archive.sources import Source
from voice_stack.archive.transcribers import ShowProgress, Transcriber
from voice_stack.archive.work import Run, Tally
from voice_stack.asr.transcript import Segment, Transcript
from voice_stack.core.errors import EngineError, InvalidAudioError, VoiceStackError


class Reader(Transcriber):
    """Notes what it was given; `de:` before a text is its language, `bad` is no sound, `broken` fails."""

    def __init__(self, name: str = "reader") -> None:
        self.name = name
        self.heard: list[str] = []
        self.outage: VoiceStackError | None = None
        self.at_once = self.most_at_once = 0

    async def hear(self, path: Path, language: str, show: ShowProgress) -> Heard:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            return self._read(await asyncio.to_thread(path.read_text), language)
        finally:
            self.at_once -= 1

    def _read(self, text: str, language: str) -> Heard:
        if self.outage:
            raise self.outage
        self.heard.append(text)
        if text == "bad":
            raise InvalidAudioError("there is no sound in it")
        if text == "broken":
            raise EngineError("the engine broke")
        spoken, _, said = text.rpartition(":")
        segment = Segment(f" {said}", 0.0, 1.0, (), 0.0, -0.1, 1.0, 0.0)
        return Heard(Transcript("transcribe", language or spoken or "en", 1.0, 1.0, (segment,)))

    async def count_waiting(self) -> int:
        if self.outage:
            raise self.outage
        return max(0, self.at_once - 8)


class Archive:
    """An archive in a folder, worked through as the command does."""

    def __init__(self, folder: Path) -> None:
        self.films, self.out = folder / "films", folder / "out"
        self.reader, self.state = Reader(), folder / "state.sqlite"

    def put(self, name: str, text: str) -> Path:
        path = self.films / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(
        self, *formats: str, source: str = "", again: bool = False, retry: bool = False, shard: Shard = WHOLE
    ) -> list[str]:
        """Work through it; returns what was heard for it."""
        self.reader.heard.clear()
        outputs, wanted = FolderOutputs(self.out), Wanted(formats or ("srt",))
        found = Source(source or str(self.films))
        with Manifest(self.state) as manifest:
            manifest.take_stock(found.items(), wanted.digest, shard=shard, again=again, retry=retry)
            manifest.require_outputs(outputs.has)
            tally = Tally(manifest, lambda _done: None)
            asyncio.run(Run(manifest, outputs, wanted, tally, [self.reader]).work())
            self.ended = {done.key: done for done in manifest.ended("done", "refused", "failed", "waiting")}
        return sorted(self.reader.heard)

    def texts(self) -> list[str]:
        return sorted(str(path.relative_to(self.out)) for path in self.out.rglob("*") if path.is_file())

    def __getitem__(self, key: str) -> Done:
        return self.ended[key]
