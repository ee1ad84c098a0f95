"""What a muxer writes, handed on as it comes."""

from voice_stack.utils.audio.exact_head import ExactHead


class MuxerOutput:
    """The file object a muxer writes to.

    At the end of its work the muxer of FLAC goes back and completes what it wrote first. By then it has been sent, so
    the completed form is kept apart.
    """

    def __init__(self) -> None:
        self._position = 0
        self._end = 0
        self._head = bytearray()
        self._fresh = bytearray()
        self._is_rewritten = False

    @property
    def exact_head(self) -> ExactHead:
        """The completed head; it replaces nothing where the muxer never went back."""
        if not self._is_rewritten:
            return ExactHead()
        return ExactHead(len(self._head), bytes(self._head))

    def seekable(self) -> bool:
        """Muxers complete their heads only where they may go back."""
        return True

    def tell(self) -> int:
        """Where the next write goes."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to an offset from the start, from here or from the end (`whence` 0, 1, 2)."""
        self._position = offset + (0, self._position, self._end)[whence]
        return self._position

    def write(self, data: bytes) -> int:
        """Take what comes next, or what replaces a part of the head.

        Raises:
            ValueError: It replaces something else, which was sent long ago.
        """
        end = self._position + len(data)
        if self._position == self._end:
            self._append(bytes(data))
        elif end <= len(self._head):
            self._head[self._position : end] = data
            self._is_rewritten = True
        else:
            raise ValueError(f"The muxer rewrites bytes {self._position} to {end}, beyond its head.")
        self._position = end
        return len(data)

    def take(self) -> bytes:
        """The bytes of the stream since the last call."""
        fresh, self._fresh = bytes(self._fresh), bytearray()
        return fresh

    def _append(self, data: bytes) -> None:
        if self._end == 0:
            self._head += data
        self._fresh += data
        self._end += len(data)
