"""Static membership (KIP-345): a member that comes back under its instance id disturbs nobody."""

import asyncio
import sys
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener

PARTITIONS = 4
SESSION_TIMEOUT_MS = 60_000
POD_START_SECONDS = 30
AT_ONCE = 5  # Seconds: whoever waited for the session to time out takes longer.

# A pod: it says that it has joined, works on, and ends only by a signal.
POD = """
import asyncio, sys
from aiokafka import AIOKafkaConsumer

async def main(servers, instance, session_timeout_ms):
    consumer = AIOKafkaConsumer(
        "work", bootstrap_servers=servers, group_id="pods", group_instance_id=instance,
        session_timeout_ms=int(session_timeout_ms), heartbeat_interval_ms=100,
    )
    await consumer.start()
    print("joined", flush=True)
    await consumer.getone()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def start_pod(broker):
    pods = []

    async def start(instance):
        arguments = (broker.bootstrap_servers, instance, str(SESSION_TIMEOUT_MS))
        pod = await asyncio.create_subprocess_exec(
            sys.executable, "-c", POD, *arguments, stdout=asyncio.subprocess.PIPE
        )
        pods.append(pod)
        assert await asyncio.wait_for(pod.stdout.readline(), POD_START_SECONDS) == b"joined\n"
        return pod

    yield start
    for pod in pods:
        if pod.returncode is None:
            pod.kill()
        await pod.communicate()


class Assignments(ConsumerRebalanceListener):
    """The partitions that a member is given, one set a rebalance."""

    def __init__(self):
        self.given = asyncio.Queue()
        self.revocations = 0

    async def on_partitions_revoked(self, revoked):
        self.revocations += len(revoked)

    async def on_partitions_assigned(self, assigned):
        self.given.put_nowait({partition.partition for partition in assigned})

    async def until(self, size):
        while len(given := await asyncio.wait_for(self.given.get(), AT_ONCE)) != size:
            pass
        return given


@asynccontextmanager
async def member(broker, instance):
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers,
        group_id="pods",
        group_instance_id=instance,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=100,
        auto_offset_reset="earliest",
    )
    assignments = Assignments()
    consumer.subscribe(["work"], listener=assignments)
    async with consumer:
        yield consumer, assignments


async def send_one_to_each_partition(broker):
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        for partition in range(PARTITIONS):
            await producer.send_and_wait("work", b"work", partition=partition)


async def read_partitions(consumer, count):
    return {(await asyncio.wait_for(consumer.getone(), AT_ONCE)).partition for _ in range(count)}


@pytest.mark.parametrize("killed", ["leader", "follower"])
async def test_a_killed_member_gets_its_partitions_back_at_once(broker, create_topic, start_pod, killed):
    await create_topic("work", PARTITIONS)
    if killed == "leader":
        pod = await start_pod("pod-0")
    async with member(broker, "pod-1") as (_, survivor):
        if killed == "follower":
            await survivor.until(PARTITIONS)
            pod = await start_pod("pod-0")
        kept = await survivor.until(2)
        revocations = survivor.revocations

        pod.kill()
        await pod.wait()
        async with member(broker, "pod-0") as (consumer, successor):
            assert await successor.until(2) == set(range(PARTITIONS)) - kept
            assert survivor.revocations == revocations
            await send_one_to_each_partition(broker)
            assert await read_partitions(consumer, 2) == set(range(PARTITIONS)) - kept


async def test_members_get_their_partitions_back_after_the_broker_was_killed(broker, create_topic):
    await create_topic("work", PARTITIONS)
    async with member(broker, "pod-0") as (one, first), member(broker, "pod-1") as (other, second):
        before = await first.until(2), await second.until(2)
        broker.kill()
        broker.start()
        assert (await first.until(2), await second.until(2)) == before
        await send_one_to_each_partition(broker)
        assert (await read_partitions(one, 2), await read_partitions(other, 2)) == before
