"""Pushes an OCI image layout, as the images of the services are pushed."""

import json
from pathlib import Path

from pydantic import SecretStr

from deploy.images.pushing import Destination, Pusher
from so1s.registry import Registry
from so1s_lab.registry import Registry as RegistryPart


def client(part: RegistryPart) -> Registry:
    return Registry(part.url, user=part.username, password=SecretStr(part.password), ca_file=part.ca_file)


async def push(layout: Path, part: RegistryPart, repository: str) -> str:
    """Push a layout's only image; answers its digest."""
    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    async with client(part).session() as session:
        pusher = Pusher(Destination.parse(part.url), session)
        await pusher.push(layout, entry["digest"], name=repository, tag="pushed")
    return entry["digest"]
