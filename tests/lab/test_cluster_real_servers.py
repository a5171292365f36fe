"""The `Cluster` port on a real API server and a real kubelet: what a laptop's cluster promises, with pods."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from deploy.images import base
from services.deployer.ports import Cluster
from so1s.kubernetes import connect
from so1s_lab import LAB_DIR
from so1s_lab.control_plane import ControlPlane
from so1s_lab.installation import SYSTEM, pull_secret
from so1s_lab.manifests import namespace as namespace_manifest
from so1s_lab.node import Node
from so1s_lab.registry import Registry
from tests.deployer.conftest import deployment, settled, until, workload
from tests.deployer.test_cluster_conformance import (  # noqa: F401 - the port's promises
    test_a_candidate_gives_way_to_a_later_one,
    test_a_candidate_is_ready_beside_the_deployment_and_takes_no_traffic,
    test_a_candidate_that_crashes_is_told_of_while_the_deployment_serves,
    test_a_candidate_that_is_applied_is_taken_over,
    test_a_candidate_that_is_none_any_more_ends_and_the_deployment_serves_on,
    test_a_deployment_recovers_from_a_bad_version_by_the_next_one,
    test_a_removed_deployment_can_be_applied_again,
    test_a_removed_deployment_is_gone_and_removing_it_again_is_no_error,
    test_a_replica_that_dies_is_started_again_and_counted,
    test_a_replica_that_hangs_is_killed_and_started_again,
    test_a_replica_that_was_found_again_is_looked_after,
    test_a_rolling_update_never_has_fewer_ready_replicas_than_desired,
    test_a_rollout_to_fewer_replicas_keeps_those_that_serve_until_the_new_ones_can,
    test_a_static_update_never_has_replicas_of_two_versions,
    test_a_version_that_crashes_is_told_of_while_the_old_one_serves,
    test_a_version_that_crashes_takes_no_replica_though_it_asks_for_fewer,
    test_an_applied_deployment_becomes_ready_and_answers_at_its_url,
    test_an_image_that_is_not_there_is_told_of,
    test_applying_again_replaces_no_replica,
    test_changes_are_told_to_who_watches,
    test_no_request_fails_while_versions_roll_and_replicas_scale,
    test_replicas_outlive_the_adapter_and_are_found_again,
    test_scaling_keeps_the_replicas_that_stay,
    test_what_serves_is_looked_after_beside_a_candidate_that_was_found_again,
)
from tests.lab.real_servers import PushedLayout, RealServers


@pytest.fixture(scope="module")
def images(registry: Registry, base_image: str, tmp_path_factory) -> PushedLayout:
    layout = LAB_DIR / "images" / f"base-{base.fingerprint()}"
    directory: Path = tmp_path_factory.mktemp("servers") / "images"
    return PushedLayout(directory, layout, registry)


@pytest.fixture
async def machine(
    kubernetes: ControlPlane, node: Node, registry: Registry, images: PushedLayout
) -> AsyncGenerator[RealServers]:
    async with connect(kubernetes.kubeconfig) as api:
        await api.apply(namespace_manifest(SYSTEM), manager="lab")
        await api.apply(pull_secret(registry), manager="lab")
        slices = api.mirror(
            "discovery.k8s.io/v1", "EndpointSlice", label_selector="kubernetes.io/service-name"
        )
        async with slices:
            made = RealServers(kubernetes, node, images, api, slices)
            yield made
            await made.clear()


@pytest.fixture
async def cluster(machine: RealServers) -> AsyncGenerator[Cluster]:
    async with machine.cluster() as entered:
        yield entered


async def test_a_replica_that_is_not_ready_in_time_is_started_again(machine: RealServers):
    async with machine.cluster(startup_seconds=3) as cluster:
        await cluster.apply(deployment(workload(machine.image("slow", start_seconds=3600), "slow")))

        async def restarted() -> bool:
            return any(each.restarts for each in await cluster.observe())

        await until(restarted)
        assert machine.serving() == []


async def test_nothing_of_a_removed_deployment_runs_or_is_left(cluster: Cluster, machine: RealServers):
    await cluster.apply(deployment(workload(machine.image("1"), "1", replicas=2)))
    await settled(cluster, ready=2)
    await cluster.remove("risk", "fraud")

    async def nothing() -> bool:
        left = [
            name
            for kind in ("Deployment", "Pod", "Service", "PodDisruptionBudget")
            for name in machine.objects(kind)
        ]
        return not [*left, *machine.processes(), *machine.traffic()]

    await until(nothing)
