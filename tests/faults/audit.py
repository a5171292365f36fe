"""What must hold whatever died: one image, one deployment, one charge a window, the last weights."""

import json
import sqlite3
from collections import Counter
from contextlib import closing

from so1s.events import DeploymentRemoved, ImageBuilt, UsageCorrected, UsageSampled
from tests.scenarios.running import ACCOUNT, Running, until


def assert_sound(platform: Running, model: str, version: int = 1, weight: int = 1) -> None:
    """The latest version of a model serves as if nothing had happened."""
    platform.settle()
    _assert_one_image(platform, model, version)
    _assert_one_deployment(platform, model, version)
    _assert_one_route(platform, model, version, weight)
    _assert_one_charge_a_window(platform, model)


def _assert_one_image(platform: Running, model: str, version: int) -> None:
    built = [each.event for each in platform.events(ImageBuilt) if each.event.model == model]
    index = json.loads((platform.state / "images" / "index.json").read_bytes())
    names = [each["annotations"]["org.opencontainers.image.ref.name"] for each in index["manifests"]]
    for number in range(1, version + 1):
        assert len({event.image.digest for event in built if event.version == str(number)}) == 1
        assert names.count(f"{ACCOUNT}/{model}:{number}") == 1


def _assert_one_deployment(platform: Running, model: str, version: int) -> None:
    """Each version is one revision, and the last one's only replica is the only process."""
    deployment = platform.deployment(model)
    assert deployment
    assert (deployment["revision"], deployment["state"]) == (version, "ready")
    (replica,) = until(lambda: len(living := platform.living(model)) == 1 and living)
    assert replica["version"] == str(version)
    assert [each.pid for each in platform.replica_processes() if _bears(each, model)] == [replica["pid"]]


def assert_gone(platform: Running, model: str) -> None:
    """Nothing of a deployment is left."""
    platform.settle()
    until(lambda: platform.deployment(model) is None)
    assert platform.living(model) == []
    assert [each for each in platform.replica_processes() if _bears(each, model)] == []
    assert (
        len({each.id for each in platform.events(DeploymentRemoved) if each.event.deployment == model}) == 1
    )


def _bears(process, model: str) -> bool:
    return process.environ().get("SO1S_REPLICA", "").rpartition("-")[0] == model  # one that ends has none


def _assert_one_route(platform: Running, model: str, version: int, weight: int) -> None:
    assert until(lambda: platform.weights(model)) == {model: weight}
    endpoint = platform.endpoint(model)
    answer = platform.ask(endpoint["url"]).raise_for_status()
    assert answer.headers["x-so1s-revision"] == str(endpoint["revision"])
    assert answer.json()["y"] == platform.wanted(model, version)


def _assert_one_charge_a_window(platform: Running, model: str) -> None:
    """Each window that was sampled up to now is in the ledger once, with what was said first."""
    until(lambda: _sampled(platform, model))
    sampled = _sampled(platform, model)
    until(lambda: sampled.keys() <= charges(platform).keys())
    corrected = {_window(each.event) for each in platform.events(UsageCorrected)}
    booked = charges(platform)
    assert {window: booked[window] for window in sampled if window not in corrected} == {
        window: 1 for window in sampled if window not in corrected
    }
    assert platform.get("billing", f"bills/{ACCOUNT}/recomputed")["equal"]


def _sampled(platform: Running, model: str) -> dict[str, UsageSampled]:
    found = [each.event for each in platform.events(UsageSampled) if each.event.deployment == model]
    return {_window(each): each for each in found if each.replica != "gateway"}


def _window(event: UsageSampled) -> str:
    return f"{event.key}/{int(event.window_start.timestamp())}/{event.window_seconds}"


def charges(platform: Running) -> Counter[str]:
    """How many entries the ledger has for each window."""
    return Counter(window for (window,) in _rows(platform, "billing", "select window from billing_entries"))


def everything_is_told(platform: Running) -> bool:
    """Whether Slack shows every incident as it is."""
    behind = "select id from incidents where told_revision < revision"
    return not _rows(platform, "alerter", behind)


def _rows(platform: Running, service: str, query: str) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{platform.state}/db/{service}.db?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()
