"""The client for registries, against one that fails when it is told to."""

import httpx
import pytest

from so1s.errors import TemporaryError
from so1s.registry import MANIFEST, Document, digest_of
from tests.builder.fake_registry import DATA, DIGEST, away, read


@pytest.mark.parametrize(
    "failures",
    [[away(), away()], [httpx.ConnectError("refused")], [httpx.Response(429)], [httpx.ReadTimeout("slow")]],
)
async def test_a_registry_that_is_away_for_a_moment_is_asked_again(fake, session, failures):
    fake.fail("HEAD", *failures)
    assert await session.blob_size("a", DIGEST) is None
    assert fake.count("HEAD") == len(failures) + 1


async def test_a_registry_that_stays_away_is_named_and_the_build_is_put_off(fake, session):
    fake.fail("HEAD", *[httpx.ConnectError("refused")] * 100)
    with pytest.raises(TemporaryError, match=r"https://registry\.example does not answer.*refused"):
        await session.blob_size("a", DIGEST)


async def test_a_refusal_is_told_in_the_registrys_words_and_not_repeated(fake, session):
    errors = {"errors": [{"code": "DENIED", "message": "quota exceeded"}]}
    fake.fail("POST", httpx.Response(403, json=errors))
    with pytest.raises(TemporaryError, match="403 DENIED: quota exceeded"):
        await session.put_blob("a", DIGEST, len(DATA), read)
    assert fake.count("POST") == 1


async def test_a_small_blob_goes_in_one_piece_and_a_large_one_in_chunks(fake, session):
    small = digest_of(DATA[:10])
    await session.put_blob("a", small, 10, read)
    assert fake.count("PATCH") == 0

    await session.put_blob("a", DIGEST, len(DATA), read)

    assert fake.count("PATCH") == 9  # and five bytes with the PUT
    assert fake.blobs == {("a", small): DATA[:10], ("a", DIGEST): DATA}


async def test_a_registry_may_ask_for_larger_chunks(fake, session):
    headers = {"Location": "/v2/a/blobs/uploads/x", "OCI-Chunk-Min-Length": "50"}
    fake.uploads["x"] = b""
    fake.fail("POST", httpx.Response(202, headers=headers))
    await session.put_blob("a", DIGEST, len(DATA), read)
    assert fake.count("PATCH") == 1


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_an_upload_goes_on_where_a_broken_connection_left_it(fake, session, method):
    reads = []

    async def noted(offset: int, length: int) -> bytes:
        reads.append(offset)
        return await read(offset, length)

    fake.take_and_fail("PATCH", httpx.ReadError("cut"))
    if method == "PUT":
        fake.fail("PUT", away())
    await session.put_blob("a", DIGEST, len(DATA), noted)

    assert fake.blobs["a", DIGEST] == DATA
    assert fake.count("POST") == 1
    assert sorted(set(reads)) == list(range(0, 95, 10))
    assert reads.count(0) == 1  # what the registry has is not sent again


async def test_an_upload_that_the_registry_forgot_begins_anew(fake, session):
    fake.fail("PATCH", away())
    fake.fail("GET", httpx.Response(404))
    await session.put_blob("a", DIGEST, len(DATA), read)

    assert fake.blobs["a", DIGEST] == DATA
    assert fake.count("POST") == 2


async def test_a_blob_that_arrived_though_its_answer_was_lost_is_not_sent_again(fake, session):
    fake.take_and_fail("PUT", httpx.ReadError("cut"))
    await session.put_blob("a", DIGEST, len(DATA), read)
    assert fake.count("POST") == fake.count("PUT") == 1


async def test_bytes_that_changed_on_their_way_are_refused(session):
    async def damaged(offset: int, length: int) -> bytes:
        return bytes(length)

    with pytest.raises(TemporaryError, match="DIGEST_INVALID"):
        await session.put_blob("a", DIGEST, len(DATA), damaged)


async def test_a_blob_is_mounted_without_its_bytes(fake, session):
    fake.blobs["layers", DIGEST] = DATA
    await session.mount("a", DIGEST, len(DATA), source="layers")
    assert fake.blobs["a", DIGEST] == DATA
    assert fake.count("PATCH") == fake.count("PUT") == 0


async def test_a_registry_that_mounts_nothing_gets_a_copy(fake, session):
    fake.blobs["layers", DIGEST] = DATA
    fake.mounts = False
    await session.mount("a", DIGEST, len(DATA), source="layers")
    assert fake.blobs["a", DIGEST] == DATA


async def test_a_manifest_that_is_stored_as_another_one_is_not_taken_for_stored(fake, session):
    fake.fail("PUT", httpx.Response(201, headers={"Docker-Content-Digest": digest_of(b"other")}))
    with pytest.raises(TemporaryError, match="in place of"):
        await session.put_manifest("a", "3", Document.of(MANIFEST, {}))


async def test_a_blob_that_another_builder_mounts_at_this_moment_is_waited_for(fake, session):
    errors = {"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry"}]}
    fake.fail("PUT", httpx.Response(400, json=errors))
    await session.put_manifest("a", "3", Document.of(MANIFEST, {}))
    assert fake.count("PUT") == 2


async def test_a_document_whose_bytes_have_another_digest_is_refused(fake, session):
    fake.manifests[DIGEST] = b"{}"
    with pytest.raises(TemporaryError, match="is broken"):
        await session.json("base", DIGEST, "manifests")
