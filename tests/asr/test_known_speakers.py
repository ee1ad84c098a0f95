"""Known speakers as a form names them: names and recordings in pairs, recordings as files or as data URLs."""

import base64
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from voice_stack.asr.form import MAX_KNOWN_SPEAKERS, MAX_REFERENCE_BYTES, REFERENCES, read_known_speakers
from voice_stack.core.errors import InvalidRequestError, PayloadTooLargeError
from voice_stack.core.http.form import Form, FormReader
from voice_stack.core.http.small_files import SmallFiles
from voice_stack.core.http.spool import Spool

SOUND = bytes(range(256)) * 7_000
"""1.8 MB: more than all fields of a form may hold."""
FIELD = f"{REFERENCES}[]"


def data_url(content: bytes) -> bytes:
    return b"data:audio/wav;base64," + base64.b64encode(content)


@contextlib.contextmanager
def read(folder: Path, *parts: tuple[str, str, bytes], chunk_bytes: int = 65_537) -> Iterator[Form]:
    """A form of references, each with its field, its filename (empty: it is text) and its content."""
    body = b""
    for field, filename, content in parts:
        named = f'; filename="{filename}"' if filename else ""
        body += f'--X\r\nContent-Disposition: form-data; name="{field}"{named}\r\n\r\n'.encode() + content + b"\r\n"
    small = SmallFiles(REFERENCES, MAX_KNOWN_SPEAKERS, MAX_REFERENCE_BYTES, folder)
    with contextlib.closing(small), contextlib.closing(Spool(folder)) as spool:
        reader = FormReader(b"X", "file", spool, None, small)
        body += b"--X--\r\n"
        for at in range(0, len(body), chunk_bytes):
            reader.parse(body[at : at + chunk_bytes])
            if small.is_write_due:
                small.write()
        reader.finish()
        yield reader.form()
    assert not list(folder.rglob("*.upload"))


@pytest.mark.parametrize("chunk_bytes", [97, 65_537, 1 << 30])
def test_recordings_come_as_files_and_as_data_urls_in_the_order_of_their_names(
    tmp_path: Path, chunk_bytes: int
) -> None:
    parts = (FIELD, "", data_url(SOUND)), (FIELD, "bob.wav", SOUND[::-1]), (REFERENCES, "", b""), (FIELD, "", b"QUJD")
    with read(tmp_path, *parts, chunk_bytes=chunk_bytes) as form:
        known = read_known_speakers(["Ada", " Bob", "Cid"], form)
        assert {one.name: one.recording.read_bytes() for one in known} == {
            "Ada": SOUND, "Bob": SOUND[::-1], "Cid": b"ABC",
        }  # fmt: skip
        assert [file.content_type for file in form.small_files] == ["audio/wav", "", ""]
        assert form.fields == {}


@pytest.mark.parametrize(
    ("names", "references", "message"),
    [
        (["Ada"], [], "1 names and 0 recordings"),
        ([], [b"QUJD"], "0 names and 1 recordings"),
        (["Ada", "Ada"], [b"QUJD", b"QUJD"], "'Ada': two speakers have this name"),
        (["../ada"], [b"QUJD"], "'../ada': a name must not hold '/'"),
        (["\u202eAda"], [b"QUJD"], "U+202E"),
        (["Ada"], [b"https://example.com/ada.wav"], "an address is not fetched"),
        (["Ada"], [b"/etc/passwd"], "neither a file nor base64"),
        (["Ada"], [b"data:audio/wav,abc"], "neither a file nor base64"),
    ],
)
def test_what_does_not_pair_or_is_no_recording_is_refused(
    tmp_path: Path, names: list[str], references: list[bytes], message: str
) -> None:
    parts = [(FIELD, "", reference) for reference in references]
    with pytest.raises(InvalidRequestError, match=re.escape(message)), read(tmp_path, *parts) as form:
        read_known_speakers(names, form)
    assert not list(tmp_path.rglob("*.upload"))


def test_recordings_are_bounded_each_and_in_number(tmp_path: Path) -> None:
    large = bytes(MAX_REFERENCE_BYTES + 1)
    for filename, content in (("ada.wav", large), ("", data_url(large))):
        with pytest.raises(PayloadTooLargeError), read(tmp_path, (FIELD, filename, content)):
            pass
    many = [(FIELD, "", b"QUJD")] * (MAX_KNOWN_SPEAKERS + 1)
    with pytest.raises(InvalidRequestError, match=f"more than {MAX_KNOWN_SPEAKERS}"), read(tmp_path, *many):
        pass
