import asyncio
import os
from contextlib import suppress
from pathlib import Path

import pytest

from services.builder.adapters.command import run


async def test_a_command_that_says_things_without_end_ends_when_nobody_waits_for_it(tmp_path: Path) -> None:
    heard: list[int] = []
    script = 'echo $$; exec yes "the same again"'

    def hear(line: str) -> None:
        if not heard:
            heard.append(int(line))

    async def given_up() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await run(
                    ["sh", "-c", script], environment=dict(os.environ), directory=tmp_path, on_line=hear
                )

    async with asyncio.timeout(60):
        await given_up()
    with pytest.raises(ProcessLookupError):
        os.kill(heard[0], 0)
