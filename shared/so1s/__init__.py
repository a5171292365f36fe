"""The library of So1s: publish models, read events, add consumers.

    import so1s
    model = so1s.publish_model("fraud", "out/", version=run_id)
    model.wait_until_serving(timeout_seconds=600)

What is named here is imported when it is first used, so that `import so1s` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from so1s.errors import InvalidInput, Refused, So1sError, Unreachable
    from so1s.flow import BuildFailed, DeploymentFailed, FlowFailed, RoutesRejected, Serving, Step
    from so1s.pipeline import NotServing, PublishedModel, publish_model
    from so1s.platform import ClientSettings
    from so1s.publisher import AsyncPublisher, Publisher
    from so1s.ways.http import Unauthorized
    from so1s.ways.kafka import TopicMissing

_MODULES = {
    "AsyncPublisher": "publisher",
    "BuildFailed": "flow",
    "ClientSettings": "platform",
    "DeploymentFailed": "flow",
    "FlowFailed": "flow",
    "InvalidInput": "errors",
    "NotServing": "pipeline",
    "PublishedModel": "pipeline",
    "Publisher": "publisher",
    "Refused": "errors",
    "RoutesRejected": "flow",
    "Serving": "flow",
    "So1sError": "errors",
    "Step": "flow",
    "TopicMissing": "ways.kafka",
    "Unauthorized": "ways.http",
    "Unreachable": "errors",
    "publish_model": "pipeline",
}

__all__ = [
    "AsyncPublisher",
    "BuildFailed",
    "ClientSettings",
    "DeploymentFailed",
    "FlowFailed",
    "InvalidInput",
    "NotServing",
    "PublishedModel",
    "Publisher",
    "Refused",
    "RoutesRejected",
    "Serving",
    "So1sError",
    "Step",
    "TopicMissing",
    "Unauthorized",
    "Unreachable",
    "publish_model",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module 'so1s' has no attribute {name!r}")
    return getattr(import_module(f"so1s.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """What can be asked for."""
    return [*globals(), *_MODULES]
