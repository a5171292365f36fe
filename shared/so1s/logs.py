"""Structured logs: JSON in pods, colour in a terminal; secrets are masked by type and by name."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog
from pydantic import SecretBytes, SecretStr

_SECRET_NAME = re.compile(r"password|secret|token|authorization|api_?key|credential", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]+@")
_MASK = "**********"


def configure(service: str, *, form: Literal["json", "console"], level: str) -> None:
    """Send every log line of this process, structlog's and the standard library's, to standard output."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,  # before the mask: a traceback may hold a URL's password
        mask_secrets,
    ]
    renderer = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(pad_event_to=36, exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for noisy in ("aiokafka", "httpx", "httpcore", "aiosqlite", "uvicorn", "alembic", "botocore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)


def mask_secrets(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what must not be read: secret types, fields named like secrets, passwords in URLs."""
    return {name: _mask(name, value) for name, value in line.items()}


def _mask(name: str, value: Any) -> Any:
    if isinstance(value, (SecretStr, SecretBytes)) or (
        _SECRET_NAME.search(name) and isinstance(value, (str, bytes))
    ):
        return _MASK
    if isinstance(value, dict):
        return {key: _mask(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mask(name, item) for item in value]
    if isinstance(value, str):
        return _URL_PASSWORD.sub(rf"\1:{_MASK}@", value)
    return value
