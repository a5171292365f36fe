"""PostgreSQL over TCP."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine


async def test_it_answers_who_knows_the_password(postgres, postgres_part):
    engine = create_async_engine(postgres)
    async with engine.connect() as connection:
        number = (await connection.execute(text("show server_version"))).scalar()
    await engine.dispose()
    assert postgres_part.version.startswith(str(number))


async def test_it_refuses_who_does_not(postgres_part):
    engine = create_async_engine(postgres_part.url.replace(postgres_part.password, "guessed"))
    with pytest.raises(DBAPIError, match="password authentication failed"):
        await engine.connect()
    await engine.dispose()
