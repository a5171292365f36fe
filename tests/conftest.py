"""What a test of any part may ask for."""

import asyncio
from collections.abc import Iterator

import pytest

from so1s_broker import Broker

# pytest-asyncio asks for the current loop before it sets its own: where none was ever set, Python 3.11
# makes one that nobody closes, and its warning is an error.
asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap servers of one embedded broker for the whole session: name topics and groups uniquely."""
    with Broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.bootstrap_servers
