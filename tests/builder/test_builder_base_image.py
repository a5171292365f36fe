"""Which image a base is, as a registry tells it."""

import json

import pytest

from services.builder.adapters.base_image import resolve
from services.builder.domain.reference import Reference
from so1s.errors import TemporaryError
from so1s.registry import digest_of
from tests.builder.fake_registry import DATA, DIGEST, FakeRegistry


def put_base(fake: FakeRegistry, *, python: str, architecture: str = "amd64") -> Reference:
    """A base in an index of two, as Docker's tools write it."""
    config = {
        "os": "linux",
        "architecture": architecture,
        "config": {"Env": [f"PYTHON_VERSION={python}"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:plain"]},
    }
    document = json.dumps(config).encode()
    fake.blobs["base", digest_of(document)] = document
    layer_type = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    manifest = json.dumps(
        {
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"digest": digest_of(document)},
            "layers": [{"mediaType": layer_type, "digest": DIGEST, "size": len(DATA)}],
        }
    ).encode()
    platforms = [{"os": "linux", "architecture": each} for each in ("s390x", architecture)]
    digests = [digest_of(b"another machine's"), digest_of(manifest)]
    index = json.dumps(
        {
            "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
            "manifests": [
                {"digest": digest, "platform": platform}
                for digest, platform in zip(digests, platforms, strict=True)
            ],
        }
    ).encode()
    fake.manifests |= {digest_of(manifest): manifest, digest_of(index): index}
    return Reference("registry.example", "base", digest_of(index))


async def test_of_an_index_the_base_for_the_platform_is_taken_in_the_words_of_oci(fake, session):
    base = await resolve(session, put_base(fake, python="3.11.9"), "linux-x86_64-cp311")

    assert base.name.startswith("registry.example/base@sha256:")
    (layer,) = base.layers
    assert (layer.digest, layer.diff_id, layer.size_bytes) == (DIGEST, "sha256:plain", len(DATA))
    assert layer.media_type == "application/vnd.oci.image.layer.v1.tar+gzip"


async def test_a_base_with_another_python_is_refused_with_both_named(fake, session):
    reference = put_base(fake, python="3.12.1")
    with pytest.raises(TemporaryError, match=r"has linux amd64 cp312, but .* need linux amd64 cp311"):
        await resolve(session, reference, "linux-x86_64-cp311")


async def test_a_base_for_other_machines_is_refused(fake, session):
    reference = put_base(fake, python="3.11.1", architecture="arm64")
    with pytest.raises(TemporaryError, match="no variant for linux amd64"):
        await resolve(session, reference, "linux-x86_64-cp311")
