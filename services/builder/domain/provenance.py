"""Where an image comes from, as SLSA provenance v1: https://slsa.dev/spec/v1.0/provenance."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from services.builder.domain.made import Made, Package, Pin, public
from so1s.modelfile import DataSet
from so1s.supply_chain.formats import MODEL_BUILD

_GIT_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def provenance(
    made: Made, *, builder: str, builder_version: str, invocation: str, started: float, finished: float
) -> dict[str, Any]:
    """The predicate.

    Args:
        made: the image and its ingredients.
        builder: URI of who built it; trust in an image is trust in that one.
        builder_version: of So1s.
        invocation: which build it was: `risk/fraud@3#1`.
        started: in seconds since the epoch.
        finished: likewise.
    """
    return {
        "buildDefinition": {
            "buildType": MODEL_BUILD,
            "externalParameters": _asked(made),
            "internalParameters": {"platform": made.platform, "base": made.base.name} | _compiled(made),
            "resolvedDependencies": list(_dependencies(made)),
        },
        "runDetails": {
            "builder": {"id": builder, "version": {"so1s": builder_version}},
            "metadata": {
                "invocationId": invocation,
                "startedOn": _time(started),
                "finishedOn": _time(finished),
            },
        },
    }


def _asked(made: Made) -> dict[str, Any]:
    """What the upload said."""
    uploaded, lineage = made.uploaded, made.uploaded.lineage
    said = {
        "account": uploaded.account,
        "model": uploaded.model,
        "version": uploaded.version,
        "format": made.source.format if made.source else made.format,
        "optimize": made.format if made.source else None,
        "artifact": uploaded.artifact.uri,
        "uploadedBy": uploaded.uploaded_by,
        "runUrl": public(lineage.run_url) if lineage.run_url else None,
        "commit": lineage.commit,
        "gpus": uploaded.deploy.resources.gpus if uploaded.deploy else None,
    }
    return {name: value for name, value in said.items() if value}


def _compiled(made: Made) -> dict[str, Any]:
    """How the model became what the image serves, and how near its answers are to those of its library."""
    return {"compilation": made.source.compilation.model_dump()} if made.source else {}


def _dependencies(made: Made) -> Iterator[dict[str, Any]]:
    """All that went in, each by a digest or a URI, as in-toto asks of a resource."""
    commit = made.uploaded.lineage.commit
    yield {
        "name": "artifact",
        "uri": made.uploaded.artifact.uri,
        "digest": {"sha256": made.artifact_sha256},
    }
    name, _, digest = made.base.name.partition("@sha256:")
    if digest:
        yield {"name": "base", "uri": f"oci://{name}", "digest": {"sha256": digest}}
    yield {"name": "lock", "digest": {"sha256": made.lock_sha256}}
    yield {"name": "so1s-runtime", "digest": {"sha256": made.runtime.digest.removeprefix("sha256:")}}
    if commit and _GIT_COMMIT.fullmatch(commit):
        yield {"name": "commit", "digest": {"gitCommit": commit}}
    yield from (_data(each) for each in made.data if each.uri or each.sha256)
    if made.source:
        yield {"name": made.source.file, "digest": {"sha256": made.source.sha256}}
        yield {"name": "compiler-lock", "digest": {"sha256": made.source.lock_sha256}}
    for package in made.packages:
        yield {"name": package.name, "uri": package.purl} | _file(package)
    for package, (name, version) in _built(made):
        builds = {"annotations": {"builds": package.name}}
        yield {"name": name, "uri": f"pkg:pypi/{name}@{version}"} | builds


def _file(package: Package) -> dict[str, Any]:
    """The one file that a package is from, where it is no wheel of an index."""
    return {"digest": {"sha256": package.origin.sha256}} if package.origin else {}


def _built(made: Made) -> Iterator[tuple[Package, Pin]]:
    """The packages that were built from source, each with one of what built it."""
    for package in made.packages:
        for tool in package.origin.built_by if package.origin else ():
            yield package, tool


def _data(data: DataSet) -> dict[str, Any]:
    uri = {"uri": data.uri} if data.uri else {}
    digest = {"digest": {"sha256": data.sha256}} if data.sha256 else {}
    return {"name": f"data:{data.name}", **uri, **digest}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
