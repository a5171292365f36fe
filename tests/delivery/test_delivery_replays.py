"""A dead letter that is replayed goes to the service that buried it, and to it alone."""

from so1s.broker.dead_letters import ADDRESSEE
from so1s.errors import PermanentError
from so1s.service import Consumer


async def replay(bench, service=None):
    """Do what `so1s dlq replay` does."""
    await bench.publish(
        bench.note(1), ids=["letter"], headers=[(ADDRESSEE, (service or bench.name).encode())]
    )


async def test_a_replay_goes_to_one_service_alone(bench, numbers, eventually):
    bystander, others = Consumer(f"{bench.name}-other"), []

    @bench.consumer.on(bench.Noted)
    async def remember(noted):
        numbers.append(noted.number)

    @bystander.on(bench.Noted)
    async def see(noted):
        others.append(noted.number)

    await replay(bench)
    await bench.publish(bench.note(2))
    async with bench.service(), bench.service(bystander, url=f"{bench.url}.other"):
        await eventually(lambda: numbers == [1, 2] and others == [2])


async def test_a_replayed_event_is_handled_unless_it_was(bench, numbers, opened, eventually):
    @bench.consumer.on(bench.Noted)
    async def remember(noted):
        if not opened.is_set():
            raise PermanentError("a fault, mended later")
        numbers.append(noted.number)

    await bench.publish(bench.note(1), ids=["letter"])
    async with bench.service():
        await eventually(bench.is_done)
        opened.set()
        for _ in range(2):
            await replay(bench)
            await eventually(bench.is_done)
    assert numbers == [1]


async def test_a_replay_that_fails_again_is_buried_again_after_five_attempts(bench, eventually):
    tries = []

    @bench.consumer.on(bench.Noted)
    async def fail(noted):
        tries.append(noted.number)
        raise ZeroDivisionError

    await bench.publish(bench.note(1), ids=["letter"])
    async with bench.service():
        await eventually(bench.is_done)
        await replay(bench)
        await eventually(bench.is_done)
    assert tries == [1] * 10
    assert await bench.reasons() == ["ZeroDivisionError"] * 2
    assert ADDRESSEE not in dict((await bench.dead_letters())[1].headers)
