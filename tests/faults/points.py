"""Where a process dies: in which call, before or after it, and what the call must be about."""

from dataclasses import dataclass
from typing import Literal

_HANDLER = "so1s.broker.handlers:Subscription._call"
_SEND = "so1s.broker.producer:Producer.send"
_ONE = "so1s.broker.delivery:Delivery.one"
_MANY = "so1s.broker.batches:BatchDelivery.many"


@dataclass(frozen=True)
class Point:
    """A moment in the life of a service."""

    service: str
    when: Literal["before", "after"]
    function: str
    """`MODULE:NAME`, where it is looked up when it is called."""
    about: str = ""
    """Must be part of its arguments, beside the name of the model."""

    def __str__(self) -> str:
        name = self.function.rpartition(":")[2].rpartition(".")[2].strip("_")
        return "-".join(filter(None, [self.service, self.when, name, self.about.strip("('")]))


def _delivered(service: str, event: str, topic: str, *, batch: bool = False) -> list[Point]:
    """The points of an event's way through a handler."""
    return [
        Point(service, "before", _HANDLER, f"{event}("),
        Point(service, "after", _HANDLER, f"{event}("),  # decided, not committed
        Point(service, "after", _MANY if batch else _ONE, topic),  # committed and sent, the offset stands
    ]


def _sent(service: str, topic: str) -> list[Point]:
    """The points of an event's way out of the outbox."""
    return [Point(service, "before", _SEND, topic), Point(service, "after", _SEND, topic)]


def _around(service: str, function: str, about: str = "") -> list[Point]:
    """The points before and after an effect in the world, which nobody has recorded yet."""
    return [Point(service, "before", function, about), Point(service, "after", function, about)]


BUILDER = [
    *_delivered("builder", "ModelUploaded", "so1s.model-uploaded"),
    *_around("builder", "services.builder.adapters.images_layout:LayoutImages.publish"),
    *_sent("builder", "so1s.image-built"),
]
DEPLOYER = [
    *_delivered("deployer", "ImageBuilt", "so1s.image-built"),
    *_delivered("deployer", "DeploymentRequested", "so1s.deployment-requested"),
    *_around("deployer", "services.deployer.adapters.processes.launcher:spawn"),
    Point("deployer", "before", "services.deployer.store:tell", "'ready_revision'"),
    *_sent("deployer", "so1s.deployment-ready"),
]
ROUTER = [
    *_delivered("router", "DeploymentReady", "so1s.deployment-ready"),
    *_around("router", "services.router.adapters.mesh_envoy:EnvoyMesh._write_hosts"),
    Point("router", "after", "services.router.progress:acknowledge"),
    *_sent("router", "so1s.routes-applied"),
]
COLLECTOR = [
    *_around("collector", "services.collector.watchers:advance"),
    *_sent("collector", "so1s.usage-sampled"),
]
BILLING = [
    *_delivered("billing", "UsageSampled", "so1s.usage-sampled", batch=True),
    *_around("billing", "services.billing.handlers:book"),
]
ALERTER = [
    *_delivered("alerter", "BuildFailed", "so1s.build-failed"),
    *_around("alerter", "services.alerter.adapters.messenger_slack:SlackMessenger.post"),
    *_sent("alerter", "so1s.incident-opened"),
]
UPLOAD = [*BUILDER, *DEPLOYER, *ROUTER, *COLLECTOR, *BILLING]
"""On the way from an upload to its charge."""

_WORLD = "services.deployer.adapters.processes.world:World"
TAKEOVER = [
    *_around("deployer", f"{_WORLD}.write_endpoints"),
    *_around("deployer", f"{_WORLD}.write_replica", "leaving_at=datetime"),
    *_around("deployer", f"{_WORLD}.write_replica", "ended_at=datetime"),
]
"""While one version takes another one's place."""

WEIGHTS = [
    *_delivered("router", "WeightsChanged", "so1s.weights-changed"),
    *_around("router", "services.router.adapters.mesh_envoy:EnvoyMesh._write_hosts", "'weight': 7"),
    *_sent("router", "so1s.routes-applied"),
]
REMOVAL = [
    Point("deployer", "after", _HANDLER, "DeploymentRemovalRequested("),
    *_delivered("router", "DeploymentRetiring", "so1s.deployment-retiring")[1:],
    *_sent("router", "so1s.variant-released"),
    Point("deployer", "after", _HANDLER, "VariantReleased("),
    *_around("deployer", f"{_WORLD}.forget_deployment"),
]
ALL = [*UPLOAD, *ALERTER, *TAKEOVER, *WEIGHTS, *REMOVAL]

BROKER_DIES = [
    Point("builder", "before", _HANDLER, "ModelUploaded("),
    Point("builder", "before", _SEND, "so1s.image-built"),
    Point("deployer", "after", _HANDLER, "ImageBuilt("),
    Point("deployer", "after", _SEND, "so1s.deployment-ready"),
    Point("router", "after", _ONE, "so1s.deployment-ready"),
    Point("billing", "before", _HANDLER, "UsageSampled("),
]
"""Where a service stands when the broker dies."""
