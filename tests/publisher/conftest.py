"""A provisioned broker."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from so1s.broker.topics import provision, wanted
from so1s.platform import ClientSettings


@pytest.fixture(scope="session")
def settings(kafka):
    settings = ClientSettings(kafka=kafka)
    with ThreadPoolExecutor() as thread:  # the main thread's loop belongs to pytest-asyncio
        thread.submit(asyncio.run, provision(settings, wanted([]))).result()
    return settings
