"""Envoy's dynamic configuration as files: xDS discovery responses in JSON.

https://www.envoyproxy.io/docs/envoy/latest/configuration/overview/xds_api#filesystem-subscription
Envoy reads a file again when another one is moved to its name, and never a half-written one.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Resource = dict[str, Any]
"""An Envoy message as protobuf's JSON."""


def read_resources(path: Path) -> dict[str, Resource]:
    """The resources of a file by name; none where the file is absent or makes no sense."""
    try:
        response = json.loads(path.read_bytes())
        return {resource["name"]: resource for resource in response["resources"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_resources(path: Path, type_url: str, resources: Sequence[Resource]) -> bool:
    """Make a file hold these resources; False where it did already."""
    typed = [{"@type": type_url, **resource} for resource in resources]
    version = hashlib.sha256(json.dumps(typed, sort_keys=True).encode()).hexdigest()[:16]
    return write_json(path, {"version_info": version, "resources": typed})


def write_json(path: Path, content: Resource) -> bool:
    """Replace a file in one step; False where it has this content already."""
    data = json.dumps(content, indent=1).encode()
    if path.exists() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    Path(temporary).replace(path)
    return True


def without_type(resource: Resource) -> Resource:
    """A resource as it was given to `write_resources`."""
    return {name: value for name, value in resource.items() if name != "@type"}
