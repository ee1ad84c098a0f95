"""The folder of kept speech, what makes two speeches the same, and what a request says of it."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from voice_stack.core.http.context import CacheUse, cache_use
from voice_stack.tts.cache.entry import EntryData, Note, SpeechFacts
from voice_stack.tts.cache.folder import SpeechStore
from voice_stack.tts.engine.base import EngineVoice, VoiceOptions
from voice_stack.tts.engine_factory import engine_spec
from voice_stack.tts.request import Passage, SpeechRequest
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.speech import Turn, speech_key
from voice_stack.utils.audio.codecs import ExactHead

DAY_S = 24 * 3600.0
KIB = 1024


def keep(store: SpeechStore, key: str, audio: bytes) -> EntryData:
    spool = store.begin(key)
    spool.write(audio)
    head, note = ExactHead(min(2, len(audio)), b"head"), Note(min(3, len(audio)), {"characters": 7})
    data = EntryData(len(audio), SpeechFacts(1.5, head), (note,))
    store.keep(key, spool, data)
    spool.close()
    return data


def find(store: SpeechStore, key: str) -> tuple[bytes, EntryData] | None:
    found = store.find(key)
    if found is None:
        return None
    spool, data = found
    try:
        return spool.read(0, data.audio_bytes), data
    finally:
        spool.close()


def use_at(folder: Path, key: str, used_at: float) -> None:
    path = folder / f"{key}.speech"
    os.utime(path, (used_at, path.stat().st_mtime))


def find_and_count(store: SpeechStore) -> tuple[bool, int]:
    """Whether the entry is there, and how many bytes were read to tell."""
    before = psutil.Process().io_counters().read_chars
    found = store.find("key")
    count = psutil.Process().io_counters().read_chars - before
    if found is not None:
        found[0].close()
    return found is not None, count


@pytest.fixture
def store(tmp_path: Path) -> SpeechStore:
    return SpeechStore(tmp_path, 100 * KIB, DAY_S)


def test_long_entry_is_read_whole_once_and_again_when_it_changed(tmp_path: Path) -> None:
    size = 8 * 1024 * KIB
    writer, reader = (SpeechStore(tmp_path, 10 * size, DAY_S) for _ in range(2))
    keep(writer, "key", bytes(size))
    found, count = find_and_count(writer)
    assert (found, count < size / 8) == (True, True)
    found, count = find_and_count(reader)
    assert (found, count >= size) == (True, True)
    found, count = find_and_count(reader)
    assert (found, count < size / 8) == (True, True)
    with (tmp_path / "key.speech").open("r+b") as file:
        file.seek(size // 2)
        file.write(b"x")
    for store in (reader, writer):
        assert find_and_count(store)[0] is False


@pytest.mark.parametrize("audio", [b"", b"x", bytes(range(256)) * 100])
def test_what_is_kept_comes_back(store: SpeechStore, tmp_path: Path, audio: bytes) -> None:
    kept = keep(store, "key", audio)
    assert find(SpeechStore(tmp_path, 100 * KIB, DAY_S), "key") == (audio, kept)
    assert find(store, "other") is None


def test_the_least_recently_used_make_room(store: SpeechStore, tmp_path: Path) -> None:
    for index in range(4):
        keep(store, f"key{index}", bytes(20 * KIB))
        use_at(tmp_path, f"key{index}", time.time() - 1000 + index)
    assert find(store, "key0") is not None  # used just now
    keep(store, "new", bytes(30 * KIB))
    left = {path.stem for path in tmp_path.iterdir()}
    assert left == {"key0", "key3", "new"}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 100 * KIB


def test_age_counts_from_the_making_not_from_the_last_use(store: SpeechStore, tmp_path: Path) -> None:
    keep(store, "key", b"audio")
    made_at = time.time() - DAY_S + 100
    os.utime(tmp_path / "key.speech", (made_at, made_at))
    assert find(store, "key") is not None
    os.utime(tmp_path / "key.speech", (time.time(), made_at - 200))
    assert find(store, "key") is None
    assert list(tmp_path.iterdir()) == []


def test_what_dead_servers_left_is_tidied_away(store: SpeechStore, tmp_path: Path) -> None:
    (tmp_path / "abandoned.0123.part").write_bytes(b"half")
    alive = store.begin("alive")
    for part in tmp_path.iterdir():
        os.utime(part, (time.time(), time.time() - 2 * DAY_S))
    (tmp_path / "elsewhere.0123.4567.part").write_bytes(b"another machine is writing it")
    (tmp_path / "notes.txt").write_text("not ours")
    keep(store, "key", b"audio")
    store.remove_abandoned()
    names = {path.name.partition(".")[0] for path in tmp_path.iterdir()}
    assert names == {"alive", "elsewhere", "key", "notes"}
    alive.close()


def test_what_is_no_file_holds_nobody_up(store: SpeechStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.speech")
    (tmp_path / "folder.speech").mkdir()
    assert [find(store, "pipe"), find(store, "folder")] == [None, None]
    kept = keep(store, "pipe", b"audio")
    assert find(store, "pipe") == (b"audio", kept)


def test_an_entry_is_whole_at_every_moment(tmp_path: Path) -> None:
    """Servers that write, read and tidy one folder at once."""
    stores = [SpeechStore(tmp_path, 60 * KIB, DAY_S) for _ in range(4)]

    def work(worker: int) -> int:
        seen = 0
        for turn in range(40):
            keep(stores[worker], f"key{turn % 8}", bytes([worker + 1]) * (10 * KIB + worker))
            found = find(stores[worker], f"key{(turn + 6) % 8}")
            if found is not None:
                audio, data = found
                assert len(set(audio)) == 1
                assert len(audio) == data.audio_bytes == 10 * KIB + audio[0] - 1
                seen += 1
        return seen

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(work, range(4))) > 0
    assert not list(tmp_path.glob("*.part"))


def test_a_part_that_was_removed_is_still_read(store: SpeechStore, tmp_path: Path) -> None:
    spool = store.begin("key")
    spool.write(b"begun")
    next(tmp_path.iterdir()).unlink()
    with pytest.raises(FileNotFoundError):
        store.keep("key", spool, EntryData(5, SpeechFacts(1.0), ()))
    assert spool.read(0, 100)[:5] == b"begun"
    spool.close()
    with pytest.raises(OSError, match="closed"):
        spool.write(b"more")


def _key(folder: Path, *, text: str = "Hello", format_name: str = "mp3", model: str = "fake", **voice: object) -> str:
    settings = TtsSettings.read(engine="fake", model=model, model_dir=folder)
    fields = {"speed": 1.0, "language": "en"} | {name: voice.pop(name) for name in ("speed", "language") & voice.keys()}
    passage = Passage(text, VoiceOptions(EngineVoice(**voice), **fields))  # type: ignore[arg-type]
    return speech_key([Turn(engine_spec(settings, "fake", model), SpeechRequest((passage,)))], format_name)


def test_everything_that_is_heard_is_in_the_key(tmp_path: Path) -> None:
    recording, copy, other = (tmp_path / name for name in ("me.wav", "copy.wav", "other.wav"))
    recording.write_bytes(b"my voice")
    copy.write_bytes(b"my voice")
    other.write_bytes(b"your voice")
    different: list[dict[str, object]] = [
        {},
        {"text": "Hello!"},
        {"format_name": "wav"},
        {"model": "another"},
        {"speed": 1.1},
        {"language": "de"},
        {"name": "af_heart"},
        {"blend": (("af_heart", 0.5), ("am_adam", 0.5))},
        {"blend": (("af_heart", 0.6), ("am_adam", 0.4))},
        {"options": (("temperature", 0.7),)},
        {"recordings": (recording,)},
        {"recordings": (other,)},
        {"recordings": (recording, other)},
    ]
    keys = [_key(tmp_path, **fields) for fields in different]  # type: ignore[arg-type]
    assert len(set(keys)) == len(keys)
    assert keys == [_key(tmp_path, **fields) for fields in different]  # type: ignore[arg-type]
    # A recording is what it holds, wherever it lies.
    assert _key(tmp_path, recordings=(recording,)) == _key(tmp_path, recordings=(copy,))
    assert _key(tmp_path) == _key(tmp_path / "elsewhere")
    copy.write_bytes(b"my voice, recorded again")
    assert _key(tmp_path, recordings=(recording,)) != _key(tmp_path, recordings=(copy,))


def test_a_replaced_model_file_is_another_voice(tmp_path: Path) -> None:
    model = tmp_path / "voice.onnx"
    model.write_bytes(b"weights")
    first = _key(tmp_path, model=str(model))
    assert _key(tmp_path, model=str(model)) == first
    model.write_bytes(b"better weights")
    assert _key(tmp_path, model=str(model)) != first


@pytest.mark.parametrize(
    ("is_wanted", "cache_control", "use"),
    [
        (True, None, "usual"),
        (True, "", "usual"),
        (True, "max-age=0", "usual"),
        (True, "no-cache", "fresh"),
        (True, "max-age=0, No-Cache", "fresh"),
        (True, "no-cache, no-store", "none"),
        (True, " no-store ", "none"),
        (False, None, "none"),
        (False, "no-cache", "none"),
    ],
)
def test_what_a_request_allows(is_wanted: bool, cache_control: str | None, use: CacheUse) -> None:
    headers = {} if cache_control is None else {"cache-control": cache_control}
    assert cache_use(is_wanted=is_wanted, headers=headers) == use
