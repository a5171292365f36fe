"""The composition root: settings → store, cluster, reconciler, consumer → service."""

from __future__ import annotations

from services.deployer import api
from services.deployer.adapters.cluster_processes import ClusterProcesses
from services.deployer.adapters.processes.options import Options
from services.deployer.adapters.processes.shutdown import end_all
from services.deployer.adapters.verifier_signatures import SignatureVerifier
from services.deployer.alarm import Alarm
from services.deployer.domain.autoscaling import Behavior
from services.deployer.domain.capacity import Capacity
from services.deployer.domain.options import Defaults
from services.deployer.domain.probes import ProbeRules
from services.deployer.domain.progress import Deadlines
from services.deployer.domain.restart import Backoff
from services.deployer.handlers import consumer
from services.deployer.ports import Cluster
from services.deployer.reconciler import Reconciler
from services.deployer.settings import Settings
from services.deployer.verified_cluster import VerifiedCluster
from so1s.loop import Loop
from so1s.service import Service
from so1s.store import Store
from so1s.supply_chain.keys import PublicKey

_RETRY_SECONDS = 1.0


def build(settings: Settings) -> Service:
    """Put the deployer together."""
    store = Store(
        settings.database_url.get_secret_value(), producer="deployer", schema=settings.database_schema
    )
    cluster, alarm = _cluster(settings), Alarm()
    consumer.provide(
        alarm,
        Defaults(
            strategy=settings.default_strategy,
            resources=settings.default_resources,
            scaling=settings.default_scaling,
        ),
    )
    reconciler = Reconciler(
        store,
        cluster,
        alarm,
        deadlines=Deadlines(rollout=settings.deadline_seconds, checks=settings.check_deadline_seconds),
        poll_seconds=settings.poll_seconds,
    )
    return Service(
        "deployer",
        settings,
        consumer=consumer,
        store=store,
        migrations="services.deployer.migrations",
        loops=[Loop("reconcile", reconciler.lead, every_seconds=_RETRY_SECONDS)],
        routes=api.routes(store, cluster),
    )


async def down(settings: Settings) -> None:
    """End every replica of this machine, if they are its processes; no deployer may be running."""
    if settings.cluster == "processes":
        await end_all(_processes(settings))


def _cluster(settings: Settings) -> Cluster:
    """Where replicas run; only what is verified, where the settings say so."""
    if settings.verify_images == "off":
        return _runner(settings)
    keys = [PublicKey.read(path, "verify_key_files") for path in settings.verify_key_files]
    return VerifiedCluster(_runner(settings), SignatureVerifier(keys, settings), settings.verify_images)


def _runner(settings: Settings) -> Cluster:
    match settings.cluster:
        case "processes":
            return ClusterProcesses(_processes(settings))
        case "kubernetes":
            return _kubernetes(settings)


def _kubernetes(settings: Settings) -> Cluster:
    from services.deployer.adapters.cluster_kubernetes import ClusterKubernetes
    from services.deployer.adapters.kubernetes.keda import Keda
    from services.deployer.adapters.kubernetes.options import Options

    keda = Keda(settings.prometheus_url, settings.keda_authentication)
    namespace, _, name = (settings.image_pull_secret or "").partition("/")
    options = Options(
        namespace_prefix=settings.namespace_prefix,
        cluster_domain=settings.cluster_domain,
        gpu_resource=settings.gpu_resource,
        gpu_scheduler=settings.gpu_scheduler,
        server_variables=settings.server_variables,
        node_selector=settings.node_selector,
        tolerations=settings.tolerations,
        image_pull_secret=(namespace, name) if name else None,
        keda=keda if settings.autoscaling_provider == "keda" else None,
        startup_seconds=settings.startup_seconds,
        rollout_seconds=settings.deadline_seconds,
        drain_seconds=settings.replica_drain_seconds,
        grace_seconds=settings.replica_drain_seconds + settings.replica_grace_seconds,
        unschedulable_seconds=settings.unschedulable_seconds,
    )
    return ClusterKubernetes(options, settings.kubeconfig)


def _processes(settings: Settings) -> Options:
    return Options(
        world=settings.world_dir,
        unpacked=settings.unpacked_dir,
        server_variables=settings.server_variables,
        capacity=Capacity(
            settings.allocatable_cpu_millicores, settings.allocatable_memory_mib, settings.allocatable_gpus
        ),
        probes=ProbeRules(
            period_seconds=settings.probe_period_seconds,
            timeout_seconds=settings.probe_timeout_seconds,
            startup_seconds=settings.startup_seconds,
        ),
        backoff=Backoff(settings.restart_first_seconds, settings.restart_most_seconds),
        behavior=Behavior(scale_down_window_seconds=settings.scale_down_window_seconds),
        autoscale_period_seconds=settings.autoscale_period_seconds,
        min_ready_seconds=settings.min_ready_seconds,
        drain_seconds=settings.replica_drain_seconds,
        grace_seconds=settings.replica_grace_seconds,
        log_most_bytes=settings.log_most_bytes,
    )
