"""What a test of any part may ask for."""

from collections.abc import Iterator

import pytest
from so1s_broker import Broker


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap servers of one embedded broker for the whole session: name topics and groups uniquely."""
    with Broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.bootstrap_servers
