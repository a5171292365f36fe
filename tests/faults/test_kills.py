"""Each service dies at each step, and the broker with each of them in hand: the chain completes."""

import asyncio
import os
import signal

import pytest

import so1s
from so1s.events import RoutesApplied, WeightsChanged
from tests.faults.audit import assert_gone, assert_sound, everything_is_told
from tests.faults.points import ALERTER, BROKER_DIES, REMOVAL, TAKEOVER, UPLOAD, WEIGHTS, Point
from tests.faults.victims import Victims
from tests.scenarios.running import ACCOUNT, SERVE_SECONDS, until


@pytest.mark.parametrize("point", UPLOAD, ids=str)
def test_a_service_dies_between_upload_and_charge(platform: Victims, model: str, point: Point):
    has_died = platform.arm(point, model)
    published = platform.publish(model)
    has_died()
    published.wait_until_serving(SERVE_SECONDS)
    assert_sound(platform, model)


@pytest.mark.parametrize("point", TAKEOVER, ids=str)
def test_the_deployer_dies_while_a_version_takes_over_and_no_request_fails(
    platform: Victims, model: str, point: Point
):
    serving = platform.serve(model)
    has_died = platform.arm(point, model)

    async def take_over() -> None:
        async with platform.load(serving.url, clients=1) as load:
            await asyncio.to_thread(platform.serve, model, 2)
            await asyncio.to_thread(has_died)
            await asyncio.to_thread(assert_sound, platform, model, 2)
        assert load.failed == 0, load.tally

    platform.run(take_over())


@pytest.mark.parametrize("point", WEIGHTS, ids=str)
def test_the_router_dies_while_weights_change(platform: Victims, model: str, point: Point):
    platform.serve(model)
    has_died = platform.arm(point, model)
    platform.say(WeightsChanged(account=ACCOUNT, endpoint=model, weights={model: 7}))
    has_died()
    until(lambda: len(platform.records(RoutesApplied, about=model)) > 1)
    assert_sound(platform, model, weight=7)


@pytest.mark.parametrize("point", REMOVAL, ids=str)
def test_a_service_dies_while_a_deployment_is_removed(platform: Victims, name: str, point: Point):
    platform.serve(name)
    has_died = platform.arm(point, name)
    platform.remove(name)
    has_died()
    assert_gone(platform, name)


@pytest.mark.parametrize("point", BROKER_DIES, ids=str)
def test_the_broker_dies(platform: Victims, model: str, point: Point):
    broker = platform.supervisor.processes["kafka"]
    killed = broker.pid
    has_died = platform.arm(point, model, victim=killed)
    published = platform.publish(model)
    has_died()
    until(lambda: broker.pid not in {None, killed})
    until(lambda: platform.run(broker.is_ready()))
    published.wait_until_serving(SERVE_SECONDS)
    assert_sound(platform, model)


@pytest.mark.parametrize("point", ALERTER, ids=str)
def test_the_alerter_dies_and_one_message_is_posted(platform: Victims, tmp_path, point: Point):
    model = f"broken-{ALERTER.index(point)}"
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")
    has_died = platform.arm(point, model)
    published = platform.publish(model, path=path)
    with pytest.raises(so1s.BuildFailed):
        published.wait_until_serving(SERVE_SECONDS)
    has_died()
    until(lambda: platform.messages(model))
    until(lambda: everything_is_told(platform))
    assert len(platform.messages(model)) == 1


def test_the_gateway_dies(platform: Victims, model: str):
    serving = platform.serve(model)
    gateway = platform.supervisor.processes["envoy"]
    killed = gateway.pid
    os.kill(killed, signal.SIGKILL)
    until(lambda: gateway.pid not in {None, killed})
    platform.settle()
    assert platform.predict(serving.url) == platform.wanted(model, 1)
    assert_sound(platform, model)
