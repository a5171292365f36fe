"""`so1s verify`: who built an image, from what, and whether it is still that one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from so1s.cli import images
from so1s.cli.images import Image, Keys, Unsigned
from so1s.cli.options import Account
from so1s.cli.terminal import print_json, printable, terminal
from so1s.errors import InvalidInput
from so1s.supply_chain.formats import MODEL_BUILD
from so1s.supply_chain.refusal import readable

Layers = Annotated[
    bool, typer.Option("--layers", help="Read all layers, too, and hold them against their digests.")
]

_WIDTH = 11


@dataclass(frozen=True, slots=True)
class Report:
    """What is shown of an image."""

    image: str
    digest: str
    verdict: Literal["signed", "unsigned"]
    key: str | None
    """The fingerprint of the one that signed."""
    provenance: dict[str, Any] | None
    sbom: dict[str, Any] | None


def verify(
    context: typer.Context,
    image: Image,
    *,
    key: Keys = None,
    layers: Layers = False,
    account: Account = None,
) -> None:
    """Verify who built an image, and from what.

    Exits with 5 where nobody signed it, and with 1 where another key did or it was changed. Without --key it
    shows what is said of an image that nobody signed. A registry that asks for a password is
    SO1S_IMAGE_REGISTRY, with SO1S_IMAGE_REGISTRY_USER and SO1S_IMAGE_REGISTRY_PASSWORD.
    """
    reference = images.reference_of(image, account)
    if not key:
        _show(context, _claimed(reference, layers=layers))
        raise Unsigned(f"{reference} is unsigned: nobody vouches for this")
    found = images.verified(reference, key, layers=layers)
    signed_by = found.key.fingerprint
    _show(context, Report(reference, found.digest, "signed", signed_by, found.provenance, found.sbom))


def _claimed(reference: str, *, layers: bool) -> Report:
    """What is said of an image that nobody signed.

    Raises:
        InvalidInput: it is signed, and only a key tells by whom.
    """
    found = images.described(reference, layers=layers)
    if found.signed:
        allowed = "allowed: the PEM file of a public key, as only that tells who signed the image"
        raise InvalidInput.missing("--key", allowed)
    return Report(reference, found.digest, "unsigned", None, found.provenance, found.sbom)


def _show(context: typer.Context, report: Report) -> None:
    screen = terminal(context)
    if screen.is_json:
        print_json(report)
        return
    with readable(report.image):
        lines = list(_lines(report))
    for line in lines:
        screen.line(line)


def _lines(report: Report) -> Iterator[str]:
    yield f"{'✓' if report.key else '?'} {report.image}"
    yield _line("digest", report.digest)
    yield _line("signed by", report.key or "nobody: all that follows may be said by anybody who can push")
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
    # The builder's own come first: a package may have the name of one.
    used = {each["name"]: each for each in reversed(definition["resolvedDependencies"])}
    yield _line("model", f"{asked['account']}/{asked['model']}@{asked['version']}, {asked['format']}")
    yield _line("uploaded by", asked["uploadedBy"])
    yield _line("from", asked["artifact"])
    yield _line("bytes", f"sha256:{used['artifact']['digest']['sha256']}")
    if commit := asked.get("commit"):
        yield _line("commit", commit)
    for name, data in reversed(used.items()):
        if name.startswith("data:"):
            yield _line("data", data.get("uri") or f"sha256:{data['digest']['sha256']}")
    yield _line("base", definition["internalParameters"]["base"])


def _contents(sbom: dict[str, Any]) -> str:
    components = sbom.get("components") or []
    libraries = [each for each in components if each.get("type") == "library"]
    return f"{len(libraries)} packages, {len(components) - len(libraries)} other parts; -o json has all"


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _line(name: str, value: object) -> str:
    return f"{name:{_WIDTH}} {printable(value)}"
