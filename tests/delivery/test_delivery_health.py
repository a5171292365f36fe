"""A service says when it does not consume, and counts what it does."""

import asyncio

import httpx
import pytest
import structlog
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from so1s.errors import PermanentError
from so1s.service import Service


@pytest.fixture
def ask():
    """Asks a running service over HTTP, without a socket."""

    async def get(service, path):
        transport = httpx.ASGITransport(service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
            return await http.get(path)

    return get


@pytest.fixture
def consuming(bench, numbers):
    @bench.consumer.on(bench.Noted)
    async def remember(noted):
        if noted.number < 0:
            raise PermanentError("negative")
        numbers.append(noted.number)

    return bench


async def test_a_service_is_ready_while_it_consumes_and_not_before_or_after(consuming, ask):
    async with consuming.service() as service:
        assert (await ask(service, "/readyz")).status_code == 200
        assert (await ask(service, "/livez")).status_code == 200
    answer = await ask(service, "/readyz")
    assert (answer.status_code, answer.json()["problems"]) == (503, ["stopping"])
    assert (await ask(service, "/livez")).status_code == 200, "who stops needs no restart"


async def test_a_consumer_whose_task_ended_is_not_ready_and_only_a_restart_mends_it(
    consuming, ask, eventually, monkeypatch
):
    """FastStream's broker says that it runs and answers pings."""
    async with consuming.service() as service:
        (subscriber,) = service._health._subscribers
        subscriber._endpoint.tasks[-1].cancel()
        await eventually(subscriber.has_ended)
        answer = await ask(service, "/readyz")
        assert answer.status_code == 503
        assert answer.json()["problems"] == [f"{consuming.Noted.topic.name}: not consuming"]
        assert (await ask(service, "/livez")).status_code == 503


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("so1s.broker.hearing.LOST_SECONDS", 0.2)
    monkeypatch.setattr("so1s.broker.hearing._UNHEARD_MS", 500)


async def test_a_consumer_that_takes_nothing_while_events_wait_needs_a_restart(
    consuming, ask, eventually, impatient, numbers
):
    """As after a rejoin that never ends: aiokafka fetches, and gives nothing to its reader."""
    await consuming.publish(consuming.note(1))
    async with consuming.service() as service:
        await eventually(lambda: numbers == [1])
        (subscriber,) = service._health._subscribers
        subscriber._endpoint.consumer._subscription.begin_reassignment()
        assert service._health.is_alive(), "nothing waits"
        await consuming.publish(consuming.note(2), consuming.note(3))
        await eventually(lambda: not service._health.is_alive())
        answer = await ask(service, "/readyz")
        assert answer.json()["problems"] == [
            f"{consuming.Noted.topic.name}: takes none of the events that wait"
        ]
        subscriber._endpoint.consumer._subscription.subscription._reassignment_in_progress = False
        subscriber._endpoint.consumer._subscription._notify_assignment_waiters()
        await eventually(lambda: sorted(numbers) == [1, 2, 3])
        assert service._health.is_alive()


async def test_a_consumer_that_kafka_answers_no_more_while_it_answers_others_needs_a_restart(
    bench, eventually, impatient
):
    for event_class in (bench.Noted, bench.Heard):

        @bench.consumer.on(event_class)
        async def take(_event):
            """It is enough to be given it."""

    await bench.provision()
    async with bench.service() as service:
        await eventually(
            lambda: all(each._endpoint.consumer.assignment() for each in service._health._subscribers)
        )
        deaf, well = service._health._subscribers
        deaf._endpoint.consumer._fetcher._fetch_task.cancel()
        told = f"{deaf.topic}: takes none of the events that wait"
        await eventually(lambda: (deaf.problem(), well.problem()) == (told, None))
        await eventually(lambda: not service._health.is_alive())


async def test_an_error_of_a_consumer_itself_is_logged(consuming, eventually, monkeypatch):
    with structlog.testing.capture_logs() as told:
        async with consuming.service() as service:
            (subscriber,) = service._health._subscribers
            pushed = subscriber._endpoint.consumer._coordinator._push_error_to_user(KafkaError("no such way"))
            taken = asyncio.create_task(pushed)
            await eventually(lambda: any(each["event"] == "consumer failed" for each in told))
        await taken


async def test_a_process_that_only_a_restart_mends_ends(consuming, eventually, monkeypatch):
    exits = []
    monkeypatch.setattr("so1s.service._LOOK_SECONDS", 0.01)
    monkeypatch.setattr("so1s.service.os._exit", exits.append)
    service = Service(consuming.name, consuming.settings(), consumer=consuming.consumer)
    stop = asyncio.Event()
    work = asyncio.create_task(service._work(stop))
    await eventually(lambda: service._health.started)
    service._health._tasks[0].cancel()
    await eventually(lambda: 1 in exits)
    stop.set()
    await work


def test_a_service_runs_on_the_loop_that_its_kafka_client_is_made_for(consuming, monkeypatch):
    """uvicorn takes uvloop where it finds that, and a RuntimeError of it would end aiokafka's metadata."""
    loops = []
    monkeypatch.setattr("uvicorn.Server.run", lambda server: loops.append(server.config.get_loop_factory()()))
    monkeypatch.setattr("so1s.logs.configure", lambda *_args, **_options: None)
    Service(consuming.name, consuming.settings(), consumer=consuming.consumer).run()
    (loop,) = loops
    loop.close()
    assert isinstance(loop, asyncio.SelectorEventLoop)


async def test_a_loop_that_ended_makes_a_service_unready(consuming, ask, eventually):
    async with consuming.service() as service:
        task = service._health._tasks[0]
        task.cancel()
        await eventually(task.done)
        assert (await ask(service, "/readyz")).json()["problems"] == ["a loop has ended"]
        assert (await ask(service, "/livez")).status_code == 503


async def test_an_event_in_hand_for_too_long_makes_a_service_unready(
    bench, ask, opened, eventually, monkeypatch
):
    monkeypatch.setattr("so1s.broker.subscribers._STUCK_SECONDS", 0.05)

    @bench.consumer.on(bench.Noted)
    async def hang(_noted):
        await opened.wait()

    await bench.publish(bench.note(1))
    async with bench.service() as service:
        await eventually(service._health.problems)
        assert "one event for over" in (await ask(service, "/readyz")).json()["problems"][0]
        opened.set()
        await eventually(bench.is_done)
        assert (await ask(service, "/readyz")).status_code == 200


async def test_metrics_tell_what_became_of_events_and_how_many_wait(consuming, ask, eventually):
    await consuming.publish(consuming.note(1), consuming.note(1), consuming.note(-1), ids=["a", "a", "b"])
    async with consuming.service() as service:
        await eventually(consuming.is_done)
        text = (await ask(service, "/metrics")).text
    kind, topic = consuming.Noted.type, consuming.Noted.topic.name
    for outcome in ("handled", "duplicate", "dead_lettered"):
        assert f'so1s_events_total{{outcome="{outcome}",type="{kind}"}} 1.0' in text
    assert f'so1s_handler_seconds_count{{type="{kind}"}} 2.0' in text
    assert f'so1s_consumer_lag{{topic="{topic}"}} 0.0' in text
    assert f'so1s_oldest_unhandled_seconds{{topic="{topic}"}} 0.0' in text


async def test_a_handler_that_lacks_what_it_asks_for_stops_its_service_at_the_start(bench):
    class Price:
        """Nobody provides one."""

    @bench.consumer.on(bench.Noted)
    async def charge(_noted, price: Price):
        """Never called."""

    with pytest.raises(TypeError, match="nothing was provided for price"):
        async with bench.service():
            pass


async def test_a_service_keeps_its_inbox_in_the_database_of_its_settings(
    bench, numbers, eventually, tmp_path
):
    @bench.consumer.on(bench.Noted)
    async def remember(noted):
        numbers.append(noted.number)

    await bench.publish(bench.note(1), ids=["same"])
    for _ in range(2):
        settings = bench.settings(database_url=SecretStr(bench.url))
        async with Service(bench.name, settings, consumer=bench.consumer).running():
            await bench.publish(bench.note(1), ids=["same"])
            await eventually(bench.is_done)
    assert numbers == [1]
    assert (tmp_path / "store.db").exists()
