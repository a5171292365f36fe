"""How every client of So1s connects to Kafka."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from aiokafka.helpers import create_ssl_context

from so1s.settings import KafkaSettings

# A library's log is for who configures logging; else Python would print each of aiokafka's tries to stderr.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """The options that aiokafka's consumers, producers and admin clients share."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka,
        "security_protocol": settings.kafka_security.upper(),
    }
    if "ssl" in settings.kafka_security:
        options["ssl_context"] = create_ssl_context(cafile=settings.kafka_ca_file)
    if settings.kafka_security.startswith("sasl"):
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_user
        options["sasl_plain_password"] = (
            settings.kafka_password and settings.kafka_password.get_secret_value()
        )
    return options


async def closed(closing: Awaitable[None]) -> None:
    """Wait until a client of aiokafka is closed.

    While it closes, aiokafka takes a cancellation of who waits for one of its own task, and goes on: the
    timeout that cancelled would never come again.

    Raises:
        CancelledError: this task was cancelled meanwhile.
    """
    task = asyncio.current_task()
    assert task
    before = task.cancelling()
    await closing
    if task.cancelling() > before:
        raise asyncio.CancelledError
