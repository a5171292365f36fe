"""The producer: records go out in order, once, and are acknowledged by every in-sync replica."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Self

from aiokafka import AIOKafkaProducer

from so1s.broker.connection import client_options
from so1s.events.envelope import Record
from so1s.settings import KafkaSettings


class Producer:
    """Sends records; an async context manager."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaConnectionError: no broker answers.
        """
        client = AIOKafkaProducer(**client_options(self._settings), enable_idempotence=True, acks="all")
        try:
            await client.start()
        except BaseException:
            await client.stop()  # it is left half open
            raise
        self._client = client

    async def stop(self) -> None:
        """Send what waits, and disconnect."""
        if self._client:
            await self._client.stop()
            self._client = None

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Stop."""
        await self.stop()

    async def send(self, records: Sequence[Record]) -> None:
        """Send records in their order; return when Kafka has all of them.

        Raises:
            KafkaError: Kafka refused one, or did not answer in time.
        """
        assert self._client, "the producer is not started"
        sent = [
            await self._client.send(record.topic, record.value, key=record.key, headers=record.headers)
            for record in records
        ]
        await asyncio.gather(*sent)
