"""`python -m deploy.images`: make the image of every service, and push them where a registry is said."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.images import base, sources
from deploy.images.credentials import Credentials
from deploy.images.foundation import Foundation
from deploy.images.pushing import Destination, Pusher, pusher
from deploy.images.workshop import Workshop
from so1s.errors import TemporaryError

console = Console(highlight=False)
app = typer.Typer(add_completion=False)

_MEGABYTE = 1_000_000


@app.command()
def images(
    names: Annotated[list[str] | None, typer.Argument(help="services; all of them by default")] = None,
    *,
    registry: Annotated[str, typer.Option(help="HOST/PREFIX; http://HOST/PREFIX where it has no TLS")] = "",
    tag: Annotated[str, typer.Option(help="by default the version of each service")] = "",
    directory: Annotated[Path, typer.Option(help="keeps what was made")] = Path(".so1s/service-images"),
    base_layout: Annotated[
        Path | None, typer.Option("--base", help="an OCI image layout to stand on; else one is made")
    ] = None,
    mirror: Annotated[str, typer.Option(help="of Debian's packages")] = base.MIRROR,
) -> None:
    """Make the images of services, without Docker: the same checkout gives the same digests.

    They are in DIRECTORY/layout. A push takes its credentials from SO1S_IMAGE_REGISTRY_USER and
    SO1S_IMAGE_REGISTRY_PASSWORD, or from docker's config.json.
    """
    unknown = set(names or ()) - set(sources.services())
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; allowed: {', '.join(sources.services())}")
    try:
        layout = base_layout or _base(directory.absolute(), mirror)
        asyncio.run(_run(names or sources.services(), registry, tag, directory.absolute(), layout))
    except subprocess.CalledProcessError:
        sys.exit("uv refuses, as it says above")
    except (base.RecipeError, TemporaryError, ValueError) as error:
        sys.exit(str(error))


def _base(directory: Path, mirror: str) -> Path:
    layout = directory / f"base-{base.fingerprint()}"
    if not layout.exists():
        began = time.monotonic()
        directory.mkdir(parents=True, exist_ok=True)
        base.build(layout, mirror=mirror, lock=base.lock_file())
        _tell("base", Foundation(layout).digest, Foundation(layout).size_bytes, time.monotonic() - began)
    return layout


async def _run(names: list[str], registry: str, tag: str, directory: Path, layout: Path) -> None:
    if not registry:
        await _make(names, tag, directory, layout)
        return
    async with pusher(Destination.parse(registry), Credentials()) as push:
        await _make(names, tag, directory, layout, push)


async def _make(
    names: list[str], tag: str, directory: Path, layout: Path, push: Pusher | None = None
) -> None:
    if push:
        digest = Foundation(layout).digest
        await _push(push, layout, digest, name="base", tag=tag or sources.describe(names[0]).version)
    with Workshop(directory, layout) as workshop:
        for name in names:
            named = tag or sources.describe(name).version
            made = await workshop.make(name, named)
            _tell(name, made.digest, made.size_bytes, made.seconds, "libraries cached" if made.cached else "")
            if push:
                await _push(push, workshop.layout, made.digest, name=name, tag=named)


async def _push(push: Pusher, layout: Path, digest: str, *, name: str, tag: str) -> None:
    reference = await push.push(layout, digest, name=name, tag=tag)
    console.print(f"  pushed {reference} as {tag}", soft_wrap=True)


def _tell(name: str, digest: str, size_bytes: int, seconds: float, remark: str = "") -> None:
    size = f"{size_bytes / _MEGABYTE:.0f} MB"
    console.print(f"[green]✓[/] {name:<12}{digest[:19]}  {size:>7}  {seconds:5.1f}s  {remark}".rstrip())


if __name__ == "__main__":
    app()
