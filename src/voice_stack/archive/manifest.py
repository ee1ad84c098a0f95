"""What is known of every recording of an archive, in SQLite: what it was, what was made of it, what is left to do."""

import json
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from voice_stack.core.errors import ConfigurationError, StorageFullError, VoiceStackError
from voice_stack.core.system.database import DatabaseFile

State = Literal["waiting", "done", "refused", "failed"]
"""`refused`: the recording itself is at fault, and another try would end alike; `failed`: it may not."""

_MIGRATIONS = (
    """
    CREATE TABLE items (
        key TEXT PRIMARY KEY, place TEXT NOT NULL, size INTEGER NOT NULL, mark TEXT NOT NULL, language TEXT NOT NULL,
        stem TEXT NOT NULL, target TEXT NOT NULL DEFAULT '', wanted TEXT NOT NULL, run INTEGER NOT NULL,
        is_ours INTEGER NOT NULL, state TEXT NOT NULL, digest TEXT NOT NULL DEFAULT '',
        outputs TEXT NOT NULL DEFAULT '[]', spoken TEXT NOT NULL DEFAULT '', audio_s REAL NOT NULL DEFAULT 0,
        work_s REAL NOT NULL DEFAULT 0, notes TEXT NOT NULL DEFAULT '[]', reason TEXT NOT NULL DEFAULT '',
        finished_at REAL NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE INDEX items_by_size ON items (state, size);
    CREATE INDEX items_by_digest ON items (digest);
    CREATE INDEX items_by_target ON items (target)
    """,
)
# What is the same as it was stays done; what others, other wishes or another content make different waits again. The
# digest of what was done tells afterwards whether a file was only touched.
_FOUND = """
    INSERT INTO items (key, place, size, mark, language, stem, wanted, run, is_ours, state)
    VALUES (:key, :place, :size, :mark, :language, :stem, :wanted, :run, :is_ours, 'waiting')
    ON CONFLICT (key) DO UPDATE SET
        state = CASE
            WHEN :again OR wanted <> :wanted OR language <> :language THEN 'waiting'
            WHEN size = :size AND mark = :mark AND (state = 'done' OR (state = 'refused' AND NOT :retry)) THEN state
            ELSE 'waiting' END,
        digest = CASE
            WHEN :again OR wanted <> :wanted OR language <> :language OR state IN ('refused', 'failed') THEN ''
            ELSE digest END,
        place = :place, size = :size, mark = :mark, language = :language, stem = :stem, wanted = :wanted, run = :run,
        is_ours = :is_ours
"""
# Where names without their suffixes are the same, `a.wav` and `a.mp3`, all keep them. Whose name changes is done anew.
_NAME = """
    UPDATE items SET
        target = named.target,
        state = CASE WHEN items.target IN ('', named.target) THEN items.state ELSE 'waiting' END,
        digest = CASE WHEN items.target IN ('', named.target) THEN items.digest ELSE '' END
    FROM (
        SELECT key AS named, CASE WHEN count(*) OVER (PARTITION BY lower(stem)) > 1 THEN key ELSE stem END AS target
        FROM items WHERE run = :run
    ) AS named
    WHERE key = named.named
"""
_DONE = "key, state, digest, outputs, spoken, audio_s, work_s, notes, reason"
_NEXT = f"""
    SELECT place, size, mark, language, stem, target, {_DONE} FROM items
    WHERE run = ? AND is_ours AND state = 'waiting' AND (size < ? OR (size = ? AND key > ?))
    ORDER BY size DESC, key LIMIT ?
"""  # noqa: S608 - of a constant
_TWIN = f"""
    SELECT twin.target, {", ".join(f"twin.{name}" for name in _DONE.split(", "))} FROM items AS twin, items AS asked
    WHERE twin.digest = ? AND twin.state = 'done' AND asked.key = ? AND twin.key <> asked.key
        AND twin.wanted = asked.wanted
        AND twin.language = asked.language
        AND NOT EXISTS (SELECT 1 FROM items AS other WHERE other.target = twin.target AND other.key <> twin.key)
    LIMIT 1
"""  # noqa: S608 - of a constant
_RECORD = """
    UPDATE items SET state = :state, digest = :digest, outputs = :outputs, spoken = :language, audio_s = :audio_s,
        work_s = :work_s, notes = :notes, reason = :reason, finished_at = :finished_at
    WHERE key = :key
"""
_PAGE = 500
_LARGEST = 1 << 62


