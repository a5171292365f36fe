"""Each service dies at each step, and the broker with each of them in hand: the chain completes."""

import pytest

import so1s
from tests.faults.audit import assert_sound, everything_is_told
from tests.faults.points import ALERTER, ALL, BROKER_DIES, Point
from tests.faults.victims import Victims
from tests.scenarios.running import SERVE_SECONDS, until


@pytest.mark.parametrize("point", [point for point in ALL if point not in ALERTER], ids=str)
def test_a_service_dies(platform: Victims, model: str, point: Point):
    has_died = platform.arm(point, model)
    published = platform.publish(model)
    has_died()
    published.wait_until_serving(SERVE_SECONDS)
    assert_sound(platform, model)


@pytest.mark.parametrize("point", BROKER_DIES, ids=str)
def test_the_broker_dies(platform: Victims, model: str, point: Point):
    broker = platform.supervisor.processes["kafka"]
    has_died = platform.arm(point, model, victim=broker.pid)
    published = platform.publish(model)
    has_died()
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
