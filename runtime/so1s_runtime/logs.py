"""One JSON object a line on standard error."""

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson

LOGGER = logging.getLogger("so1s_runtime")


def log(level: int, event: str, *, error: BaseException | None = None, **fields: Any) -> None:
    """Log one event; `error` adds its traceback."""
    LOGGER.log(level, event, exc_info=error, extra={"fields": fields})


def configure(**context: Any) -> None:
    """Send every log line of the process to standard error, each with `context`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(context))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.captureWarnings(capture=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # it would repeat what the server logs itself


class JsonFormatter(logging.Formatter):
    """Writes time (UTC), level, event, the context and the fields of a line."""

    def __init__(self, context: dict[str, Any]) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        """The line without its end."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **self._context,
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0]:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()
