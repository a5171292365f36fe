"""The bill of materials of an image, in CycloneDX 1.6: packages, the model, the data as declared.

https://cyclonedx.org/docs/1.6/json/. Same inputs, same bytes: it has no time, and its serial number is
derived from the image's digest. The library for CycloneDX makes the same document by as much code and six
more packages; the tests hold ours against the schema that it brings.
"""

from __future__ import annotations

import uuid
from typing import Any

from services.builder.domain.image import RUNTIME_ROOT
from services.builder.domain.lock import Origin
from services.builder.domain.made import Made, Package, public
from so1s.modelfile import DataSet

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://so1s.dev/sbom")
_IMAGE, _MODEL, _RUNTIME, _BASE = "image", "model", "runtime", "base"

Component = dict[str, Any]


def bill_of_materials(made: Made) -> dict[str, Any]:
    """The document."""
    contained = [_model(made), _runtime(made), _base(made), *map(_library, made.packages)]
    depends = [
        {"ref": _IMAGE, "dependsOn": [each["bom-ref"] for each in contained]},
        {"ref": _MODEL, "dependsOn": [_reference(each) for each in made.data]},
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(_NAMESPACE, made.image.digest).urn,
        "version": 1,
        "metadata": {"component": _image(made)},
        "components": [*contained, *map(_data, made.data)],
        "dependencies": depends,
    }


def _image(made: Made) -> Component:
    return {
        "type": "container",
        "bom-ref": _IMAGE,
        "name": made.key,
        "version": made.uploaded.version,
        "hashes": _sha256(made.image.digest),
        "properties": _properties(platform=made.platform, lock_sha256=made.lock_sha256),
    }


def _model(made: Made) -> Component:
    uploaded, lineage = made.uploaded, made.uploaded.lineage
    artifact = {
        "type": "distribution",
        "url": uploaded.artifact.uri,
        "hashes": _sha256(made.artifact_sha256),
    }
    run_url = public(lineage.run_url) if lineage.run_url else None
    said = {"file": made.model_file, "commit": lineage.commit, "run_url": run_url, **_source(made)}
    datasets = [{"ref": _reference(each)} for each in made.data]
    card = {"modelCard": {"modelParameters": {"datasets": datasets}}} if datasets else {}
    return {
        "type": "machine-learning-model",
        "bom-ref": _MODEL,
        "name": uploaded.model,
        "version": uploaded.version,
        "hashes": _sha256(made.model_sha256),
        "externalReferences": [artifact],
        "properties": _properties(format=made.format, **said),
        **card,
    }


def _source(made: Made) -> dict[str, str]:
    if made.source is None:
        return {}
    return {
        "compiled_from": made.source.format,
        "compiled_from_file": made.source.file,
        "compiled_from_sha256": made.source.sha256,
        "compiled_from_library": made.source.compilation.library,
        "compiled_by": made.source.compilation.compiler,
    }


def _runtime(made: Made) -> Component:
    return {
        "type": "framework",
        "bom-ref": _RUNTIME,
        "name": "so1s-runtime",
        "version": made.runtime_version,
        "hashes": _sha256(made.runtime.digest),
        "properties": _properties(root=str(RUNTIME_ROOT)),
    }


def _base(made: Made) -> Component:
    """What it stands on; `host` is the machine that runs it, whose packages are that machine's."""
    name, _, digest = made.base.name.partition("@")
    if not digest:
        return {"type": "platform", "bom-ref": _BASE, "name": name}
    return {"type": "container", "bom-ref": _BASE, "name": name, "hashes": _sha256(digest)}


def _reference(data: DataSet) -> str:
    return f"data:{data.name}"


def _data(data: DataSet) -> Component:
    """A data set, as it is declared: the model was made of it, and the image does not hold it."""
    contents = {"contents": {"url": data.uri}} if data.uri else {}
    found = {
        "hashes": _sha256(data.sha256) if data.sha256 else [],
        "externalReferences": [{"type": "source-distribution", "url": data.uri}] if data.uri else [],
        "licenses": _licenses(data.license),
    }
    return {
        "type": "data",
        "bom-ref": _reference(data),
        "name": data.name,
        "data": [{"type": "dataset", "name": data.name, **contents}],
        **{name: value for name, value in found.items() if value},
    }


def _library(package: Package) -> Component:
    origin = package.origin
    files = {
        "type": "source-distribution" if origin and origin.is_built else "distribution",
        # Of the index nothing is said: it is whichever the operator names.
        "url": origin.place if origin and not origin.of_index else package.purl,
        "comment": "the file that the lock allows" if origin else "one of the files that the lock allows",
        "hashes": [hash_ for each in package.hashes for hash_ in _sha256(each)],
    }
    licenses = {"licenses": _licenses(package.license)} if package.license else {}
    return {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        "externalReferences": [files],
        **licenses,
        **_built(origin),
    }


def _built(origin: Origin | None) -> Component:
    """How a package was built from its source here."""
    if origin is None or not origin.is_built:
        return {}
    tools = ", ".join(f"{name} {version}" for name, version in origin.built_by)
    return {"properties": _properties(built_from_source="true", built_by=tools)}


def _licenses(said: str | None) -> list[dict[str, Any]]:
    return [{"license": {"name": said}}] if said else []


def _sha256(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]


def _properties(**said: str | None) -> list[dict[str, str]]:
    return [{"name": f"so1s:{name}", "value": value} for name, value in said.items() if value]
