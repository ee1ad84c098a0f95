"""S3-compatible storage of the tests: moto's server on a port of this machine, and the variables that lead to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
from moto.server import ThreadedMotoServer


@dataclass(frozen=True)
class ObjectStorage:
    """A server with one bucket."""

    url: str
    bucket: str = "voices-and-speech"

    @property
    def environment(self) -> dict[str, str]:
        """Of programs that use it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "a secret",  # pragma: allowlist secret
            "AWS_REGION": "us-east-1",
        }

    def at(self, prefix: str = "") -> str:
        """URL of a place in the bucket."""
        return f"s3://{self.bucket}/{prefix}"


@contextmanager
def run_object_storage() -> Iterator[ObjectStorage]:
    """The server, for as long as the context lasts."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        storage = ObjectStorage(f"http://{host}:{port}")
        httpx2.put(f"{storage.url}/{storage.bucket}", trust_env=False).raise_for_status()
        yield storage
    finally:
        server.stop()
