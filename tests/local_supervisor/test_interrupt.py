"""Ctrl-C: what is cleaned up is cleaned up to its end."""

import asyncio
import os
import signal

import pytest

from so1s_local.interrupt import until_interrupted


def test_an_impatient_second_signal_does_not_cut_off_the_cleaning():
    cleaned = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(0.01)  # long enough for a signal to be seen
            cleaned.append(True)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(until_interrupted(work()))
    assert cleaned
