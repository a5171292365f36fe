"""All figures of a cluster, of one run of the lab."""

from collections.abc import AsyncIterator
from pathlib import Path

from so1s_lab.part import MissingPartError
from tests.load.bench.cluster import deployments, endpoints, kafka, rollouts, under_load
from tests.load.bench.cluster.site import Parts, requested, running, service_of, started
from tests.load.bench.cluster.weights import PAIR, Weights
from tests.load.bench.figure import Figure
from tests.load.bench.report import Section

_KAFKA = (
    "As on the laptop's broker, where a record costs less: a service's own work is the larger part there. "
    "A publisher waits until the event is in Kafka; the peer sends the same bytes, encoded as ours."
)
_DEPLOYMENTS = (
    "A request goes through Kafka and a decision in PostgreSQL before anything is applied; that it is ready "
    "comes back as an event. kwok's pods start at once, so that a real image's pull and start, which are "
    "the same for both, hide nothing. Both apply 16 deployments at a time; the peer's are there still when "
    "ours come."
)
_WEIGHTS = (
    "Live: the gateway answers with the new revision; acknowledged: `RoutesApplied` is heard. The lab has "
    "one gateway, and its istiod waits 10 ms for further changes, where Istio's default is 100 ms. Both "
    "variants took traffic before."
)
_LOAD = (
    "Two inference servers answer behind the endpoint, and behind the peer's. Each host is asked at a steady "
    "rate, whether or not it has answered. Callers, servers and all that is measured share the machine."
)
_PODS = (
    "Real pods of a real kubelet, with images that the builder made. Ours go through Kafka and a decision in "
    "PostgreSQL, and are ready when the deployer says so; the peer's when Kubernetes' Deployment does. "
    "Callers ask each host at a steady rate."
)
_ENDPOINTS = (
    "Each endpoint is a VirtualService; they share the Services of the deployments above. The router "
    "compares all of them with the cluster each second, so that another hand's edit is undone: that is its "
    "CPU at rest."
)


async def measure(directory: Path) -> AsyncIterator[Section]:
    """Each section as soon as it is measured.

    Raises:
        MissingPartError: a part of the lab other than the real node cannot run on this machine.
    """
    with started() as parts:
        yield Section("Apache Kafka", _KAFKA, await kafka.measure(parts.kafka.bootstrap_servers, directory))
        async with running(parts, directory) as site:
            alone = await deployments.one_by_one(site)
            weights = Weights(site, {name: service_of(name) for name in PAIR})
            await weights.attach(requested(name, PAIR[0]) for name in PAIR)
            few = await weights.measure(len(deployments.ALONE) + 2)
            yield Section("Weights under load", _LOAD, await under_load.measure(site, directory))
            many = await deployments.at_once(site)
            yield Section("Deployments on Kubernetes", _DEPLOYMENTS, [*alone, *many])
            present = len(deployments.ALONE) + 2 + len(deployments.MANY)
            grown = await endpoints.measure(site, present)
            loaded = await weights.measure(present + sum(endpoints.STEPS))
            yield Section("Weights through Istio", _WEIGHTS, [*few, *loaded])
            yield Section("A thousand endpoints", _ENDPOINTS, grown)
    with started() as parts:
        yield Section("Pods under load", _PODS, await _pods(parts, directory / "pods"))


async def _pods(parts: Parts, directory: Path) -> list[Figure]:
    try:
        return await rollouts.measure(parts, directory)
    except MissingPartError as missing:
        return [Figure(f"not measured: {missing}", "s", 0)]