@dataclass(frozen=True, slots=True)
class Item:
    """A recording of the archive, and what is known of it.

    Attributes:
        key: Its name in the archive: a path with `/`, below the folder or bucket it was found in.
        place: Where it lies: a path, or `s3://bucket/key`.
        size: In bytes.
        mark: Another one when the content may be another: time of the change, or ETag.
        language: The one spoken, where the list of recordings says it; else empty.
        stem: What its texts are to be called, without language and suffix.
        target: What they are called: the same, unless another recording has that name, too.
        earlier: What became of it in the last run that did it; its digest is empty where that is not wanted any more.
    """

    key: str
    place: str
    size: int
    mark: str
    language: str = ""
    stem: str = ""
    target: str = ""
    earlier: "Done | None" = None


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a recording.

    Attributes:
        key: Of the item.
        state: How it ended.
        digest: SHA-256 of the content that the texts were made of; empty where there are none.
        outputs: Names of the texts that are there now.
        language: Code of the language spoken.
        audio_s: Its length in seconds.
        work_s: How long it took, in seconds.
        notes: What was not heard, or was done in the second-best way, or not at all because it was there.
        reason: Why there are no texts.
    """

    key: str
    state: State
    digest: str = ""
    outputs: tuple[str, ...] = ()
    language: str = ""
    audio_s: float = 0.0
    work_s: float = 0.0
    notes: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Shard:
    """Which part of an archive is ours: the one with this index, from 0, of so many."""

    index: int = 0
    count: int = 1

    def has(self, key: str) -> bool:
        """Whether an item belongs to it; the same on every machine."""
        return zlib.crc32(key.encode()) % self.count == self.index


WHOLE = Shard()


@dataclass(slots=True)
class Summary:
    """What an archive has, as far as it is ours: items by state, and their sizes in bytes."""

    counts: dict[State, int] = field(default_factory=dict)
    sizes: dict[State, int] = field(default_factory=dict)
    audio_s: float = 0.0
    gone: int = 0

    @property
    def found(self) -> int:
        """Recordings in all."""
        return sum(self.counts.values())


class Manifest:
    """The file with the state of an archive, which one process has; use it in a `with` statement, in one thread.

    Args:
        path: Of the file, made when there is none.

    Raises:
        ConfigurationError: It cannot be used, or another process has it.
    """

    def __init__(self, path: Path) -> None:
        lock = path.with_name(f"{path.name}.lock")
        # What a power cut takes back is done again: the texts are there before they are noted.
        pragmas = ("locking_mode = EXCLUSIVE", "synchronous = NORMAL")
        self._file = DatabaseFile(path, _MIGRATIONS, what="archive", setting="--state", lock=lock, pragmas=pragmas)
        try:
            self._connection = self._file.open()
            self._run = self._ask("SELECT coalesce(max(run), 0) FROM items")
        except VoiceStackError as error:
            in_use = f"Another run works with {path}: wait for it, or give this one its own --state"
            raise ConfigurationError(in_use if error.code == "archive_dir_in_use" else error.message) from None
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(f"{path} cannot be used (--state): {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()
        self._file.release()

    def take_stock(
        self,
        found: Iterable[Item],
        wanted: str,
        *,
        shard: Shard = WHOLE,
        again: bool = False,
        retry: bool = False,
    ) -> None:
        """Begin a run: note what there is, and what of it is left to do.

        Args:
            found: All recordings, those of other shards too; their order does not matter.
            wanted: Another one when other texts are wanted than before.
            shard: What of it is ours.
            again: Everything is done anew.
            retry: What was refused is tried again.

        Raises:
            StorageFullError: The disk is full.
        """
        run = self._run + 1
        rows = (
            {
                **asdict(item),
                "stem": item.stem or item.key,
                "wanted": wanted,
                "run": run,
                "is_ours": shard.has(item.key),
                "again": again,
                "retry": retry,
            }
            for item in found
        )
        with self._writing() as database:
            database.executemany(_FOUND, rows)
            database.execute(_NAME, {"run": run})
        self._run = run

    def require_outputs(self, is_there: Callable[[str], bool]) -> None:
        """What is done but has lost a text waits again."""
        lost = [key for key, outputs in self._done() if not all(map(is_there, outputs))]
        with self._writing() as database:
            database.executemany("UPDATE items SET state = 'waiting', digest = '' WHERE key = ?", zip(lost))

    def waiting(self) -> Iterator[Item]:
        """What is left of this run, the largest first; none comes twice, whatever becomes of it meanwhile."""
        size, key = _LARGEST, ""
        while page := self._connection.execute(_NEXT, (self._run, size, size, key, _PAGE)).fetchall():
            for place, size, mark, language, stem, target, key, *ended in page:
                yield Item(key, place, size, mark, language, stem, target, _read_done(key, *ended))

    def record(self, done: Done) -> None:
        """Note what became of an item; it is on the disk when this returns.

        Raises:
            StorageFullError: The disk is full.
        """
        row = {**asdict(done), "outputs": json.dumps(done.outputs), "notes": json.dumps(done.notes)}
        with self._writing() as database:
            database.execute(_RECORD, {**row, "finished_at": time.time()})

    def find_twin(self, item: Item, digest: str) -> Done | None:
        """What was made of another recording with the same content, of which the same was wanted."""
        row = self._connection.execute(_TWIN, (digest, item.key)).fetchone()
        if row is None:
            return None
        target, *ended = row
        twin = _read_done(*ended)
        # A name that two have had in turn tells nothing of the content.
        return twin if all(name.startswith(f"{target}.") for name in twin.outputs) else None

    def summary(self) -> Summary:
        """What the archive has now."""
        summary = Summary()
        rows = self._connection.execute(
            "SELECT state, count(*), sum(size), sum(audio_s) FROM items WHERE run = ? AND is_ours GROUP BY state",
            (self._run,),
        )
        for state, count, size, audio_s in rows:
            summary.counts[state], summary.sizes[state] = count, size
            summary.audio_s += audio_s if state == "done" else 0.0
        summary.gone = self._ask("SELECT count(*) FROM items WHERE run < ?", self._run)
        return summary

    def ended(self, *states: State) -> Iterator[Done]:
        """What became of the items with these states, by key; with their notes and reasons."""
        marks = ", ".join("?" * len(states))
        question = f"SELECT {_DONE} FROM items WHERE run = ? AND is_ours AND state IN ({marks}) ORDER BY key"  # noqa: S608 - constants
        return (_read_done(*row) for row in self._connection.execute(question, (self._run, *states)))

    def languages(self) -> dict[str, int]:
        """How many recordings that are done are in which language, the most frequent first."""
        rows = self._connection.execute(
            "SELECT spoken, count(*) FROM items WHERE run = ? AND is_ours AND state = 'done' GROUP BY spoken "
            "ORDER BY count(*) DESC, spoken",
            (self._run,),
        )
        return dict(rows.fetchall())

    def _done(self) -> Iterator[tuple[str, Sequence[str]]]:
        rows = self._connection.execute(
            "SELECT key, outputs FROM items WHERE run = ? AND is_ours AND state = 'done' ORDER BY key", (self._run,)
        )
        return ((key, json.loads(outputs)) for key, outputs in rows)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        try:
            with self._connection:
                yield self._connection
        except sqlite3.Error as error:
            problem = self._file.explain(error)
            if isinstance(problem, StorageFullError):
                raise StorageFullError(f"The disk has no room for {self._file.path} (--state)") from None
            raise ConfigurationError(f"{self._file.path} cannot be written (--state): {error}") from None

    def _ask(self, question: str, *values: int) -> int:
        return int(self._connection.execute(question, values).fetchone()[0])


def _read_done(
    key: str,
    state: State,
    digest: str,
    outputs: str,
    spoken: str,
    audio_s: float,
    work_s: float,
    notes: str,
    reason: str,
) -> Done:
    return Done(
        key, state, digest, tuple(json.loads(outputs)), spoken, audio_s, work_s, tuple(json.loads(notes)), reason
    )
