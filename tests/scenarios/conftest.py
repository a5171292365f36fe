"""One platform for all scenarios; each has models of its own."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenarios.dropping import Dropping


@pytest.fixture(scope="package")
def bucket_store() -> Iterator[dict[str, Any]]:
    """An S3 in this process, as services are told of it."""
    from moto.server import ThreadedMotoServer  # half a second that most folders need not wait

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    yield {"s3_endpoint_url": url, "s3_access_key_id": "key", "s3_secret_access_key": "secret"}
    server.stop()


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory, bucket_store: dict[str, Any]) -> Iterator[Dropping]:
    """A platform with windows of a second, which watches a bucket; it must leave no process behind."""
    running = Dropping(tmp_path_factory.mktemp("platform"), bucket_store, drops_seconds=0.5)
    running.make_bucket()
    try:
        running.start()
        yield running
        running.stop()
        assert running.processes() == []
    finally:
        running.close()
