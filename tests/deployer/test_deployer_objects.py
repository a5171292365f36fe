"""A deployment's objects against an API server that is odd; the lab asks a real one."""

from __future__ import annotations

import copy

import pytest
from structlog.testing import capture_logs

from services.deployer.adapters.kubernetes.objects import Objects
from so1s.errors import TemporaryError
from so1s.kubernetes.errors import Conflict

KEY = ("risk", "fraud")
MANIFEST = {
    "kind": "Deployment",
    "metadata": {"namespace": "so1s-risk", "name": "fraud"},
    "spec": {"paused": False, "template": {"metadata": {}}},
}


class Server:
    """An API of one object, and its mirror; a webhook, or another hand, has its way with what is written."""

    def __init__(self, **insisted):
        self.insisted = insisted
        self.conflicts = 0
        self.calls = []
        self.objects = {}

    async def apply(self, manifest, **_):
        return self._write("apply", manifest)

    async def replace(self, manifest, **_):
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict("the object has been modified")
        return self._write("replace", manifest)

    def _write(self, call, manifest):
        self.calls.append(call)
        written = copy.deepcopy(manifest)
        written["spec"] |= self.insisted
        return written

    def take(self, body):
        self.objects = {("so1s-risk", "fraud"): body}


def objects(server):
    return Objects(server, {"Deployment": server})


async def test_a_webhook_that_insists_is_told_of_once_and_let_be():
    server = Server(paused=True)
    brought = objects(server)
    with capture_logs() as logs:
        for _ in range(3):
            await brought.bring(KEY, MANIFEST)
    assert server.calls == ["apply", "replace"]
    assert [each["fields"] for each in logs if each["log_level"] == "warning"] == [[".spec.paused"]]
    assert brought.drift(KEY) == {}


async def test_another_change_beside_what_a_webhook_insists_on_is_drift():
    server = Server(paused=True)
    brought = objects(server)
    live = await brought.bring(KEY, MANIFEST)
    server.take(live | {"spec": live["spec"] | {"template": None}})
    assert brought.drift(KEY) == {"Deployment": [".spec.template"]}


async def test_another_value_where_a_webhook_insists_on_one_is_drift_and_taken_back():
    server = Server(paused=True)
    brought = objects(server)
    live = await brought.bring(KEY, MANIFEST)
    server.take(live | {"spec": live["spec"] | {"paused": "else"}})
    assert brought.drift(KEY) == {"Deployment": [".spec.paused"]}
    await brought.bring(KEY, MANIFEST)
    assert server.calls == ["apply", "replace"] * 2
    assert brought.drift(KEY) == {}


async def test_what_nobody_changed_is_not_compared_again():
    """A change in place would be seen otherwise; a mirror makes none."""
    server = Server()
    brought = objects(server)
    live = await brought.bring(KEY, MANIFEST)
    await brought.resize(KEY, live, 1, sizes=(1, 4))
    live["spec"]["paused"] = True
    await brought.bring(KEY, MANIFEST)
    assert server.calls == ["apply"]
    await brought.bring(KEY, MANIFEST | {"spec": MANIFEST["spec"] | {"minReadySeconds": 1}})
    assert server.calls == ["apply"] * 2


async def test_a_size_out_of_its_bounds_is_drift():
    server = Server()
    brought = objects(server)
    await brought.resize(KEY, await brought.bring(KEY, MANIFEST), 2, sizes=(2, 4))
    for size, fields in ((2, []), (4, []), (5, [".spec.replicas"]), (0, [".spec.replicas"])):
        server.take(MANIFEST | {"spec": MANIFEST["spec"] | {"replicas": size}})
        assert brought.drift(KEY).get("Deployment", []) == fields


async def test_what_is_about_to_go_is_drift_once_it_is_gone():
    server = Server()
    brought = objects(server)
    live = await brought.bring(KEY, MANIFEST)
    going = live["metadata"] | {"deletionTimestamp": "now"}
    server.take(live | {"metadata": going, "spec": live["spec"] | {"paused": True}})
    assert brought.drift(KEY) == {}
    server.objects = {}
    assert brought.drift(KEY) == {"Deployment": ["deleted"]}
    brought.forget(KEY)
    assert brought.drift(KEY) == {}


async def test_a_controller_that_writes_in_between_is_no_failure_unless_it_does_not_stop():
    server = Server(paused=True)
    server.conflicts = 2
    await objects(server).bring(KEY, MANIFEST)
    assert server.calls == ["apply", "apply", "apply", "replace"]
    server.conflicts = 1000
    with pytest.raises(TemporaryError, match="Deployment fraud changes all the time"):
        await objects(server).bring(KEY, MANIFEST | {"spec": MANIFEST["spec"] | {"minReadySeconds": 1}})
