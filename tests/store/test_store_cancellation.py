"""What a cancelled transaction leaves behind."""

import asyncio
import contextlib
import time

_STATEMENTS = 60


async def test_a_transaction_that_is_cancelled_in_a_statement_holds_up_no_other(store):
    for number in range(_STATEMENTS):
        trying = asyncio.create_task(store.attempt("a", str(number)))
        await asyncio.sleep(0.0001 * (number % 30))  # another moment of the transaction each time
        trying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await trying
        began = time.monotonic()
        await store.attempt("b", str(number))
        assert time.monotonic() - began < 25  # a lock that is left behind holds for 30 s
