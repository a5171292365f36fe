"""What a deployer that leads again knows of a cluster; the lab asks a real API server for all else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from services.deployer.adapters.cluster_kubernetes import ClusterKubernetes
from services.deployer.adapters.kubernetes.options import Options
from tests.deployer.conftest import deployment
from tests.deployer.fraud import wanted

OPTIONS = Options("", "cluster.local", gpu_resource="gpu", gpu_scheduler="")


@pytest.fixture
async def kubeconfig(tmp_path: Path):
    """Of an API server that has nothing, and takes nothing."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method != "GET":
            return web.json_response({"message": "no permission"}, status=403)
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "10"}, "items": []})
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    config = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
        "current-context": "c",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    yield tmp_path / "kubeconfig"
    await runner.cleanup()


async def test_what_was_refused_in_an_earlier_leadership_is_not_shown(kubeconfig):
    cluster = ClusterKubernetes(OPTIONS, kubeconfig)
    async with cluster:
        await cluster.apply(deployment(wanted()))
        [seen] = await cluster.observe()
        assert (seen.revision, seen.trouble.reason) == (1, "refused")
    async with cluster:
        assert await cluster.observe() == []
