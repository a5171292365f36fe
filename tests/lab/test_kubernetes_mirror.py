"""A mirror of a real API server's objects, through a connection that is cut."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from so1s.errors import TemporaryError, Unreachable
from so1s.kubernetes import Api, Mirror, Refused, connect
from so1s_lab.control_plane import ControlPlane
from tests.gate import Gate


@pytest.fixture
async def gate(kubernetes: ControlPlane) -> AsyncGenerator[Gate]:
    at = urlsplit(kubernetes.url)
    gate = Gate(lambda: asyncio.open_connection(at.hostname, at.port))
    await gate.start()
    yield gate
    await gate.stop()


@pytest.fixture
async def beyond(kubernetes: ControlPlane, gate: Gate, tmp_path: Path) -> AsyncGenerator[Api]:
    """The API behind the gate."""
    config = yaml.safe_load(kubernetes.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{gate.port}"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    async with connect(path) as api:
        yield api


@pytest.fixture
async def api(kubernetes: ControlPlane) -> AsyncGenerator[Api]:
    async with connect(kubernetes.kubeconfig) as api:
        yield api


@pytest.fixture
def put(api: Api, namespace: str):
    """Makes a ConfigMap: `await put("a", "1")`."""

    async def apply(name: str, value: str, **rest) -> None:
        meta = {"name": name, "namespace": namespace}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"value": value}, **rest}
        await api.apply(body, manager="tests")

    apply.api = api
    return apply


def values(mirror: Mirror) -> dict[str, str]:
    """Those of the test itself: Kubernetes and Istio put certificates into each namespace, too."""
    found = {name: body.get("data", {}) for (_, name), body in mirror.objects.items()}
    return {name: data["value"] for name, data in found.items() if "value" in data}


async def test_a_mirror_is_complete_from_the_beginning(api, put, namespace, monkeypatch):
    monkeypatch.setattr("so1s.kubernetes.mirror._PAGE", "2")
    for number in range(5):
        await put(f"m{number}", str(number))
    async with api.mirror("v1", "ConfigMap", namespace=namespace) as seen:
        assert values(seen) == {f"m{number}": str(number) for number in range(5)}


async def test_changes_arrive_and_are_told(api, put, namespace, eventually):
    told = []
    async with api.mirror("v1", "ConfigMap", namespace=namespace) as seen:
        seen.on_change(lambda: told.append(1))
        await put("a", "1")
        await eventually(lambda: values(seen) == {"a": "1"})
        await put("a", "2")
        await eventually(lambda: values(seen) == {"a": "2"})
        await api.delete("v1", "ConfigMap", namespace, "a")
        await eventually(lambda: values(seen) == {})
    assert len(told) >= 3


async def test_a_removal_is_told_with_the_last_state(api, put, namespace, eventually):
    removed = []
    async with api.mirror("v1", "ConfigMap", namespace=namespace) as seen:
        seen.on_removed(removed.append)
        await put("a", "1")
        await put("a", "2")
        await api.delete("v1", "ConfigMap", namespace, "a")
        await eventually(lambda: removed)
    assert [body["data"] for body in removed] == [{"value": "2"}]


async def test_only_objects_with_the_labels_are_seen(api, put, namespace, eventually):
    async with api.mirror("v1", "ConfigMap", label_selector="shown=yes", namespace=namespace) as seen:
        meta = {"name": "b", "namespace": namespace, "labels": {"shown": "yes"}}
        await put("a", "1")
        await put("b", "2", metadata=meta)
        await eventually(lambda: values(seen) == {"b": "2"})


async def test_what_happened_while_the_connection_was_cut_is_caught_up(
    beyond, gate, put, namespace, eventually
):
    await put("stays", "1")
    await put("goes", "1")
    async with beyond.mirror("v1", "ConfigMap", namespace=namespace) as seen:
        await gate.close()
        await eventually(lambda: gate.refused)
        await put("stays", "2")
        await put.api.delete("v1", "ConfigMap", namespace, "goes")
        await put("comes", "1")
        await gate.open()
        await eventually(lambda: seen._lost is None and values(seen) == {"stays": "2", "comes": "1"})


async def test_nobody_is_told_what_may_not_be_so_any_more(beyond, gate, namespace, monkeypatch, eventually):
    monkeypatch.setattr("so1s.kubernetes.mirror._READABLE_SECONDS", 0.0)
    async with beyond.mirror("v1", "ConfigMap", namespace=namespace) as seen:
        await gate.close()
        await eventually(lambda: seen._lost)
        with pytest.raises(Unreachable, match="not watched"):
            seen.objects  # noqa: B018 - it is asked for


async def test_a_watch_from_too_long_ago_reads_everything_anew(beyond, gate, put, namespace, eventually):
    async with beyond.mirror("v1", "ConfigMap", namespace=namespace) as seen:
        await gate.close()
        await eventually(lambda: seen._lost)
        seen._version = "1"
        await put("a", "1")
        await gate.open()
        await eventually(lambda: seen._lost is None and values(seen) == {"a": "1"})


async def test_a_server_that_is_away_at_first_is_no_empty_one(beyond, gate, namespace):
    await gate.close()
    with pytest.raises(Unreachable):
        async with beyond.mirror("v1", "ConfigMap", namespace=namespace):
            pass


async def test_an_unknown_field_is_refused_by_its_name(put):
    with pytest.raises(Refused, match="colour"):
        await put("a", "1", colour="red")


async def test_an_object_of_a_namespace_that_is_not_there_can_be_applied_later(api):
    meta = {"name": "a", "namespace": f"none-{uuid.uuid4().hex[:6]}"}
    with pytest.raises(TemporaryError, match="not found"):
        await api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}, manager="tests")


async def test_to_delete_what_is_not_there_is_no_error(api, namespace):
    await api.delete("v1", "ConfigMap", namespace, "never-was")
    assert await api.get("v1", "ConfigMap", namespace, "never-was") is None
