"""Pushes an OCI image layout, as any client would."""

import json
from pathlib import Path

from pydantic import SecretStr

from so1s.registry import MANIFEST, Document, Registry, Session
from so1s_lab.registry import Registry as RegistryPart


def client(part: RegistryPart) -> Registry:
    return Registry(part.url, user=part.username, password=SecretStr(part.password), ca_file=part.ca_file)


async def push(layout: Path, part: RegistryPart, repository: str) -> str:
    """Push a layout's only image; answers its digest."""
    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    data = _blob(layout, entry["digest"]).read_bytes()
    manifest = json.loads(data)
    async with client(part).session() as session:
        for each in (manifest["config"], *manifest["layers"]):
            await _push_blob(session, repository, each, _blob(layout, each["digest"]))
        await session.put_manifest(repository, entry["digest"], Document(MANIFEST, data, entry["digest"]))
    return entry["digest"]


async def _push_blob(session: Session, repository: str, descriptor: dict, file: Path) -> None:
    async def read(offset: int, length: int) -> bytes:
        with file.open("rb") as opened:
            opened.seek(offset)
            return opened.read(length)

    await session.put_blob(repository, descriptor["digest"], descriptor["size"], read)


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")
