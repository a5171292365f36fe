"""Images that commands are given, and what is attached to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from so1s.cli import api
from so1s.cli.build import split
from so1s.cli.options import account_of
from so1s.errors import InvalidInput, So1sError, Unreachable
from so1s.platform import ClientSettings
from so1s.registry import RegistryAway
from so1s.supply_chain.access import RegistryAccess
from so1s.supply_chain.description import Description, describe
from so1s.supply_chain.evidence import Source
from so1s.supply_chain.places import Reference, opened
from so1s.supply_chain.refusal import NotVerified

if TYPE_CHECKING:
    from so1s.supply_chain.verification import Verified

T = TypeVar("T")

Image = Annotated[
    str,
    typer.Argument(
        metavar="IMAGE",
        help="HOST/REPOSITORY@sha256:…, HOST/REPOSITORY:TAG, oci:DIRECTORY@sha256:…, or MODEL@VERSION.",
    ),
]
Keys = Annotated[
    list[Path] | None,
    typer.Option("--key", "-k", envvar="SO1S_VERIFY_KEY", help="PEM file of a public key; one is enough."),
]


class Unsigned(So1sError):
    """Nobody vouches for an image."""


def reference_of(image: str, account: str | None) -> str:
    """Where an image lies; of `MODEL@VERSION`, as its builder knows it."""
    return image if "/" in image or image.startswith("oci:") else _built(image, account)


def described(reference: str, *, layers: bool = False) -> Description:
    """What is said of an image, whoever says it."""
    return _asked(reference, lambda source, name: describe(source, name, layers=layers))


def verified(reference: str, files: Sequence[Path], *, layers: bool = False) -> Verified:
    """What the owner of one of the keys says of an image.

    Raises:
        Unsigned: nobody signed it.
        So1sError: none of these keys did, or it was changed.
    """
    try:
        from so1s.supply_chain.keys import PublicKey
        from so1s.supply_chain.verification import verify
    except ImportError as error:
        raise InvalidInput.missing("the extra so1s[verify]", "pip install 'so1s[verify]'") from error
    keys = [PublicKey.read(path, "--key") for path in files]
    return _asked(reference, lambda source, name: verify(source, name, keys, layers=layers))


def _built(version: str, account: str | None) -> str:
    model, number = split(version)
    settings = ClientSettings.load()
    whose = account_of(settings, account)
    found = api.get(settings, "builder", "v1", "builds", account=whose)["builds"]
    images = {(each["model"], each["version"]): each.get("image") for each in found}
    image = images.get((model, number))
    if not image:
        raise InvalidInput.of(
            "image", version, "allowed: a version that was built; so1s build list shows them"
        )
    return image


def _asked(reference: str, ask: Callable[[Source, str], Awaitable[T]]) -> T:
    async def look() -> T:
        parsed = Reference.parse(reference)
        async with opened(parsed, RegistryAccess()) as source:
            return await ask(source, parsed.name)

    try:
        return asyncio.run(look())
    except RegistryAway as error:
        raise Unreachable(str(error)) from error
    except NotVerified as error:
        kind = Unsigned if error.reason == "unsigned" else So1sError
        raise kind(f"{reference} is not verified: {error.reason}: {error}") from error
