"""A provisioned broker, and a console beside it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from so1s.blocking import LoopThread
from so1s.broker.topics import provision, wanted
from so1s.platform import ClientSettings
from tests.console.serving import Console


@pytest.fixture(scope="session")
def settings(kafka):
    settings = ClientSettings(kafka=kafka)
    with ThreadPoolExecutor() as thread:  # the main thread's loop belongs to pytest-asyncio
        thread.submit(asyncio.run, provision(settings, wanted([]))).result()
    return settings


@pytest.fixture(scope="module")
def over_http(settings, tmp_path_factory) -> Iterator[ClientSettings]:
    """The settings of a client that has a token of the account `risk`; tests play services by its Kafka."""
    directory = tmp_path_factory.mktemp("console")
    console = Console(settings.kafka, directory)
    with LoopThread() as thread:
        thread.run(console.start())
        yield ClientSettings(
            kafka=settings.kafka,
            url=console.url,
            token=thread.run(console.token()),
            artifacts=console.artifacts,
            account="risk",
        )
        thread.run(console.stop())
