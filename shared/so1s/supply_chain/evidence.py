"""What is attached to an image, read from wherever it lies; nobody has checked it yet."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from so1s.supply_chain.formats import (
    ARTIFACT_TYPES,
    BUNDLE_PREFIX,
    DSSE,
    IN_TOTO,
    SIGNATURE,
    SIGNATURE_ANNOTATION,
    SIMPLE_SIGNING,
    Kind,
    pre_authentication,
    tag_of,
)
from so1s.supply_chain.refusal import NotVerified
from so1s.supply_chain.statement import Statement

_KINDS: tuple[Kind, ...] = ("sig", "att")
_LARGEST_BYTES = 32 * 1024 * 1024
"""Of one attachment: a bill of materials of thousands of packages has a few."""


class Source(Protocol):
    """A repository of images, in a registry or on disk.

    All methods raise TemporaryError where it does not answer, `Changed` where bytes are not those of their
    digest, and `NotVerified` for a blob that is not there.
    """

    async def find(self, reference: str) -> tuple[str, dict[str, Any]] | None:
        """The digest and the content of the manifest with a digest or a tag; None where there is none."""
        ...

    async def blob(self, digest: str) -> bytes:
        """A small blob, whole."""
        ...

    async def check(self, digest: str) -> None:
        """Hold a blob of any size against its digest."""
        ...

    async def referrers(self, digest: str) -> list[dict[str, Any]]:
        """Descriptors of the manifests that name an image as their subject, as far as the place knows."""
        ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """A payload, and signatures that are said to be of it."""

    kind: Kind
    """`sig`: a simple signing payload. `att`: an in-toto statement."""
    payload: bytes
    signed: bytes
    """What the signatures are over."""
    signatures: tuple[bytes, ...]

    @property
    def is_signature(self) -> bool:
        """Whether it says that an image is somebody's, and not only something about one."""
        if self.kind == "sig":
            return True
        statement = Statement.parse(self.payload)
        return statement is not None and statement.predicate_type == SIGNATURE


async def find_image(source: Source, reference: str, *, layers: bool) -> str:
    """The digest of an image, whose manifest has it.

    Args:
        source: where it lies.
        reference: its digest, or a tag.
        layers: hold the bytes of all its layers against their digests, too.

    Raises:
        NotVerified: `missing`, or `changed`.
        TemporaryError: the place does not answer.
    """
    found = await source.find(reference)
    if found is None:
        raise NotVerified("missing", f"there is no image {reference}")
    digest, manifest = found
    for blob in (manifest["config"], *manifest["layers"]) if layers else ():
        await source.check(blob["digest"])
    return digest


async def document(source: Source, digest: str, kind: Kind) -> bytes | None:
    """The document, which nobody signed, under the tag of a kind that has one; None where there is none.

    Raises:
        TemporaryError: the place does not answer.
        Changed: bytes are not those of their digest.
    """
    wanted = ARTIFACT_TYPES[kind]
    layers = [each for each in _layers(await source.find(tag_of(digest, kind))) if _type(each) == wanted]
    return await source.blob(layers[0]["digest"]) if layers and _is_small(layers[0]) else None


async def gather(source: Source, digest: str) -> list[Evidence]:
    """All that is attached to an image in a form that can be read here.

    Raises:
        TemporaryError: the place does not answer.
        Changed: bytes are not those of their digest.
    """
    layers = [layer for kind in _KINDS for layer in await _tagged(source, tag_of(digest, kind))]
    for descriptor in await source.referrers(digest):
        if descriptor.get("artifactType") in ARTIFACT_TYPES.values():
            continue  # it has a tag
        found = await source.find(descriptor["digest"])
        layers += [each for each in _layers(found) if _type(each).startswith(BUNDLE_PREFIX)]
    evidence = [read(layer, await source.blob(layer["digest"])) for layer in layers if _is_small(layer)]
    return [each for each in evidence if each]


async def _tagged(source: Source, tag: str) -> list[dict[str, Any]]:
    return [each for each in _layers(await source.find(tag)) if _type(each) in {SIMPLE_SIGNING, DSSE}]


def _layers(found: tuple[str, dict[str, Any]] | None) -> Iterator[dict[str, Any]]:
    return iter(found[1].get("layers") or [] if found else [])


def _type(layer: Mapping[str, Any]) -> str:
    return layer.get("mediaType", "")


def _is_small(layer: dict[str, Any]) -> bool:
    return 0 <= layer.get("size", -1) <= _LARGEST_BYTES


def read(layer: Mapping[str, Any], data: bytes) -> Evidence | None:
    """One attachment, given how a manifest points to it; None where it is in no form that is known here."""
    try:
        if _type(layer) == SIMPLE_SIGNING:
            signature = base64.b64decode(layer["annotations"][SIGNATURE_ANNOTATION])
            return Evidence("sig", data, data, (signature,))
        fields = json.loads(data)
        return _enveloped(fields if _type(layer) == DSSE else fields["dsseEnvelope"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _enveloped(fields: dict[str, Any]) -> Evidence | None:
    if fields["payloadType"] != IN_TOTO:
        return None
    payload = base64.b64decode(fields["payload"])
    signatures = tuple(base64.b64decode(each["sig"]) for each in fields["signatures"])
    return Evidence("att", payload, pre_authentication(IN_TOTO, payload), signatures)
