"""`so1s verify`: who built an image, from what, and whether it is still that one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from so1s.cli import api
from so1s.cli.build import split
from so1s.cli.options import Account, account_of
from so1s.cli.terminal import print_json, terminal
from so1s.errors import InvalidInput, So1sError, Unreachable
from so1s.platform import ClientSettings
from so1s.registry import RegistryAway
from so1s.supply_chain.access import RegistryAccess
from so1s.supply_chain.formats import MODEL_BUILD

if TYPE_CHECKING:
    from so1s.supply_chain.verification import Verified

Image = Annotated[
    str,
    typer.Argument(
        metavar="IMAGE",
        help="HOST/REPOSITORY@sha256:…, HOST/REPOSITORY:TAG, oci:DIRECTORY@sha256:…, or MODEL@VERSION.",
    ),
]
Keys = Annotated[
    list[Path],
    typer.Option("--key", "-k", envvar="SO1S_VERIFY_KEY", help="PEM file of a public key; one is enough."),
]
Layers = Annotated[
    bool, typer.Option("--layers", help="Read all layers, too, and hold them against their digests.")
]

_WIDTH = 11


@dataclass(frozen=True, slots=True)
class Report:
    """What is shown of a verified image."""

    image: str
    digest: str
    key: str
    """The fingerprint of the one that signed."""
    provenance: dict[str, Any] | None
    sbom: dict[str, Any] | None


def verify(
    context: typer.Context, image: Image, *, key: Keys, layers: Layers = False, account: Account = None
) -> None:
    """Verify who built an image, and from what.

    Exits with 1 where it is not signed, is signed by another key, or was changed. A registry that asks for a
    password is SO1S_IMAGE_REGISTRY, with SO1S_IMAGE_REGISTRY_USER and SO1S_IMAGE_REGISTRY_PASSWORD.
    """
    reference = image if "/" in image else _built(image, account)
    verified = _verified(reference, key, layers=layers)
    report = Report(reference, verified.digest, verified.key.fingerprint, verified.provenance, verified.sbom)
    screen = terminal(context)
    if screen.is_json:
        print_json(report)
    for line in _lines(report):
        screen.line(line)


def _built(version: str, account: str | None) -> str:
    """The reference of the image of `MODEL@VERSION`, as its builder knows it."""
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


def _verified(reference: str, files: list[Path], *, layers: bool) -> Verified:
    try:
        from so1s.supply_chain.keys import PublicKey
        from so1s.supply_chain.places import Reference, opened
        from so1s.supply_chain.verification import NotVerified
        from so1s.supply_chain.verification import verify as check
    except ImportError as error:
        raise InvalidInput.missing("the extra so1s[verify]", "pip install 'so1s[verify]'") from error

    async def look() -> Verified:
        keys = [PublicKey.read(path, "--key") for path in files]
        parsed = Reference.parse(reference)
        async with opened(parsed, RegistryAccess()) as source:
            return await check(source, parsed.name, keys, layers=layers)

    try:
        return asyncio.run(look())
    except RegistryAway as error:
        raise Unreachable(str(error)) from error
    except NotVerified as error:
        raise So1sError(f"{reference} is not verified: {error.reason}: {error}") from error


def _lines(report: Report) -> Iterator[str]:
    yield f"✓ {report.image}"
    yield _line("digest", report.digest)
    yield _line("signed by", report.key)
    if report.provenance:
        yield from _provenance(report.provenance)
    if report.sbom:
        yield _line("contains", _contents(report.sbom))


def _provenance(said: dict[str, Any]) -> Iterator[str]:
    """What SLSA provenance has in every build, and what So1s' own has beside it."""
    run = said.get("runDetails") or {}
    metadata = run.get("metadata") or {}
    yield _line("built by", (run.get("builder") or {}).get("id"))
    yield _line("build", _joined(metadata.get("invocationId"), metadata.get("startedOn")))
    definition = said.get("buildDefinition") or {}
    if definition.get("buildType") != MODEL_BUILD:
        return
    asked = definition["externalParameters"]
    used = {each["name"]: each for each in definition["resolvedDependencies"]}
    yield _line("model", f"{asked['account']}/{asked['model']}@{asked['version']}, {asked['format']}")
    yield _line("uploaded by", asked["uploadedBy"])
    yield _line("from", asked["artifact"])
    yield _line("bytes", f"sha256:{used['artifact']['digest']['sha256']}")
    if commit := used.get("commit"):
        yield _line("commit", commit["annotations"]["commit"])
    if dataset := used.get("dataset"):
        yield _line("data", dataset["uri"])
    yield _line("base", definition["internalParameters"]["base"])


def _contents(sbom: dict[str, Any]) -> str:
    components = sbom.get("components") or []
    libraries = [each for each in components if each.get("type") == "library"]
    return f"{len(libraries)} packages, {len(components) - len(libraries)} other parts; -o json has all"


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _line(name: str, value: object) -> str:
    return f"{name:{_WIDTH}} {value}"
