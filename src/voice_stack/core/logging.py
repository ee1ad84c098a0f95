"""Logs of all servers: one line per event on stderr, as text for people or as JSON for log collectors."""

import json
import logging
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

request_id_var: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request that is being worked on; every log line carries it."""

_ESCAPES = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}
_CHATTY_LOGGERS = ("python_multipart", "httpx2", "httpcore2", "asyncio", "aiosqlite")
"""Of others, who say too much: the last one what people have said, as values of SQL."""


def configure_logging(level: str, log_format: str, server: str) -> None:
    """Send all logs of this process, uvicorn's included, to stderr in one shape.

    Args:
        level: Least severe level that is written: `DEBUG`, `INFO`, `WARNING` or `ERROR`.
        log_format: `text` or `json`.
        server: Name of the server in each line: `asr` or `tts`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter({"text": TextFormatter, "json": JsonFormatter}[log_format](server))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).setLevel(logging.NOTSET)
        logging.getLogger(name).propagate = name != "uvicorn.access"
    logging.getLogger("uvicorn.error").addFilter(_is_new)


def describe_logging() -> tuple[str, str]:
    """Level and format of this process' logs, for `configure_logging` in another one."""
    root = logging.getLogger()
    is_json = any(isinstance(handler.formatter, JsonFormatter) for handler in root.handlers)
    return logging.getLevelName(root.level), "json" if is_json else "text"


@contextmanager
def logged_for(request_ids: Iterable[str]) -> Iterator[None]:
    """Lines that are logged meanwhile, by this thread or task, carry the ids of these requests, joined by commas."""
    known = ",".join(dict.fromkeys(filter(None, request_ids)))
    token = request_id_var.set(known or None)
    try:
        yield
    finally:
        request_id_var.reset(token)


def log_event(logger: logging.Logger, level: int, message: str, **fields: object) -> None:
    """Log a message with named values, as `log_event(logger, logging.INFO, "model loaded", model="base")`."""
    logger.log(level, message, extra={"fields": fields})


class _ServerFormatter(logging.Formatter):
    def __init__(self, server: str) -> None:
        super().__init__()
        self.server = server


class TextFormatter(_ServerFormatter):
    """`2026-11-21 10:00:00 INFO asr message key=value`; a traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one event; line breaks and control characters in values are escaped."""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        pairs = [f"{_escape(name)}={_quote(value)}" for name, value in _fields(record).items()]
        line = " ".join([when, record.levelname, self.server, _escape(record.getMessage()), *pairs])
        # Indented, so that no line inside an exception's text can pass for a log line.
        return "\n".join([line, *("    " + _escape(part) for part in _traceback(record).splitlines())])


class JsonFormatter(_ServerFormatter):
    """One JSON object per line: time (ISO 8601, UTC), level, server, logger, message, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one event; a traceback becomes the field `exception`."""
        base: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "server": self.server,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace := _traceback(record):
            base["exception"] = trace
        fields = {name: _finite(value) for name, value in _fields(record).items() if name not in base}
        return json.dumps({**base, **fields}, default=str)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """The request id and the values given as `extra={"fields": {...}}`."""
    request_id = request_id_var.get()
    extra = getattr(record, "fields", None)
    fields = {str(name): value for name, value in extra.items()} if isinstance(extra, Mapping) else {}
    return fields if request_id is None else {"request_id": request_id, **fields}


def _traceback(record: logging.LogRecord) -> str:
    return logging.Formatter().formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)


def _quote(value: object) -> str:
    """A value that stays one word: `3.142`, `"two words"`."""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    if text and not any(character in text for character in ' ="'):
        return _escape(text)
    return _escape(json.dumps(text, ensure_ascii=False))


def _finite(value: object) -> object:
    """JSON has no number for NaN and infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_new(record: logging.LogRecord) -> bool:
    """False for uvicorn's second report of an exception that `RequestContext` has logged with its request."""
    return not str(record.msg).startswith("Exception in ASGI application")
