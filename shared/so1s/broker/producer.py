"""The producer: records go out in order, once, and are acknowledged by every in-sync replica."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from so1s.broker.connection import client_options
from so1s.events.envelope import Record
from so1s.settings import KafkaSettings

_STOP_SECONDS = 5.0
"""What waits to be sent while Kafka is away would wait for ever; the outbox has it still."""


class Producer:
    """Sends records; an async context manager."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaConnectionError: no broker answers.
        """
        await self._connected()

    async def stop(self) -> None:
        """Send what waits, and disconnect."""
        client, self._client = self._client, None
        if client:
            await _stop(client)

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Stop."""
        await self.stop()

    async def send(self, records: Sequence[Record]) -> None:
        """Send records in their order; return when Kafka has all of them, however long it is away.

        Raises:
            KafkaError: Kafka refused one.
        """
        client = await self._connected()
        try:
            sent = [
                await client.send(record.topic, record.value, key=record.key, headers=record.headers)
                for record in records
            ]
            await asyncio.gather(*sent)
        except KafkaError:
            # A refusal tears the sequence of an idempotent producer, which then refuses all later records.
            if self._client is client:
                await self.stop()
            raise

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._client is None:
                self._client = await _start(self._settings)
            return self._client


async def _start(settings: KafkaSettings) -> AIOKafkaProducer:
    client = AIOKafkaProducer(**client_options(settings), enable_idempotence=True, acks="all")
    try:
        await client.start()
    except BaseException:
        await client.stop()  # it is left half open
        raise
    return client


async def _stop(client: AIOKafkaProducer) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_STOP_SECONDS):
            await client.stop()
