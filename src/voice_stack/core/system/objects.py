"""Objects in a bucket: Amazon's S3 and whatever speaks its API (MinIO, Garage, Ceph, R2), opened by URL.

Keys and places come from where all of AWS's programs have them: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
`AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`; without keys the role of the machine, container or pod counts.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self
from urllib.parse import unquote, urlsplit

from voice_stack.core.errors import (
    ConfigurationError,
    InvalidRequestError,
    KeyRefusedError,
    NotFoundError,
    PayloadTooLargeError,
    UpstreamError,
)

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Store

SCHEME = "s3://"
MISSING_EXTRA = "obstore is not installed: pip install 'voice-stack[shared]'"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_BLOCK_BYTES = 1 << 20
_PART_BYTES = 8 << 20
_PARTS_AT_ONCE = 2
_LARGEST_CONDITIONAL = 32 << 20
"""What goes up under a condition is held in memory whole; beyond this the store is asked first instead."""
_TRIES_AGAIN = 2


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What a store says of an object.

    Attributes:
        key: Its name below the prefix of the store.
        size: In bytes.
        changed_at: Seconds since 1970.
        tag: Another one whenever the content is another (ETag); empty where the store tells none.
    """

    key: str
    size: int
    changed_at: float
    tag: str


class ObjectStore:
    """A bucket, or what lies below a prefix in one. All methods block, and may be called from any thread.

    Every one raises KeyRefusedError where the store refuses our keys, and UpstreamError where it cannot be reached,
    has no such bucket, or fails.

    Args:
        url: As it is named in messages.
        reading: Gives up soon.
        writing: Is patient: no answer comes before all of a part is sent.
    """

    def __init__(self, url: str, reading: "S3Store", writing: "S3Store") -> None:
        self.url = url
        self._reading, self._writing = reading, writing

    @classmethod
    def open(cls, url: str, *, read_s: float = 30.0, write_s: float = 120.0) -> Self:
        """Open a store; nothing is asked yet.

        Args:
            url: `s3://bucket/prefix`; without a prefix the whole bucket.
            read_s: Seconds without a byte after which reading is given up.
            write_s: The same for a part of 8 MiB that is sent.

        Raises:
            ConfigurationError: It is no such URL, or what opens it is not installed.
        """
        bucket, prefix = split_url(url)
        try:
            from obstore.exceptions import BaseError
            from obstore.store import S3Store
        except ImportError:
            raise ConfigurationError(f"{url}: {MISSING_EXTRA}") from None

        def connect(patience_s: float) -> S3Store:
            try:
                return S3Store(
                    bucket,
                    prefix=prefix or None,
                    client_options={
                        "allow_http": True,  # where AWS_ENDPOINT_URL says so
                        "connect_timeout": timedelta(seconds=min(5.0, patience_s)),
                        "read_timeout": timedelta(seconds=patience_s),
                        "timeout": timedelta(days=1),  # of a whole transfer: as long as bytes come
                    },
                    retry_config={"max_retries": _TRIES_AGAIN, "retry_timeout": timedelta(seconds=patience_s)},
                )
            except (BaseError, ValueError) as error:
                raise ConfigurationError(f"{url}: {_first_line(error)}") from None

        return cls(url, connect(read_s), connect(write_s))

    def find(self, key: str) -> StoredObject | None:
        """What the store says of an object; None if there is none."""
        import obstore

        try:
            with self._asking(key):
                return _describe(obstore.head(self._reading, key))
        except NotFoundError:
            return None

    def read(self, key: str, max_bytes: int) -> bytes:
        """An object whole.

        Raises:
            NotFoundError: There is none of that key.
            PayloadTooLargeError: It is larger.
        """
        blocks: list[bytes] = []
        self._stream(key, max_bytes, blocks.append)
        return b"".join(blocks)

    def download(self, key: str, target: BinaryIO, max_bytes: int) -> StoredObject:
        """Write an object to an open file, block by block; what was written before a failure stays there.

        Raises:
            NotFoundError: There is none of that key.
            PayloadTooLargeError: It is larger.
            OSError: The file cannot be written.
        """
        return self._stream(key, max_bytes, target.write)

    def put(self, key: str, content: bytes | Path, *, only_new: bool = False) -> bool:
        """Store an object, whole or not at all; returns whether it was.

        Args:
            key: Where; what is there is replaced.
            content: Bytes, or a file, which is sent in parts.
            only_new: What is there stays, and the answer is False.

        Raises:
            OSError: The file cannot be read.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        size = content.stat().st_size if isinstance(content, Path) else len(content)
        if only_new and size <= _LARGEST_CONDITIONAL:
            try:
                with self._asking(key):
                    obstore.put(self._writing, key, content, mode="create")
            except (AlreadyExistsError, PreconditionError):
                return False
            return True
        if only_new and self.find(key) is not None:
            return False
        with self._asking(key):
            obstore.put(self._writing, key, content, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE)
        return True

    def list(self, under: str = "") -> Iterator[StoredObject]:
        """Every object, by key, as the store lists them; none is held in memory but the next thousand.

        Args:
            under: Only those whose key begins with this folder.
        """
        import obstore

        with self._asking(under):
            for chunk in obstore.list(self._reading, prefix=under or None, chunk_size=1000):
                for meta in chunk:
                    yield _describe(meta)

    def delete(self, key: str) -> None:
        """Delete an object; harmless where there is none."""
        import obstore

        try:
            with self._asking(key):
                obstore.delete(self._writing, key)
        except NotFoundError:
            return

    def _stream(self, key: str, max_bytes: int, take: Callable[[bytes], object]) -> StoredObject:
        import obstore

        with self._asking(key):
            answer = obstore.get(self._reading, key)
            found, taken = _describe(answer.meta), 0
            if found.size > max_bytes:
                raise PayloadTooLargeError(f"{self._name(key)} has {found.size} bytes, at most {max_bytes} are read")
            for block in answer.stream(min_chunk_size=_BLOCK_BYTES):
                taken += len(block)
                take(bytes(block))
        if taken != found.size:
            raise UpstreamError(f"{self._name(key)}: {taken} bytes of {found.size} came")
        return found

    @contextmanager
    def _asking(self, key: str) -> Iterator[None]:
        """Translates what the store says into errors of ours."""
        from obstore.exceptions import (
            AlreadyExistsError,
            BaseError,
            PermissionDeniedError,
            PreconditionError,
            UnauthenticatedError,
        )

        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise KeyRefusedError(f"{self.url} refuses our keys (AWS_ACCESS_KEY_ID): {_first_line(error)}") from None
        except FileNotFoundError as error:
            if _NO_BUCKET in str(error):
                raise UpstreamError(f"{self.url}: there is no such bucket") from None
            raise NotFoundError(f"{self._name(key)}: there is no such object") from None
        except BaseError as error:
            reason = "there is no such bucket" if _NO_BUCKET in str(error) else _first_line(error)
            raise UpstreamError(f"{self.url}: {reason}") from None
        except ValueError as error:
            raise InvalidRequestError(f"{self._name(key)}: {_first_line(error)}") from None

    def _name(self, key: str) -> str:
        return f"{self.url.rstrip('/')}/{key}"


_NO_BUCKET = "NoSuchBucket"


def split_url(url: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://bucket/prefix`.

    Raises:
        ConfigurationError: It is no such URL.
    """
    parts = urlsplit(url)
    if not url.startswith(SCHEME) or not _BUCKET.fullmatch(parts.netloc) or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{re.sub('//[^/]*@', '//***@', url)!r} is no URL of an object store such as s3://bucket/prefix; keys and "
            "the address of the store are in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL"
        )
    return parts.netloc, unquote(parts.path).strip("/")


def _describe(meta: "ObjectMeta") -> StoredObject:
    return StoredObject(meta["path"], meta["size"], meta["last_modified"].timestamp(), meta["e_tag"] or "")


_CAUSE = re.compile(r"ConnectionRefused|TimedOut|dns error|UnknownIssuer|NotValidForName|Expired")


def _first_line(error: Exception) -> str:
    """What an error says, and why there was no connection, without the requests that led to it."""
    first, _, details = str(error).partition("\n")
    cause = _CAUSE.search(details)
    return first.strip()[:300] + (f" ({cause[0]})" if cause else "")
