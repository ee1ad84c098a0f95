"""Bodies of `multipart/form-data`, byte by byte."""


def part(name: str, value: bytes, *, filename: str | None = None, headers: str = "") -> bytes:
    tail = "" if filename is None else f'; filename="{filename}"'
    return f'--BB\r\n{headers}Content-Disposition: form-data; name="{name}"{tail}\r\n\r\n'.encode() + value + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--BB--\r\n"


MULTIPART = {"content-type": "multipart/form-data; boundary=BB"}


FILE = part("file", b"x", filename="a.wav")
