"""A service in a process of its own, started by the tests with the bench's names.

Its handler does what the event's number asks for, and says what it does. Where the process dies of an
event it starts anew, as a pod would; it is forked, since the imports take a second.
"""

import asyncio
import json
import os
import sys

import so1s.broker.subscribers
from so1s.events import Event
from so1s.events.envelope import Received
from so1s.service import Consumer, Service
from so1s.settings import ServiceSettings
from so1s.store import Store

prefix, kafka, url, batch = json.loads(sys.argv[1])
so1s.broker.subscribers._FETCH_WAIT_MS = 20
FATAL = 13


class Noted(Event, key=("account", "name"), prefix=prefix, partitions=2):
    """What the bench publishes."""

    name: str
    number: int


consumer = Consumer(prefix)


def say(line: str) -> None:
    """Tell the test."""
    os.write(1, f"{line}\n".encode())


async def act(number: int) -> None:
    say(f"begin {number}")
    if number == FATAL:
        os._exit(FATAL)
    if number == 60:
        await asyncio.sleep(1)
    say(f"done {number}")


if batch:

    @consumer.on(Noted, batch=True)
    async def many(received: list[Received]) -> None:
        for each in received:
            await act(each.event.number)

else:

    @consumer.on(Noted)
    async def one(noted: Noted) -> None:
        await act(noted.number)


def live() -> None:
    """Serve until a signal."""
    settings = ServiceSettings(kafka=kafka, instance="one", http_port=0, log_level="error")
    Service(prefix, settings, consumer=consumer, store=Store(url, producer=prefix)).run()


def is_child() -> bool:
    """Whether this is a new life; the first process stays behind and waits for each to end."""
    while pid := os.fork():
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != FATAL:
            return False
        say("died")
    return True


if sys.argv[2] == "once" or is_child():
    live()
