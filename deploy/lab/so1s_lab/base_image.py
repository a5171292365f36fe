"""The base that images in the lab's registry stand on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from pydantic import SecretStr

from deploy.images import base
from deploy.images.credentials import Credentials
from deploy.images.pushing import Destination, pusher
from so1s_lab import LAB_DIR
from so1s_lab.once import locked
from so1s_lab.part import MissingPartError
from so1s_lab.registry import Registry


async def push_base(registry: Registry) -> str:
    """Push the base; answers its reference by digest.

    Raises:
        MissingPartError: it cannot be made on this machine.
    """
    layout = await asyncio.to_thread(base_layout)
    index = json.loads(await asyncio.to_thread((layout / "index.json").read_bytes))
    digest = index["manifests"][0]["digest"]
    known = Credentials(user=registry.username, password=SecretStr(registry.password))
    async with pusher(Destination.parse(registry.url), known) as push:
        return await push.push(layout, digest, name="so1s/base", tag="latest")


def base_layout() -> Path:
    """The base as an OCI layout, made once for the checkout from what Debian's mirror has.

    Raises:
        MissingPartError: it cannot be made on this machine.
    """
    layout = LAB_DIR / "images" / f"base-{base.fingerprint()}"
    with locked(layout):
        if not layout.exists():
            try:
                base.build(layout)
            except base.RecipeError as missing:
                raise MissingPartError(str(missing)) from missing
    return layout
