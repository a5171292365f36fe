"""`so1s sbom`: what an image is made of."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import RenderableType

from so1s.cli import images
from so1s.cli.images import Image, Keys
from so1s.cli.options import Account
from so1s.cli.terminal import printable, table, terminal
from so1s.errors import So1sError
from so1s.supply_chain.refusal import readable

_COLUMNS = {"name": "name", "version": "version", "type": "type", "license": "license", "hash": "sha256"}
_SHOWN_CHARACTERS = 12


def sbom(context: typer.Context, image: Image, *, key: Keys = None, account: Account = None) -> None:
    """Print what an image is made of: packages, model, base, and the data as it was declared.

    With -o json, the document itself, in CycloneDX 1.6, for a scanner. With --key it is what the key's owner
    signed; without, what is attached to the image, whoever attached it.
    """
    reference = images.reference_of(image, account)
    found = images.verified(reference, key).sbom if key else images.described(reference).sbom
    if found is None:
        by_whom = " by this key" if key else ""
        raise So1sError(f"{reference} has no bill of materials{by_whom}; so1s build again attaches one")
    with readable(reference):
        terminal(context).show(found, _table)
    if not key:
        terminal(context).note(
            f"nobody vouches for this: what is attached to {reference}, whoever attached it"
        )


def _table(document: dict[str, Any]) -> RenderableType:
    rows = [_row(each) for each in document.get("components") or []]
    return table(rows, _COLUMNS, empty="no components")


def _row(component: dict[str, Any]) -> dict[str, str]:
    licenses = [each.get("license") or {} for each in component.get("licenses") or []]
    hashes = [each["content"][:_SHOWN_CHARACTERS] for each in component.get("hashes") or []]
    said = {
        **{name: component.get(name) or "" for name in ("name", "version", "type")},
        "license": ", ".join(each.get("id") or each.get("name") or "" for each in licenses),
        "hash": ", ".join(hashes),
    }
    return {name: printable(value) for name, value in said.items()}
